"""Columns and types of the tables that messages of any venue are made into.

A feed may declare narrower decimals. Files of earlier versions may lack columns; readers see null.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from marketarchive.venues.venue import WIDEST, Decimals

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["text", "time", "amount", "price", "size", "depth", "int", "long", "flag", "levels"]

_ROW: dict[str, Kind] = {
    "market": "text",
    "slug": "text",
    "outcome": "text",
    "token": "text",
    "asset": "text",
    "event_time": "time",
    "received_at": "time",
    "run": "text",
    "seq": "long",
    "connection": "text",
    "index": "int",
    "position": "int",
}
_TOP: dict[str, Kind] = {"best_bid": "price", "best_ask": "price"}

_PERP: dict[str, Kind] = {
    "market": "text",
    "asset": "text",
    "event_time": "time",
    "received_at": "time",
    "run": "text",
    "seq": "long",
    "index": "int",
    "verified": "text",
}

COLUMNS: Mapping[str, Mapping[str, Kind]] = {
    "books": _ROW
    | {
        "route": "text",
        "hash": "text",
        "verified": "text",
        "recipe": "text",
        "best_bid": "price",
        "best_bid_size": "size",
        "best_ask": "price",
        "best_ask_size": "size",
        "bid_depth": "depth",
        "ask_depth": "depth",
        "bid_levels": "int",
        "ask_levels": "int",
        "is_sorted": "flag",
        "is_crossed": "flag",
        "is_in_range": "flag",
        "is_positive": "flag",
        "tick_size": "price",
        "last_trade_price": "price",
        "bids": "levels",
        "asks": "levels",
        "age_ms": "int",
    },
    "book_changes": _ROW
    | {"side": "text", "price": "price", "size": "size", "hash": "text"}
    | _TOP
    | {"verified": "text", "is_stale": "flag"},
    "trades": _ROW
    | {
        "source": "text",
        "side": "text",
        "price": "amount",
        "size": "amount",
        "trade_id": "text",
        "transaction_hash": "text",
        "number": "int",
        "wallet": "text",
        "fee_rate_bps": "amount",
        "verified": "text",
    },
    "quotes": _ROW | {"source": "text"} | _TOP | {"verified": "text"},
    "reference_prices": {
        "topic": "text",
        "symbol": "text",
        "asset": "text",
        "event_time": "time",
        "published_at": "time",
        "received_at": "time",
        "instrument": "text",
        "value": "amount",
        "bid": "amount",
        "ask": "amount",
        "window_s": "int",
        "is_backfill": "flag",
        "run": "text",
        "seq": "long",
        "connection": "text",
        "index": "int",
        "verified": "text",
    },
    "price_history": _ROW
    | {
        "source": "text",
        "interval_s": "int",
        "price": "amount",
        "price_low": "amount",
        "price_high": "amount",
        "bid": "amount",
        "ask": "amount",
        "volume": "amount",
        "open_interest": "amount",
        "verified": "text",
    },
    "fundings": _PERP
    | {
        "kind": "text",
        "rate": "amount",
        "rate_short": "amount",
        "interval_s": "int",
        "next_at": "time",
        "mark_price": "amount",
        "index_price": "amount",
    },
    "candles": _PERP
    | {
        "source": "text",
        "interval_s": "int",
        "open": "amount",
        "high": "amount",
        "low": "amount",
        "close": "amount",
        "volume": "amount",
        "volume_quote": "amount",
        "is_closed": "flag",
    },
    "open_interest": _PERP
    | {
        "amount": "amount",
        "amount_quote": "amount",
        "amount_long": "amount",
        "amount_short": "amount",
        "contracts": "amount",
        "rule": "text",
    },
    "instruments": _PERP
    | {
        "status": "text",
        "quote": "text",
        "multiplier": "amount",
        "contract_size": "amount",
        "listed_at": "time",
        "delisted_at": "time",
        "funding_interval_s": "int",
        "taker_bps": "amount",
        "maker_bps": "amount",
    },
    "borrow_rates": {name: kind for name, kind in _PERP.items() if name != "market"}
    | {"symbol": "text", "bps_per_day": "amount", "bps_per_day_short": "amount"},
}
"""Table -> column -> kind of its values."""

_SQL: Mapping[Kind, str] = {
    "text": "VARCHAR",
    "time": "TIMESTAMPTZ",
    "amount": "DECIMAL(38,18)",
    "price": "DECIMAL(38,18)",
    "size": "DECIMAL(38,18)",
    "depth": "DECIMAL(38,18)",
    "int": "INTEGER",
    "long": "BIGINT",
    "flag": "BOOLEAN",
    "levels": "STRUCT(price DECIMAL(38,18), size DECIMAL(38,18))[]",
}
_EXACT: tuple[Kind, ...] = ("amount", "price", "size", "depth", "levels")
_AMOUNT = (38, 18)


def digits(kind: Kind, decimals: Decimals) -> tuple[int, int]:
    """Return (precision, scale) of the decimals of a kind; a depth, a sum of sizes, has 38 digits."""
    if kind == "price":
        return decimals.price
    if kind == "size":
        return decimals.size
    return (38, decimals.size[1]) if kind == "depth" else _AMOUNT


def arrow_type(kind: Kind, decimals: Decimals = WIDEST) -> pa.DataType:
    """Return the Arrow type of a column; decimals: precision of prices and sizes."""
    import pyarrow as pa

    if kind == "levels":
        fields = [(name, pa.decimal128(*size)) for name, size in decimals._asdict().items()]
        return pa.list_(pa.struct(fields))
    if kind in _EXACT:
        return pa.decimal128(*digits(kind, decimals))
    types: Mapping[str, pa.DataType] = {
        "text": pa.string(),
        "time": pa.timestamp("us", tz="UTC"),
        "int": pa.int32(),
        "long": pa.int64(),
        "flag": pa.bool_(),
    }
    return types[kind]


def schema(table: str, decimals: Decimals = WIDEST) -> pa.Schema:
    """Return the Arrow schema of a table's file; decimals: precision of prices and sizes."""
    import pyarrow as pa

    return pa.schema([(name, arrow_type(kind, decimals)) for name, kind in COLUMNS[table].items()])


def relation(table: str, stored: str | None) -> str:
    """Return an SQL relation of a table with all its columns, and venue, feed and date.

    stored: relation of the table's files, None: there are none. Columns that no file has are null.
    """
    if stored is None:
        columns = {name: _SQL[kind] for name, kind in COLUMNS[table].items()}
        columns |= {"venue": "VARCHAR", "feed": "VARCHAR", "date": "DATE"}
        return f"({_none(columns)})"
    # exact numbers keep the decimals of the files, which are narrower where a venue's numbers are
    columns = {name: '"NULL"' if kind in _EXACT else _SQL[kind] for name, kind in COLUMNS[table].items()}
    return f"(FROM {stored} UNION ALL BY NAME {_none(columns)})"


def _none(columns: Mapping[str, str]) -> str:
    listed = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in columns.items())
    return f"SELECT {listed} WHERE false"
