"""The simulated REST interface of Kalshi: routes, filters, cursors, error bodies."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from marketarchive.simulator.kalshi import catalog_rows, rows
from marketarchive.simulator.kalshi.books import Books, SimBook, SimTrade
from marketarchive.simulator.kalshi.candles import MOST, PERIODS, CandleSource, span
from marketarchive.simulator.kalshi.catalog import Listing, Listings
from marketarchive.simulator.kalshi.rounds import (
    LIVE_S,
    SERIES,
    Rounds,
    SimRound,
    by_ticker,
    cutoff,
    is_paused,
    paused_since,
)
from marketarchive.simulator.kalshi.rows import Rows, combination, series_row, trade_row
from marketarchive.simulator.messages import Reply, SimRequest, json_reply
from marketarchive.times import SECOND
from marketarchive.venues.kalshi.tickers import market_facts

T = TypeVar("T")
Traded = SimRound | Listing
"""A round, or a market of the catalogue in its state at a moment."""

PREFIX = "/trade-api/v2"
COMBINATIONS = 40
STATUSES = {
    "unopened": {"initialized"},
    "open": {"active"},
    "paused": {"inactive"},
    "closed": {"closed", "determined"},
    "settled": {"finalized"},
}
EXCHANGE = ("Default", "Combos", "Crypto & Commodities")


class _RefusedError(Exception):
    """Raised for a request that is refused, with the status and body of the refusal."""

    def __init__(self, body: dict[str, Any], status: int = 400) -> None:
        super().__init__(str(body))
        self.body = body
        self.status = status


class CandleWindow(NamedTuple):
    """A requested range of candlesticks: Unix seconds, and the minutes of each."""

    start: int
    end: int
    minutes: int


class Rest:
    """The REST interface; it answers a request as of a Unix second."""

    def __init__(self, rounds: Rounds, books: Books) -> None:
        self._rounds = rounds
        self._books = books
        self._rows = Rows(rounds, books)
        self._candles = CandleSource(books)
        self.catalog: Listings | None = None
        self._routes: list[tuple[re.Pattern[str], Callable[..., Reply]]] = [
            (re.compile(r"/exchange/status"), self._status),
            (re.compile(r"/series"), self._series_list),
            (re.compile(r"/series/([^/]+)"), self._series),
            (re.compile(r"/events"), self._events),
            (re.compile(r"/events/([^/]+)"), self._event),
            (re.compile(r"/markets"), self._markets),
            (re.compile(r"/markets/trades"), self._trades),
            (re.compile(r"/markets/orderbooks"), self._orderbooks),
            (re.compile(r"/markets/candlesticks"), self._many_candles),
            (re.compile(r"/markets/([^/]+)"), self._market),
            (re.compile(r"/markets/([^/]+)/orderbook"), self._orderbook),
            (re.compile(r"/series/[^/]+/markets/([^/]+)/candlesticks"), self._one_candles),
            (re.compile(r"/series/[^/]+/events/([^/]+)/candlesticks"), self._event_candles),
            (re.compile(r"/historical/markets/([^/]+)/candlesticks"), self._old_candles),
            (re.compile(r"/historical/cutoff"), self._cutoff),
            (re.compile(r"/historical/markets"), self._old_markets),
            (re.compile(r"/historical/markets/([^/]+)"), self._old_market),
            (re.compile(r"/historical/trades"), self._old_trades),
        ]

    def answer(self, request: SimRequest, second: int) -> Reply:
        """Return the answer to a request, changed by the venue's own faults that hit it."""
        if request.method != "GET":
            return _error(405, "method_not_allowed", "method not allowed")
        if "kalshi_needs_key" in request.faults:
            return _error(401, "signature_is_missing_from_headers", "signature is missing from headers")
        path = request.path.removeprefix(PREFIX)
        if path == request.path:
            return _error(404, "not_found", "not found")
        if path.endswith("/"):
            return Reply(b"", 301, headers={"Location": request.path.rstrip("/")})
        copies = request.faults.get("kalshi_copies")
        headers = {"Cache-Control": "public, max-age=15"}
        if copies is not None:
            age = second % copies["seconds"]
            second -= age
            if copies["age"]:
                headers["Age"] = str(age)
        for pattern, read in self._routes:
            if found := pattern.fullmatch(path):
                try:
                    reply = read(request, second, *found.groups())
                except _RefusedError as refused:
                    return json_reply(refused.body, refused.status)
                return Reply(reply.body, reply.status, reply.content_type, headers)
        return _error(404, "not_found", "not found")

    # --- the exchange ------------------------------------------------------------------------------------

    def _status(self, request: SimRequest, second: int) -> Reply:
        del request
        trades = not is_paused(second)
        resumed = {} if trades else {"exchange_estimated_resume_time": rows.time(paused_since(second) + 7200)}
        document = {
            "exchange_active": True,
            **resumed,
            "exchange_index_statuses": [
                {
                    "description": text,
                    "exchange_active": True,
                    "exchange_index": index,
                    "intra_exchange_transfers_active": True,
                    "trading_active": trades,
                }
                for index, text in enumerate(EXCHANGE)
            ],
            "intra_exchange_transfers_active": True,
            "trading_active": trades,
        }
        return json_reply(document)

    def _series_list(self, request: SimRequest, second: int) -> Reply:
        del second
        category = request.first("category")
        found = [series_row(series) for series in SERIES]
        if self.catalog is not None:
            found += map(catalog_rows.series_row, catalog_rows.SERIES)
        return json_reply({"series": [row for row in found if not category or row["category"] == category]})

    def _series(self, request: SimRequest, second: int, series: str) -> Reply:
        del request, second
        if self.catalog is not None and series in catalog_rows.SERIES:
            return json_reply({"series": catalog_rows.series_row(series)})
        if series not in SERIES:
            return _error(404, "not_found", "not found")
        return json_reply({"series": series_row(series)})

    def _cutoff(self, request: SimRequest, second: int) -> Reply:
        del request
        names = ("market_positions_last_updated_ts", "market_settled_ts", "orders_updated_ts")
        at = rows.time(cutoff(second))
        return json_reply({**dict.fromkeys(names, at), "trades_created_ts": at})

    # --- events ------------------------------------------------------------------------------------------

    def _events(self, request: SimRequest, second: int) -> Reply:
        limit = _limit(request, 200, 200, "GetEvents")
        found = {each.event: each for each in _selected(request, self._listed(second), second)}
        page, cursor = _page(request, list(found.values()), limit, lambda each: (each.created, each.event))
        nested = request.first("with_nested_markets") == "true"
        events = [self._event_row(each, second, nested=nested) for each in page]
        return json_reply({"cursor": cursor, "events": events})

    def _event(self, request: SimRequest, second: int, event: str) -> Reply:
        members = self._members(event, second)
        if not members:
            return _error(404, "not_found", "event not found")
        nested = request.first("with_nested_markets") == "true"
        there = () if nested else (each for each in members if each.is_listed(second))
        beside = [self._market_row(each, second) for each in there]
        return json_reply({"event": self._event_row(members[0], second, nested=nested), "markets": beside})

    def _members(self, event: str, second: int) -> Sequence[Traded]:
        """Return the markets of an event at a Unix second; none for an unknown ticker."""
        if self.catalog is not None and (found := self.catalog.of_event(event, second)):
            return [each for each in found if each.created <= second]
        one = self._find(f"{event}-{event[-2:]}", second)
        return () if one is None else (one,)

    def _event_row(self, each: Traded, second: int, *, nested: bool) -> dict[str, Any]:
        if isinstance(each, SimRound) or self.catalog is None:
            assert isinstance(each, SimRound)
            return self._rows.event(each, second, nested=nested)
        event = each.life.event
        siblings = self.catalog.siblings(event, second)
        return catalog_rows.event_row(event, siblings, second, nested=nested)

    # --- markets -----------------------------------------------------------------------------------------

    def _markets(self, request: SimRequest, second: int) -> Reply:
        limit = _limit(request, 100, 1000, "GetMarkets")
        named = filter(None, request.first("tickers").split(","))
        listed = [each for ticker in named if (each := self._find(ticker, second)) is not None]
        if not request.first("tickers"):
            listed = self._listed(second)
        there = [each for each in listed if each.is_listed(second)]
        found: list[Any] = list(_selected(request, there, second))
        narrow = ("series_ticker", "event_ticker", "tickers")
        if request.first("mve_filter") != "exclude" and not any(map(request.first, narrow)):
            made = [combination(number, second) for number in range(COMBINATIONS)]
            found = (made if request.first("status") in ("", "open") else []) + found
        page, cursor = _page(request, found, limit, _market_key)
        document = [each if isinstance(each, dict) else self._market_row(each, second) for each in page]
        return json_reply({"cursor": cursor, "markets": document})

    def _market(self, request: SimRequest, second: int, ticker: str) -> Reply:
        del request
        found = self._find(ticker, second)
        if found is None or not found.is_listed(second):
            return _error(404, "not_found", "market not found")
        return json_reply({"market": self._market_row(found, second)})

    def _market_row(self, each: Traded, second: int) -> dict[str, Any]:
        if isinstance(each, SimRound):
            return self._rows.market(each, second)
        return catalog_rows.market_row(each, second)

    def _listed(self, second: int) -> list[Traded]:
        """Return all markets of the live tier at a Unix second."""
        rounds = self._rounds.listed(second)
        return [*rounds, *(() if self.catalog is None else self.catalog.listed(second))]

    def _historical(self, second: int) -> list[Traded]:
        """Return all markets of the historical tier at a Unix second."""
        rounds = self._rounds.historical(second)
        return [*rounds, *(() if self.catalog is None else self.catalog.historical(second))]

    def _old_markets(self, request: SimRequest, second: int) -> Reply:
        limit = _limit(request, 100, 1000, "GetHistoricalMarkets")
        series, event = request.first("series_ticker"), request.first("event_ticker")
        tickers = set(filter(None, request.first("tickers").split(",")))
        found = [
            each
            for each in self._historical(second)
            if (not series or each.series == series)
            and (not event or each.event == event)
            and (not tickers or each.ticker in tickers)
        ]
        page, cursor = _page(request, found, limit, _market_key)
        return json_reply({"cursor": cursor, "markets": [self._market_row(each, second) for each in page]})

    def _old_market(self, request: SimRequest, second: int, ticker: str) -> Reply:
        del request
        found = self._find_old(ticker, second)
        if found is None:
            return _error(404, "not_found", "market not found")
        return json_reply({"market": self._market_row(found, second)})

    def _find_old(self, ticker: str, second: int) -> Traded | None:
        """Return the market of the historical tier with a ticker; None when there is none."""
        found = self._find(ticker, second)
        if isinstance(found, SimRound):
            return found if found in self._rounds.historical(second) else None
        is_old = found is not None and found.finalized is not None and found.finalized < cutoff(second)
        return found if is_old else None

    def _find(self, ticker: str, second: int) -> Traded | None:
        if self.catalog is not None and (long := self.catalog.by_ticker(ticker, second)):
            return long if long.created <= second else None
        end_ns = market_facts(ticker).end_ns
        found = by_ticker(self._rounds, ticker, None if end_ns is None else end_ns // SECOND)
        return found if found is not None and found.created <= second else None

    # --- candlesticks ------------------------------------------------------------------------------------

    def _one_candles(self, request: SimRequest, second: int, ticker: str) -> Reply:
        window = _window(request, "GetMarketCandlesticks")
        found = self._find(ticker, second)
        if found is None or not found.is_listed(second):
            return _error(404, "not_found", "market not found")
        return json_reply({"candlesticks": self._rows_of(found, window, second), "ticker": ticker})

    def _old_candles(self, request: SimRequest, second: int, ticker: str) -> Reply:
        window = _window(request, "GetMarketCandlesticksHistorical")
        found = self._find_old(ticker, second)
        if found is None:
            return _error(404, "not_found", "market not found")
        rows = self._rows_of(found, window, second, is_historical=True)
        return json_reply({"candlesticks": rows, "ticker": ticker})

    def _event_candles(self, request: SimRequest, second: int, event: str) -> Reply:
        window = _window(request, "GetEventCandlesticks")
        there = [each for each in self._members(event, second) if each.is_listed(second)]
        if not there:
            return _error(404, "not_found", "event not found")
        document = {
            "adjusted_end_ts": window.end,
            "market_candlesticks": [self._rows_of(each, window, second) for each in there],
            "market_tickers": [each.ticker for each in there],
        }
        return json_reply(document)

    def _many_candles(self, request: SimRequest, second: int) -> Reply:
        tickers = [each for each in request.first("market_tickers").split(",") if each]
        if not 0 < len(tickers) <= 100:
            raise _invalid("BatchGetMarketCandlesticks", "MarketTickers", "max" if tickers else "required")
        window = _window(request, "BatchGetMarketCandlesticks", len(tickers))
        named = ((ticker, self._find(ticker, second)) for ticker in tickers)
        markets = [
            {"candlesticks": self._rows_of(each, window, second), "market_ticker": ticker}
            for ticker, each in named
            if each is not None and each.is_listed(second)
        ]
        return json_reply({"markets": markets})

    def _rows_of(
        self, each: Traded, window: CandleWindow, second: int, *, is_historical: bool = False
    ) -> list[dict[str, Any]]:
        candles = self._candles.between(each, window.start, window.end, window.minutes, second)
        return [candle.row(is_historical=is_historical) for candle in candles]

    # --- books and trades --------------------------------------------------------------------------------

    def _orderbook(self, request: SimRequest, second: int, ticker: str) -> Reply:
        found = self._find(ticker, second)
        if found is None or not found.is_listed(second):
            return _error(404, "not_found", "market not found")
        depth = request.first("depth", "0")
        if not depth.isdigit() or int(depth) > 100:
            raise _invalid("GetMarketOrderbook", "Depth", "lte")
        return json_reply({"orderbook_fp": _book(self._book_of(found, second), int(depth))})

    def _book_of(self, each: Traded, second: int) -> SimBook:
        return self._books.at(each, second) if isinstance(each, SimRound) else each.book(second)

    def _orderbooks(self, request: SimRequest, second: int) -> Reply:
        tickers = request.all("tickers")
        if not 0 < len(tickers) <= 100:
            raise _invalid("GetMarketOrderbooks", "Tickers", "lte" if tickers else "required")
        found = [(ticker, self._find(ticker, second)) for ticker in tickers]
        books = [
            {"orderbook_fp": _book(self._book_of(each, second), 0), "ticker": ticker}
            for ticker, each in found
            if each is not None and each.is_listed(second)
        ]
        return json_reply({"orderbooks": books})

    def _trades(self, request: SimRequest, second: int) -> Reply:
        return self._trade_page(request, second, second - LIVE_S)

    def _old_trades(self, request: SimRequest, second: int) -> Reply:
        return self._trade_page(request, min(second, cutoff(second)), 0)

    def _trade_page(self, request: SimRequest, until: int, since: int) -> Reply:
        limit = _limit(request, 100, 1000, "GetTrades")
        low = max(_whole(request, "min_ts", 0), since)
        high = min(_whole(request, "max_ts", until), until)
        if ticker := request.first("ticker"):
            each = self._find(ticker, until)
            markets = [each] if isinstance(each, SimRound) else []  # markets of the catalogue list no trades
        else:
            markets = list(self._rounds.between(max(low, high - 7200), high + 900))
        found = [
            trade
            for each in markets
            for trade in self._books.trades_until(each, high * 1_000_000)
            if trade.at_us >= low * 1_000_000
        ]
        found.sort(key=_trade_key, reverse=True)
        page, cursor = _page(request, found, limit, _trade_key)
        return json_reply({"cursor": cursor, "trades": list(map(trade_row, page))})


# --- filters, pages, bodies ------------------------------------------------------------------------------


def _selected(request: SimRequest, found: Sequence[Traded], second: int) -> list[Traded]:
    """Return the markets that match the request's filters; unknown filters are ignored, as by the venue."""
    status = request.first("status")
    if status and status not in STATUSES:
        raise _RefusedError(
            {"code": "bad_request", "details": "invalid status filter", "message": "bad request"}
        )
    if request.first("mve_filter") == "only":
        return []
    series, event = request.first("series_ticker"), request.first("event_ticker")
    tickers = set(filter(None, request.first("tickers").split(",")))
    settled, closed = _whole(request, "min_settled_ts", 0), _whole(request, "min_close_ts", 0)
    return [
        each
        for each in found
        if (not status or each.status(second) in STATUSES[status])
        and (not series or each.series == series)
        and (not event or each.event == event)
        and (not tickers or each.ticker in tickers)
        and each.end >= closed
        and (not settled or (each.finalized is not None and settled <= each.finalized <= second))
    ]


def _market_key(each: Any) -> tuple[int, str]:
    if isinstance(each, dict):
        return (2**40, each["ticker"])  # combinations come first in an unfiltered list
    return each.created, each.ticker


def _trade_key(trade: SimTrade) -> tuple[int, str]:
    return trade.at_us, trade.id


def _page(
    request: SimRequest, found: Sequence[T], limit: int, key: Callable[[T], tuple[int, str]]
) -> tuple[list[T], str]:
    """Return the rows of a page, newest first, and the cursor of the next page, "" after the last.

    key: sort key of a row. A cursor that cannot be read is ignored.
    """
    after = None if "kalshi_first_page_again" in request.faults else _read_cursor(request.first("cursor"))
    left = sorted((each for each in found if after is None or key(each) < after), key=key, reverse=True)
    page = left[:limit]
    cursor = _write_cursor(key(page[-1])) if len(left) > limit else ""
    if "kalshi_empty_page" in request.faults and cursor:
        # an empty page: the cursor has the same place, but another text
        return [], _write_cursor((2**50, "") if after is None else after, "empty")
    return page, cursor


def _write_cursor(key: tuple[int, str], mark: str = "") -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode((*key, mark))).decode().rstrip("=")


def _read_cursor(text: str) -> tuple[int, str] | None:
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return msgspec.json.decode(raw, type=tuple[int, str, str])[:2]
    except (binascii.Error, ValueError, msgspec.DecodeError):
        return None


def _limit(request: SimRequest, usual: int, most: int, operation: str) -> int:
    text = request.first("limit", str(usual))
    if not text.isdigit() or int(text) > most:
        raise _invalid(operation, "Limit", "lte")
    shorter: int = request.faults.get("kalshi_short_pages", {}).get("rows", most)
    return min(int(text) or usual, shorter)


def _window(request: SimRequest, operation: str, markets: int = 1) -> CandleWindow:
    """Return the range of candlesticks that a request asks for.

    operation: name for errors; markets: number of markets requested together. Raises _RefusedError for an
    invalid range.
    """
    texts = {name: request.first(name) for name in ("start_ts", "end_ts", "period_interval")}
    for name, text in texts.items():
        if not text.isdigit():
            raise _invalid(operation, "".join(map(str.capitalize, name.split("_"))), "required")
    start, end, minutes = map(int, texts.values())
    if minutes not in PERIODS:
        raise _invalid(operation, "PeriodInterval", "oneof")
    most = MOST if markets == 1 else 2 * MOST
    spanned = span(start, end, minutes) * markets
    if spanned > most:
        said = f"requested time range with candlesticks: {spanned:f}, max candlesticks: {most}"
        raise _RefusedError({"code": "bad_request", "details": said, "message": "bad request"})
    return CandleWindow(start, end, minutes)


def _whole(request: SimRequest, name: str, otherwise: int) -> int:
    text = request.first(name)
    return int(text) if text.isdigit() else otherwise


def _invalid(operation: str, field: str, tag: str) -> _RefusedError:
    text = (
        f"Parameter validation failed for {operation}: Key: '{operation}Params.{field}' Error:Field "
        f"validation for '{field}' failed on the '{tag}' tag"
    )
    return _RefusedError({"msg": text})


def _error(status: int, code: str, message: str) -> Reply:
    return json_reply({"error": {"code": code, "message": message}}, status)


def _book(book: SimBook, depth: int) -> dict[str, Any]:
    return {"no_dollars": book.no[-depth:], "yes_dollars": book.yes[-depth:]}
