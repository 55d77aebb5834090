"""Table rows from answers of OKX's perpetual swaps.

Shapes: mirrors of the official documents (2025-08-17, 2026-07-28) and recordings. Everything in `data` is
text; lists are newest first. `oi` and `vol` count contracts, `oiCcy` and `volCcy` base units. The latter are
used, because the venue may change the size of a contract.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from operator import attrgetter

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.okx import endpoints
from marketarchive.venues.okx.queries import ALL, STEPS
from marketarchive.venues.perp_files import rows_of as file_rows
from marketarchive.venues.perp_rows import (
    BadRowError,
    Contracts,
    MarketStatus,
    Reader,
    candles,
    columns_page,
    decode,
    lines_page,
    listed,
    maybe,
    maybe_moment,
    milliseconds,
    moment,
    number,
    page,
    param,
    read_by,
    times,
    with_intervals,
)
from marketarchive.venues.symbols import symbols
from marketarchive.venues.table_rows import (
    BorrowRatesRow,
    CandleSource,
    ColumnarRows,
    FundingsRow,
    InstrumentsRow,
    OpenInterestRow,
    ReferencePricesRow,
)

CONTRACTS = Contracts("okx")
SWAP_OF_INDEX = {row["index"]: row["symbol"] for row in symbols("okx").values()}
RULE = "`oiCcy` as listed, base units"
SWAP = "SWAP"
STATUSES: dict[str, MarketStatus] = {
    "preopen": "unopened", "live": "active", "post_only": "active", "rebase": "active", "suspend": "closed",
}  # fmt: skip


class SentRows(msgspec.Struct):
    data: list[msgspec.Raw]


class SentSettled(msgspec.Struct, rename="camel"):
    inst_id: str
    inst_type: str
    realized_rate: str  # the rate charged; `fundingRate` is the rate that had been expected
    funding_time: str


class SentFunding(msgspec.Struct, rename="camel"):
    inst_id: str
    inst_type: str
    funding_rate: str
    funding_time: str
    next_funding_time: str = ""
    prev_funding_time: str = ""
    ts: str = ""


class SentTraded(msgspec.Struct, array_like=True):
    opened: str
    open: str
    high: str
    low: str
    close: str
    contracts: str
    volume: str
    volume_quote: str
    confirm: str


class SentPrice(msgspec.Struct, array_like=True):
    opened: str
    open: str
    high: str
    low: str
    close: str
    confirm: str


_PRICE = attrgetter("open", "high", "low", "close", "confirm")
_TRADED = attrgetter("open", "high", "low", "close", "confirm", "volume", "volume_quote")


class SentInterest(msgspec.Struct, array_like=True):
    at: str
    contracts: str
    amount: str
    value: str


class SentInterestNow(msgspec.Struct, rename="camel"):
    inst_id: str
    oi: str
    oi_ccy: str
    ts: str
    oi_usd: str = ""


class SentMark(msgspec.Struct, rename="camel"):
    inst_id: str
    mark_px: str
    ts: str


class SentIndex(msgspec.Struct, rename="camel"):
    inst_id: str
    idx_px: str
    ts: str


class SentInstrument(msgspec.Struct, rename="camel"):
    inst_id: str
    inst_type: str
    ct_type: str
    ct_val: str
    ct_mult: str
    settle_ccy: str
    state: str
    list_time: str
    exp_time: str = ""


class SentLoan(msgspec.Struct):
    ccy: str
    rate: str


class SentQuota(msgspec.Struct, rename="camel"):
    basic: list[SentLoan] = []
    config_ccy_list: list[SentLoan] = []


def parse(received: Received) -> Parsed:
    """Parse an answer into `Parsed`, with its table rows in `statements`. Raises ParseError."""
    if received.canonical_url.startswith(endpoints.ARCHIVE):
        return _funding_file(received)
    return read_by(_READERS, received)


def _settled(received: Received) -> Parsed:
    def rows(sent: SentSettled) -> Iterator[FundingsRow]:
        yield FundingsRow(
            market=sent.inst_id,
            asset=CONTRACTS.of(sent.inst_id).asset,
            event_time=moment(sent.funding_time),
            kind="settled",
            rate=number(sent.realized_rate),
        )

    return page("fundings", _data(received), SentSettled, lambda sent: sent.funding_time, rows)


def _funding_file(received: Received) -> Parsed:
    """Parse a month's charged funding rates; times are up to 4 s late (others compared them with the API)."""
    symbol = received.canonical_url.rpartition("/")[2].partition("-fundingrates-")[0]

    def rows(line: Mapping[str, str]) -> Iterator[FundingsRow]:
        if line["instrument_name"] != symbol:
            raise BadRowError(f"a row of {line['instrument_name']}")
        yield FundingsRow(
            market=symbol,
            asset=CONTRACTS.of(symbol).asset,
            event_time=moment(line["funding_time"]),
            kind="settled",
            rate=number(line["funding_rate"]),
        )

    lines = file_rows(received.payload, ("instrument_name", "funding_rate", "funding_time"))
    return lines_page("fundings", lines, lambda line: line["funding_time"], rows)


def _funding(received: Received) -> Parsed:
    """Parse funding rates expected at the coming settlement, `fundingTime`.

    From a list of all contracts only the funding intervals are taken.
    """
    if received.params.get("instId") == ALL:
        return _intervals(received)

    def rows(sent: SentFunding) -> Iterator[FundingsRow]:
        if sent.inst_type != SWAP:
            return
        yield FundingsRow(
            market=sent.inst_id,
            asset=CONTRACTS.of(sent.inst_id).asset,
            event_time=moment(sent.ts) if sent.ts else received.received_at,
            kind="predicted",
            rate=number(sent.funding_rate),
            interval_s=_interval(sent),
            next_at=moment(sent.funding_time),
        )

    return with_intervals(received, page("fundings", _data(received), SentFunding, lambda _: None, rows))


def _intervals(received: Received) -> Parsed:
    """Parse the funding intervals of all contracts; dated contracts in the list are skipped."""

    def rows(sent: SentFunding) -> Iterator[InstrumentsRow]:
        contract, interval_s = CONTRACTS.of(sent.inst_id), _interval(sent)
        if sent.inst_type == SWAP and contract.asset is not None and interval_s is not None:
            yield InstrumentsRow(
                market=sent.inst_id,
                asset=contract.asset,
                event_time=received.received_at,
                status="",
                funding_interval_s=interval_s,
            )

    found = page("instruments", _data(received), SentFunding, lambda _: None, rows)
    return listed(received, found, STATUSES)


def _interval(sent: SentFunding) -> int | None:
    """Return the funding interval of a contract, in seconds; None when unknown.

    It is the time from the last settlement to the coming one, else from the coming one to the next. No field
    states the funding interval, and the venue changes it (8 h to 4, 2 or 1 h when a cap is hit, and back).
    """
    if sent.prev_funding_time:
        return (milliseconds(sent.funding_time) - milliseconds(sent.prev_funding_time)) // 1000
    if sent.next_funding_time:
        return (milliseconds(sent.next_funding_time) - milliseconds(sent.funding_time)) // 1000
    return None


def _traded(received: Received) -> Parsed:
    symbol, step_s = param(received, "instId"), _step(received)
    contract = CONTRACTS.of(symbol)

    def rows(sent: Sequence[SentTraded], opened: Sequence[int]) -> Iterator[ColumnarRows]:
        *prices, confirmed, volumes, in_quote = zip(*map(_TRADED, sent), strict=True)
        is_closed = [each == "1" for each in confirmed]
        traded = volumes, in_quote
        yield candles(
            contract, symbol, "trade", step_s, opened, prices, traded, received, is_closed=is_closed
        )

    return columns_page("candles", _data(received), SentTraded, lambda sent: sent.opened, rows)


def _prices(source: CandleSource) -> Callable[[Received], Parsed]:
    def read(received: Received) -> Parsed:
        named, step_s = param(received, "instId"), _step(received)
        symbol = SWAP_OF_INDEX.get(named, named) if source == "index" else named
        contract = CONTRACTS.of(symbol)

        def rows(sent: Sequence[SentPrice], opened: Sequence[int]) -> Iterator[ColumnarRows]:
            *prices, confirmed = zip(*map(_PRICE, sent), strict=True)
            is_closed = [each == "1" for each in confirmed]
            yield candles(
                contract, symbol, source, step_s, opened, prices, None, received, is_closed=is_closed
            )

        return columns_page("candles", _data(received), SentPrice, lambda sent: sent.opened, rows)

    return read


def _interest_history(received: Received) -> Parsed:
    symbol = param(received, "instId")

    def rows(sent: SentInterest) -> Iterator[OpenInterestRow]:
        yield OpenInterestRow(
            market=symbol,
            asset=CONTRACTS.of(symbol).asset,
            event_time=moment(sent.at),
            amount=number(sent.amount),
            amount_quote=number(sent.value),
            contracts=number(sent.contracts),
            rule=RULE,
        )

    return page("open_interest", _data(received), SentInterest, lambda sent: sent.at, rows)


def _interest(received: Received) -> Parsed:
    def rows(sent: SentInterestNow) -> Iterator[OpenInterestRow]:
        yield OpenInterestRow(
            market=sent.inst_id,
            asset=CONTRACTS.of(sent.inst_id).asset,
            event_time=moment(sent.ts),
            amount=number(sent.oi_ccy),
            amount_quote=maybe(sent.oi_usd),
            contracts=number(sent.oi),
            rule=RULE,
        )

    return page("open_interest", _data(received), SentInterestNow, lambda sent: sent.ts, rows)


def _mark(received: Received) -> Parsed:
    def rows(sent: SentMark) -> Iterator[ReferencePricesRow]:
        yield _price("mark", sent.inst_id, sent.inst_id, sent.mark_px, sent.ts)

    return page("reference_prices", _data(received), SentMark, lambda sent: sent.ts, rows)


def _index(received: Received) -> Parsed:
    def rows(sent: SentIndex) -> Iterator[ReferencePricesRow]:
        swap = SWAP_OF_INDEX.get(sent.inst_id, sent.inst_id)
        yield _price("index", sent.inst_id, swap, sent.idx_px, sent.ts)

    return page("reference_prices", _data(received), SentIndex, lambda sent: sent.ts, rows)


def _price(topic: str, symbol: str, swap: str, text: str, at: str) -> ReferencePricesRow:
    return ReferencePricesRow(
        topic=topic,
        symbol=symbol,
        asset=CONTRACTS.of(swap).asset,
        event_time=moment(at),
        value=number(text),
        verified="not_available",
    )


def _instruments(received: Received) -> Parsed:
    def rows(sent: SentInstrument) -> Iterator[InstrumentsRow]:
        if sent.inst_type != SWAP or sent.ct_type != "linear" or sent.settle_ccy != "USDT":
            return
        contract = CONTRACTS.of(sent.inst_id)
        size = times(number(sent.ct_val), number(sent.ct_mult))
        if size <= 0:
            raise BadRowError(f"{sent.inst_id} has contracts of {size}")
        yield InstrumentsRow(
            market=sent.inst_id,
            asset=contract.asset,
            event_time=received.received_at,
            status=sent.state,
            quote=sent.settle_ccy,
            multiplier=contract.multiplier,
            contract_size=size,
            listed_at=maybe_moment(sent.list_time),
            delisted_at=maybe_moment(sent.exp_time),
        )

    found = page("instruments", _data(received), SentInstrument, lambda _: None, rows)
    return listed(received, found, STATUSES)


def _loans(received: Received) -> Parsed:
    """Parse interest rates of loans: `rate` is a fraction per day.

    A rate in `configCcyList` takes precedence.
    """

    def rows(sent: SentQuota) -> Iterator[BorrowRatesRow]:
        rates = {loan.ccy: loan.rate for loan in (*sent.basic, *sent.config_ccy_list)}
        for coin, rate in rates.items():
            if coin in symbols("okx") and rate:
                yield BorrowRatesRow(
                    asset=coin,
                    symbol=coin,
                    event_time=received.received_at,
                    bps_per_day=times(number(rate), Decimal(10_000)),
                )

    return page("borrow_rates", _data(received), SentQuota, lambda _: None, rows)


def _data(received: Received) -> list[msgspec.Raw]:
    return decode(received, SentRows).data


def _step(received: Received) -> int:
    found = STEPS.get(param(received, "bar"))
    if found is None:
        raise ParseError("candles", "a bar of no known length", ("bar",))
    return found


_READERS: dict[str, Reader] = {
    endpoints.INSTRUMENTS.url: _instruments,
    endpoints.FUNDING_RATE.url: _funding,
    endpoints.FUNDING_RATES.url: _settled,
    endpoints.CANDLES.url: _traded,
    endpoints.MARK_CANDLES.url: _prices("mark"),
    endpoints.INDEX_CANDLES.url: _prices("index"),
    endpoints.OPEN_INTEREST_HISTORY.url: _interest_history,
    endpoints.OPEN_INTEREST.url: _interest,
    endpoints.MARK_PRICE.url: _mark,
    endpoints.INDEX_TICKERS.url: _index,
    endpoints.LOANS.url: _loans,
}
