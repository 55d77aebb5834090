"""The columns of the unified data, as docs/PERPS.md lists them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from marketarchive.field_docs import FieldDoc
from marketarchive.research.described_schema import described_schema

if TYPE_CHECKING:
    import pyarrow as pa

_RATE = "fraction of the notional, 8 hours"
_PRICE = "quote currency per base unit"
_NO_PRICE = "candles do not fill the period; of samples: there is none"
_UNSTATED = "none was stated in the period"
_ONE_SIDE = "the venue does not state both sides"

FIELDS: Mapping[str, FieldDoc] = {
    "timestamp": FieldDoc("the end of the period", "UTC", type="timestamp[us, tz=UTC]"),
    "venue": FieldDoc("the venue", type="string"),
    "symbol": FieldDoc("the contract, as the venue calls it", type="string"),
    "asset": FieldDoc("the asset", "`BTC`", type="string"),
    "sector": FieldDoc("MAJORS, DEFI, L2, GAMING, MEME", "", "the asset is in none", type="string"),
    "funding_rate": FieldDoc(
        "what longs paid; negative: received. [See below](#funding)",
        _RATE,
        "funding of the period is not wholly known",
        type="double",
    ),
    "funding_rate_30m": FieldDoc(
        "`funding_rate` / 16", "fraction of the notional, 30 minutes", "`funding_rate` is null", type="double"
    ),
    "mark_o": FieldDoc("first mark price", _PRICE, _NO_PRICE, type="double"),
    "mark_h": FieldDoc("highest mark price", _PRICE, _NO_PRICE, type="double"),
    "mark_l": FieldDoc("lowest mark price", _PRICE, _NO_PRICE, type="double"),
    "mark_c": FieldDoc("last mark price", _PRICE, _NO_PRICE, type="double"),
    "index_o": FieldDoc("first index price", _PRICE, _NO_PRICE, type="double"),
    "index_h": FieldDoc("highest index price", _PRICE, _NO_PRICE, type="double"),
    "index_l": FieldDoc("lowest index price", _PRICE, _NO_PRICE, type="double"),
    "index_c": FieldDoc("last index price", _PRICE, _NO_PRICE, type="double"),
    "open_interest": FieldDoc(
        "the newest of the period; each long counted once with its short",
        "base units",
        _UNSTATED,
        type="double",
    ),
    "volume": FieldDoc(
        "what was traded",
        "base units",
        "candles do not fill the period, or the venue has none",
        type="double",
    ),
    "fees_taker_bps_perp": FieldDoc(
        "the taker's fee of a regular user, by the schedule of `fee_schedule_date`",
        "basis points",
        "the venue's schedule states none",
        type="double",
    ),
    "fees_maker_bps_perp": FieldDoc(
        "the maker's fee, likewise", "basis points", "the venue's schedule states none", type="double"
    ),
    "borrow_bps_per_day": FieldDoc(
        "for a loan of the asset, or what a long pays to the pool that it trades against; the newest of the "
        "period; 0 where a venue takes nothing",
        "basis points per day",
        _UNSTATED,
        type="double",
    ),
    "open_interest_usd": FieldDoc(
        "`open_interest`, as the venue states it in money", "quote currency", _UNSTATED, type="double"
    ),
    "volume_quote": FieldDoc(
        "`volume`, as the venue states it in money",
        "quote currency",
        "`volume` is null, or the venue does not state it",
        type="double",
    ),
    "mark_source": FieldDoc(
        "what the mark prices are of: `candles`; `index candles` where the index stands for the mark price; "
        "`<n> samples` where a venue has no candles",
        "",
        "there is no price of it",
        type="string",
    ),
    "index_source": FieldDoc(
        "what the index prices are of, likewise", "", "there is no price of it", type="string"
    ),
    "funding_interval_h": FieldDoc(
        "interval of the period's last settlement",
        "hours",
        "nothing was settled, or it is not known",
        type="double",
    ),
    "fee_schedule_date": FieldDoc(
        "the day of the schedule of fees", "UTC day", "there is no schedule", type="date32[day]"
    ),
    "funding_kind": FieldDoc("`settled`, `continuous`", "", "`funding_rate` is null", type="string"),
    "n_settlements": FieldDoc(
        "settlements in the period", "settlements", "the venue is continuous", type="int32"
    ),
    "funding_rate_long": FieldDoc("what longs paid", _RATE, "`funding_rate` is null", type="double"),
    "funding_rate_short": FieldDoc(
        "what shorts received; another number only where the sides differ",
        _RATE,
        "`funding_rate` is null",
        type="double",
    ),
    "open_interest_rule": FieldDoc(
        "how `open_interest` follows from what the venue states", "", "`open_interest` is null", type="string"
    ),
    "open_interest_long": FieldDoc("the longs", "base units", _ONE_SIDE, type="double"),
    "open_interest_short": FieldDoc("the shorts", "base units", _ONE_SIDE, type="double"),
    "listed_from": FieldDoc(
        "the listing, by the venue", "UTC", "it states none", type="timestamp[us, tz=UTC]"
    ),
    "listed_to": FieldDoc(
        "the delisting, by the venue", "UTC", "it states none", type="timestamp[us, tz=UTC]"
    ),
}
"""Column -> its description."""

COLUMNS = tuple(FIELDS)


def schema() -> pa.Schema:
    """Return the Arrow schema of the files of unified data."""
    return described_schema(FIELDS)
