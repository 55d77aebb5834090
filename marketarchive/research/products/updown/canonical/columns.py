"""Columns of the canonical dataset, in the order of the file, and the clocks it can be made on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from marketarchive.field_docs import FieldDoc

if TYPE_CHECKING:
    import pyarrow as pa

Clock = Literal["observation", "received"]
CLOCKS: tuple[Clock, ...] = ("observation", "received")

_PAGE = "there was no page, or no report of it in that second"
_SIDE = "that side is empty, or `pm_ffill` is null"
_BOOKS = "neither book was observed or proven within `--carry`"
_OF_BOTH = "one of the two is null"
_TWAP = "the rule is spot, or none was observed within `--carry`"
_REFERENCE = "none of them did, or none was collected in this `OUTPUT_DIR`"

FIELDS: Mapping[str, FieldDoc] = {
    "time": FieldDoc("the instant, start + `t`", "UTC", since="5"),
    "t": FieldDoc("since the round's start", "seconds", since="1"),
    "tau": FieldDoc("left of the round", "seconds", since="1"),
    "market_id": FieldDoc("the round", "slug", since="1"),
    "asset": FieldDoc("what the round is about", "`BTC`", since="1"),
    "cl_mid": FieldDoc(
        "Chainlink's spot price, from RTDS or the stream page, whichever is newer",
        "dollars",
        "none was observed within `--carry` (60 s)",
        "1",
    ),
    "cl_bid": FieldDoc("the newest that the page showed in the second of `cl_mid`", "dollars", _PAGE, "1"),
    "cl_ask": FieldDoc("the newest that the page showed in the second of `cl_mid`", "dollars", _PAGE, "1"),
    "cl_ffill": FieldDoc("0: observed in (t-1, t]; 1: carried", "", "`cl_mid` is null", "1"),
    "pm_up_mid": FieldDoc("mean of bid and ask of Up", "dollars per share", _OF_BOTH, "1"),
    "pm_up_bid": FieldDoc("best bid of Up", "dollars per share", _SIDE, "1"),
    "pm_up_ask": FieldDoc("best ask of Up", "dollars per share", _SIDE, "1"),
    "pm_down_mid": FieldDoc("mean of bid and ask of Down", "dollars per share", _OF_BOTH, "1"),
    "pm_down_bid": FieldDoc("best bid of Down", "dollars per share", _SIDE, "1"),
    "pm_down_ask": FieldDoc("best ask of Down", "dollars per share", _SIDE, "1"),
    "pm_ffill": FieldDoc(
        "0: both books are [observed](METHODOLOGY.md#observed); 1: a side is carried", "", _BOOKS, "1"
    ),
    "K": FieldDoc("the strike, from the labels", "dollars", "the label has none", "1"),
    "settlement": FieldDoc("the settlement price, from the labels", "dollars", "the label has none", "1"),
    "Y": FieldDoc("the outcome, from the labels: 1 Up, 0 Down", "", "the label has none", "1"),
    "delta": FieldDoc(
        "`cl_mid - K`; from 2026-08-07 on a spot price less an average, see below", "dollars", _OF_BOTH, "1"
    ),
    "delta_bps": FieldDoc("`1e4 * delta / K`", "basis points", _OF_BOTH, "1"),
    "sum_bids": FieldDoc("`pm_up_bid + pm_down_bid`", "dollars per share", _OF_BOTH, "1"),
    "sum_asks": FieldDoc("`pm_up_ask + pm_down_ask`", "dollars per share", _OF_BOTH, "1"),
    "pm_up_spread": FieldDoc("`pm_up_ask - pm_up_bid`", "dollars per share", _OF_BOTH, "1"),
    "pm_down_spread": FieldDoc("`pm_down_ask - pm_down_bid`", "dollars per share", _OF_BOTH, "1"),
    "cl_twap": FieldDoc("the average that the rule names", "dollars", _TWAP, "1"),
    "cl_source": FieldDoc("source of `cl_mid`", "`venue/feed`", "`cl_mid` is null", "1"),
    "cl_lag": FieldDoc("from the observation of `cl_mid` to its receipt", "seconds", "`cl_mid` is null", "1"),
    "pm_lag": FieldDoc("from the venue's time of the books to receipt", "seconds", _BOOKS, "1"),
    "ref_mid": FieldDoc(
        "median of the mids of spot exchanges' books, of those that changed in the 10 s before",
        "dollars",
        _REFERENCE,
        "1",
    ),
    "ref_source": FieldDoc("which exchanges `ref_mid` is of", "", _REFERENCE, "1"),
    "K_received_at": FieldDoc("when K was received", "UTC", "not known", "1"),
    "gap": FieldDoc("a recorded gap of the books or prices touches this second", since="1"),
    "preopen": FieldDoc("a side's state is from before the start", "", _BOOKS, "1"),
    "pm_quiet": FieldDoc("1: observed, and a side is older than this second", "", _BOOKS, "1"),
    "pm_source": FieldDoc("feed of the table, and message, that the books are from", "", _BOOKS, "1"),
    "cl_twap_ffill": FieldDoc("0: `cl_twap` was observed in (t-1, t]; 1: carried", "", _TWAP, "3"),
    "pm_verified": FieldDoc(
        "the worse verdict on the states of both sides: `ok`, `not_available`, `unchecked`; states that are "
        "not [sound](TABLES.md#sound-states) are skipped",
        "",
        _BOOKS,
        "5",
    ),
    "delta_twap": FieldDoc(
        "`cl_twap - K`: what the round is settled on",
        "dollars",
        "one of them is null, as under the spot rule",
        "5",
    ),
}
"""Column -> its description in docs/CANONICAL.md; `since` is a `VERSION` of the dataset."""

COLUMNS = tuple(FIELDS)

HINDSIGHT = ("settlement", "Y", "gap")
"""Columns unknown at the second itself: labels, and gaps, which are noticed after they began."""

VARIED = ("cl_mid", "cl_bid", "cl_ask", "cl_twap", "delta", "delta_bps", "delta_twap", "cl_lag", "pm_lag")
"""Columns in which hardly a value repeats: they are encoded without a dictionary."""

QUOTED = (
    *(f"pm_{side}_{name}" for side in ("up", "down") for name in ("mid", "bid", "ask", "spread")),
    *("sum_bids", "sum_asks"),
)
"""Numeric columns with few distinct values: they are encoded with a dictionary."""

TEXTS = ("market_id", "asset", "cl_source", "ref_source", "pm_source", "pm_verified")


def schema() -> pa.Schema:
    """Return the dataset's Arrow schema.

    Prices are in dollars, those of Polymarket (`pm_*`) per share; lags in seconds.
    """
    import pyarrow as pa

    kinds = {
        **dict.fromkeys(("t", "tau"), pa.int32()),
        **dict.fromkeys(TEXTS, pa.string()),
        **dict.fromkeys(("cl_ffill", "cl_twap_ffill", "pm_ffill", "Y", "pm_quiet"), pa.int8()),
        **dict.fromkeys(("gap", "preopen"), pa.bool_()),
        **dict.fromkeys(("time", "K_received_at"), pa.timestamp("us", tz="UTC")),
    }
    return pa.schema([(name, kinds.get(name, pa.float64())) for name in COLUMNS])


def written() -> pa.Schema:
    """Return the schema of the tables to be written: texts, which hardly vary, are dictionary-encoded.

    The columns in the file are those of `schema`.
    """
    import pyarrow as pa

    return pa.schema(
        [
            field.with_type(pa.dictionary(pa.int32(), pa.string())) if field.name in TEXTS else field
            for field in schema()
        ]
    )
