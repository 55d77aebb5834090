"""The columns of the canonical dataset, in the order of the file, and the clocks by which it can be made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pyarrow as pa

Clock = Literal["observation", "received"]
CLOCKS: tuple[Clock, ...] = ("observation", "received")

COLUMNS = (
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
)

HINDSIGHT = ("settlement", "Y", "gap")
"""What nobody knew at the second: labels, and holes, which are noticed after they began."""

VARIED = ("cl_mid", "cl_bid", "cl_ask", "cl_twap", "delta", "delta_bps", "cl_lag", "pm_lag")
"""Hardly a value stands in them twice."""


def schema() -> pa.Schema:
    """Prices in dollars, those of pm per share; lags in seconds."""
    import pyarrow as pa

    kinds = {
        **dict.fromkeys(("t", "tau"), pa.int32()),
        **dict.fromkeys(("market_id", "asset", "cl_source", "ref_source", "pm_source"), pa.string()),
        **dict.fromkeys(("cl_ffill", "cl_twap_ffill", "pm_ffill", "Y", "pm_quiet"), pa.int8()),
        **dict.fromkeys(("gap", "preopen"), pa.bool_()),
        "K_received_at": pa.timestamp("us", tz="UTC"),
    }
    return pa.schema([(name, kinds.get(name, pa.float64())) for name in COLUMNS])
