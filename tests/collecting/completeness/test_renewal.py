"""A connection that the venue wants replaced, and trades where only a book counts."""

from __future__ import annotations

from typing import get_args

import pytest

from marketarchive.collecting.streams import effects as fx
from marketarchive.venues.channel import Proof, Update
from tests.collecting.completeness.script import Script
from tests.collecting.completeness.venue_model import ns

PROOFS = get_args(Proof)


@pytest.mark.parametrize("proof", PROOFS)
def test_a_connection_is_replaced_when_the_venue_says_so(proof: Proof) -> None:
    """The new one first; the old one is closed when the new one has taken over, and nothing is lost."""
    script = Script(proof)
    script.apply(Update("", "renew", ns(0)))
    script.run(600)
    assert script.did(fx.OpenConnection) == 2
    assert script.did(fx.CloseConnection) == 0
    for at in (1_000, 2_000, 3_000, 4_000):
        script.run(at)
        for connection in ("c1", "c2"):
            for key in ("k0", "k1"):
                script.snapshot(key, at, f"s{at}", connection=connection)
    script.run(5_000)
    assert script.connections == ["c2"]
    assert script.did(fx.CloseConnection) == 1
    assert script.lines == []


def test_one_that_is_silent_for_good_is_closed_once_another_is_live() -> None:
    """What is late may still come for a minute; a peer that is gone without a word never closes by itself."""
    script = Script("sequence")
    script.run(1_000)
    for at in range(2_000, 12_000, 1_000):
        script.snapshot("k0", at, f"s{at}")
        script.snapshot("k1", at, f"s{at}")
        script.run(at)
    silent_since = 11_000
    for at in range(12_000, 120_000, 1_000):
        script.run(at)
        for connection in set(script.connections) - {"c1"}:
            for key in ("k0", "k1"):
                script.snapshot(key, at, f"s{at}", connection=connection)
        if at == silent_since + 55_000:
            assert script.connections == ["c1", "c2"]
    assert script.connections == ["c2"]
    assert script.did(fx.CloseConnection) == 1


def test_one_that_is_not_open_any_more_is_not_replaced() -> None:
    script = Script("none")
    script.apply(Update("", "renew", ns(0)), connection="c9")
    script.run(3_000)
    assert script.did(fx.OpenConnection) == 1


@pytest.mark.parametrize("proof", ["hash", "sequence", "none"])
def test_a_trade_before_the_first_book_is_no_state(proof: Proof) -> None:
    script = Script(proof, snapshots=False)
    script.apply(Update("k0", "trade", ns(0), value="a trade"))
    script.run(1_000)
    assert not script.live.is_live("k0")
    script.snapshot("k0", 1_000, "a book")
    script.run(1_500)
    assert script.live.is_live("k0")
