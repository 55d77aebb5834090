"""What tables of perpetuals come to, and the mistakes that are easily made on the way."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from marketarchive.research.engine import connect
from marketarchive.research.products.perps.columns import COLUMNS
from marketarchive.research.products.perps.convert import Window, rows_of
from marketarchive.research.tables.schemas import schema
from marketarchive.times import MICROSECOND, SECOND, from_iso
from marketarchive.venues.endpoint import Endpoint, Limit, Query
from marketarchive.venues.perps import PERIODS_S, Column, Perps, Route

H = 3600
DAY = from_iso("2026-11-02T00:00:00Z") // SECOND
WHERE = Endpoint("x", "https://example.org", Limit("x", 1))
CONTRACTS = {"X": "BTC", "Y": "GALA"}
SOURCES = {name: Column("source", "as it is") for name in ("mark", "index")}
IN_FORCE = Route("funding", lambda series, requested: Query(WHERE), "whole", is_in_force=True)
SAMPLED = {name: Column("substitute", "of samples", taken_as="samples") for name in ("mark", "index")}


class Tables:
    """The tables of a venue with the contracts X (of BTC) and Y (of GALA)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: dict[str, list[dict[str, Any]]] = {}

    def add(self, table: str, at_s: float, *, market: Any = "X", seen: Any = 1000, **row: Any) -> None:
        """Add a row of a moment, received `seen` hours after the beginning of the day."""
        received_at = DAY + seen * H
        stamps = {
            name: round(at * SECOND) // MICROSECOND
            for name, at in (("event_time", at_s), ("received_at", received_at))
        }
        self._rows.setdefault(table, []).append({"market": market, **stamps, **row})

    def settle(self, at_h: float, rate: str, **row: Any) -> None:
        self.add("fundings", DAY + at_h * H, kind="settled", rate=Decimal(rate), **row)

    def candle(self, source: str, at_h: float, hours: float, prices: str, **row: Any) -> None:
        names = dict(zip(("open", "high", "low", "close"), map(Decimal, prices.split()), strict=True))
        length = {"interval_s": int(hours * H), "is_closed": True}
        self.add("candles", DAY + at_h * H, source=source, **length, **names, **row)

    def unified(
        self,
        period: str = "8h",
        columns: Mapping[str, Column] = SOURCES,
        first: int = 0,
        last: int = 10**11,
        borrow: str | None = None,
        threads: int = 1,
        contracts: Mapping[str, str] = CONTRACTS,
        **declared: Any,
    ) -> list[dict[str, Any]]:
        files = {}
        for table, rows in self._rows.items():
            made = schema(table)
            path = self._folder / "venue=tulips/feed=perps/date=2026-11-02" / f"{table}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            whole = [{name: row.get(name) for name in made.names} for row in rows]
            pq.write_table(pa.Table.from_pylist(whole, schema=made), path)
            files[table] = [path]
        perps = Perps((), (), lambda _: (), "5", "2", "2026-11-21", columns, borrow_bps_per_day=borrow)
        perps = replace(perps, **declared)
        with closing(connect()) as connection:
            connection.execute(f"SET threads = {threads}")
            window = Window(PERIODS_S[period], first, last)
            found = rows_of(connection, "tulips", perps, contracts, files, window)
        assert found.column_names == list(COLUMNS)
        made_of: list[dict[str, Any]] = found.to_pylist()
        return made_of


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return Tables(tmp_path)


def by_hour(rows: list[dict[str, Any]], *names: str, market: str = "X") -> dict[float, Any]:
    """Hours since the beginning of the day -> values."""
    return {
        (row["timestamp"].timestamp() - DAY) / H: row[names[0]]
        if len(names) == 1
        else [row[n] for n in names]
        for row in rows
        if row["symbol"] == market
    }


def test_a_rate_of_an_hour_is_not_compared_with_one_of_eight(tables: Tables) -> None:
    for hour in (0, 8, 16):
        tables.settle(hour, "0.00002234")
    for hour in range(25):
        tables.settle(hour, "0.0000125", market="Y")
    rows = tables.unified()
    assert by_hour(rows, "funding_rate") == {8: 0.00002234, 16: 0.00002234}
    assert by_hour(rows, "funding_rate", "n_settlements", market="Y")[16] == [0.0001, 8]  # the ranking flips
    assert by_hour(rows, "funding_rate_30m", market="Y")[16] == 0.0001 / 16


def test_rows_shorter_than_the_interval_have_funding_where_it_is_settled(tables: Tables) -> None:
    for hour in (-8, 0, 8):
        tables.settle(hour, "0.0003")
    found = by_hour(tables.unified("1h"), "funding_rate", "n_settlements", "funding_interval_h")
    assert found[8] == [0.0003, 1, 8.0]
    assert found[7] == [None, 0, None]  # nothing was settled: no zero, and not carried


def test_an_interval_that_changes_within_a_day(tables: Tables) -> None:
    for hour in (-24, -16, -8, 0, 8):
        tables.settle(hour, "0.0008")
    for hour in range(9, 49):
        tables.settle(hour, "0.0001")
    rows = by_hour(tables.unified(), "funding_rate", "n_settlements", "funding_interval_h")
    assert rows[8] == [0.0008, 1, 8.0]
    assert rows[16] == [0.0008, 8, 1.0]
    days = by_hour(tables.unified("1d"), "funding_rate", "n_settlements")
    assert days[0] == [0.0008, 3]
    assert days[24] == [float(Decimal("0.0024") / 3), 17]
    assert days[48] == [float(Decimal("0.0024") / 3), 24]


def test_a_boundary_belongs_to_the_bar_that_ends_there(tables: Tables) -> None:
    for hour in range(0, 33, 8):
        tables.settle(hour, f"0.000{hour + 1:02}")
    days = by_hour(tables.unified("1d"), "n_settlements")
    assert days[24] == 3  # 8, 16 and 24; that of 0 is of the day before


def test_what_is_expected_is_not_settled(tables: Tables) -> None:
    for hour in (0, 8, 16):
        tables.settle(hour, "0.0001")
    for hour in range(24):
        tables.add("fundings", DAY + hour * H, kind="predicted", rate=Decimal("0.0009"))
    found = by_hour(tables.unified(), "funding_rate", "funding_kind", "n_settlements")
    assert found == {8: [0.0001, "settled", 1], 16: [0.0001, "settled", 1]}


def test_late_stamps_and_repeated_rows_count_once(tables: Tables) -> None:
    for seen in (1000, 1001):
        for hour, late in ((0, 0.0), (8, 0.005), (16, 3.9)):
            tables.settle(hour + late / H, "0.0001", seen=seen)
    assert by_hour(tables.unified(), "funding_rate", "n_settlements") == {
        8: [0.0001, 1], 16: [0.0001, 1],
    }  # fmt: skip


@pytest.mark.parametrize("missing", [1, 2, 3, 5])  # as if it were an interval of 2, 3, 4 or 6 hours
def test_a_period_with_a_hole_is_no_smaller_sum(tables: Tables, missing: int) -> None:
    for hour in (*range(10), *range(10 + missing, 25)):
        tables.settle(hour, "0.0001")
    found = by_hour(tables.unified(), "funding_rate", "n_settlements")
    assert found[8] == [0.0008, 8]
    assert found[16] == [None, 8 - missing]
    assert found[24] == [0.0008, 8]


EVERY_H = (8, 4, 2, 1)


@pytest.mark.parametrize("before", EVERY_H)
@pytest.mark.parametrize("after", EVERY_H)
def test_an_interval_that_changes_at_any_hour_costs_no_value(tables: Tables, before: int, after: int) -> None:
    contracts, settled = {}, {}
    for changed in range(41):
        market = f"M{changed}"
        contracts[market] = "BTC"
        hours = [hour for hour in range(73) if hour % (before if hour <= changed else after) == 0]
        settled[market] = hours
        for hour in hours:
            tables.settle(hour, f"0.00{hour + 1:03}", market=market)
    rows = tables.unified(contracts=contracts)
    hourly = tables.unified("1h", contracts=contracts)
    for market, hours in settled.items():
        apart = {hour: hour - last for last, hour in pairwise(hours)}
        of_periods = by_hour(rows, "funding_rate", "n_settlements", "funding_kind", market=market)
        assert list(of_periods) == list(range(8, 73, 8))  # nothing tells what the first is of
        for end, (rate, count, kind) in of_periods.items():
            within = [hour for hour in hours if end - 8 < hour <= end]
            assert count == len(within)
            if rate is None:  # one that came at an hour at which no interval ends
                assert kind is None
                assert any(apart[hour] not in EVERY_H and apart[hour] < before for hour in within)
            else:
                assert kind == "settled"
                assert rate == float(sum(Decimal(f"0.00{hour + 1:03}") for hour in within))
        of_hours = by_hour(hourly, "funding_rate", market=market)
        for hour in hours[1:]:
            if apart[hour] in EVERY_H:
                assert of_hours[hour] == float(Decimal(f"0.00{hour + 1:03}") * 8 / apart[hour])


@pytest.mark.parametrize(
    ("hours", "unknown"),
    [
        ([0, *range(8, 33)], set()),  # as long as it likes before the first
        ([*range(8, 33)], set()),  # of one hour, or of eight
        ([*range(9), 16, 24], {16, 24}),  # a hole or a change: what follows would tell
        ([*range(9), 16, 24, 32], set()),
        ([*range(9), 16, 24, 25, 26, 27, 28, 29, 30, 31, 32], {16, 24}),  # neither is one that stays
        ([*range(15), 16], {16}),
        ([*range(14), 16], {16}),
        ([hour for hour in range(33) if hour not in (11, 13)], {16}),
        ([hour for hour in range(33) if hour not in (11, 14)], {16}),
        ([hour for hour in range(33) if hour not in (15, 17)], {16, 24}),
        ([hour for hour in range(19) if hour not in (15, 17)], {16, 24}),
        ([*range(9), 12, 16, 20, *range(21, 33)], set()),  # three alike are an interval
    ],
)
def test_what_may_be_a_hole_is_no_interval(tables: Tables, hours: list[int], unknown: set[int]) -> None:
    for hour in hours:
        tables.settle(hour, "0.0001")
    last = -(-hours[-1] // 8) * 8
    found = by_hour(tables.unified(), "funding_rate", "funding_kind", "n_settlements")
    assert {hour for hour, (rate, _, _) in found.items() if rate is None} == unknown
    assert list(found) == list(range(hours[0] + 8, last + 1, 8))  # nothing tells what the first is of
    for end in found:
        rate, kind, count = found[end]
        assert count == sum(end - 8 < hour <= end for hour in hours)
        assert (rate, kind) == (
            (None, None) if end in unknown else (float(count * Decimal("0.0001")), "settled")
        )


def test_the_interval_of_a_single_settlement_is_what_the_venue_lists(tables: Tables) -> None:
    for market in ("X", "Y"):
        tables.settle(8, "0.0001", market=market)
    assert by_hour(tables.unified("1h"), "funding_rate", "funding_interval_h") == {8: [None, None]}
    tables.add("instruments", DAY, market="Y", status="", funding_interval_s=4 * H)
    rows = tables.unified("1h", unlisted_every_s=8 * H)
    assert by_hour(rows, "funding_rate", "funding_interval_h") == {8: [0.0001, 8.0]}
    assert by_hour(rows, "funding_rate", "funding_interval_h", market="Y") == {8: [0.0002, 4.0]}


def test_a_settlement_that_is_late_is_that_of_its_hour(tables: Tables) -> None:
    for hour in range(1, 25):
        tables.settle(
            hour + (100 if hour == 8 else 0.2) / H, "0.0001", interval_s=H, index_price=Decimal(hour)
        )
    found = by_hour(tables.unified(columns=SAMPLED), "funding_rate", "n_settlements", "index_source")
    assert found == {hour: [0.0008, 8, "8 samples"] for hour in (8, 16, 24)}


def test_more_than_what_is_due_in_a_period_is_no_sum(tables: Tables) -> None:
    for hour in (*range(1, 25), 12.7):
        tables.settle(hour, "0.0001", interval_s=H)
    found = by_hour(tables.unified(), "funding_rate", "n_settlements")
    assert found == {8: [0.0008, 8], 16: [None, 9], 24: [0.0008, 8]}


def test_a_contract_that_ended_has_no_row_after_its_end(tables: Tables) -> None:
    for hour in (0, 8, 16):
        tables.settle(hour, "-0.0002")
    ended = (DAY + 16 * H) * 10**6
    tables.add("instruments", DAY, status="SETTLING", delisted_at=ended)
    for hour in range(0, 48, 8):
        tables.add("open_interest", DAY + hour * H, amount=Decimal(5), rule="one side")
        tables.candle("mark", hour, 8, "1 1 1 1")  # flat ones that a venue goes on to send
    found = by_hour(tables.unified(), "funding_rate", "listed_to")
    assert max(found) == 16
    assert found[16][0] == -0.0002
    assert found[16][1].timestamp() == DAY + 16 * H


def test_a_candle_at_a_time_is_the_one_that_ended_then(tables: Tables) -> None:
    tables.candle("mark", 0, 4, "100 109 99 101")
    tables.candle("mark", 4, 4, "101 105 90 104")
    tables.candle("mark", 8, 4, "104 120 104 119")
    found = by_hour(tables.unified(), "mark_o", "mark_h", "mark_l", "mark_c", "mark_source")
    assert found == {8: [100.0, 109.0, 90.0, 104.0, "candles"]}  # the next one is half there: no row of it


def test_a_candle_that_runs_or_is_missing_is_no_zero(tables: Tables) -> None:
    for hour in range(8):
        volume = {"volume": Decimal(2), "volume_quote": Decimal(200)}
        tables.candle("trade", hour, 1, "1 1 1 1", **volume)
        if hour != 5:
            tables.candle("trade", hour + 8, 1, "1 1 1 1", **volume)
        tables.settle(hour + 1, "0")
        tables.settle(hour + 9, "0")
    found = by_hour(tables.unified(), "volume", "volume_quote")
    assert found == {8: [16.0, 1600.0], 16: [None, None]}


def test_the_longest_candles_that_fill_a_period_are_taken(tables: Tables) -> None:
    tables.candle("index", 0, 8, "10 13 9 12")
    for hour in range(8):
        tables.candle("index", hour, 1, "1 1 1 1")
        tables.candle("index", hour + 8, 1, "2 2 2 2")
    found = by_hour(tables.unified(), "index_o", "index_h")
    assert found == {8: [10.0, 13.0], 16: [2.0, 2.0]}


def test_open_interest_of_two_sides(tables: Tables) -> None:
    sides = {"amount_long": Decimal(3650000), "amount_short": Decimal(3640000)}
    tables.add("open_interest", DAY + 8 * H, amount=Decimal(3650000), rule="the larger side", **sides)
    found = by_hour(
        tables.unified(), "open_interest", "open_interest_long", "open_interest_short", "open_interest_rule"
    )
    assert found[8] == [3650000.0, 3650000.0, 3640000.0, "the larger side"]


def test_open_interest_is_the_newest_of_its_period(tables: Tables) -> None:
    for hour, amount in ((4, 1), (8, 2), (9, 3), (24, 4)):
        tables.add("open_interest", DAY + hour * H, amount=Decimal(amount), rule="one side")
    assert by_hour(tables.unified(), "open_interest") == {8: 2.0, 16: 3.0, 24: 4.0}
    tables.settle(40, "0.1")
    assert by_hour(tables.unified(), "open_interest")[40] is None  # what is older is not carried


def test_a_continuous_rate_counts_up_to_the_time_and_no_further(tables: Tables) -> None:
    for hour in range(17):
        rate = Decimal("0.00001") if hour < 4 else Decimal("0.00003")
        tables.add("fundings", DAY + hour * H, kind="continuous", rate=rate, rate_short=-rate, interval_s=H)
    names = ("funding_rate", "funding_rate_short", "funding_kind", "n_settlements")
    found = by_hour(tables.unified(routes=(IN_FORCE,)), *names)
    assert found[8][0] == pytest.approx(4 * 0.00001 + 4 * 0.00003, rel=1e-12)
    assert found[8][1] == pytest.approx(-found[8][0], rel=1e-12)
    assert found[8][2:] == ["continuous", None]
    assert found[16][0] == pytest.approx(8 * 0.00003, rel=1e-12)
    assert 24 not in found  # of which only the beginning is known


def test_a_continuous_venue_has_no_settlements_where_its_rate_is_not_wholly_known(tables: Tables) -> None:
    for hour in (*range(10), 13, 14, 15, 16):
        tables.add("fundings", DAY + hour * H, kind="continuous", rate=Decimal("0.00001"), interval_s=H)
    for market in ("X", "Y"):
        tables.add("open_interest", DAY + 16 * H, market=market, amount=Decimal(5), rule="one side")
    rows = tables.unified(routes=(IN_FORCE,))
    names = ("funding_rate", "funding_kind", "n_settlements", "open_interest")
    assert by_hour(rows, *names)[16] == [None, None, None, 5.0]
    assert by_hour(rows, *names, market="Y")[16] == [None, None, None, 5.0]


def test_what_a_crawl_of_the_past_is_told_of_the_present_makes_no_row(tables: Tables) -> None:
    def tick(run: str, at_h: float) -> None:
        moment = {"seen": at_h, "run": run}
        price = {"kind": "predicted", "rate": Decimal(0), "index_price": Decimal(at_h)}
        tables.add("fundings", DAY + at_h * H, **moment, **price)
        tables.add("open_interest", DAY + at_h * H, amount=Decimal(at_h), rule="now", **moment)

    for hour in range(1, 17):
        price = {"interval_s": H, "index_price": Decimal(hour)}
        tables.settle(hour, "0.0001", seen=15.5, run="past", **price)
    tick("past", 15.5)
    names = ("index_source", "index_c", "open_interest")
    found = by_hour(tables.unified(columns=SAMPLED), *names)
    assert found == {8: ["8 samples", 8.0, None]}  # the period that ends at 16 has not ended
    tick("past", 500)
    found = by_hour(tables.unified(columns=SAMPLED), *names)
    assert found == {8: ["8 samples", 8.0, None], 16: ["8 samples", 16.0, None]}
    for hour in (25, 26, 34):
        tick("present", hour)
    found = by_hour(tables.unified(columns=SAMPLED), *names)
    assert found[24] == [None, None, None]
    assert found[32] == ["2 samples", 26.0, 26.0]
    assert list(found) == [8, 16, 24, 32, 40]


def test_the_present_has_rows_of_periods_that_ended(tables: Tables) -> None:
    for hour in (1, 9, 17, 23):
        moment = {"seen": hour, "run": "present"}
        tables.add("open_interest", DAY + hour * H, amount=Decimal(hour), rule="now", **moment)
    assert by_hour(tables.unified(), "open_interest") == {8: 1.0, 16: 9.0}


def test_price_and_open_interest_of_a_moment_are_in_one_row(tables: Tables) -> None:
    for hour in (7.5, 8, 8.5):
        at_s = DAY + hour * H + 0.2
        tables.add("fundings", at_s, kind="predicted", rate=Decimal(0), mark_price=Decimal(hour))
        tables.add("open_interest", at_s, amount=Decimal(hour), rule="now")
    found = by_hour(tables.unified("30m", SAMPLED), "mark_c", "mark_source", "open_interest")
    assert found == {hour + 0.5: [hour, "1 samples", hour] for hour in (7.5, 8, 8.5)}


def test_prices_of_a_venue_without_candles_are_samples_and_say_so(tables: Tables) -> None:
    for hour, price in ((1, 10), (2, 30), (8, 20)):
        tables.add(
            "fundings", DAY + hour * H, kind="predicted", rate=Decimal(0), mark_price=Decimal(price),
            index_price=Decimal(price),
        )  # fmt: skip
    found = by_hour(tables.unified(columns=SAMPLED), "mark_o", "mark_h", "mark_l", "mark_c", "mark_source")
    assert found[8] == [10.0, 30.0, 10.0, 20.0, "3 samples"]
    assert tables.unified() == []  # where candles are its source they are no substitute


def test_a_price_at_a_late_settlement_is_of_the_period_that_it_ends(tables: Tables) -> None:
    for hour in range(1, 10):
        for seen in (1000, 1001):  # archived twice
            tables.settle(hour + 1.2 / H, "0.0001", index_price=Decimal(hour), interval_s=H, seen=seen)
    found = by_hour(
        tables.unified(columns=SAMPLED), "index_o", "index_h", "index_l", "index_c", "index_source"
    )
    assert found[8] == [1.0, 8.0, 1.0, 8.0, "8 samples"]
    assert found[16][4] == "1 samples"


def test_a_substitute_that_is_known_at_beginning_and_end_only_is_named(tables: Tables) -> None:
    for hour, (first, last) in ((0, ("10", "30")), (4, ("30", "20"))):
        prices = {"open": Decimal(first), "close": Decimal(last)}
        length = {"interval_s": 4 * H, "is_closed": True}
        tables.add("candles", DAY + hour * H, source="mark", **length, **prices)
    columns = {"mark": Column("substitute", "middle of the book", "book mid")}
    found = by_hour(tables.unified(columns=columns), "mark_o", "mark_h", "mark_l", "mark_c", "mark_source")
    assert found == {8: [10.0, None, None, 20.0, "book mid"]}


def test_a_venue_without_fees_for_borrowing_says_zero_and_others_nothing(tables: Tables) -> None:
    tables.settle(8, "0.0001")
    assert by_hour(tables.unified(), "borrow_bps_per_day") == {8: None}
    assert by_hour(tables.unified(borrow="0"), "borrow_bps_per_day") == {8: 0.0}


def test_the_cost_of_a_loan_is_of_its_own_period(tables: Tables) -> None:
    for hour in (0, 8, 16):
        tables.settle(hour, "0.0001")
    tables.add("borrow_rates", DAY + 7 * H, market="", asset="BTC", symbol="BTC", bps_per_day=Decimal("0.12"))
    assert by_hour(tables.unified(), "borrow_bps_per_day") == {8: 0.12, 16: None}


def test_rows_of_the_time_asked_for(tables: Tables) -> None:
    for hour in range(0, 49, 8):
        tables.settle(hour, "0.0001")
    rows = tables.unified(first=DAY + 8 * H, last=DAY + 24 * H)
    assert list(by_hour(rows, "asset")) == [8, 16, 24]
    assert {(row["sector"], row["fees_taker_bps_perp"]) for row in rows} == {("MAJORS", 5.0)}


def test_a_price_of_many_digits_is_the_nearest_double(tables: Tables) -> None:
    text = "76993.729565220000000001"
    tables.candle("mark", 0, 8, " ".join([text[:-3]] * 4))
    assert by_hour(tables.unified(), "mark_c") == {8: float(text[:-3])}


def test_rates_in_force_are_summed_in_order_of_time_by_any_number_of_threads(tables: Tables) -> None:
    minutes = range(8 * 24 * 60 + 1)
    rates = [Decimal((minute * 2_654_435_761 + 7) % 10**15) / 10**18 for minute in minutes]
    for minute, rate in zip(minutes, rates, strict=True):
        tables.add("fundings", DAY + minute * 60, kind="continuous", rate=rate, interval_s=8 * H)
    expected = []
    for first in range(0, len(rates) - 1, 24 * 60):
        total = 0.0
        for rate in rates[first : first + 24 * 60]:
            total += float(rate) / (8 * H) * 60
        expected.append(total / (24 * H) * (8 * H))
    for threads in (1, 2, 8):
        rows = tables.unified("1d", threads=threads)
        assert [row["funding_rate"] for row in rows][: len(expected)] == expected


@pytest.mark.parametrize("price", ["76993.729565220000000001", "9" * 20 + ".123456789012345678", "0", None])
def test_open_interest_in_dollars_is_the_nearest_double_of_the_product(
    tables: Tables, price: str | None
) -> None:
    amount, stated = "12345678901.234567890123456789", "0.123456789123456789"
    if price is not None:
        for hour in (0, 8):
            tables.candle("mark", hour, 8, " ".join([price] * 4))
    tables.add("open_interest", DAY + 8 * H, amount=Decimal(amount))
    tables.add("open_interest", DAY + 16 * H, amount=Decimal(amount), amount_quote=Decimal(stated))
    columns = SOURCES | {"open_interest_usd": Column("substitute", "the amount times the mark price")}
    expected = None if price is None else float(Fraction(amount) * Fraction(price))
    assert by_hour(tables.unified(columns=columns), "open_interest_usd") == {8: expected, 16: float(stated)}


@pytest.mark.parametrize("rate", ["0.000123456789012345", "-99999999999999999999.999999999999999999"])
@pytest.mark.parametrize(("period", "hours"), [("1h", 1), ("8h", 7), ("1d", 24)])
def test_funding_of_eight_hours_is_the_nearest_double(
    tables: Tables, rate: str, period: str, hours: int
) -> None:
    tables.settle(24, rate, interval_s=hours * H)
    longest = max(PERIODS_S[period], hours * H)
    expected = float(Fraction(rate) * 8 * H / longest) if hours * H >= PERIODS_S[period] else None
    assert by_hour(tables.unified(period), "funding_rate") == {24: expected}
