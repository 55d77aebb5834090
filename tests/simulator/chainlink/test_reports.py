"""Reports come as they were recorded and say what is true in the world."""

from __future__ import annotations

import statistics
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.simulator.chainlink.reports import LAG_NS, decimal, stamp
from marketarchive.simulator.chainlink.streams import BY_SLUG, STREAMS, Stream
from marketarchive.simulator.prices import E18
from marketarchive.times import SECOND
from tests.simulator.chainlink.requesting import SPOT, TWAP, pages
from tests.simulator.requesting import NOW, SECONDS, venue

PRICES = venue().world.prices
moments = st.integers(1_700_000_000, 1_900_000_000)
streams = st.sampled_from(STREAMS)


def test_spot_reports_come_at_an_irregular_place_in_the_second() -> None:
    found = list(pages().reports.observed(BY_SLUG[SPOT], NOW, NOW + 1000 * SECOND))
    gaps = [(after.observed_us - before.observed_us) / 1e6 for before, after in pairwise(found)]
    assert statistics.mean(gaps) == pytest.approx(1.056, abs=0.002)
    assert 0.5 < min(gaps) < 0.65
    assert 1.5 < max(gaps) < 1.65
    assert sum(report.observed_us % 10**6 == 0 for report in found) < 3
    empty = 1000 - len({report.observed_us // 10**6 for report in found})
    assert 20 < empty < 200  # of 1000 seconds


@given(stream=streams.filter(lambda stream: stream.window_s > 0), second=moments)
def test_averages_stand_at_each_whole_second(stream: Stream, second: int) -> None:
    (report,) = pages().reports.observed(stream, second * SECOND, (second + 1) * SECOND)
    assert report.observed_us == second * 10**6
    assert report.mid == PRICES.twap(stream.asset, second, stream.window_s)


@given(asset=st.sampled_from(["BTC", "XRP"]), second=moments, rest=st.integers(0, 10**6 - 1))
def test_between_two_seconds_a_price_lies_between_theirs(asset: str, second: int, rest: int) -> None:
    stream = BY_SLUG[f"{asset.lower()}-usd"]
    before, after = PRICES.spot(asset, second), PRICES.spot(asset, second + 1)
    assert pages().reports.value(stream, second * 10**6) == before
    assert min(before, after) <= pages().reports.value(stream, second * 10**6 + rest) <= max(before, after)


@given(stream=streams, second=moments)
def test_the_price_lies_between_bid_and_ask_but_not_in_their_middle(stream: Stream, second: int) -> None:
    for report in pages().reports.observed(stream, second * SECOND, (second + 5) * SECOND):
        assert 0 < report.bid <= report.mid <= report.ask
        assert report.mid == pages().reports.value(stream, report.observed_us)
        assert (report.ask - report.bid) / report.mid < 8e-5


def test_the_spread_is_about_the_recorded_one() -> None:
    found = list(pages().reports.observed(BY_SLUG[SPOT], NOW, NOW + 300 * SECOND))
    spreads = [(report.ask - report.bid) / report.mid * 68_287 for report in found]
    assert 2.0 < statistics.median(spreads) < 4.0
    assert sum(2 * report.mid == report.bid + report.ask for report in found) == 0


@given(stream=streams, second=moments)
def test_what_is_told_was_observed_before_and_stays_told(stream: Stream, second: int) -> None:
    reports = pages().reports
    now, later = second * SECOND, (second + 3) * SECOND
    told = reports.published(stream, now, 60)
    assert all(report.observed_us * 1000 < report.published_ns <= now for report in told)
    assert told == sorted(told, key=lambda report: report.observed_us)
    assert now - told[-1].observed_us * 1000 < LAG_NS + 2 * SECOND
    seen_later = reports.published(stream, later, 60)
    assert seen_later[0].observed_us > told[0].observed_us
    assert set(told[5:]) <= set(seen_later)
    assert seen_later[-1].observed_us > told[-1].observed_us


def test_asked_in_any_order_a_report_is_the_same() -> None:
    stream = BY_SLUG[TWAP]
    late_first = [pages(3).reports.make(stream, SECONDS + 9 - step) for step in range(10)]
    assert late_first[::-1] == [pages(3).reports.make(stream, SECONDS + step) for step in range(10)]
    assert pages(3).reports.make(stream, SECONDS) != pages().reports.make(stream, SECONDS)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (80_108_829_825 * 10**12, "80108.829825"),
        (91_363_170_000 * 10**12, "91363.17"),
        (120 * E18, "120"),
        (E18 + 1, "1.000000000000000001"),
    ],
)
def test_how_values_are_written(value: int, text: str) -> None:
    assert decimal(value) == text


def test_how_times_are_written() -> None:
    (average,) = pages().reports.observed(BY_SLUG[TWAP], NOW, NOW + SECOND)
    assert stamp(average) == "2026-11-21T10:01:40+00:00"
    spot = next(pages().reports.observed(BY_SLUG[SPOT], NOW, NOW + 3 * SECOND))
    assert stamp(spot).endswith(f".{spot.observed_us % 10**6:06d}+00:00")
