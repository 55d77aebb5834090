"""The columns of `Archive.catalog()`, as docs/RESEARCH.md lists them."""

from __future__ import annotations

from collections.abc import Mapping

from marketarchive.field_docs import FieldDoc

_UTC = "UTC"
_UNSTATED = "not stated"
_OPEN = "not stated, or the market is open"
_NO_RESULT = "there is no result"
_NO_PRICE = "nobody observed a price, or the snapshot has none"
_SHARE = "dollars per share"

FIELDS: Mapping[str, FieldDoc] = {
    "time": FieldDoc("`start_at`", _UTC, _UNSTATED, type="time"),
    "venue": FieldDoc("the venue", type="text"),
    "market": FieldDoc("the slug, the id where it has none", type="text"),
    "market_id": FieldDoc("the venue's own id", type="text"),
    "event_id": FieldDoc("the event of which it is one of several markets", "", _UNSTATED, type="text"),
    "group": FieldDoc(
        "markets whose outcomes depend on one another; for splits. A market for which none is stated forms a "
        "group of its own",
        type="text",
    ),
    "neg_risk": FieldDoc(
        "at most one market of the event ends with its first outcome", "", _UNSTATED, type="boolean"
    ),
    "title": FieldDoc("the whole question", "", _UNSTATED, type="text"),
    "subtitle": FieldDoc("what its first outcome stands for", "", _UNSTATED, type="text"),
    "description": FieldDoc("its rules", "", _UNSTATED, type="text"),
    "category": FieldDoc("in the venue's words", "", _UNSTATED, type="text"),
    "outcomes": FieldDoc("labels of the outcomes", "", _UNSTATED, type="list of text"),
    "tokens": FieldDoc("label to token", "", _UNSTATED, type="dict of text"),
    "asset": FieldDoc("the asset that it is about", "`BTC`", _UNSTATED, type="text"),
    "series": FieldDoc("the series of rounds to which it belongs", "", _UNSTATED, type="text"),
    "duration": FieldDoc("length of a round", "`5m`, `15m`, ...", _UNSTATED, type="text"),
    "start_at": FieldDoc("scheduled start", _UTC, _UNSTATED, type="time"),
    "end_at": FieldDoc("scheduled end of trading", _UTC, _UNSTATED, type="time"),
    "expected_end_at": FieldDoc("when the outcome is expected", _UTC, _UNSTATED, type="time"),
    "status": FieldDoc("`unopened`, `active`, `closed` or `resolved`", "", _UNSTATED, type="text"),
    "closed_at": FieldDoc("when trading ended, by the venue's clock", _UTC, _OPEN, type="time"),
    "determined_at": FieldDoc(
        "when the outcome was settled on, by the venue's clock", _UTC, _OPEN, type="time"
    ),
    "resolution": FieldDoc("YES or NO", "", "there is no result, or another one", type="text"),
    "resolution_label": FieldDoc("the winner's label", "", "there is no winner", type="text"),
    "resolution_kind": FieldDoc(
        "kind of result: [the master](DATA_CONTRACT.md#the-market-master)", "", _NO_RESULT, type="text"
    ),
    "resolution_state": FieldDoc("`proposed`, `disputed`, `final`, `reopened`", "", _UNSTATED, type="text"),
    "payouts": FieldDoc("what each outcome pays, in their order", _SHARE, _UNSTATED, type="list of text"),
    "resolution_source": FieldDoc("the source that states the result", "", _NO_RESULT, type="text"),
    "resolved_at": FieldDoc("when it was paid, by the venue's clock", _UTC, _OPEN, type="time"),
    "resolution_seen_at": FieldDoc(
        "when we received the present result first", _UTC, _NO_RESULT, type="time"
    ),
    "reopened_at": FieldDoc(
        "when we received that an earlier result was withdrawn or replaced", _UTC, "none was", type="time"
    ),
    "result_kind": FieldDoc("the venue's own word for the result", "", "it has none", type="text"),
    "strike": FieldDoc("the strike of a round", "dollars", _UNSTATED, type="float"),
    "strike_type": FieldDoc("in the venue's words", "", _UNSTATED, type="text"),
    "strike_cap": FieldDoc(
        "upper end, where the strike is a range", "dollars", "the strike is no range", type="float"
    ),
    "strike_source": FieldDoc("what states the strike", "", "`strike` is null", type="text"),
    "settlement": FieldDoc("the price that decided it", "dollars", _UNSTATED, type="float"),
    "settlement_source": FieldDoc("what states the settlement", "", "`settlement` is null", type="text"),
    "rule": FieldDoc("the rule of its outcome", "", _UNSTATED, type="text"),
    "tick_size": FieldDoc("step of prices", _SHARE, _UNSTATED, type="float"),
    "volume_unit": FieldDoc("unit of `volume`: dollars, contracts", "", _UNSTATED, type="text"),
    "liquidity_unit": FieldDoc("unit of `liquidity`: dollars, contracts", "", _UNSTATED, type="text"),
    "protocol_version": FieldDoc("version of the venue's protocol", "", _UNSTATED, type="text"),
    "yes_price": FieldDoc(
        "price of the first outcome, in the last price snapshot", _SHARE, _NO_PRICE, type="float"
    ),
    "no_price": FieldDoc(
        "price of the second outcome, in the same snapshot", _SHARE, _NO_PRICE, type="float"
    ),
    "spread": FieldDoc("spread, in the same snapshot", _SHARE, _NO_PRICE, type="float"),
    "volume": FieldDoc(
        "of the last price snapshot, or newer where nothing was received after `T`",
        "`volume_unit`",
        "none was received",
        type="float",
    ),
    "liquidity": FieldDoc("likewise", "`liquidity_unit`", "none was received", type="float"),
    "priced_at": FieldDoc(
        "receipt of that snapshot; with snapshots on change only, the price held from then on",
        _UTC,
        "there is no snapshot",
        type="time",
    ),
    "first_seen_at": FieldDoc("first receipt", _UTC, type="time"),
    "is_observed": FieldDoc(
        "false: the result was known when the market was first received, as in a backfill; keep it out of "
        "training",
        type="boolean",
    ),
    "changed_at": FieldDoc("last change of any column but figures", _UTC, "nothing was stated", type="time"),
}
