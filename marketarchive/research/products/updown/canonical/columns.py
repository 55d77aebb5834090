"""The columns of the canonical dataset, in the order of the file, and the clocks by which it can be made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pyarrow as pa

Clock = Literal["observation", "received"]
CLOCKS: tuple[Clock, ...] = ("observation", "received")

COLUMNS = (
    "time",
    "t",
    "tau",
    "market_id",
    "asset",
    "cl_mid",
    "cl_bid",
    "cl_ask",
    "cl_ffill",
    "pm_up_mid",
    "pm_up_bid",
    "pm_up_ask",
    "pm_down_mid",
    "pm_down_bid",
    "pm_down_ask",
    "pm_ffill",
    "K",
    "settlement",
    "Y",
    "delta",
    "delta_bps",
    "sum_bids",
    "sum_asks",
    "pm_up_spread",
    "pm_down_spread",
    "cl_twap",
    "cl_source",
    "cl_lag",
    "pm_lag",
    "ref_mid",
    "ref_source",
    "K_received_at",
    "gap",
    "preopen",
    "pm_quiet",
    "pm_source",
    "cl_twap_ffill",
    "pm_verified",
    "delta_twap",
)

HINDSIGHT = ("settlement", "Y", "gap")
"""Columns that nobody knew at the second: labels, and gaps, which are noticed after they began."""

VARIED = ("cl_mid", "cl_bid", "cl_ask", "cl_twap", "delta", "delta_bps", "delta_twap", "cl_lag", "pm_lag")
"""Hardly a value stands in them twice."""

QUOTED = (
    *(f"pm_{side}_{name}" for side in ("up", "down") for name in ("mid", "bid", "ask", "spread")),
    *("sum_bids", "sum_asks"),
)
"""Few values stand in them again and again."""

TEXTS = ("market_id", "asset", "cl_source", "ref_source", "pm_source", "pm_verified")


def schema() -> pa.Schema:
    """Return the dataset's schema.

    Prices are in dollars, those of pm (Polymarket) per share; lags in seconds.
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
    """Return the schema in which rows are made and written.

    Texts, which hardly vary, are dictionary-encoded. The file's columns are the same.
    """
    import pyarrow as pa

    return pa.schema(
        [
            field.with_type(pa.dictionary(pa.int32(), pa.string())) if field.name in TEXTS else field
            for field in schema()
        ]
    )
