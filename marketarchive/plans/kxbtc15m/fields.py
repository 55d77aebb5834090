"""Descriptions of the fields of a record's lines, from which docs/KXBTC15M.md lists them."""

from __future__ import annotations

from collections.abc import Mapping

from marketarchive.field_docs import FieldDoc

_UTC = "UTC, whole seconds"
_PRICE_NULL = "the state is over 2 s old, or the side is empty"
_STATE_NULL = "the state is over 2 s old"
_NOTHING = "nothing was received yet"

_REPEATED = FieldDoc("true: an earlier file has this line already", "", "absent where none has", type="bool")
_PLAUSIBLE = (
    "false: more than 5 % away from the index at that time, or from the median of the exchanges' mids where "
    "there is no index. It is kept as sent, and not graded"
)

COMMON: Mapping[str, FieldDoc] = {
    "type": FieldDoc("the kind of line: the headings below", type="text"),
    "time": FieldDoc("the moment of the line", "UTC, milliseconds", type="text"),
    "ticker": FieldDoc("the market", type="text"),
    "run": FieldDoc("id of the collection's run", type="text"),
}
"""Fields of every line, by name: the first three begin it, `run` ends it."""

LINES: Mapping[str, Mapping[str, FieldDoc]] = {
    "market_open": {
        "open_time": FieldDoc("when trading begins", _UTC, type="text"),
        "close_time": FieldDoc("when trading ends", _UTC, type="text"),
        "expected_expiration": FieldDoc(
            "when the venue expects the result: 5 minutes after the close", _UTC, type="text"
        ),
        "repeated": _REPEATED,
    },
    "strike_set": {
        "strike": FieldDoc("the strike", "dollars", type="number"),
        "elapsed_since_open_secs": FieldDoc("from the open to its receipt", "seconds", type="number"),
        "is_plausible": FieldDoc(_PLAUSIBLE, "", "there was nothing to compare with", type="bool"),
        "repeated": _REPEATED,
    },
    "tick": {
        "strike": FieldDoc("the strike", "dollars", "not known by then", type="number"),
        "brti": FieldDoc(
            "the index of the series' asset (BTC, ETH, SOL, XRP), calculated from live order books: a "
            "[proxy](BRTI.md), not BRTI",
            "dollars",
            "another asset; fewer than two books count",
            type="number",
        ),
        "yes_bid": FieldDoc("best bid for YES", "cents", _PRICE_NULL, type="number"),
        "yes_ask": FieldDoc("best ask for YES", "cents", _PRICE_NULL, type="number"),
        "no_bid": FieldDoc("100 - `yes_ask`", "cents", _PRICE_NULL, type="number"),
        "no_ask": FieldDoc("100 - `yes_bid`", "cents", _PRICE_NULL, type="number"),
        "spread": FieldDoc("`yes_ask` - `yes_bid`", "cents", "either is null", type="number"),
        "volume": FieldDoc("traded so far", "contracts", _STATE_NULL, type="number"),
        "open_interest": FieldDoc("open contracts", "contracts", _STATE_NULL, type="number"),
        "secs_until_expiry": FieldDoc(
            "to `expected_expiration`: **not** to the close", "seconds", type="number"
        ),
        "feeds": FieldDoc(
            "mid price of `coinbase`, `kraken`, `bitstamp`; one of them is null where the exchange sent "
            "nothing for 10 s, or its book is not proven",
            "dollars",
            type="object of numbers",
        ),
        "secs_until_close": FieldDoc("to `close_time`, when trading ends", "seconds", type="number"),
        "brti_venues": FieldDoc(
            "exchanges whose books count for `brti`; empty without one", type="list of text"
        ),
        "brti_index": FieldDoc(
            "the index itself at this second, as the venue's socket relays it",
            "dollars",
            "there is no key, or it may not have the index; the value did not come within 2 s; another asset",
            type="number",
        ),
        "is_observed": FieldDoc(
            "1: [known at this tick](DATA_CONTRACT.md#is_observed): the venue's state is at most 2 s old, "
            "and one of `feeds` is not null (where exchanges have the asset)",
            "",
            type="1 or 0",
        ),
        "is_trading": FieldDoc(
            "0: the venue states that trading is paused",
            "",
            "it does not state it, or the state is over 2 s old",
            type="1 or 0",
        ),
        "source": FieldDoc(
            "`stream`: the numbered book of the socket proves it at this second; `rest`: the newest answer "
            "requested by then",
            "",
            _NOTHING,
            type="text",
        ),
        "age_s": FieldDoc("how old the state may be at most", "seconds", _NOTHING, type="number"),
        "age_source": FieldDoc(
            "what states the age: `sequence` of the stream; `header` (Age), `new`, `unchanged` over REST: "
            "see [KALSHI_COLLECTOR](KALSHI_COLLECTOR.md#rows-of-order-books)",
            "",
            _NOTHING,
            type="text",
        ),
    },
    "settlement": {
        "strike": FieldDoc("the strike", "dollars", "the market never had one", type="number"),
        "avg_brti": FieldDoc(
            "mean of the values of `settlement_ticks` that exist", "dollars", "none exists", type="number"
        ),
        "result": FieldDoc("the venue's: `yes`, `no`, `scalar`", type="text"),
        "settlement_ticks": FieldDoc(
            "`brti` of the 60 seconds of (close - 60 s, close], null where it is missing",
            "dollars",
            type="list of numbers",
        ),
        "ticks_present": FieldDoc("how many of the 60 exist", type="number"),
        "avg_brti_index": FieldDoc(
            "mean of the values of `brti_index` in the same 60 seconds",
            "dollars",
            "none exists",
            type="number",
        ),
        "index_ticks_present": FieldDoc("how many of these exist", type="number"),
        "expiration_value": FieldDoc(
            "the venue's own mean of the index", "dollars", "not stated", type="number"
        ),
        "payout_yes": FieldDoc("what a contract of YES pays", "dollars", "not stated", type="number"),
        "is_plausible": FieldDoc(
            "as in `strike_set`", "", "there was no strike, or nothing to compare it with", type="bool"
        ),
        "proxy_result": FieldDoc(
            "`yes` where `avg_brti` is at least the strike, else `no`",
            "",
            "not graded: no strike, an implausible one, or a missing second",
            type="text",
        ),
        "settled_at": FieldDoc("the venue's time of it", "UTC, milliseconds", "not stated", type="text"),
    },
}
"""Fields of each kind of line, beside the common ones: kind -> name -> description, in their order."""
