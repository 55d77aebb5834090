"""Snapshots of the Exchange feed that state no time: they are dated by our axis, not by the wall clock."""

from __future__ import annotations

from typing import Any

import pytest

from marketarchive.times import utc
from marketarchive.venues.coinbase import exchange_feed
from marketarchive.venues.exchange_session import ExchangeSession
from tests.venues.followed import Followed

MARKET = "BTC-USD"
SNAPSHOT = {"type": "snapshot", "product_id": MARKET, "bids": [["1.0", "1.0"]], "asks": [["2.0", "1.0"]]}


def update(one: Followed) -> Any:
    time = utc(one.now).isoformat().replace("+00:00", "Z")
    changes = [["buy", "1.0", f"{1 + int(one.t)}.0"]]
    return {"type": "l2update", "product_id": MARKET, "changes": changes, "time": time}


@pytest.mark.parametrize("shift", [0, 6, -120])
def test_a_step_of_the_wall_clock_moves_no_undated_snapshot(shift: float) -> None:
    one = Followed(exchange_feed.CHANNEL, lambda: ExchangeSession(exchange_feed.WIRE))
    one.subscribe(MARKET)
    first = one.connect()
    one.told(first, SNAPSHOT)
    for t in range(1, 60):
        one.until(t)
        if t == 10:
            one.wall_shift = shift
        if t == 30:
            one.cut(first)
        if one.wanted:
            one.told(one.connect(), SNAPSHOT)
        for connection in one.sessions:
            one.told(connection, update(one))
    assert one.live.is_live(MARKET)
    assert one.gaps(MARKET) == [(29, 31)]
