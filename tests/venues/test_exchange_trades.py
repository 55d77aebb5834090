"""What a trade of an exchange proves of its market's book."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from marketarchive.items import Verdict
from marketarchive.venues.exchange_session import ExchangeSession
from marketarchive.venues.market_messages import Decoded, TradeMessage, WireFormat


def _wire(decode: Callable[[int], Decoded]) -> WireFormat:
    return WireFormat(lambda payload, _: decode(int(payload)), lambda _: [], lambda _: [])


def _trade(number: int | None = None) -> TradeMessage:
    return TradeMessage("btc", 1, "BUY", "1", "1", "t", number=number)


@pytest.mark.parametrize(
    ("decode", "verdicts"),
    [
        (lambda place: Decoded([_trade()]), ["unchecked", "unchecked"]),
        (lambda place: Decoded([_trade(place)]), ["unchecked", "unchecked"]),
        (lambda place: Decoded([_trade(2 * place)]), ["unchecked", "failed"]),
        (lambda place: Decoded([_trade()], number=place), ["ok", "ok"]),
    ],
    ids=["no numbers", "its own numbers", "its own, one missing", "numbers of frames"],
)
def test_only_a_number_of_frames_proves_the_book(
    decode: Callable[[int], Decoded], verdicts: list[Verdict]
) -> None:
    session = ExchangeSession(_wire(decode))
    told = [session.apply(1, place, b"%d" % place, latest=2, verify=True) for place in (1, 2)]
    assert [update.integrity for updates in told for update in updates] == verdicts
