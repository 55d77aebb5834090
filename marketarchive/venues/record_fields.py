"""The columns of `records/` that any venue's rows have, as docs/DATA_CONTRACT.md lists them."""

from __future__ import annotations

from collections.abc import Mapping

from marketarchive.field_docs import FieldDoc

UTC = "UTC"
_QUOTE = "the venue's quote currency"
_PER_UNIT = "quote currency per base unit"
_NOT_OBSERVED = "not observed"
NOTHING = "nothing was received"
EMPTY = "not observed, or the side has no orders"
PART = "either is null"

TIMESTAMP = FieldDoc("the due tick", UTC, type="text")
RECEIVED_AT = FieldDoc("when the message was received", UTC, _NOT_OBSERVED, type="text")
_SOURCE = FieldDoc("how it was got, see below", type="text")
RUN = FieldDoc("the run that wrote the row", "run id", type="text")
SEQ = FieldDoc("number of the message in raw", "", NOTHING, type="int")

REFERENCE: Mapping[str, FieldDoc] = {
    "timestamp": FieldDoc("when the source observed it", UTC, "not observed; `page_text`", type="text"),
    "asset": FieldDoc("the asset whose price it is", "`BTC`", type="text"),
    "mid": FieldDoc(
        "the price: the source's own, not half of bid and ask", "dollars", _NOT_OBSERVED, type="number"
    ),
    "bid": FieldDoc("bid of the source", "dollars", "not observed, or not sent, as by RTDS", type="number"),
    "ask": FieldDoc("ask of the source", "dollars", "not observed, or not sent, as by RTDS", type="number"),
    "is_observed": FieldDoc("[an observation of this second](#is_observed) came in time", type="1 or 0"),
    "tick_at": FieldDoc("the whole second", UTC, type="text"),
    "received_at": RECEIVED_AT,
    "source": _SOURCE,
    "run": RUN,
    "seq": FieldDoc("number of the message in raw", "", _NOT_OBSERVED, type="int"),
    "window_s": FieldDoc(
        "the span that the price is the mean of", "seconds", "absent in series of no averages", type="int"
    ),
}
"""Rows of reference prices."""

BOOKS: Mapping[str, FieldDoc] = {
    "timestamp": TIMESTAMP,
    "asset": FieldDoc("the asset", "`BTC`", "the market has none (`<kind>_<venue>_other`)", type="text"),
    "market_id": FieldDoc("the market", "the venue's own id", "an asset has one market", type="text"),
    "mid": FieldDoc("mean of `bid` and `ask`", _QUOTE, PART, type="number"),
    "bid": FieldDoc("highest bid", _QUOTE, EMPTY, type="number"),
    "ask": FieldDoc("lowest ask", _QUOTE, EMPTY, type="number"),
    "last": FieldDoc(
        "price of the newest trade", _QUOTE, "not observed, or not in the answer", type="number"
    ),
    "is_observed": FieldDoc("[the book is known](#is_observed) at this tick", type="1 or 0"),
    "received_at": RECEIVED_AT,
    "source": FieldDoc("how it was got, in the venue's words", type="text"),
    "run": RUN,
    "seq": SEQ,
}
"""Rows of a polled venue's books."""

PERPS: Mapping[str, FieldDoc] = {
    "timestamp": TIMESTAMP,
    "asset": FieldDoc("the asset of the contract", "`BTC`", type="text"),
    "market_id": FieldDoc("the contract, as the venue calls it", type="text"),
    "mark": FieldDoc("mark price", _PER_UNIT, "not observed, or the venue states none", type="number"),
    "index": FieldDoc(
        "index price, or the oracle's", _PER_UNIT, "not observed, or the venue states none", type="number"
    ),
    "funding_kind": FieldDoc(
        "`predicted`, or `continuous` where the rate is in force", "", _NOT_OBSERVED, type="text"
    ),
    "funding_rate": FieldDoc(
        "of its own interval; positive: longs pay", "fraction of the notional", _NOT_OBSERVED, type="number"
    ),
    "funding_rate_short": FieldDoc(
        "what shorts receive", "fraction of the notional", "the venue states one rate for both", type="number"
    ),
    "funding_interval_s": FieldDoc(
        "what the rate is of", "seconds", "the venue does not state it here", type="int"
    ),
    "next_funding_at": FieldDoc(
        "the next settlement", UTC, "the venue does not state it, or nothing is settled", type="text"
    ),
    "open_interest": FieldDoc(
        "each long counted once with its short", "base units", _NOT_OBSERVED, type="number"
    ),
    "is_observed": FieldDoc("[something was received](#is_observed) for this tick", type="1 or 0"),
    "received_at": FieldDoc("when the newest of its answers was received", UTC, _NOT_OBSERVED, type="text"),
    "source": FieldDoc("the paths that were requested", type="text"),
    "run": RUN,
    "seq": FieldDoc("number of the newest of its messages in raw", "", _NOT_OBSERVED, type="int"),
}
"""Rows of perpetuals."""

GAPS: Mapping[str, FieldDoc] = {
    "from": FieldDoc("the last moment proven complete", UTC, type="text"),
    "to": FieldDoc("its end", UTC, "the gap is open again", type="text"),
    "venue": FieldDoc("venue of the feed", type="text"),
    "feed": FieldDoc("the feed that it concerns", type="text"),
    "scope": FieldDoc("what is concerned", type="object"),
    "reason": FieldDoc("what was noticed", type="text"),
    "cause": FieldDoc("the party that caused it: `ours`, `venue`, `upstream`, `unknown`", type="text"),
    "detail": FieldDoc('one line for a reader; "" where there is nothing to add', type="text"),
    "noticed_at": FieldDoc("time of the line in raw", UTC, type="text"),
    "run": RUN,
    "seq": FieldDoc("number of the line in raw", type="int"),
    "id": FieldDoc("the gap that the row is about", "`run:seq`", type="text"),
}
"""Rows of gaps."""
