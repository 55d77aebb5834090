"""Descriptions of the tables' columns for docs/TABLES.md; `since` is a number of `partitions.VERSIONS`.

Names and types are those of the schemas; `described` refuses to describe another set of columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from marketarchive.field_docs import FieldDoc, field_table
from marketarchive.research.tables import coverage, gaps, schemas

if TYPE_CHECKING:
    import pyarrow as pa

_FILE_COLUMNS = frozenset({"venue", "feed", "date"})
"""Columns that are only in a file's path."""

_UTC = "UTC"
_UNNAMED = "neither a manifest of a finished run nor the market master knows the token"
_EMPTY_SIDE = "the side is empty"
_SHARE = "dollars per share"
_QUOTE = "quote currency per base unit"
_UNSTATED = "the venue does not state it"
_ENDS_ONLY = "a price is known at the beginning and the end only"
_GAP_LINE = "as in [raw](DATA_CONTRACT.md#gap-what-could-have-been-observed-and-was-not)"
_NOT_IN_SCOPE = "the scope does not name it"

SHARED: Mapping[str, FieldDoc] = {
    "market": FieldDoc("the venue's own id", "", "the venue's messages name none", "1"),
    "slug": FieldDoc("the market's readable name", "", _UNNAMED, "1"),
    "outcome": FieldDoc("what the token pays on", "", _UNNAMED, "1"),
    "token": FieldDoc("one side of a market, as the venue calls it", "", "the venue has none", "1"),
    "asset": FieldDoc(
        "the asset that the row concerns",
        "`BTC`",
        "the token states it",
        "1; `book_changes`, `trades` 2; `books`, `quotes` 3",
    ),
    "event_time": FieldDoc("by the venue's clock", _UTC, "the venue does not date it", "1"),
    "received_at": FieldDoc(
        "when the message's last byte arrived, by the collector's clock", _UTC, since="1"
    ),
    "run": FieldDoc("the run whose message it is", "run id", since="1"),
    "seq": FieldDoc("number of the message in raw", since="1"),
    "connection": FieldDoc("the connection of the run", "`c1`, `c2`, ...", "an HTTP answer", "1; `books` 2"),
    "index": FieldDoc("place of the event in its message, from 1", since="1; `books` 2"),
    "position": FieldDoc("place of the row in its list, from 1; not in `reference_prices`", since="1"),
    "verified": FieldDoc(
        "whether the venue's own hash or checksum proves the row: `ok`, `failed`, `unchecked` (not "
        "recomputed, or nothing to apply it to), `not_available` (such messages carry none: trades, "
        "reference prices)",
        since="1; `trades` 2; `quotes`, `reference_prices` 3",
    ),
}
"""Columns with the same meaning in every table of rows: name -> description."""

OWN: Mapping[str, Mapping[str, FieldDoc]] = {
    "books": {
        "event_time": FieldDoc(
            "`timestamp` of the book: when it last changed",
            "UTC, milliseconds",
            "the venue does not date its books",
            "1",
        ),
        "received_at": FieldDoc(
            "when the message's last byte arrived; of a state, when it was written", _UTC, since="1"
        ),
        "seq": FieldDoc(
            "number of the message in raw; of a state, the last frame of its connection that is in it. "
            "Unique with `run`, `index`, `position` and `route`, but for states",
            since="1",
        ),
        "route": FieldDoc("`ws`, `books`, `book` or `state`", since="1"),
        "hash": FieldDoc("as stated by the venue", "", "none was stated", "1"),
        "verified": FieldDoc(
            "`ok`: the hash matches the bytes received; `failed`: it does not by any known recipe; "
            "`not_available`: none was stated; `unchecked`: made with `--no-verify`, or an event older than "
            "the book that was held",
            since="1",
        ),
        "recipe": FieldDoc(
            "the recipe by which it matches; empty when by none", "", "the venue's books have no proof", "1"
        ),
        "best_bid": FieldDoc("highest bid", _SHARE, _EMPTY_SIDE, "1"),
        "best_bid_size": FieldDoc("size there", "shares", _EMPTY_SIDE, "1"),
        "best_ask": FieldDoc("lowest ask", _SHARE, _EMPTY_SIDE, "1"),
        "best_ask_size": FieldDoc("size there", "shares", _EMPTY_SIDE, "1"),
        "bid_depth": FieldDoc("size of all bids", "shares", since="1"),
        "ask_depth": FieldDoc("size of all asks", "shares", since="1"),
        "bid_levels": FieldDoc("price levels of bids", "levels", since="1"),
        "ask_levels": FieldDoc("price levels of asks", "levels", since="1"),
        "is_sorted": FieldDoc("the venue sent bids rising and asks falling, no price twice", since="1"),
        "is_crossed": FieldDoc(
            "best bid >= best ask; such a state is not [sound](TABLES.md#sound-states)", since="1"
        ),
        "is_in_range": FieldDoc("every price lies within [0, 1]", since="1"),
        "is_positive": FieldDoc("every size is above 0", since="1"),
        "tick_size": FieldDoc("as sent", _SHARE, "not sent", "1"),
        "last_trade_price": FieldDoc("as sent", _SHARE, "not sent, or sent empty: never traded", "1"),
        "bids": FieldDoc(
            "all levels, in the reverse of the order sent: best first where `is_sorted`",
            "dollars per share, shares",
            since="1",
        ),
        "asks": FieldDoc("likewise", "dollars per share, shares", since="1"),
        "age_ms": FieldDoc(
            "how old the state may have been at receipt, where a cache stands in between",
            "milliseconds",
            "no cache does",
            "3",
        ),
    },
    "book_changes": {
        "side": FieldDoc("BUY: a bid, SELL: an ask", since="1"),
        "price": FieldDoc("the level", _SHARE, since="1"),
        "size": FieldDoc(
            "size of the level from now on; 0: none any more, or it left the subscribed depth",
            "shares",
            since="1",
        ),
        "hash": FieldDoc(
            "as stated: of the token's whole book after the change, at `event_time`",
            "",
            "none was stated",
            "1",
        ),
        "best_bid": FieldDoc("after the change, as stated", _SHARE, _EMPTY_SIDE, "1"),
        "best_ask": FieldDoc("after the change, as stated", _SHARE, _EMPTY_SIDE, "1"),
        "verified": FieldDoc(
            "`ok`: the hash matches the replayed book; `failed`: it does not, so a message was missed or is "
            "wrong; `unchecked`: no snapshot came before it, or it is stale, or `--no-verify`; "
            "`not_available`: no hash was stated",
            since="1",
        ),
        "is_stale": FieldDoc(
            "sent before, or older than the book: a replay skips it", "", "nothing was checked", "1"
        ),
    },
    "quotes": {
        "source": FieldDoc("`price_change`, `book` or `best_bid_ask`", since="1"),
        "best_bid": FieldDoc("highest bid, as stated", _SHARE, _EMPTY_SIDE, "1"),
        "best_ask": FieldDoc("lowest ask, as stated", _SHARE, _EMPTY_SIDE, "1"),
        "verified": FieldDoc(
            "of the change or book that states them; `not_available` of `best_bid_ask`", since="3"
        ),
    },
    "trades": {
        "source": FieldDoc(
            "`market_channel`, `v2/trades` or `trades`; other venues have their own", since="1"
        ),
        "side": FieldDoc("BUY or SELL, of the taker", "", "the venue does not state it", "1"),
        "price": FieldDoc(
            "of a fill over several levels the average",
            "dollars per share; elsewhere the quote currency",
            since="1",
        ),
        "size": FieldDoc("what was traded", "shares; elsewhere units of the asset, or contracts", since="1"),
        "trade_id": FieldDoc("the exchange's own number of it", "", "it has none", "2"),
        "transaction_hash": FieldDoc("of the chain", "", "none was sent", "1"),
        "number": FieldDoc(
            "from 1, among the rows of one answer or frame that are alike in all of transaction, token, "
            "wallet, side, price, size and time",
            "",
            "the venue numbers trades itself",
            "1",
        ),
        "wallet": FieldDoc("the taker's", "", "the socket, which does not state it", "1"),
        "fee_rate_bps": FieldDoc("the taker's fee", "basis points", "anything but the socket", "1"),
    },
    "reference_prices": {
        "topic": FieldDoc(
            "topic of RTDS, or what another feed calls the kind of its message", "", "not stated", "1"
        ),
        "symbol": FieldDoc("as sent", "`btc/usd`, `btcusdt`", "not sent", "1"),
        "event_time": FieldDoc("when the source observed it", _UTC, "the venue does not date it", "1"),
        "published_at": FieldDoc("when the venue sent it", _UTC, "not stated", "1"),
        "instrument": FieldDoc(
            "what exactly it is the price of, the same for all its sources",
            "`<source>:btc-usd-twap-60s`",
            "not known",
            "3",
        ),
        "value": FieldDoc(
            "the price, with all digits that were sent", "dollars", "only bid and ask were sent", "1"
        ),
        "bid": FieldDoc("as sent", "dollars", "not sent", "3"),
        "ask": FieldDoc("as sent", "dollars", "not sent", "3"),
        "window_s": FieldDoc("what a time-weighted mean is of", "seconds", "no mean", "1"),
        "is_backfill": FieldDoc(
            "repeated on subscription, so known to the venue before `published_at`", "", "not stated", "1"
        ),
    },
    "price_history": {
        "market": FieldDoc("the market, as the venue calls it", "", "`token` names it", "1"),
        "token": FieldDoc("token id of the first outcome", "", "`market` names it", "1"),
        "event_time": FieldDoc("of the point; the end of a candlestick's period", _UTC, since="1"),
        "source": FieldDoc("`prices-history`, `candlesticks`, `historical candlesticks`", since="1"),
        "interval_s": FieldDoc("length of the period", "seconds", "a point", "1"),
        "price": FieldDoc(
            "the midpoint of a point, the last trade of a period", "dollars", "no trade in the period", "1"
        ),
        "price_low": FieldDoc("lowest trade", "dollars", "a point; no trade", "1"),
        "price_high": FieldDoc("highest trade", "dollars", "a point; no trade", "1"),
        "bid": FieldDoc("at the end of the period", "dollars", "a point; the side is empty", "1"),
        "ask": FieldDoc("at the end of the period", "dollars", "a point; the side is empty", "1"),
        "volume": FieldDoc("of the period", "contracts", "a point", "1"),
        "open_interest": FieldDoc("at the end of the period", "contracts", "a point", "1"),
        "verified": FieldDoc("`not_available`", since="1"),
    },
    "fundings": {
        "event_time": FieldDoc("the settlement, or the observation", _UTC, since="1"),
        "kind": FieldDoc("`settled`, `predicted`, or `continuous` where the rate is in force", since="1"),
        "rate": FieldDoc(
            "positive: longs pay; of its own interval, not converted. Where the sides differ, what longs pay",
            "fraction of the notional",
            since="1",
        ),
        "rate_short": FieldDoc(
            "what shorts receive", "fraction of the notional", "the venue states one rate for both", "1"
        ),
        "interval_s": FieldDoc("what the rate is of", "seconds", _UNSTATED, "1"),
        "next_at": FieldDoc("the next settlement", _UTC, _UNSTATED, "1"),
        "mark_price": FieldDoc("mark price then", _QUOTE, _UNSTATED, "1"),
        "index_price": FieldDoc("index price, or the oracle's, then", _QUOTE, _UNSTATED, "1"),
    },
    "candles": {
        "event_time": FieldDoc("when it opens", _UTC, since="1"),
        "source": FieldDoc("what the prices are of: `trade`, `mark`, `index`", since="1"),
        "interval_s": FieldDoc("its length", "seconds", since="1"),
        "open": FieldDoc("the first price", _QUOTE, since="1"),
        "high": FieldDoc("the highest price", _QUOTE, _ENDS_ONLY, "1"),
        "low": FieldDoc("the lowest price", _QUOTE, _ENDS_ONLY, "1"),
        "close": FieldDoc("the last price", _QUOTE, since="1"),
        "volume": FieldDoc("what was traded", "base units", "not of trades, or not stated", "1"),
        "volume_quote": FieldDoc("what was traded", "quote currency", "not of trades, or not stated", "1"),
        "is_closed": FieldDoc("false: it was still changing", since="1"),
    },
    "open_interest": {
        "event_time": FieldDoc("when it was counted", _UTC, since="1"),
        "amount": FieldDoc("each long counted once with its short", "base units", since="1"),
        "amount_quote": FieldDoc("the same", "quote currency", _UNSTATED, "1"),
        "amount_long": FieldDoc("the longs, where the sides differ", "base units", _UNSTATED, "1"),
        "amount_short": FieldDoc("the shorts, where the sides differ", "base units", _UNSTATED, "1"),
        "contracts": FieldDoc("the same", "contracts", _UNSTATED, "1"),
        "rule": FieldDoc("how `amount` follows from the answer", since="1"),
    },
    "instruments": {
        "event_time": FieldDoc("when it was listed with these terms", _UTC, since="1"),
        "status": FieldDoc("in the venue's words", since="1"),
        "quote": FieldDoc("the quote currency", "", _UNSTATED, "1"),
        "multiplier": FieldDoc("what a unit of the symbol stands for", "base units", _UNSTATED, "1"),
        "contract_size": FieldDoc("size of a contract", "base units", _UNSTATED, "1"),
        "listed_at": FieldDoc("the listing", _UTC, _UNSTATED, "1"),
        "delisted_at": FieldDoc("the delisting", _UTC, _UNSTATED, "1"),
        "funding_interval_s": FieldDoc("time from one settlement to the next", "seconds", _UNSTATED, "1"),
        "taker_bps": FieldDoc("the taker's fee", "basis points", _UNSTATED, "1"),
        "maker_bps": FieldDoc("the maker's fee", "basis points", _UNSTATED, "1"),
    },
    "borrow_rates": {
        "event_time": FieldDoc("when it was in force", _UTC, since="1"),
        "symbol": FieldDoc("the coin, as the venue calls it", since="1"),
        "bps_per_day": FieldDoc(
            "where the sides of a contract differ, what longs pay", "basis points per day", since="1"
        ),
        "bps_per_day_short": FieldDoc(
            "what shorts pay", "basis points per day", "the sides do not differ", "1"
        ),
    },
    "gaps": {
        "from": FieldDoc("the last moment proven complete", _UTC, since="1"),
        "to": FieldDoc(
            "its end; `from` itself: the gap is void, or has no length",
            _UTC,
            "it has none: until the next line of that feed and scope, after a crash",
            "1",
        ),
        "reason": FieldDoc(_GAP_LINE, since="1"),
        "cause": FieldDoc(_GAP_LINE, since="1"),
        "scope": FieldDoc("the scope of the line", "JSON", since="1"),
        "markets": FieldDoc("of the scope", "slugs or ids", _NOT_IN_SCOPE, "1"),
        "token": FieldDoc("of the scope, where it names exactly one", "", "it names none, or several", "1"),
        "connection": FieldDoc("of the scope", "", _NOT_IN_SCOPE, "2"),
        "topics": FieldDoc("of the scope", "", _NOT_IN_SCOPE, "2"),
        "symbol": FieldDoc("of the scope", "", _NOT_IN_SCOPE, "2"),
        "detail": FieldDoc("one line for a reader", "", "there is nothing to add", "1"),
        "noticed_at": FieldDoc("time of the line", _UTC, since="1"),
        "run": FieldDoc("the run whose line it is", "run id", since="1"),
        "seq": FieldDoc("number of the line in raw", "", "the gap of a crash", "1"),
        "first_lost_seq": FieldDoc(
            "number of the first line that is missing", "", "not the gap of a crash", "1"
        ),
        "id": FieldDoc("the gap that the line is about", "`run:seq`", "raw schema 1, and after a crash", "3"),
        "kind": FieldDoc(
            "what `subjects` are; `lookup`: a REST snapshot beside a socket failed, and what the socket sent "
            "is not concerned; empty where `subjects` is",
            since="3",
        ),
        "subjects": FieldDoc("what is concerned; empty: all", since="3"),
        "endpoint": FieldDoc("the endpoint whose answers are concerned", "", "not requests", "3"),
    },
    "coverage": {
        "market": FieldDoc("the venue's own id; of reference prices `topic:symbol`", since="1"),
        "slug": FieldDoc("the market's readable name", "", "not known", "1"),
        "asset": FieldDoc("the asset that the market is about", "`BTC`", "not known", "5"),
        "first_tracked": FieldDoc("beginning of the first tracked second", _UTC, since="1"),
        "last_tracked": FieldDoc("beginning of the last tracked second", _UTC, since="1"),
        "tracked_s": FieldDoc("sum of the next four", "seconds", since="1"),
        "observed_s": FieldDoc("data came", "seconds", since="1"),
        "quiet_s": FieldDoc("nothing happened, and that is proven", "seconds", since="1"),
        "gapped_s": FieldDoc("in a recorded gap", "seconds", since="1"),
        "unknown_s": FieldDoc("nothing states whether something happened", "seconds", since="1"),
        "slices": FieldDoc(
            "the same four for each five minutes with a tracked second, from `start`",
            "UTC, seconds",
            since="2",
        ),
        "spans": FieldDoc(
            "every tracked second: `seconds` from `start` on are `observed`, `quiet`, `gapped` or `unknown`",
            "UTC, seconds",
            since="8",
        ),
    },
}
"""Table -> description of its own columns, and of those whose meaning is narrower than in `SHARED`."""


def described(table: str) -> str:
    """Return the Markdown list of a table's own columns. Raises ValueError if one is not described."""
    return field_table(OWN[table], _types(_schema(table), OWN[table], table))


def shared() -> str:
    """Return the Markdown list of the columns that all tables of rows share."""
    return field_table(SHARED, {field.name: str(field.type) for field in schemas.schema("trades")})


def _types(schema: pa.Schema, own: Mapping[str, FieldDoc], table: str) -> dict[str, str]:
    names = set(schema.names) - _FILE_COLUMNS
    common = SHARED.keys() if table in schemas.COLUMNS else set[str]()
    if wrong := (own.keys() - names) | (names - own.keys() - common):
        raise ValueError(f"{table}: {', '.join(sorted(wrong))} not described, or no column")
    return {field.name: str(field.type) for field in schema}


def _schema(table: str) -> pa.Schema:
    stored = {"gaps": gaps.nothing, "coverage": coverage.nothing}.get(table)
    return schemas.schema(table) if stored is None else stored().schema
