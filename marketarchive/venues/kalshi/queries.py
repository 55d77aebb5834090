"""Requests to Kalshi, as data; `next_page` returns those that an answer leads to.

Parameters that the venue does not know are ignored with status 200: only documented ones are sent. Values of
`status` are not those that markets carry: `open` selects `active`, `settled` selects `finalized`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from marketarchive.times import SECOND
from marketarchive.venues.endpoint import Endpoint, Query
from marketarchive.venues.kalshi import endpoints
from marketarchive.venues.kalshi.endpoints import REQUEST_TOKENS
from marketarchive.venues.messages import Parsed

Status = Literal["unopened", "open", "paused", "closed", "settled"]

_PAGED = frozenset(
    {
        endpoints.EVENTS,
        endpoints.MARKETS,
        endpoints.TRADES,
        endpoints.OLD_MARKETS,
        endpoints.OLD_TRADES,
    }
)


def status() -> Query:
    """Return the request for whether the exchange trades."""
    return _query(endpoints.STATUS)


def series_list(category: str | None = None) -> Query:
    """Return the request for all series: one body of some 16 MB without a category (August 2026)."""
    return _query(endpoints.SERIES, category=category)


def series(ticker: str) -> Query:
    """Return the request for one series."""
    return _query(endpoints.ONE_SERIES, path={"series": ticker})


def events(*, status: Status | None = None, series: str | None = None) -> Query:
    """Return the request for events with their markets; combinations of markets are not among them."""
    return _query(
        endpoints.EVENTS,
        status=status,
        series_ticker=series,
        with_nested_markets="true",
        limit=endpoints.EVENTS_PAGE,
    )


def event(ticker: str) -> Query:
    """Return the request for one event with its markets."""
    return _query(endpoints.ONE_EVENT, path={"event": ticker}, with_nested_markets="true")


def markets(
    *,
    status: Status | None = None,
    series: str | None = None,
    settled_since_ns: int | None = None,
    closed_since_ns: int | None = None,
) -> Query:
    """Return the request for markets of the live tier, without combinations, which would flood the list.

    settled_since_ns: only with status settled; closed_since_ns: only with status closed.
    """
    return _query(
        endpoints.MARKETS,
        status=status,
        series_ticker=series,
        min_settled_ts=_seconds(settled_since_ns),
        min_close_ts=_seconds(closed_since_ns),
        mve_filter="exclude",
        limit=endpoints.MARKETS_PAGE,
    )


def named_markets(tickers: Sequence[str]) -> Query:
    """Return the request for up to TICKERS_PER_LIST markets by ticker, whatever their status.

    A market that settled before the historical cutoff is left out of the answer.
    """
    return _query(endpoints.MARKETS, tickers=",".join(tickers), limit=endpoints.MARKETS_PAGE)


def market(ticker: str) -> Query:
    """Return the request for one market; 404 also for a moment after it was created."""
    return _query(endpoints.ONE_MARKET, path={"ticker": ticker})


def book(ticker: str) -> Query:
    """Return the request for the whole book of a market."""
    return _query(endpoints.BOOK, path={"ticker": ticker})


def books(tickers: Sequence[str]) -> Query:
    """Return the request for the books of up to TICKERS_PER_BOOKS markets."""
    return _query(endpoints.BOOKS, tickers=list(tickers))


def trades(ticker: str | None = None, *, since_ns: int | None = None) -> Query:
    """Return the request for trades, newest first, of one market or of the whole exchange."""
    return _query(endpoints.TRADES, ticker=ticker, min_ts=_seconds(since_ns), limit=endpoints.TRADES_PAGE)


def cutoff() -> Query:
    """Return the request for the time before which settled markets are in the historical tier only."""
    return _query(endpoints.CUTOFF)


def old_markets(series: str | None = None) -> Query:
    """Return the request for markets of the historical tier; it has no filters of time."""
    mve_filter = "exclude" if series is None else None  # it takes one filter only
    return _query(
        endpoints.OLD_MARKETS, series_ticker=series, mve_filter=mve_filter, limit=endpoints.MARKETS_PAGE
    )


def old_market(ticker: str) -> Query:
    """Return the request for one market of the historical tier."""
    return _query(endpoints.ONE_OLD_MARKET, path={"ticker": ticker})


def candles(series: str, ticker: str, start_s: int, end_s: int, minutes: int) -> Query:
    """Return the request for the candlesticks of a market of the live tier that end in a range."""
    path = {"series": series, "ticker": ticker}
    return _query(endpoints.CANDLES, path=path, **_window(start_s, end_s, minutes))


def many_candles(tickers: Sequence[str], start_s: int, end_s: int, minutes: int) -> Query:
    """Return the request for those of up to TICKERS_PER_CANDLES markets of the live tier."""
    window = _window(start_s, end_s, minutes)
    return _query(endpoints.MANY_CANDLES, market_tickers=",".join(tickers), **window)


def old_candles(ticker: str, start_s: int, end_s: int, minutes: int) -> Query:
    """Return the request for the candlesticks of a market of the historical tier."""
    return _query(endpoints.OLD_CANDLES, path={"ticker": ticker}, **_window(start_s, end_s, minutes))


def old_trades(ticker: str) -> Query:
    """Return the request for the trades of a market in the historical tier."""
    return _query(endpoints.OLD_TRADES, ticker=ticker, limit=endpoints.TRADES_PAGE)


def old_named_markets(tickers: Sequence[str]) -> Query:
    """Return the request for up to TICKERS_PER_LIST markets of the historical tier by ticker."""
    return _query(endpoints.OLD_MARKETS, tickers=",".join(tickers), limit=endpoints.MARKETS_PAGE)


def new_lists() -> list[Query]:
    """Return the lists in which new markets stand; the venue sorts them by creation, the newest first."""
    return [markets(status=status) for status in ("unopened", "open")]


def active_lists() -> list[Query]:
    """Return the lists of all markets that are not closed."""
    return [markets(status=status) for status in ("unopened", "open", "paused")]


def ended_lists(since_ns: int) -> list[Query]:
    """Return the lists of what closed since a moment and has no final result, and of what settled."""
    return [
        markets(status="closed", closed_since_ns=since_ns),
        markets(status="settled", settled_since_ns=since_ns),
    ]


def next_page(query: Query, parsed: Parsed) -> Query | None:
    """Return the page after an answer to `query`, None after the last.

    Only the cursor shows it: a page may be empty and not be the last. It holds no filters, they are sent
    again.
    """
    if parsed.next_cursor is None or query.endpoint not in _PAGED:
        return None
    return replace(query, params={**query.params, "cursor": parsed.next_cursor})


def _query(endpoint: Endpoint, path: dict[str, str] | None = None, **params: Any) -> Query:
    given = {
        name: value if isinstance(value, list) else str(value)
        for name, value in params.items()
        if value is not None
    }
    return Query(endpoint, given, path or {}, cost=REQUEST_TOKENS)


def _window(start_s: int, end_s: int, minutes: int) -> dict[str, Any]:
    return {"start_ts": start_s, "end_ts": end_s, "period_interval": minutes}


def _seconds(ns: int | None) -> int | None:
    return None if ns is None else ns // SECOND
