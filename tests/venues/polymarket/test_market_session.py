"""What frames of the market channel say of a token, as updates."""

from __future__ import annotations

import pytest

from marketarchive.times import SECOND, from_ms
from marketarchive.venues.polymarket.market_session import MarketSession, Top
from tests.venues.polymarket.tape import Tape

LATEST = 2_000_000_000 * SECOND


@pytest.mark.parametrize("seed", range(5))
def test_a_late_snapshot_is_dated_by_the_deltas_that_came_before_it(seed: int) -> None:
    """Its best prices are those after them: at its own date they may have been others."""
    tape = Tape(seed)
    token = tape.tokens[0]
    session = MarketSession()
    session.subscribe(tape.tokens, is_first=True)
    late = tape.dump()
    for seq in range(1, 6):
        tape.now += 200
        change = tape.change(tape.markets[0])
        session.apply(from_ms(tape.now), seq, change, latest=LATEST, verify=True)
    updates = session.apply(from_ms(tape.now), 6, late, latest=LATEST, verify=True)
    [update] = [each for each in updates if each.key == token and each.kind == "snapshot"]
    book = tape.book(token)
    assert (update.at, update.state, update.integrity) == (
        from_ms(int(book["timestamp"])),
        book["hash"],
        "ok",
    )
    assert update.base < update.at
    assert isinstance(update.value, Top)
    assert from_ms(update.value.changed_ms) == update.at


def test_a_snapshot_dated_ahead_keeps_its_date() -> None:
    """It is not applied: the book held says nothing of it."""
    tape = Tape(1)
    session = MarketSession()
    session.subscribe(tape.tokens, is_first=True)
    received_at = from_ms(tape.now)
    session.apply(received_at, 1, tape.dump(), latest=received_at + 5 * SECOND, verify=True)
    tape.now += 600_000
    tape.change(tape.markets[0])
    updates = session.apply(received_at, 2, tape.dump(), latest=received_at + 5 * SECOND, verify=True)
    assert [(update.integrity, update.at - received_at) for update in updates] == [
        ("failed", 600 * SECOND)
    ] * 2
