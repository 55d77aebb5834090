"""Probe of Kalshi: one request to every route that its spiders use."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from marketarchive.exceptions import ConfigurationError
from marketarchive.items import Market
from marketarchive.times import SECOND
from marketarchive.venues.endpoint import Query
from marketarchive.venues.kalshi import queries
from marketarchive.venues.kalshi.answers import is_needing_key
from marketarchive.venues.kalshi.endpoints import BOOKS
from marketarchive.venues.kalshi.signing import (
    ENVIRONMENT,
    KEY_ID,
    KEY_PATH,
    PROD,
    load_signer,
    signed_channel,
)
from marketarchive.venues.kalshi.socket import INDEX, SOCKET, key_of_index, subscribe
from marketarchive.venues.kalshi.tickers import round_at
from marketarchive.venues.probing import (
    Check,
    Exchange,
    Findings,
    Listen,
    Need,
    NotRequestedError,
    Probe,
    parses,
    unexpected,
)

PAGE = "20"  # rows of each list: a look, no sweep
SERIES = "KXBTC15M"
HOUR_S = 3600
UNKNOWN = "KXMARKETARCHIVE-PROBE"


def _short(query: Query) -> Query:
    return replace(query, params={**query.params, "limit": PAGE})


def _markets(findings: Findings, check: str) -> list[Market]:
    found = [item for parsed in findings.passed(check) for item in parsed.items]
    return [item for item in found if isinstance(item, Market)]


def active(findings: Findings) -> str | None:
    """Return the ticker of an open market in the series of rounds, as evidence; None when none was found."""
    found = (each.market_id for each in _markets(findings, "rounds") if each.status == "active")
    return next(found, None)


def _active(findings: Findings) -> str:
    found = active(findings)
    if found is None:
        raise NotRequestedError("no open market of the series")
    return found


def _more(findings: Findings) -> Query:
    for parsed in findings.passed("markets"):
        if (following := queries.next_page(findings.exchanges["markets"].query, parsed)) is not None:
            return following
    raise NotRequestedError("the first page was not there, or the last")


def _next(exchange: Exchange, findings: Findings) -> str:
    [first] = findings.passed("markets")
    parsed = findings.parse(exchange)
    if again := set(parsed.keys) & set(first.keys):
        raise unexpected(f"the second page has {len(again)} rows of the first: its cursor was not understood")
    return f"{len(parsed.keys)} rows more, none of them a second time"


def _listed(exchange: Exchange, findings: Findings) -> str:
    parsed = findings.parse(exchange)
    found = [item for item in parsed.items if isinstance(item, Market)]
    if wrong := [each.market_id for each in found if each.status != "active"]:
        raise unexpected(f"status=open brought {len(wrong)} markets that are not, e.g. {wrong[0]}")
    if combined := [each.market_id for each in found if each.market_id.startswith("KXMVE")]:
        raise unexpected(f"mve_filter=exclude brought {len(combined)} combinations, e.g. {combined[0]}")
    return parses(exchange, findings)


def _rounds(exchange: Exchange, findings: Findings) -> str:
    """Expect a market with the ticker that we compute for the round that is open by the clock.

    Returns the evidence. Raises ParseError when no open market has that ticker.
    """
    found = {item.market_id for item in findings.parse(exchange).items if isinstance(item, Market)}
    expected = round_at(SERIES, findings.now_ns)
    if expected is None:
        return f"{len(found)} open; in this hour its ticker cannot be known before"
    if expected.ticker not in found:
        raise unexpected(
            f"{expected.ticker} is not among the open markets: {', '.join(sorted(found)) or 'none'}"
        )
    return f"{expected.ticker} is open, as its ticker says"


def _candles(findings: Findings) -> Query:
    return queries.candles(SERIES, _active(findings), *_last_hour(findings), 1)


def _many_candles(findings: Findings) -> Query:
    return queries.many_candles([_active(findings)], *_last_hour(findings), 1)


def _old_candles(findings: Findings) -> Query:
    """Return the request for candlesticks of a market in the historical tier.

    Raises NotRequestedError when earlier answers show no such market.
    """
    for market in _markets(findings, "old_markets"):
        if market.end_at is not None:
            end = int(market.end_at.timestamp())
            return queries.old_candles(market.market_id, end - HOUR_S, end, 1)
    raise NotRequestedError("no market of the historical tier")


def _last_hour(findings: Findings) -> tuple[int, int]:
    now = findings.now_ns // SECOND
    return now - HOUR_S, now


def _settled(exchange: Exchange, findings: Findings) -> str:
    parsed = findings.parse(exchange)
    found = [item for item in parsed.items if isinstance(item, Market)]
    if wrong := [each.market_id for each in found if each.status != "resolved"]:
        raise unexpected(f"status=settled brought {len(wrong)} without a result, e.g. {wrong[0]}")
    return f"{len(found)} markets, each with a result"


def _book(exchange: Exchange, findings: Findings) -> str:
    [book] = findings.parse(exchange).books
    bid, offer = book.yes_bid, book.yes_ask
    if bid is not None and offer is not None and bid >= offer:
        raise unexpected(f"{book.ticker} is crossed: {bid} bid for YES, {Decimal(1) - offer} for NO")
    return f"{len(book.yes)} bids for YES, {len(book.no)} for NO; best {bid} / {offer}; {_age(exchange)}"


def _batch(exchange: Exchange, findings: Findings) -> str:
    if is_needing_key(exchange.status or 0):
        return "needs a key by now: books are requested one by one"
    return parses(exchange, findings)


def _age(exchange: Exchange) -> str:
    age = exchange.headers.get("age")
    return "no Age header" if age is None else f"a copy of {age} s ago"


def _socket(findings: Findings) -> Listen:
    """Return the request to the socket, signed with the user's key.

    Raises NotRequestedError when the user has set no key.
    """
    if findings.setting(ENVIRONMENT) not in ("", PROD):
        raise NotRequestedError(f"{ENVIRONMENT} is not {PROD}, which is asked here")
    try:
        signer = load_signer(findings.setting(KEY_ID), findings.setting(KEY_PATH))
    except ConfigurationError as error:
        raise NotRequestedError(str(error)) from None
    texts = subscribe([_active(findings), key_of_index("BRTI")])
    wanted = {"subscribed": 4, "orderbook_snapshot": 1, "orderbook_delta": 1, "ticker": 1, INDEX: 2}
    headers = signed_channel(signer, PROD).headers
    return Listen(SOCKET, tuple(texts), seconds=10, wanted=wanted, headers=headers)


def _unknown(exchange: Exchange, _: Findings) -> str:
    if exchange.status != 404:
        raise unexpected(f"status {exchange.status}, not 404")
    return "404"


CHECKS = (
    Check("status", "clock", queries.status(), parses),
    Check("series", "resolve_ids", queries.series(SERIES)),
    Check("markets", "discover", _short(queries.markets(status="open")), _listed),
    Check("markets_next", "discover", _more, _next),
    Check("events", "discover", _short(queries.events(status="open"))),
    Check("rounds", "filter", queries.markets(status="open", series=SERIES), _rounds),
    Check("market", "resolve_ids", lambda findings: queries.market(_active(findings))),
    Check("unknown_market", "resolve_ids", queries.market(UNKNOWN), _unknown),
    Check("settled", "resolutions", _short(queries.markets(status="settled", series=SERIES)), _settled),
    Check("cutoff", "resolutions", queries.cutoff(), parses),
    Check("old_markets", "resolutions", _short(queries.old_markets(SERIES)), parses),
    Check("candlesticks", "history", _candles, parses),
    Check("many_candlesticks", "history", _many_candles, parses),
    Check("old_candlesticks", "history", _old_candles, parses),
    Check("orderbook", "book", lambda findings: queries.book(_active(findings)), _book),
    Check("orderbooks", "batch", lambda findings: queries.books([_active(findings)]), _batch),
    Check("socket", "stream", _socket),
    Check("trades", "trades", lambda findings: _short(queries.trades(_active(findings)))),
)

PROBE = Probe(
    checks=CHECKS,
    limits_source="https://docs.kalshi.com/getting_started/rate_limits (2026-08-22); without a key: measured",
    needs=(Need("round", f"open market of {SERIES}", active),),
    how={
        "discover": (
            "GET /markets?status=open&mve_filter=exclude, without which combinations flood the list; next "
            'page: cursor = the answer\'s cursor, "" on the last. A parameter that is not known is ignored.'
        ),
        "filter": "status selects by words of its own: open is active, settled is finalized; series_ticker.",
        "resolve_ids": "A ticker is the id. GET /markets/TICKER; 404 where there is none.",
        "book": (
            "GET /markets/TICKER/orderbook: bids for YES and for NO, the best price last. An offer of YES is "
            "a bid for NO at 1 minus the price. No time, no number, no hash; it may be a copy up to 15 s old."
        ),
        "batch": f"GET /markets/orderbooks?tickers=A&tickers=B ({BOOKS.url}): up to 100 at once.",
        "stream": (
            f"{SOCKET.url}, signed in the handshake; subscribe with channels and market_tickers. Frames of a "
            "subscription (sid) are numbered (seq) from 1, tickers are not."
        ),
        "resolutions": (
            "GET /markets?status=settled: result is yes, no or scalar with settlement_value_dollars; what "
            "settled before market_settled_ts of /historical/cutoff is at /historical/markets."
        ),
        "trades": "GET /markets/trades?ticker=TICKER&min_ts=S, newest first, next page by cursor.",
    },
)
