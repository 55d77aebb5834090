"""Columns of the unified data of perpetuals and their types; docs/PERPS.md defines their meaning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["time", "text", "number", "count", "day"]

COLUMNS: Mapping[str, Kind] = {
    "timestamp": "time",
    "venue": "text",
    "symbol": "text",
    "asset": "text",
    "sector": "text",
    "funding_rate": "number",
    "funding_rate_30m": "number",
    "mark_o": "number",
    "mark_h": "number",
    "mark_l": "number",
    "mark_c": "number",
    "index_o": "number",
    "index_h": "number",
    "index_l": "number",
    "index_c": "number",
    "open_interest": "number",
    "volume": "number",
    "fees_taker_bps_perp": "number",
    "fees_maker_bps_perp": "number",
    "borrow_bps_per_day": "number",
    "open_interest_usd": "number",
    "volume_quote": "number",
    "mark_source": "text",
    "index_source": "text",
    "funding_interval_h": "number",
    "fee_schedule_date": "day",
    "funding_kind": "text",
    "n_settlements": "count",
    "funding_rate_long": "number",
    "funding_rate_short": "number",
    "open_interest_rule": "text",
    "open_interest_long": "number",
    "open_interest_short": "number",
    "listed_from": "time",
    "listed_to": "time",
}


def schema() -> pa.Schema:
    """Return the Arrow schema of the files of unified data."""
    import pyarrow as pa

    types: Mapping[Kind, pa.DataType] = {
        "time": pa.timestamp("us", tz="UTC"),
        "text": pa.string(),
        "number": pa.float64(),
        "count": pa.int32(),
        "day": pa.date32(),
    }
    return pa.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
