"""The index against a check vector, its wrong readings, and what must hold for any books."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from functools import partial
from statistics import mean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.times import SECOND
from marketarchive.venues.brti import (
    CONSTITUENTS,
    PARAMETERS,
    UNIT,
    ConstituentBook,
    Drop,
    IndexValue,
    Levels,
    RealTimeIndex,
    capped,
    mean_before,
    merged,
    mid_curve,
    near_levels,
    size_cap,
    uncrossed,
    units,
    weighted_mid,
)
from marketarchive.venues.exchange_books import MarketBook
from marketarchive.venues.market_messages import BookMessage

BTC = PARAMETERS["BTC"]
NOW = 1_000 * SECOND


def book(bids: str, asks: str, received_at: int = NOW) -> ConstituentBook:
    return ConstituentBook(levels(bids), levels(asks), received_at)


def levels(text: str) -> Levels:
    pairs = [level.split("/") for level in text.split()]
    return [(units(price), units(size)) for price, size in pairs]


CHECKED = {
    "a": book(
        "74500.00/0.5 74499.50/1.0 74499.00/1.5 74498.00/2.0 74497.00/3.0",
        "74500.50/0.8 74501.00/1.2 74501.50/1.0 74502.00/2.5 74503.00/3.0",
    ),
    "b": book(
        "74499.80/0.6 74499.30/1.1 74498.80/1.3 74497.80/1.8 74496.80/2.5",
        "74500.30/0.7 74500.80/1.0 74501.30/1.5 74502.30/2.0 74503.30/2.8",
    ),
}


def index(books: Mapping[str, ConstituentBook], asset: str = "BTC", needed: int = 2) -> IndexValue:
    return RealTimeIndex(PARAMETERS[asset], needed=needed).at(NOW, books)


# ---- the check vector ------------------------------------------------------------------------------------


def test_the_check_vector() -> None:
    found = index(CHECKED)
    assert found.unrounded == pytest.approx(74500.09760964, abs=1e-8)
    assert found.value == Decimal("74500.10")
    assert found.utilized_depth == 15
    assert found.venues == ("a", "b")


def variant(
    cap: float | None = None, deviation: str = "0.005", rate: Callable[[int], float] = lambda v: 1 / (0.3 * v)
) -> tuple[int, float]:
    bids, asks = merged(CHECKED.values())
    if cap is not None:
        bids, asks = capped(bids, units(cap)), capped(asks, units(cap))
    curve = mid_curve(*uncrossed(bids, asks), UNIT, Fraction(deviation))
    return len(curve), weighted_mid(curve, UNIT, rate(len(curve)))


@pytest.mark.parametrize(
    ("read", "depth", "value"),
    [
        (variant, 15, 74500.0976),
        (partial(variant, rate=lambda v: 10.3), 15, 74500.1500),
        (partial(variant, rate=lambda v: 1 / 0.37), 15, 74500.1500),
        (partial(variant, rate=lambda v: 1.0), 15, 74500.1485),
        (partial(variant, deviation="0.00003"), 8, 74500.1361),
        (partial(variant, cap=1.0), 9, 74500.1337),
    ],
    ids=["right", "lambda 10.3", "lambda 1/0.37", "lambda 1.0", "D 0.003 %", "cap 1.0"],
)
def test_misreadings_give_values_of_their_own(
    read: Callable[[], tuple[int, float]], depth: int, value: float
) -> None:
    found_depth, found = read()
    assert found_depth == depth
    assert found == pytest.approx(value, abs=5e-5)
    is_right = abs(found - (index(CHECKED).unrounded or 0)) < 0.001
    assert is_right is (depth == 15 and value == 74500.0976)


# ---- steps -----------------------------------------------------------------------------------------------


def test_the_cap_is_of_the_trimmed_sizes_near_the_best_price() -> None:
    """Of 200 sizes two are trimmed at either end; one that is more than 5 % away is not among them."""
    bids = [(units(1000), units(0.001)), *((units(1000 - step / 10), units(1)) for step in range(98))]
    bids += levels("950/10000 949.9/10000")
    asks = [(units(1001 + step / 10), units(3)) for step in range(100)]
    trimmed, winsorized = [1.0] * 97 + [3.0] * 99, [1.0] * 99 + [3.0] * 101
    expected = mean(trimmed) + 5 * stdev(winsorized)
    assert size_cap(bids, asks) / UNIT == pytest.approx(expected, abs=1e-6)


def test_the_cap_looks_further_where_few_sizes_are_near() -> None:
    near = levels("1000/1 999/1")
    far = [(units(900 - step), units(2)) for step in range(60)]
    asks = levels("1001/1 1002/1")
    sizes = [1.0] * 4 + [2.0] * 48  # the 50 best bids and both asks
    expected = mean(sizes) + 5 * stdev(sizes)
    assert size_cap([*near, *far], asks) / UNIT == pytest.approx(expected, abs=1e-6)


def test_each_level_of_a_venue_is_capped_by_itself() -> None:
    """Two venues at one price are two orders: capped after they are summed, one would be left."""
    bids, asks = merged([book("100/3", "101/3"), book("100/3", "101/3")])
    assert capped(bids, units(2)) == levels("100/2 100/2")
    assert capped(asks, units(2)) == levels("101/2 101/2")


def test_what_crosses_is_matched_best_against_best() -> None:
    bids, asks = uncrossed(levels("102/1 101/2 99/5"), levels("100/1.5 101/1 103/4"))
    assert (bids, asks) == (levels("101/0.5 99/5"), levels("103/4"))
    assert uncrossed(levels("102/1"), levels("100/2")) == ([], levels("100/1"))


def test_depth_moves_the_index_beyond_the_best_prices() -> None:
    """Where bids thin out and asks do not, the middle of what is deeper lies under the best bid."""
    one = book("100.00/1 99.50/99 99.00/1", "100.05/100")
    found = index({"a": one}, needed=1)
    assert found.unrounded is not None
    assert found.unrounded < 100


def test_a_giant_order_counts_as_one_of_the_cap() -> None:
    def with_wall(size: int) -> IndexValue:
        bids = [(units(1000 - step / 100), UNIT) for step in range(1, 60)]
        asks = [(units(1000 + step / 100), UNIT) for step in range(1, 60)]
        return index({"a": ConstituentBook([(units(1000), units(size)), *bids], asks, NOW)}, needed=1)

    assert with_wall(30) == with_wall(60) == with_wall(1)
    assert with_wall(30).size_cap == 1


def test_the_utilized_depth_is_at_least_one_step() -> None:
    """Also where the ask is further than D above the mid."""
    found = index({"a": book("100/5", "103/5"), "b": book("99/5", "104/5")})
    assert (found.value, found.utilized_depth) == (Decimal("101.50"), 1)


def test_a_side_that_does_not_reach_one_step_gives_no_value() -> None:
    shallow = {"a": book("100/0.3", "101/5"), "b": book("100/0.4", "101/5")}
    found = index(shallow)
    assert found.value is None
    assert found.unrounded is None


# ---- books that do not count -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (CHECKED["a"]._replace(received_at=NOW - 10 * SECOND - 1), "delayed"),
        (CHECKED["a"]._replace(asks=[]), "one_sided"),
        (CHECKED["a"]._replace(bids=[]), "one_sided"),
        (book("74500/1", "74500/1"), "crossed"),
        (book("74501/1", "74500/1"), "crossed"),
        (book("79000/9", "79001/9"), "deviating"),
        (book("70000/9", "70001/9"), "deviating"),
        (book("1/9", "2/9"), "deviating"),
    ],
)
@pytest.mark.parametrize("name", ["0", "c"])
def test_a_bad_book_changes_nothing_but_its_name(name: str, bad: ConstituentBook, why: Drop) -> None:
    assert index({**CHECKED, name: bad}) == index(CHECKED)._replace(dropped={name: why})


def test_a_book_of_ten_seconds_counts() -> None:
    old = {name: each._replace(received_at=NOW - 10 * SECOND) for name, each in CHECKED.items()}
    assert index(old) == index(CHECKED)


def test_too_few_books_give_no_value_and_never_the_last_one() -> None:
    made = RealTimeIndex(BTC)
    assert made.at(NOW, CHECKED).value is not None
    assert made.at(NOW + 10 * SECOND, CHECKED).value is not None
    late = made.at(NOW + 11 * SECOND, CHECKED)
    assert (late.value, late.unrounded, late.venues) == (None, None, ())
    assert dict(late.dropped) == {"a": "delayed", "b": "delayed"}
    one = made.at(NOW, {"a": CHECKED["a"]})
    assert (one.value, one.venues) == (None, ("a",))
    assert made.at(NOW, {}).value is None
    assert RealTimeIndex(BTC, needed=0).at(NOW, {}).value is None
    assert index({"a": CHECKED["a"]}, needed=1).value is not None


def test_of_two_that_contradict_each_other_none_is_right() -> None:
    found = index({"a": book("100/9", "101/9"), "b": book("110/9", "111/9")}, needed=1)
    assert (found.value, found.venues) == (None, ())


def test_a_dropped_book_comes_back_at_half_the_bound() -> None:
    made = RealTimeIndex(BTC)
    steady = {"a": book("1000/9", "1000.1/9"), "b": book("1000/9", "1000.1/9")}

    def used(price: float) -> tuple[str, ...]:
        return made.at(NOW, {**steady, "c": book(f"{price}/9", f"{price + 0.1}/9")}).venues

    assert used(1049) == ("a", "b", "c")
    assert used(1051) == ("a", "b")
    assert used(1040) == ("a", "b")
    assert used(1026) == ("a", "b")
    assert (
        made.at(NOW + 11 * SECOND, steady).venues == ()
    )  # what is not seen meanwhile is forgotten by nobody
    assert used(1026) == ("a", "b")
    assert used(1024) == ("a", "b", "c")
    assert used(1040) == ("a", "b", "c")


def test_of_two_the_one_that_was_dropped_before_is_wrong() -> None:
    made = RealTimeIndex(BTC, needed=1)
    books = {name: book("1000/9", "1000.1/9") for name in "ab"} | {"c": book("1100/9", "1100.1/9")}
    assert made.at(NOW, books).venues == ("a", "b")
    found = made.at(NOW, {name: books[name] for name in "ac"})
    assert (found.venues, found.dropped) == (("a",), {"c": "deviating"})
    assert found.value is not None


def test_contradiction_ends_when_the_books_agree_again() -> None:
    made = RealTimeIndex(BTC)
    first = book("1000/9", "1000.1/9")
    assert made.at(NOW, {"a": first, "b": book("1100/9", "1100.1/9")}).venues == ()
    assert made.at(NOW, {"a": first, "b": book("1030/9", "1030.1/9")}).venues == ()
    assert made.at(NOW, {"a": first, "b": book("1010/9", "1010.1/9")}).venues == ("a", "b")


# ---- properties ------------------------------------------------------------------------------------------


@st.composite
def any_books(draw: st.DrawFn, least: int = 2) -> dict[str, ConstituentBook]:
    """Books of two to five venues around 1000, crossing one another or not, never by 1 %."""
    found = {}
    for name in "abcde"[: draw(st.integers(least, 5))]:
        mid = draw(st.integers(99_700, 100_300))
        sides = []
        for sign in (-1, 1):
            steps = draw(st.lists(st.integers(1, 40), min_size=1, max_size=30))
            sizes = draw(st.lists(st.integers(1, 2_000), min_size=len(steps), max_size=len(steps)))
            places = [sum(steps[: place + 1]) for place in range(len(steps))]
            prices = [mid + sign * place for place in places]
            sides.append(
                [(units(price / 100), units(size / 100)) for price, size in zip(prices, sizes, strict=True)]
            )
        found[name] = ConstituentBook(sides[0], sides[1], NOW)
    return found


@given(any_books(), st.sampled_from([2, 7, 10, 1000]))
def test_scaled_prices_scale_the_index(books: dict[str, ConstituentBook], factor: int) -> None:
    def scaled(side: Levels) -> Levels:
        return [(price * factor, size) for price, size in side]

    found = index(books)
    other = index(
        {name: each._replace(bids=scaled(each.bids), asks=scaled(each.asks)) for name, each in books.items()}
    )
    if found.unrounded is None:
        assert other.unrounded is None
    else:
        assert other.unrounded == pytest.approx(found.unrounded * factor, rel=1e-12)
    assert (other.utilized_depth, other.size_cap) == (found.utilized_depth, found.size_cap)


@given(any_books(), st.randoms(use_true_random=False))
def test_the_order_of_venues_does_not_matter(books: dict[str, ConstituentBook], rng: random.Random) -> None:
    names = list(books)
    rng.shuffle(names)
    assert index({name: books[name] for name in names}) == index(books)


@given(any_books())
def test_the_index_lies_between_the_prices_of_the_utilized_depth(books: dict[str, ConstituentBook]) -> None:
    found = index(books)
    bids, asks = merged(books.values())
    cap = size_cap(bids, asks)
    bids, asks = uncrossed(capped(bids, cap), capped(asks, cap))
    assert not bids or not asks or bids[0][0] < asks[0][0]
    if found.unrounded is None:
        assert min(sum(size for _, size in side) for side in (bids, asks)) < UNIT
        return
    assert found.utilized_depth is not None

    def price_at(side: Levels, volume: float) -> float:
        reached = 0
        for price, size in side:
            reached += size
            if reached >= units(volume):
                return price / UNIT
        raise AssertionError("not so deep")

    lowest, highest = (price_at(side, found.utilized_depth) for side in (bids, asks))
    assert lowest - 1e-9 <= found.unrounded <= highest + 1e-9
    assert found.value == round(Decimal(found.unrounded), 2)


@given(any_books())
def test_a_far_book_changes_nothing(books: dict[str, ConstituentBook]) -> None:
    far = book("1200/50 1199/50", "1201/50 1202/50")
    found = index({**books, "z": far})
    assert found == index(books)._replace(dropped={"z": "deviating"})


# ---- live books, assets ----------------------------------------------------------------------------------


def test_a_live_book_gives_its_levels_within_reach() -> None:
    bids = [(f"{1000 - step}.0", "1.50") for step in range(400)]
    asks = [(f"{1001 + step}.0", "0.25") for step in range(400)]
    live = MarketBook(BookMessage("X", 1, bids, asks, is_snapshot=True), "ok")
    found = ConstituentBook.of(live.bids, live.asks, NOW)
    assert found.bids == levels(" ".join(f"{1000 - step}/1.5" for step in range(151)))
    assert found.asks == levels(" ".join(f"{1001 + step}/0.25" for step in range(151)))
    assert found.received_at == NOW


def test_a_live_book_of_few_levels_gives_the_fifty_best() -> None:
    bids = [(f"{1000 - 10 * step}", "1") for step in range(90)]
    live = MarketBook(BookMessage("X", 1, bids, [], is_snapshot=True), "ok")
    assert len(near_levels(live.bids)) == 50
    assert near_levels(live.asks) == []
    assert ConstituentBook.of(live.bids, live.asks, NOW).fault(NOW) == "one_sided"


def test_each_asset_has_its_parameters_and_constituents() -> None:
    assert PARAMETERS.keys() == CONSTITUENTS.keys()
    found = {
        asset: (each.spacing // UNIT, str(each.deviation * 100), str(each.erroneous * 100))
        for asset, each in PARAMETERS.items()
    }
    assert found == {
        "BTC": (1, "1/2", "5"),
        "ETH": (25, "1", "5"),
        "SOL": (100, "1", "5"),
        "XRP": (10_000, "1", "10"),
    }
    assert "gemini" not in CONSTITUENTS["XRP"]


def test_digits_are_rounded_off_only_where_that_is_published() -> None:
    books = {name: book("2.05123/90000", "2.05137/90000") for name in "ab"}
    assert index(books, "XRP").value == Decimal("2.0513")


# ---- means -----------------------------------------------------------------------------------------------


def test_means_before_a_close_differ_at_a_jump() -> None:
    """One counts the value at the close, the other the one 60 s before it."""
    close = 10_000
    values: dict[int, Decimal | None] = {second: Decimal(100) for second in range(close - 100, close)}
    values |= dict.fromkeys(range(close, close + 100), Decimal(160))
    assert mean_before(values, close, with_close=True) == 101
    assert mean_before(values, close, with_close=False) == 100
    assert mean_before(values, close + 60, with_close=False) == 160
    assert mean_before(values, close + 59, with_close=True) == 160
    assert mean_before(values, close + 59, with_close=False) == 159


@pytest.mark.parametrize("with_close", [True, False])
def test_a_mean_needs_every_value(with_close: bool) -> None:
    close = 10_000
    whole: dict[int, Decimal | None] = dict.fromkeys(range(close - 60, close + 1), Decimal("1.01"))
    assert mean_before(whole, close, with_close=with_close) == Decimal("1.01")
    assert mean_before({**whole, close - 30: None}, close, with_close=with_close) is None
    del whole[close if with_close else close - 60]
    assert mean_before(whole, close, with_close=with_close) is None
    assert mean_before(whole, close, with_close=not with_close) == Decimal("1.01")
