"""Requests to Kalshi, as data; `next_page` returns the request for the page after an answer.

The venue ignores unknown parameters and answers with status 200, so only documented ones are sent. The values
of `status` differ from the statuses in markets: `open` selects `active` ones, `settled` selects `finalized`
ones.
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
    """Return the request for the exchange's status: whether it is trading."""
    return _query(endpoints.STATUS)


def series_list(category: str | None = None) -> Query:
    """Return the request for the series of a category, or all with None.

    All series are one body of some 16 MB (August 2026).
    """
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
    """Return the request for markets of the live tier, except combinations, which would flood the list.

    series: ticker of the only series wanted; settled_since_ns: only with the status settled; closed_since_ns:
    only with the status closed; both are wall times in ns.
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

    Markets that settled before the cutoff of the historical tier are missing from the answer.
    """
    return _query(endpoints.MARKETS, tickers=",".join(tickers), limit=endpoints.MARKETS_PAGE)


def market(ticker: str) -> Query:
    """Return the request for one market.

    It is answered with 404 also for a moment after the market's creation.
    """
    return _query(endpoints.ONE_MARKET, path={"ticker": ticker})


def book(ticker: str) -> Query:
    """Return the request for the whole book of a market."""
    return _query(endpoints.BOOK, path={"ticker": ticker})


def books(tickers: Sequence[str]) -> Query:
    """Return the request for the books of up to TICKERS_PER_BOOKS markets."""
    return _query(endpoints.BOOKS, tickers=list(tickers))


def trades(ticker: str | None = None, *, since_ns: int | None = None) -> Query:
    """Return the request for trades of one market, or of all with None, newest first.

    since_ns: wall time of the oldest trade wanted.
    """
    return _query(endpoints.TRADES, ticker=ticker, min_ts=_seconds(since_ns), limit=endpoints.TRADES_PAGE)


def cutoff() -> Query:
    """Return the request for the cutoff: markets that settled before it are in the historical tier only."""
    return _query(endpoints.CUTOFF)


def old_markets(series: str | None = None) -> Query:
    """Return the request for markets of the historical tier, optionally of one series.

    The route has no filter of time.
    """
    mve_filter = "exclude" if series is None else None  # the route takes only one filter
    return _query(
        endpoints.OLD_MARKETS, series_ticker=series, mve_filter=mve_filter, limit=endpoints.MARKETS_PAGE
    )


def old_market(ticker: str) -> Query:
    """Return the request for one market of the historical tier."""
    return _query(endpoints.ONE_OLD_MARKET, path={"ticker": ticker})


def candles(series: str, ticker: str, start_s: int, end_s: int, minutes: int) -> Query:
    """Return the request for the candlesticks of a live-tier market that end between two times.

    series, ticker: of the market; start_s, end_s: Unix seconds; minutes: length of a candlestick.
    """
    path = {"series": series, "ticker": ticker}
    return _query(endpoints.CANDLES, path=path, **_window(start_s, end_s, minutes))


def many_candles(tickers: Sequence[str], start_s: int, end_s: int, minutes: int) -> Query:
    """Return the request for the candlesticks of up to TICKERS_PER_CANDLES live-tier markets.

    start_s, end_s: range of their ends, Unix seconds; minutes: length of a candlestick.
    """
    window = _window(start_s, end_s, minutes)
    return _query(endpoints.MANY_CANDLES, market_tickers=",".join(tickers), **window)


def old_candles(ticker: str, start_s: int, end_s: int, minutes: int) -> Query:
    """Return the request for the candlesticks of a historical-tier market.

    start_s, end_s: range of their ends, Unix seconds; minutes: length of a candlestick.
    """
    return _query(endpoints.OLD_CANDLES, path={"ticker": ticker}, **_window(start_s, end_s, minutes))


def old_trades(ticker: str) -> Query:
    """Return the request for the trades of a market in the historical tier."""
    return _query(endpoints.OLD_TRADES, ticker=ticker, limit=endpoints.TRADES_PAGE)


def old_named_markets(tickers: Sequence[str]) -> Query:
    """Return the request for up to TICKERS_PER_LIST markets of the historical tier by ticker."""
    return _query(endpoints.OLD_MARKETS, tickers=",".join(tickers), limit=endpoints.MARKETS_PAGE)


def new_lists() -> list[Query]:
    """Return the requests for lists in which new markets appear; the venue sorts them newest first."""
    return [markets(status=status) for status in ("unopened", "open")]


def active_lists() -> list[Query]:
    """Return the requests for lists of all markets that are not closed."""
    return [markets(status=status) for status in ("unopened", "open", "paused")]


def ended_lists(since_ns: int) -> list[Query]:
    """Return the requests for lists of markets that ended since a wall time (ns).

    They are markets that closed and have no final result yet, and markets that settled.
    """
    return [
        markets(status="closed", closed_since_ns=since_ns),
        markets(status="settled", settled_since_ns=since_ns),
    ]


def next_page(query: Query, parsed: Parsed) -> Query | None:
    """Return the request for the page after an answer to `query`; None after the last page.

    Only a missing cursor marks the last page: an empty page may have a next one. Cursors do not contain the
    filters, which are sent again.
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
