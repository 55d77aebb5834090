"""Requests to Polymarket's REST interfaces, as data; `next_page` returns the one that follows an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from marketarchive.times import iso
from marketarchive.venues.endpoint import Endpoint, Limit, Query
from marketarchive.venues.messages import Parsed
from marketarchive.venues.polymarket import endpoints, updown
from marketarchive.venues.polymarket.endpoints import LIMITS


def _endpoint(name: str, url: str, limit: str, method: str = "GET", final: Sequence[int] = ()) -> Endpoint:
    return Endpoint(name, url, Limit(f"polymarket/{limit}", LIMITS[limit]), method, frozenset(final))


MARKETS_PAGE = _endpoint("gamma_markets_keyset", endpoints.MARKETS_KEYSET, "gamma_markets")
EVENTS_PAGE = _endpoint("gamma_events_keyset", endpoints.EVENTS_KEYSET, "gamma_events")
MARKET_BY_SLUG = _endpoint(
    "gamma_market_by_slug", endpoints.market_by_slug("{slug}"), "gamma_markets", final=[404]
)
SERIES = _endpoint("gamma_series", endpoints.SERIES, "gamma")
# 404: the token is unknown or closed
BOOK = _endpoint("clob_book", endpoints.BOOK, "clob_book", final=[404])
BOOKS = _endpoint("clob_books", endpoints.BOOKS, "clob_books", method="POST")
PRICE_HISTORY = _endpoint("clob_price_history", endpoints.PRICE_HISTORY, "clob_history")
PRICE_HISTORIES = _endpoint("clob_price_histories", endpoints.PRICE_HISTORIES, "clob_history", method="POST")
RESOLUTIONS = _endpoint("data_resolutions", endpoints.RESOLUTIONS, "data")
# statuses that mean the route is gone, or does not serve this request: /trades is then requested instead
GONE = frozenset({404, 405, 410})
TRADES = _endpoint("data_trades", endpoints.TRADES, "data_trades", final=[400, *GONE, 414, 422])
TRADES_V1 = _endpoint("data_trades_v1", endpoints.TRADES_V1, "data_trades")


def markets(*, closed: bool, ended_since_ns: int | None = None) -> Query:
    """Return the request for all open markets, or for closed ones.

    ended_since_ns: earliest end date wanted, wall clock, ns; None: any.
    """
    params = {"closed": "true" if closed else "false", "limit": str(endpoints.MARKETS_PAGE)}
    if ended_since_ns is not None:
        params["end_date_min"] = _seconds(ended_since_ns)
    return Query(MARKETS_PAGE, params)


def markets_closed_last() -> Query:
    """Return the request for all closed markets, the last closed first.

    Whether that order is kept must be checked on the rows: Gamma ignores a name it does not know.
    """
    params = {
        "closed": "true",
        "limit": str(endpoints.MARKETS_PAGE),
        "order": "closedTime",
        "ascending": "false",
    }
    return Query(MARKETS_PAGE, params)


def price_history(token: str, start_s: int, end_s: int, minutes: int) -> Query:
    """Return the request for midpoints of a token between two times (Unix seconds), at most HISTORY_S apart.

    minutes: between two points.
    """
    window = {"startTs": str(start_s), "endTs": str(end_s), "fidelity": str(minutes)}
    return Query(PRICE_HISTORY, {"market": token, **window})


def price_histories(tokens: Sequence[str], start_s: int, end_s: int, minutes: int) -> Query:
    """Return the request for midpoints of up to TOKENS_PER_HISTORIES tokens between two times (Unix seconds).

    minutes: between two points.
    """
    window = {"start_ts": start_s, "end_ts": end_s, "fidelity": minutes}
    return Query(PRICE_HISTORIES, body=msgspec.json.encode({"markets": list(tokens), **window}))


def newest_markets() -> Query:
    """Return the request for all open markets, newest first.

    Names in `order` are those of the answer, in camel case; others are ignored (reported, 2026-07-10).
    """
    query = markets(closed=False)
    return replace(query, params={**query.params, "order": "createdAt", "ascending": "false"})


def closed_markets(conditions: Sequence[str]) -> Query:
    """Return the request for up to CONDITIONS_PER_MARKETS markets by condition id.

    The answer contains only those that are closed.
    """
    query = markets(closed=True)
    return replace(query, params={**query.params, "condition_ids": list(conditions)})


def open_markets(slugs: Sequence[str]) -> Query:
    """Return the request for up to SLUGS_PER_MARKETS markets by slug.

    The answer contains only those that are open.
    """
    query = markets(closed=False)
    return replace(query, params={**query.params, "slug": list(slugs)})


def series(assets: Sequence[str], durations: Sequence[str]) -> Query:
    """Return the request for the ids of the up/down series of these assets and durations."""
    slugs = [
        slug for asset in assets for duration in durations for slug in updown.series_slugs(asset, duration)
    ]
    return Query(SERIES, {"slug": slugs, "limit": str(endpoints.SERIES_PAGE)})


def rounds(
    series_id: str, *, closed: bool, ended_since_ns: int | None = None, ends_until_ns: int | None = None
) -> Query:
    """Return the request for the rounds of one series, open or closed.

    ended_since_ns, ends_until_ns: earliest and latest end wanted, wall clock, ns; None: any. `closed` is
    always sent, because its default has been seen to be either.
    """
    params = {
        "series_id": series_id,
        "closed": "true" if closed else "false",
        "limit": str(endpoints.EVENTS_PAGE),
    }
    if ended_since_ns is not None:
        params["end_date_min"] = _seconds(ended_since_ns)
    if ends_until_ns is not None:
        params["end_date_max"] = _seconds(ends_until_ns)
    return Query(EVENTS_PAGE, params)


def market(slug: str) -> Query:
    return Query(MARKET_BY_SLUG, path={"slug": slug})


def books(tokens: Sequence[str]) -> Query:
    """Return the request for up to TOKENS_PER_BOOKS books; the answer omits unknown and closed tokens."""
    return Query(BOOKS, body=msgspec.json.encode([{"token_id": token} for token in tokens]))


def book(token: str) -> Query:
    return Query(BOOK, {"token_id": token})


def resolutions(conditions: Sequence[str]) -> Query:
    """Return the request for the resolutions of up to CONDITIONS_PER_RESOLUTIONS markets."""
    return Query(RESOLUTIONS, {"condition": ",".join(conditions)})


def trades(conditions: Sequence[str]) -> Query:
    """Return the request for trades of up to CONDITIONS_PER_TRADES markets, newest first.

    The route has no known filter of time.
    """
    params = {"condition": ",".join(conditions), "taker_only": "true", "limit": str(endpoints.TRADES_PAGE)}
    return Query(TRADES, params)


def trades_v1(condition: str) -> Query:
    """Return the request for the trades of one market by the older route, /trades."""
    params = {"market": condition, "takerOnly": "true", "limit": str(endpoints.TRADES_PAGE), "offset": "0"}
    return Query(TRADES_V1, params)


def next_page(query: Query, parsed: Parsed) -> Query | None:
    """Return the request for the page after an answer to `query`; None after the last page.

    Gamma calls its parameter `after_cursor`, other routes `cursor`. /trades does not mark its last page and
    may return fewer rows than requested, so only an empty page is the last. None also when the offset for
    /trades would exceed its maximum.
    """
    if query.endpoint is TRADES_V1:
        offset = int(query.params["offset"]) + len(parsed.keys)
        if not parsed.keys or offset > endpoints.TRADES_V1_OFFSET_MAX:
            return None
        return replace(query, params={**query.params, "offset": str(offset)})
    if parsed.next_cursor is None:
        return None
    name = "cursor" if query.endpoint in (RESOLUTIONS, TRADES) else "after_cursor"
    return replace(query, params={**query.params, name: parsed.next_cursor})


def _seconds(ns: int) -> str:
    return f"{iso(ns)[:19]}Z"
