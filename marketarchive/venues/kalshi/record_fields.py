"""The columns of a `KalshiQuote` in `records/`, as docs/KALSHI_COLLECTOR.md lists them."""

from __future__ import annotations

from collections.abc import Mapping

from marketarchive.field_docs import FieldDoc
from marketarchive.venues.record_fields import (
    EMPTY,
    NOTHING,
    RUN,
    SEQ,
    TIMESTAMP,
    UTC,
)

KALSHI: Mapping[str, FieldDoc] = {
    "timestamp": TIMESTAMP,
    "asset": FieldDoc(
        "the asset that the market is about", "`BTC`", "the ticker is of no crypto market", type="text"
    ),
    "market_id": FieldDoc("the market", "ticker", type="text"),
    "yes_bid": FieldDoc("highest bid for YES", "dollars a contract", EMPTY, type="number"),
    "yes_ask": FieldDoc("lowest ask for YES", "dollars a contract", EMPTY, type="number"),
    "no_bid": FieldDoc("highest bid for NO", "dollars a contract", EMPTY, type="number"),
    "no_ask": FieldDoc("lowest ask for NO", "dollars a contract", EMPTY, type="number"),
    "yes_bid_size": FieldDoc("size of the highest bid for YES", "contracts", EMPTY, type="number"),
    "yes_ask_size": FieldDoc("size of the lowest ask for YES", "contracts", EMPTY, type="number"),
    "is_observed": FieldDoc("[known at this tick](DATA_CONTRACT.md#is_observed)", type="1 or 0"),
    "age_s": FieldDoc(
        "how old the state may have been at receipt",
        "seconds",
        "nothing was received; streamed",
        type="number",
    ),
    "age_source": FieldDoc(
        "what states the age: `header`, `unchanged`, `new`", "", "nothing was received; streamed", type="text"
    ),
    "received_at": FieldDoc("when the message was received", UTC, NOTHING, type="text"),
    "source": FieldDoc("`orderbook`, `orderbooks`, `stream`", type="text"),
    "run": RUN,
    "seq": SEQ,
}
"""Rows of Kalshi's books."""
