"""The columns of a `Quote` in `records/`, as docs/DATA_CONTRACT.md lists them."""

from __future__ import annotations

from collections.abc import Mapping

from marketarchive.field_docs import FieldDoc
from marketarchive.venues.record_fields import (
    EMPTY,
    PART,
    RECEIVED_AT,
    RUN,
    SEQ,
    TIMESTAMP,
)

SHARE = "dollars per share"

ROUNDS: Mapping[str, FieldDoc] = {
    "timestamp": TIMESTAMP,
    "asset": FieldDoc("the asset of the round", "`BTC`", "the market is no up/down round", type="text"),
    "market_id": FieldDoc("the market", "slug", type="text"),
    "up_mid": FieldDoc("mean of `up_bid` and `up_ask`", SHARE, PART, type="number"),
    "up_bid": FieldDoc("highest bid for up", SHARE, EMPTY, type="number"),
    "up_ask": FieldDoc("lowest ask for up", SHARE, EMPTY, type="number"),
    "down_mid": FieldDoc("mean of `down_bid` and `down_ask`", SHARE, PART, type="number"),
    "down_bid": FieldDoc("highest bid for down", SHARE, EMPTY, type="number"),
    "down_ask": FieldDoc("lowest ask for down", SHARE, EMPTY, type="number"),
    "is_observed": FieldDoc("[both books are known](#is_observed) at this tick", type="1 or 0"),
    "received_at": RECEIVED_AT,
    "preopen": FieldDoc("the round had not begun", type="1 or 0"),
    "source": FieldDoc("`books` or `stream`, see below; where not observed the one tried last", type="text"),
    "condition_id": FieldDoc(
        "the venue's own id", "", "the venue had not listed the round (`polymarket_stream`)", type="text"
    ),
    "verified": FieldDoc("`ok` (both hashes match), `failed`, `not_available`", type="text"),
    "run": RUN,
    "seq": SEQ,
}
"""Rows of Polymarket's markets."""
