"""What GMX's statuses and rows mean."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from marketarchive.exceptions import ParseError
from marketarchive.times import from_iso
from marketarchive.venues.answers import Answered
from marketarchive.venues.endpoint import Endpoint, Query
from marketarchive.venues.gmx import endpoints, queries
from marketarchive.venues.gmx.answers import judge
from marketarchive.venues.gmx.rows import GmxRows, parse
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.perps import Range, Series
from marketarchive.venues.symbols import symbols
from marketarchive.venues.table_rows import BorrowRatesRow, FundingsRow, UnreadableRow, single_rows
from tests.venues.perp_rows import singly

NOW = from_iso("2026-11-20T10:01:00Z")
NOW_S = NOW // 10**9
BTC = symbols("gmx")["BTC"]
POOL = BTC["symbol"]
DAY_MS = 86_400_000

# a row of markets/info of April 2026: factors a year of 10**30
LONG, SHORT, BORROW = (
    -234415323020867061571811615482,
    285795378003572022502143648000,
    37131225434902894175472240000,
)


def received(endpoint: Endpoint, document: Any, **params: str) -> Received:
    payload = json.dumps(document).encode()
    return Received.answer("gmx", "perps", Query(endpoint, params), 200, payload, NOW, 1)


def read(endpoint: Endpoint, document: Any, **params: str) -> Parsed:
    return singly(parse(received(endpoint, document, **params)))


def rates(long: int, short: int, borrow: int, sign: int, **more: Any) -> dict[str, Any]:
    """Rates whose net is funding + sign x borrowing."""
    return {
        "fundingRateLong": str(long),
        "fundingRateShort": str(short),
        "borrowingRateLong": str(borrow),
        "borrowingRateShort": "0",
        "netRateLong": str(long + sign * borrow),
        "netRateShort": str(short),
        **more,
    }


def series(kind: Any, step_s: int = 0) -> Series:
    return Series("BTC", BTC, kind, step_s, NOW // 10**6)


@pytest.mark.parametrize(
    ("query", "status", "body", "expected"),
    [
        (queries.markets(), 200, b"{}", None),
        (queries.markets(), 500, b'{"message":"Internal server error"}', ("disconnect", True)),
        (queries.markets(), 400, b'{"message":["period must be one of"]}', ("disconnect", False)),
        (queries.markets(), 429, b"", ("rate_limited", True)),
        (queries.markets(), 403, b"<html>\xff</html>", ("blocked", False)),
        (queries.markets(), 451, b"", ("blocked", False)),
        (Query(endpoints.INTEREST), 200, b'{"data":{}}', None),
        (Query(endpoints.INTEREST), 200, b'{"errors":[{"message":"timeout"}]}', ("disconnect", True)),
        (
            Query(endpoints.INTEREST),
            200,
            b'{"errors":[{"message":"Cannot query field x"}]}',
            ("disconnect", False),
        ),
    ],
)
def test_what_a_status_means(
    query: Query, status: int, body: bytes, expected: tuple[str, bool] | None
) -> None:
    failure = judge(Answered(query, status, {}, body, NOW))
    assert (None if failure is None else (failure.reason, failure.retryable)) == expected


def test_rates_of_the_present_are_of_a_year_and_net_tells_who_pays() -> None:
    paid = read(endpoints.MARKETS_NOW, {"markets": [rates(LONG, SHORT, BORROW, 1, marketToken=POOL)]})
    funding, borrowing = paid.statements
    assert isinstance(funding, FundingsRow)
    assert (funding.kind, funding.interval_s) == ("continuous", 31_557_600)
    assert funding.rate == Decimal("-0.234415323020867062")  # net = funding + borrowing: longs receive it
    assert funding.rate_short == Decimal("-0.285795378003572023")  # and shorts pay
    eight_hours = Decimal(funding.rate) * 28_800 / 31_557_600
    assert round(eight_hours, 9) == Decimal("-0.000213931")
    assert isinstance(borrowing, BorrowRatesRow)
    assert round(Decimal(borrowing.bps_per_day), 5) == Decimal("1.01660")
    assert borrowing.bps_per_day_short == 0
    received_by = read(endpoints.MARKETS_NOW, {"markets": [rates(LONG, SHORT, BORROW, -1, marketToken=POOL)]})
    assert received_by.statements[0].rate == Decimal("0.234415323020867062")  # net = funding - borrowing
    assert received_by.statements[0].rate_short == Decimal("0.285795378003572023")


@pytest.mark.parametrize(("borrow", "sign"), [(0, 1), (BORROW, 2)])
def test_a_rate_whose_net_does_not_tell_who_pays_is_left_out(borrow: int, sign: int) -> None:
    found = read(endpoints.MARKETS_NOW, {"markets": [rates(LONG, SHORT, borrow, sign, marketToken=POOL)]})
    assert found.statements == []
    assert "do not show who pays" in str(found.errors[0])


def test_rates_of_the_past_are_of_a_second_and_both_sides_are_kept() -> None:
    long, short, borrow = -7 * 10**21, 8 * 10**21, 1_176_000_000_000_000_000_000
    snapshots = [rates(long, short, borrow, -1, timestamp=at) for at in (NOW_S // 3600 * 3600, 1_795_000_000)]
    other = {"marketAddress": "0x70d95587d40A2caf56bd97485aB3Eec10Bee6336", "ratesSnapshots": snapshots}
    found = read(
        endpoints.RATES,
        [other, {"marketAddress": POOL, "ratesSnapshots": snapshots}],
        period="7d",
        address=POOL,
    )
    funding, _, borrowing, _ = found.statements
    assert (funding.asset, funding.interval_s, funding.rate) == ("BTC", 28_800, Decimal("0.0002016"))
    assert funding.rate_short == Decimal("0.0002304")  # what shorts receive
    assert borrowing.bps_per_day == Decimal("1.016064")  # 1.176e-9 x 86,400 x 10,000
    assert found.keys[1] == "1795000000000"


@pytest.mark.parametrize("rate", ["a tenth", "0.5", "1E+99", [1]])
def test_a_row_whose_rate_is_no_integer_costs_no_other(rate: Any) -> None:
    good = rates(7, 8, 1_176_000, 1, timestamp=NOW_S)
    document = [{"marketAddress": POOL, "ratesSnapshots": [good, good | {"netRateLong": rate}, good]}]
    found = read(endpoints.RATES, document, period="7d", address=POOL)
    assert len(found.statements) == 4  # funding and borrowing of two
    assert ["row 2" in str(error) for error in found.errors] == [True]


def test_the_rates_of_a_range_are_asked_for_back_from_now() -> None:
    now = NOW // 10**6
    requested = [Range(now - int(days * DAY_MS), now - DAY_MS) for days in (0.9, 6.9, 7.0, 8.3, 300, 400)]
    found = [queries.rates(series("funding"), each).params["period"] for each in requested]
    assert found == ["1d", "7d", "30d", "30d", "1y", "total"]


def test_candles_reach_back_to_the_range_and_not_beyond_what_is_served() -> None:
    now = NOW // 10**6
    week = queries.candles(series("index", 3600), Range(now - 7 * DAY_MS, now))
    assert week.params == {"tokenSymbol": "BTC", "period": "1h", "limit": "170"}
    years = queries.candles(series("index", 3600), Range(now - 999 * DAY_MS, now))
    assert years.params["limit"] == "10000"


TICKER = {"tokenSymbol": "BTC", "minPrice": "840000000000000000000000000"}
TICKERS = [TICKER | {"maxPrice": "841000000000000000000000000"}]
HOUR = NOW_S // 3600 * 3600
CANDLES = [
    [HOUR, 84000.5, 84100, 83900.25, 84050],
    [HOUR - 3600, 84000, 84100, 83900, 84000.123456789],
]


def test_candles_are_of_the_index_and_the_running_one_is_marked() -> None:
    rows = GmxRows()
    assert list(rows.rows(received(endpoints.TICKERS, TICKERS))) == []
    running, ended = single_rows(
        rows.rows(received(endpoints.CANDLES, {"candles": CANDLES}, tokenSymbol="BTC", period="1h"))
    )
    assert (ended.market, ended.asset, ended.source) == (POOL, "BTC", "index")  # type: ignore[union-attr]
    assert Decimal(ended.close) == Decimal("84000.123456789")  # type: ignore[union-attr]
    assert (running.is_closed, ended.is_closed) == (False, True)  # type: ignore[union-attr]
    assert ended.volume is None  # type: ignore[union-attr]


@pytest.mark.parametrize("factor", [1, 10**8, 10**12])
def test_candles_whose_unit_the_ticker_does_not_show_are_left_out(factor: int) -> None:
    rows = GmxRows()
    if factor > 1:  # in another unit than the ticker; else without one
        list(rows.rows(received(endpoints.TICKERS, TICKERS)))
    sent = [[at, *(price * factor for price in prices)] for at, *prices in CANDLES]
    made = list(rows.rows(received(endpoints.CANDLES, {"candles": sent}, tokenSymbol="BTC", period="1h")))
    assert len(made) == 2
    assert all(isinstance(row, UnreadableRow) and row.reason == "unit_not_shown" for row in made)


def interest(**changed: str) -> dict[str, Any]:
    """2 and 1.5 BTC, entered at 80,000, at a price of 84,000."""
    return {
        "marketAddress": POOL, "snapshotTimestamp": HOUR,
        "longOpenInterestUsd": f"160000{0:030d}", "shortOpenInterestUsd": f"120000{0:030d}",
        "longOpenInterestInTokens": "200000000", "shortOpenInterestInTokens": "150000000",
        "indexTokenMinPrice": "840000000000000000000000000",
    } | changed  # fmt: skip


def test_open_interest_is_of_the_larger_side_and_both_are_kept() -> None:
    document = {"data": {"fundingBalanceOiSnapshots": [interest()]}}
    [row] = read(endpoints.INTEREST, document).statements
    assert (row.amount, row.amount_long, row.amount_short) == (2, 2, Decimal("1.5"))
    assert (row.amount_quote, row.event_time) == (160_000, HOUR * 10**9)
    assert "larger" in row.rule


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"longOpenInterestInTokens": "2000000000000000000"}, "are not 160000"),  # 18 decimals, not 8
        ({"longOpenInterestUsd": "160000"}, "are not 1.6"),
        ({name: "0" for name in interest() if "OpenInterest" in name}, "missing data"),
    ],
)
def test_open_interest_that_makes_no_sense_is_left_out(changed: dict[str, str], why: str) -> None:
    document = {"data": {"fundingBalanceOiSnapshots": [interest(**changed)]}}
    found = read(endpoints.INTEREST, document)
    assert found.statements == []
    assert why in str(found.errors[0])
    assert found.keys == [str(HOUR * 1000)]  # the page goes on behind it all the same


def test_a_pool_that_only_swaps_is_no_contract() -> None:
    row = {"name": "SWAP-ONLY [USDC-USDT]", "marketToken": "0x1", "indexToken": f"0x{0:040x}"}
    document = {"markets": [row | {"isListed": True, "listingDate": "2024-01-01T00:00:00.000Z"}]}
    assert read(endpoints.MARKETS, document).statements == []


def test_addresses_keep_their_case_in_filters() -> None:
    body = json.loads(queries.interest(series("open_interest"), Range(1, 3_600_999)).body or b"")
    assert body["variables"] == {"market": POOL, "from": 1, "to": 3600, "limit": 500}
    assert not POOL.islower()


def test_nothing_reads_another_route() -> None:
    with pytest.raises(ParseError):
        read(Endpoint("x", "https://arbitrum.gmxapi.io/v1/pairs", endpoints.OF_API), {})
