"""The fields of a label as the JSON file has them; docs/DATA_CONTRACT.md lists them."""

from __future__ import annotations

from collections.abc import Mapping

from marketarchive.field_docs import FieldDoc

_NO_PRICE = "the price is null"
_MISSING = "`reason` states what is missing"
_AMOUNT = "10^-18 dollars"
_EXACT = "text; Parquet: decimal"

FIELDS: Mapping[str, FieldDoc] = {
    "market_id": FieldDoc("the round", "slug; the ticker where the venue has no slugs", type="text"),
    "asset": FieldDoc("the asset", "`BTC`", type="text"),
    "start_timestamp": FieldDoc("start of the round; Parquet: `start_ns`, ns", "Unix seconds", type="number"),
    "end_timestamp": FieldDoc("its end; Parquet: `end_ns`, ns", "Unix seconds", type="number"),
    "strike_K": FieldDoc("price at the start; Parquet: `strike`", "dollars", _MISSING, type="number"),
    "settlement_price": FieldDoc(
        "price at the end; Parquet: `settlement`", "dollars", _MISSING, type="number"
    ),
    "resolved_outcome": FieldDoc(
        "the official outcome, in the venue's words", "", "there is none yet", type="text"
    ),
    "computed_outcome": FieldDoc("the outcome that both prices give", "", "one of them is null", type="text"),
    "outcome_match": FieldDoc(
        "both outcomes are the same", "", "the verdict is neither `reproduced` nor `differs`", type="bool"
    ),
    "strike_source": FieldDoc("source of the strike in the archive", "", _NO_PRICE, type="text"),
    "settlement_source": FieldDoc("source of the settlement in the archive", "", _NO_PRICE, type="text"),
    "rule": FieldDoc("the rule in force", type="text"),
    "verdict": FieldDoc("how far it is proven: see below", type="text"),
    "reason": FieldDoc('what is missing; "" where nothing is', type="text"),
    "condition_id": FieldDoc("the venue's own id", type="text"),
    "duration": FieldDoc("length of the round", "`5m`, `15m`, ...", type="text"),
    "strike_e18": FieldDoc("the strike, exact", _AMOUNT, _NO_PRICE, type=_EXACT),
    "settlement_e18": FieldDoc("the settlement, exact", _AMOUNT, _NO_PRICE, type=_EXACT),
    "strike_received_at_ns": FieldDoc(
        "when a reader could know the strike",
        "nanoseconds UTC",
        "the price is null, or no message states it",
        type="int",
    ),
    "settlement_received_at_ns": FieldDoc(
        "when a reader could know the settlement",
        "nanoseconds UTC",
        "the price is null, or no message states it",
        type="int",
    ),
    "rule_by": FieldDoc("what states which rule is in force: `market`, `date` or `series`", type="text"),
    "instrument": FieldDoc("what the rule takes prices of", "", "not stated", type="text"),
    "resolution_source": FieldDoc(
        "where the venue says it takes the price from", "", "not stated", type="text"
    ),
    "stated_strike": FieldDoc("the strike, by the venue", "dollars", "it states none", type="number"),
    "stated_settlement": FieldDoc("the settlement, by the venue", "dollars", "it states none", type="number"),
    "error": FieldDoc("the larger of both prices' errors", "dollars", "nothing is estimated", type="number"),
    "platform": FieldDoc('the venue; "" in labels of early versions', type="text"),
    "strike_kind": FieldDoc("`tick`, `stated`, `estimated`", "", _NO_PRICE, type="text"),
    "settlement_kind": FieldDoc("`tick`, `stated`, `estimated`", "", _NO_PRICE, type="text"),
    "flag": FieldDoc(
        "a peculiarity of the round, in one word",
        "",
        "there is none",
        type="text",
    ),
}
