"""Paging through the past of perpetuals, and what their parse functions share."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.exceptions import CursorError
from marketarchive.venues import venues
from marketarchive.venues.endpoint import Endpoint, Limit, Query
from marketarchive.venues.perp_files import day
from marketarchive.venues.perp_rows import BadRowError, Contract, milliseconds, number, page
from marketarchive.venues.perps import PERIODS_S, Direction, Range, Route, Series, following, sectors
from marketarchive.venues.symbols import symbols

HOUR = 3_600_000
ENDPOINT = Endpoint("x", "https://example.org", Limit("x", 1))


class Listed:
    """A route that lists events of a range in pages of some size."""

    def __init__(self, times: list[int], size: int, direction: Direction) -> None:
        self._times, self._size, self._direction = sorted(times), size, direction
        self.requests = 0

    def page(self, requested: Range) -> list[int]:
        self.requests += 1
        found = [at for at in self._times if requested.first <= at <= requested.last]
        return found[: self._size] if self._direction == "forward" else found[-self._size :][::-1]


def walked(listed: Listed, direction: Direction, requested: Range) -> list[int]:
    found: list[int] = []
    left: Range | None = requested
    while left is not None:
        times = listed.page(left)
        found += times
        left = following(direction, left, times)
    return found


@given(
    before=st.sampled_from([8, 4, 2, 1]),
    after=st.sampled_from([8, 4, 2, 1]),
    changed=st.integers(0, 30),
    length=st.integers(1, 60),
    jitter=st.lists(st.integers(0, 300), min_size=60, max_size=60),
    size=st.integers(1, 70),
    margins=st.tuples(st.integers(0, 20), st.integers(0, 20)),
    direction=st.sampled_from(["forward", "backward"]),
)
def test_no_row_is_lost_where_the_interval_changes_in_mid_range(
    before: int,
    after: int,
    changed: int,
    length: int,
    jitter: list[int],
    size: int,
    margins: tuple[int, int],
    direction: Direction,
) -> None:
    hours = [hour for hour in range(length) if hour % (before if hour <= changed else after) == 0]
    times = [hour * HOUR + jitter[hour] for hour in hours]
    requested = Range(margins[0] * HOUR, length * HOUR - margins[1] * HOUR)
    listed = Listed(times, size, direction)
    due = [at for at in times if requested.first <= at <= requested.last]
    assert sorted(walked(listed, direction, requested)) == due
    assert listed.requests <= -(-len(due) // size) + 1


def test_days_are_asked_for_one_by_one() -> None:
    daily = Route("funding", lambda series, requested: Query(ENDPOINT), "whole", file=day)
    series = Series("BTC", {"symbol": "BTC"}, "funding")
    assert list(daily.windows(series, Range(23 * HOUR, 49 * HOUR))) == [
        Range(48 * HOUR, 49 * HOUR),
        Range(24 * HOUR, 48 * HOUR - 1),
        Range(23 * HOUR, 24 * HOUR - 1),
    ]


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_page_that_is_shorter_than_others_is_not_the_last(direction: Direction) -> None:
    sizes = iter([400, 100, 3, 100, 400, 400])
    times = [hour * HOUR for hour in range(700)]
    left: Range | None = Range(0, 700 * HOUR)
    found: list[int] = []
    while left is not None:
        came = Listed(times, next(sizes), direction).page(left)
        found += came
        left = following(direction, left, came)
    assert sorted(found) == times


@pytest.mark.parametrize(("direction", "times"), [("forward", [5, 9]), ("backward", [21, 30])])
def test_a_venue_that_ignores_the_range_does_not_hold_us_for_ever(
    direction: Direction, times: list[int]
) -> None:
    with pytest.raises(CursorError, match="holds nothing of it"):
        following(direction, Range(10, 20), times)


def test_a_series_of_steps_may_have_nothing_in_a_range() -> None:
    hourly = Series("BTC", {"symbol": "BTC"}, "open_interest", 3600)
    assert hourly.is_in(Range(1, HOUR))
    assert not hourly.is_in(Range(1, HOUR - 1))
    assert hourly._replace(step_s=0).is_in(Range(1, 2))


class Sent(msgspec.Struct):
    at: int | str
    value: str


def test_a_bad_row_costs_itself_alone_and_its_time_still_counts() -> None:
    sent = [b'{"at":1789430400000,"value":"1"}', b'{"at":"1789430500","value":"NaN"}', b'{"at":7}', b"[]"]
    raw = msgspec.json.decode(b"[" + b",".join(sent) + b"]", type=list[msgspec.Raw])
    parsed = page("fundings", raw, Sent, lambda row: row.at, lambda row: [number(row.value)])  # type: ignore[list-item]
    assert parsed.statements == [Decimal(1)]
    assert parsed.keys == ["1789430400000", "1789430500000"]
    assert [error.item for error in parsed.errors] == ["fundings"] * 3


@pytest.mark.parametrize(
    ("written", "expected"),
    [(1789458600, 1789458600000), ("1789458600000", 1789458600000), ("1597026383085", 1597026383085)],
)
def test_times_of_ten_and_thirteen_digits(written: int | str, expected: int) -> None:
    assert milliseconds(written) == expected


@pytest.mark.parametrize("written", ["", "soon", "0", -5])
def test_what_is_no_time(written: int | str) -> None:
    with pytest.raises(BadRowError):
        milliseconds(written)


def test_a_contract_of_a_thousand_is_turned_into_base_units() -> None:
    contract = Contract("PEPE", Decimal(1000))
    assert contract.amount("8312.5") == Decimal(8312500)
    assert contract.price("0.00712340") == Decimal("0.0000071234")
    assert contract.amount("2") * contract.price("3") == 6  # the value stays


def test_the_eleven_assets_have_a_sector() -> None:
    assert sectors() == {
        "BTC": "MAJORS", "ETH": "MAJORS", "AAVE": "DEFI", "UNI": "DEFI", "COMP": "DEFI", "CRV": "DEFI",
        "OP": "L2", "ARB": "L2", "GALA": "GAMING", "IMX": "GAMING", "DOGE": "MEME",
    }  # fmt: skip


PERPS = {name: venue.perps for name, venue in venues().items() if venue.perps is not None}


@pytest.mark.parametrize("name", PERPS)
def test_what_a_venue_declares_is_whole(name: str) -> None:
    declared = PERPS[name]
    columns = {"symbol", "multiplier", "contract_size", "quote", "listed_from", "listed_to"}
    for row in symbols(name).values():
        assert columns <= row.keys()
        assert Decimal(row["multiplier"]) > 0
    for route in declared.routes:
        for period_s in PERIODS_S.values():
            step_s = route.step_of(period_s)
            assert not step_s or period_s % step_s == 0
        series = Series("BTC", symbols(name)["BTC"], route.kind, route.step_of(3600))
        query = route.page(series, Range(1_789_430_400_000, 1_789_516_800_000))
        assert query.url.startswith("https://")
        assert query.cost <= query.endpoint.limit.amount / 10
    assert {"funding_rate", "mark", "index", "open_interest", "volume", "borrow_bps_per_day"} <= set(
        declared.columns
    )
    assert all(column.how for column in declared.columns.values())
    probe = venues()[name].probe
    assert probe is not None
    assert probe.checks
