"""Descriptions of the market master's columns. `since` is the revision of the migration that made a column.

`tables.py` attaches them to its columns; docs/DATA_CONTRACT.md lists them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from marketarchive.field_docs import FieldDoc

_UTC = "microseconds UTC"
_UNSTATED = "not stated"
_CAPTURE = "`run/venue/feed/seq`"

_first = partial(FieldDoc, since="0001")
_per_source = partial(FieldDoc, since="0002")
_events = partial(FieldDoc, since="0003")
_catalogue = partial(FieldDoc, since="0004")
_news = partial(FieldDoc, since="0005")
_cycles = partial(FieldDoc, since="0006")
_contracts = partial(FieldDoc, since="0007")

IDENTITY: Mapping[str, FieldDoc] = {
    "platform": _first("the venue"),
    "market_id": _first("the market", "the venue's own id"),
}
"""Columns that name a market, in every table but `cycles`."""

MARKETS: Mapping[str, FieldDoc] = {
    "slug": _first("the market's readable name", "", _UNSTATED),
    "title": _first(
        "the whole question: differs from that of every other market of its event", "", _UNSTATED
    ),
    "description": _first("its rules", "", _UNSTATED),
    "category": _first("in the venue's words; `perpetual`", "", _UNSTATED),
    "outcomes": _first("labels of the outcomes", "JSON list", _UNSTATED),
    "tokens": _first("label to token", "JSON object", _UNSTATED),
    "asset": _first("the asset that it is about", "`BTC`", "it is about none that is known"),
    "series": _first("the series of rounds to which it belongs", "", _UNSTATED),
    "duration": _first("length of a round", "`5m`, `15m`, `1h`, `4h`, `1d`", "it is no round"),
    "start_at": _first("the scheduled start; of a perpetual the listing", _UTC, _UNSTATED),
    "end_at": _first("the scheduled end of trading; of a perpetual the delisting", _UTC, _UNSTATED),
    "volume": _first("what was traded so far", "`volume_unit`", _UNSTATED),
    "liquidity": _first("what stands in the book", "`liquidity_unit`", _UNSTATED),
    "status": _first("`unopened`, `active`, `closed` or `resolved`", "", _UNSTATED),
    "strike": _first("the strike of a round; the lower end of a range", "dollars", _UNSTATED),
    "strike_source": _first("what states the strike", "", "`strike` is null"),
    "settlement": _first("the price that decided it", "dollars", _UNSTATED),
    "settlement_source": _first("what states the settlement", "", "`settlement` is null"),
    "stated_resolution": _first("the winner's label as the venue states it", "", "it states none"),
    "payouts": _first(
        "what each outcome pays, in the order of `outcomes`", "JSON list, dollars per share", _UNSTATED
    ),
    "resolution_source": _first("the source that stated the result first", "", "there is no result"),
    "rule": _first("the rule of its outcome", "", _UNSTATED),
    "resolved_at": _first("when it was paid, or said to be final", _UTC, _UNSTATED),
    "protocol_version": _first("version of the venue's protocol", "", _UNSTATED),
    "tick_size": _first("step of prices", "dollars per share", _UNSTATED),
    "listed_outcome": _per_source(
        "what the venue's list of markets states of the outcome",
        "JSON object",
        "it states none",
    ),
    "reported_outcome": _per_source(
        "what the venue's resolutions state of it",
        "JSON object",
        "they state none",
    ),
    "event_id": _events("the event of which it is one of several markets", "", _UNSTATED),
    "subtitle": _events("what its first outcome stands for", "", _UNSTATED),
    "expected_end_at": _events("when the outcome is expected", _UTC, _UNSTATED),
    "strike_type": _events("in the venue's words: `greater_or_equal`, `between`, ...", "", "there is none"),
    "strike_cap": _events("the upper end, where the strike is a range", "dollars", "there is none"),
    "result_kind": _events("the venue's own word: `winner`, `scalar`, `void`", "", "it has none"),
    "resolution_state": _events(
        "`proposed`, `disputed`, `final` as the source states; `reopened` after a result was withdrawn, "
        "until more is stated",
        "",
        _UNSTATED,
    ),
    "neg_risk": _catalogue("at most one market of the event can end with its first outcome", "", _UNSTATED),
    "group": _catalogue("markets whose outcomes depend on one another", "", _UNSTATED),
    "closed_at": _catalogue("when trading ended, as stated once it has", _UTC, _UNSTATED),
    "determined_at": _catalogue("when the outcome was settled on", _UTC, _UNSTATED),
    "volume_unit": _catalogue("unit of `volume`: dollars, contracts", "", _UNSTATED),
    "liquidity_unit": _catalogue("unit of `liquidity`: dollars, contracts", "", _UNSTATED),
    "resolution_kind": _catalogue(
        "`yes`, `no`, `label` (a winner of another name), `split` (equal parts), `scalar` (other parts, or "
        "the venue's word), `void` (nobody is paid)",
        "",
        "there is no result",
    ),
    "reopened_at": _catalogue(
        "when we last received that a result was withdrawn or replaced by another; stays", _UTC, "none was"
    ),
    "contract_size": _contracts(
        "size of a contract of a perpetual", "base units", "not stated; no perpetual"
    ),
    "funding_interval_s": _contracts(
        "of a perpetual, from one settlement to the next", "seconds", "not stated; no perpetual"
    ),
    "resolution": _first("the winner's label", "", "there is no winner"),
    "content_hash": _first("SHA-256 of what is stated, see below", "64 hex digits"),
    "created_at": _first("first receipt", _UTC),
    "updated_at": _first("newest receipt that changed the row", _UTC),
    "recent": _first("observations that are remembered, to place later ones", "JSON list"),
}

CHANGES: Mapping[str, FieldDoc] = {
    "field": _first("the column of `markets` that changed"),
    "old": _first("its value before", "canonical text", "it had no value"),
    "new": _first("its value from then on", "canonical text", "it has no value any more"),
    "observed_at": _first("receipt of the message that states it", _UTC),
    "capture": _first("the raw line that states it", _CAPTURE),
}

SNAPSHOTS: Mapping[str, FieldDoc] = {
    "yes_price": _first("price of the first outcome", "dollars per share", _UNSTATED),
    "no_price": _first("price of the second outcome", "dollars per share", _UNSTATED),
    "volume": _first("what was traded so far", "the market's `volume_unit`", _UNSTATED),
    "liquidity": _first("what stands in the book", "the market's `liquidity_unit`", _UNSTATED),
    "spread": _first("best ask less best bid", "dollars per share", _UNSTATED),
    "snapshot_at": _first("receipt", _UTC),
    "capture": _first("the raw line that states it", _CAPTURE),
}

NEWS: Mapping[str, FieldDoc] = {
    "headline": _first("as the server gives it"),
    "source": _first("host of the page, without `www.`", "", "the URL has none"),
    "url": _first("as the server gives it", "", "in no row that this version writes"),
    "captured_at": _first("when it was received **here** for the first time", _UTC),
    "published_at": _news(
        "the date that a page or search engine claims; it masks nothing", _UTC, "it claims none, or no date"
    ),
    "capture": _news("the raw line that had it first", _CAPTURE, "written before revision 0005"),
}

CYCLES: Mapping[str, FieldDoc] = {
    "platform": _cycles("the venue"),
    "phase": _cycles("`discover`, `snapshot` or `resolve`"),
    "started_at": _cycles("when the cycle began (`cycles_view`: ISO 8601 text)", _UTC),
    "ended_at": _cycles(
        "when it ended (`cycles_view`: ISO 8601 text)", _UTC, "it is not over, or nobody resumed it"
    ),
    "state": _cycles("`running`, `complete` or `incomplete`"),
    "pages": _cycles("answers with markets", "answers"),
    "markets": _cycles("rows of markets in these answers", "rows"),
    "failures": _cycles("requests that were given up; all but the last were sent again", "requests"),
    "updated_at": _cycles("of the last page or the end (`cycles_view`: ISO 8601 text)", _UTC),
}
