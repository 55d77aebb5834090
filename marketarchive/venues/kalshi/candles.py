"""Candlesticks of the live and the historical tier, whose field names differ (August 2026).

A period without trades has a candlestick without trade prices, or none at all. Daily candlesticks end at
midnight in New York, so their content is not known at an earlier midnight UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.times import SECOND
from marketarchive.venues.kalshi import wire
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.table_rows import PriceHistoryRow, TableRow, UnreadableRow
from marketarchive.venues.venue import RowMaker

ITEM = "Candlesticks"
_NO_CANDLES = "not candlesticks"


class _Prices(msgspec.Struct, rename={name: f"{name}_dollars" for name in ("low", "high", "close")}):
    """Trade prices of a period in the live tier; without trades the keys are absent or null."""

    low: Decimal | None = None
    high: Decimal | None = None
    close: Decimal | None = None


class _OldPrices(msgspec.Struct):
    low: Decimal | None = None
    high: Decimal | None = None
    close: Decimal | None = None


class _Sent(msgspec.Struct):
    end_period_ts: int
    price: _Prices
    yes_bid: _Prices
    yes_ask: _Prices
    volume_fp: Decimal | None = None
    open_interest_fp: Decimal | None = None


class _OldSent(msgspec.Struct):
    end_period_ts: int
    price: _OldPrices
    yes_bid: _OldPrices
    yes_ask: _OldPrices
    volume: Decimal | None = None
    open_interest: Decimal | None = None


class _OneMarket(msgspec.Struct):
    candlesticks: list[_Sent]
    ticker: str | None = None


class _OldMarket(msgspec.Struct):
    candlesticks: list[_OldSent]
    ticker: str | None = None


class _Named(msgspec.Struct):
    market_ticker: str
    candlesticks: list[_Sent]


class _ManyMarkets(msgspec.Struct):
    markets: list[_Named]


@dataclass(frozen=True, slots=True)
class MarketCandles:
    """The candlesticks of one market, as rows of `price_history`."""

    ticker: str
    rows: tuple[PriceHistoryRow, ...]


def parse_candles(received: Received) -> Parsed:
    """Return the candlesticks in an answer for one market. Raises ParseError."""
    path = urlsplit(received.canonical_url).path.split("/")
    minutes = _minutes(received)
    if "historical" in path:
        old = wire.decode(received.payload, _OldMarket, ITEM)
        rows = tuple(
            _row(path[-2], minutes, each, (each.volume, each.open_interest), "historical candlesticks")
            for each in old.candlesticks
        )
    else:
        new = wire.decode(received.payload, _OneMarket, ITEM)
        rows = _rows(path[-2], minutes, new.candlesticks)
    return Parsed(keys=[path[-2]], statements=[MarketCandles(path[-2], rows)])


def parse_many_candles(received: Received) -> Parsed:
    """Return the candlesticks in an answer for several markets. Raises ParseError."""
    minutes = _minutes(received)
    sent = wire.decode(received.payload, _ManyMarkets, ITEM)
    found = [MarketCandles(each.market_ticker, _rows(each.market_ticker, minutes, each.candlesticks))
             for each in sent.markets]  # fmt: skip
    return Parsed(keys=[each.ticker for each in found], statements=list(found))


def _minutes(received: Received) -> int:
    text: Any = received.params.get("period_interval")
    if not isinstance(text, str) or not text.isdigit():
        raise ParseError(ITEM, f"period_interval={text!r} is not a number of minutes", ("period_interval",))
    return int(text)


def _rows(ticker: str, minutes: int, sent: list[_Sent]) -> tuple[PriceHistoryRow, ...]:
    return tuple(
        _row(ticker, minutes, each, (each.volume_fp, each.open_interest_fp), "candlesticks") for each in sent
    )


def _row(
    ticker: str,
    minutes: int,
    sent: _Sent | _OldSent,
    counts: tuple[Decimal | None, Decimal | None],
    source: str,
) -> PriceHistoryRow:
    return PriceHistoryRow(
        market=ticker,
        event_time=sent.end_period_ts * SECOND,
        source=source,
        interval_s=minutes * 60,
        price=sent.price.close,
        price_low=sent.price.low,
        price_high=sent.price.high,
        bid=sent.yes_bid.close,
        ask=sent.yes_ask.close,
        volume=counts[0],
        open_interest=counts[1],
    )


class CandleRows(RowMaker):
    """Maker of `price_history` rows from answers with candlesticks."""

    def rows(self, received: Received) -> list[TableRow]:
        """Return one row for each candlestick in an answer. Raises ParseError."""
        path = urlsplit(received.canonical_url).path
        if not path.endswith("/candlesticks"):
            return []
        parse = parse_many_candles if path.endswith("/markets/candlesticks") else parse_candles
        try:
            parsed = parse(received)
        except ParseError as error:
            return [UnreadableRow("price_history", error, 0, _NO_CANDLES)]
        return [row for each in parsed.statements for row in each.rows]
