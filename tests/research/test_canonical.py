"""What the canonical dataset says of a second depends on nothing that came after it."""

from __future__ import annotations

import dataclasses
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive import Archive
from marketarchive.research.engine import connect
from marketarchive.research.labels import label_files
from marketarchive.research.labels.label import Label
from marketarchive.research.products.updown.canonical.columns import CLOCKS, COLUMNS, HINDSIGHT, Clock
from marketarchive.research.products.updown.canonical.dataset import canonical, stored_files
from marketarchive.research.products.updown.canonical.grid import Grid, Inputs
from marketarchive.research.products.updown.canonical.inputs import nothing_covered, rounds, seen
from marketarchive.research.products.updown.canonical.reading import PRICES, TOPS
from marketarchive.research.products.updown.canonical.received import ReceivedColumns
from marketarchive.research.products.updown.canonical.references import nothing
from marketarchive.times import iso
from tests.properties import examples
from tests.research.streaming import Socket, record

START = 1_785_000_000
SECONDS = 12
CARRY = 4
TOKENS = {"btc-round": {"Up": "a", "Down": "b"}}
US = 1_000_000


def label(received_s: float | None) -> Label:
    return Label(
        market_id="btc-round",
        condition_id="0x1",
        asset="BTC",
        duration="5m",
        start_ns=START * 10**9,
        end_ns=(START + SECONDS) * 10**9,
        strike=None,
        settlement=None,
        strike_e18=None,
        settlement_e18=None,
        resolved_outcome="Up",
        computed_outcome=None,
        outcome_match=None,
        strike_source=None,
        settlement_source=None,
        strike_received_at_ns=None if received_s is None else round((START + received_s) * 10**9),
        rule="chainlink spot",
        verdict="not_provable",
        reason="",
    )


def build(
    prices: list[tuple[Any, ...]],
    tops: list[tuple[Any, ...]],
    clock: Clock,
    known_s: float | None = 0.0,
    holes: tuple[tuple[float, float], ...] = (),
    known_books: tuple[tuple[int, int], ...] = (),
) -> list[dict[str, Any]]:
    """Times in seconds after the start; prices (event, received, value, bid), tops (0 Up or 1 Down, event,
    received, bid, is_proof).
    """
    given_rounds = rounds([label(known_s)], TOKENS)
    known = pa.array([None if known_s is None else us(known_s)], pa.int64())
    for name, values in (("strike", pa.array([100.0])), ("strike_received_us", known)):
        place = given_rounds.schema.get_field_index(name)
        given_rounds = given_rounds.set_column(place, name, values)
    of_prices = [
        {"event_us": us(event), "received_us": us(received), "value": value}
        | ({"source": 1} if bid is None else {"bid": bid, "ask": bid})
        for event, received, value, bid in prices
    ]
    of_tops = [
        {"token": 1 - token, "event_us": us(event), "received_us": us(received), "seq": number}
        | {"bid": bid, "ask": bid + 0.01, "is_proof": is_proof}
        for number, (token, event, received, bid, is_proof) in enumerate(tops)
    ]
    given_prices = ReceivedColumns(columns(of_prices, PRICES), ["page", "rtds"])
    given_tops = ReceivedColumns(columns(of_tops, TOPS), ["books"])
    of_holes: dict[str, list[Any]] = {"market_no": [0] * len(holes), "stream": ["pm"] * len(holes)}
    for name, times in zip(("from_us", "to_us"), zip(*holes, strict=True), strict=False):
        of_holes[name] = [us(each) for each in times]
    kinds = {"market_no": pa.int64(), "stream": pa.string(), "from_us": pa.int64(), "to_us": pa.int64()}
    none = pa.schema(list(kinds.items())).empty_table()
    spans = [(0, START + first, START + last) for first, last in known_books]
    proven = pa.Table.from_pylist(
        [dict(zip(nothing_covered().column_names, one, strict=True)) for one in spans],
        nothing_covered().schema,
    )
    with closing(connect()) as connection:
        as_seen = seen(connection, given_prices, given_tops, clock)
    inputs = Inputs(given_rounds, *as_seen, pa.table(of_holes) if holes else none, proven, nothing())
    found: list[dict[str, Any]] = Grid(inputs, clock, CARRY).rows().to_pylist()
    return found


def columns(rows: list[dict[str, Any]], kinds: dict[str, tuple[str, Any]]) -> dict[str, Any]:
    return {
        name: np.array([*(row.get(name, nothing) for row in rows), nothing], kind)
        for name, (kind, nothing) in kinds.items()
    }


def us(seconds: float) -> int:
    return round((START + seconds) * US)


tenths = st.integers(-30, SECONDS * 10 + 20).map(lambda number: number / 10)
lags = st.integers(0, 80).map(lambda number: number / 10)
price = st.tuples(tenths, lags, st.integers(90, 110).map(float), st.sampled_from([None, 99.0]))
top = st.tuples(
    st.integers(0, 1), tenths, lags, st.integers(1, 98).map(lambda cent: cent / 100), st.booleans()
)


@examples(25)
@given(
    prices=st.lists(price, max_size=6),
    tops=st.lists(top, max_size=6),
    other_prices=st.lists(price, max_size=6),
    other_tops=st.lists(top, max_size=6),
    second=st.integers(0, SECONDS),
    known=st.tuples(tenths, tenths),
    clock=st.sampled_from(CLOCKS),
)
def test_nothing_after_a_second_moves_it(
    prices: list[Any],
    tops: list[Any],
    other_prices: list[Any],
    other_tops: list[Any],
    second: int,
    known: tuple[float, float],
    clock: Clock,
) -> None:
    """The inputs after a second are exchanged for others; on the received clock K's receipt too."""

    def is_before(event: float, lag: float) -> bool:
        return (event if clock == "observation" else event + lag) <= second

    def cut(mine: list[Any], others: list[Any], at: int) -> tuple[list[Any], list[Any]]:
        early = [one for one in mine if is_before(one[at], one[at + 1])]
        late = [[one for one in few if not is_before(one[at], one[at + 1])] for few in (mine, others)]
        return early + late[0], early + late[1]

    def times(few: list[Any], at: int) -> list[Any]:
        return [(*one[: at + 1], one[at] + one[at + 1], *one[at + 2 :]) for one in few]

    before, after = (times(few, 0) for few in cut(prices, other_prices, 0))
    tops_before, tops_after = (times(few, 1) for few in cut(tops, other_tops, 1))
    first_known, then_known = known if min(known) > second else (known[0], known[0])
    one = build(before, tops_before, clock, first_known)
    other = build(after, tops_after, clock, then_known)
    features = [
        name
        for name in COLUMNS
        if name not in HINDSIGHT
        and name != "K_received_at"
        and (clock == "received" or name.startswith(("cl_", "pm_")))
    ]
    for t in range(second + 1):
        assert {name: one[t][name] for name in features} == {name: other[t][name] for name in features}


@examples(20)
@given(prices=st.lists(price, max_size=8), tops=st.lists(top, max_size=8), clock=st.sampled_from(CLOCKS))
def test_coverage_is_bounded(prices: list[Any], tops: list[Any], clock: Clock) -> None:
    made = build(
        [(event, event + lag, *more) for event, lag, *more in prices],
        [(token, event, event + lag, *more) for token, event, lag, *more in tops],
        clock,
    )
    cl = sum(row["cl_ffill"] == 0 for row in made[:-1])
    pm = sum(row["pm_ffill"] == 0 for row in made[:-1])
    both = sum(row["cl_ffill"] == row["pm_ffill"] == 0 for row in made[:-1])
    assert max(0, cl + pm - SECONDS) <= both <= min(cl, pm)


def test_a_second_is_the_state_at_its_end() -> None:
    prices = [(0.0, 1.0, 101.0, None), (2.5, 3.5, 102.0, 99.0)]
    tops = [(0, -1.0, 0.5, 0.40, False), (0, 2.0, 5.0, 0.45, True), (1, 2.0, 2.2, 0.50, False)]
    made = build(prices, tops, "observation", holes=((6.2, 6.4),))
    assert [row["t"] for row in made] == list(range(SECONDS + 1))
    assert [row["tau"] for row in made] == list(range(SECONDS, -1, -1))
    assert list(made[0]) == list(COLUMNS)
    assert [row["cl_mid"] for row in made[:9]] == [101, 101, 101, 102, 102, 102, 102, 102, None]
    assert [row["cl_ffill"] for row in made[:9]] == [0, 1, 1, 0, 1, 1, 1, 1, None]
    assert [row["cl_bid"] for row in made[2:4]] == [None, 99.0]
    assert [row["pm_up_bid"] for row in made[:3]] == [0.40, 0.40, 0.45]
    assert [row["preopen"] for row in made[:3]] == [True, True, False]
    assert [row["pm_quiet"] for row in made[2:4]] == [0, 0]  # Up is proven until 5, Down is not
    assert made[9]["pm_up_bid"] == 0.45
    assert made[10]["pm_up_bid"] is None
    assert made[2]["sum_bids"] == pytest.approx(0.95)
    assert made[2]["pm_up_mid"] == pytest.approx(0.455)
    assert made[0]["delta"] == 1
    assert made[0]["delta_bps"] == pytest.approx(100)
    assert made[0]["Y"] == 1
    assert [row["t"] for row in made if row["gap"]] == [6, 7]


def test_what_is_proven_unchanged_is_observed_however_old_it_is(tmp_path: Path) -> None:
    tops = [(side, -50.0, -49.9, 0.4, False) for side in (0, 1)] + [(0, 8.5, 8.6, 0.5, False)]
    made = build([], tops, "observation", known_books=((0, 6), (9, 9)), holes=((7.2, 8.4),))
    assert [row["pm_ffill"] for row in made[:12]] == [0] * 7 + [1, 1, 0, 1, 1]
    assert [row["pm_quiet"] for row in made[:12]] == [1] * 7 + [0, 0, 1, 0, 0]
    assert [row["pm_up_bid"] for row in made[:12]] == [0.4] * 9 + [0.5] * 3
    made = build(
        [], [(0, 7.5, 7.6, 0.4, False), (1, 7.5, 7.6, 0.4, False)], "observation", holes=((7.2, 8.4),)
    )
    assert made[8]["pm_ffill"] == 1, "a recorded gap outweighs what came in it"


def test_the_received_clock_knows_nothing_early() -> None:
    prices = [(0.0, 5.0, 101.0, None), (2.0, 3.0, 102.0, None)]
    made = build(prices, [(0, 0.0, 4.0, 0.4, True)], "received", 6.0)
    assert [row["cl_mid"] for row in made[:8]] == [None, None, None, 102, 102, 102, 102, 102]
    assert [row["pm_up_bid"] for row in made[:5]] == [None, None, None, None, 0.4]
    assert [row["K"] for row in made[4:8]] == [None, None, 100, 100]
    assert [row["delta"] for row in made[5:7]] == [None, 2]


def test_an_archive_without_prices_or_books_has_its_rows(tmp_path: Path) -> None:
    record(tmp_path, [Socket(tokens=("1",))])
    (tmp_path / "research").mkdir()
    label_files.write(tmp_path, [label(None)], label_files.LabelStamp("hand"))
    archive = Archive(tmp_path, master_url="")
    assert canonical(tmp_path, master_url="").markets == 0, "it ended before the recording"
    assert canonical(tmp_path, master_url="", all_labelled=True).markets == 1
    canonical(tmp_path, master_url="", clock="received", all_labelled=True)
    made = archive.canonical()
    assert list(made)[:4] == ["time", "market", "market_id", "venue"]
    assert set(made) >= set(COLUMNS)
    assert made["time"].iloc[0] == pd.Timestamp(START, unit="s", tz="UTC")
    assert str(made["pm_ffill"].dtype) == str(made["pm_quiet"].dtype) == "boolean"
    assert made["time"].dtype == "datetime64[us, UTC]"
    assert made["time"].iloc[3].timestamp() == START + 3
    assert made["t"].tolist() == list(range(SECONDS + 1))
    assert made[["cl_mid", "pm_up_mid", "K"]].isna().all(axis=None)
    assert set(made["Y"]) == {1}
    features = archive.canonical(features_only=True)
    assert list(features) == [name for name in made if name not in HINDSIGHT]
    known = archive.as_of(iso((START + 3) * 10**9 + 5 * 10**8))
    assert known["t"].tolist() == [3]
    assert archive.as_of(iso((START - 1) * 10**9)).empty
    again = canonical(tmp_path, master_url="")
    assert (again.manifest, again.rows) == (None, SECONDS + 1)
    files = canonical(tmp_path, master_url="", partitioned=True, all_labelled=True)
    assert len(list((tmp_path / files.path).rglob("*.parquet"))) == 1


@pytest.mark.parametrize("partitioned", [False, True])
def test_reading_keeps_a_dataset_as_it_was_made(tmp_path: Path, partitioned: bool) -> None:
    record(tmp_path, [Socket(tokens=("1",))])
    (tmp_path / "research").mkdir()
    label_files.write(tmp_path, [label(None)], label_files.LabelStamp("hand"))
    given: dict[str, Any] = {"partitioned": partitioned, "master_url": ""}
    made = canonical(tmp_path, carry_s=2, all_labelled=True, **given)
    assert made.made
    files = {path: path.read_bytes() for path in (tmp_path / "research").rglob("*.parquet")}
    assert len(Archive(tmp_path, master_url="").canonical()) == SECONDS + 1
    assert {path: path.read_bytes() for path in (tmp_path / "research").rglob("*.parquet")} == files
    assert canonical(tmp_path, **given).manifest is None
    assert canonical(tmp_path, carry_s=60, **given).made == made.made


def test_a_dataset_of_an_earlier_version_is_made_again_whole(tmp_path: Path) -> None:
    record(tmp_path, [Socket(tokens=("1",))])
    (tmp_path / "research").mkdir()
    label_files.write(tmp_path, [label(None)], label_files.LabelStamp("hand"))
    path = tmp_path / canonical(tmp_path, master_url="", all_labelled=True).path
    made = pq.ParquetFile(path).read()
    pq.write_table(made.drop_columns(["pm_verified"]), path)
    later = (START + 30 * 86_400) * 10**9
    assert len(canonical(tmp_path, later, all_labelled=True, master_url="").made) == 1
    assert pq.ParquetFile(path).read().equals(made)
    assert canonical(tmp_path, later, master_url="").made == []


def rounds_of_two_days() -> list[Label]:
    """Rounds of 5 and 15 minutes of two assets: before midnight, over it, and from then on."""
    midnight = START // 86_400 * 86_400 + 86_400
    found = []
    for asset in ("BTC", "ETH"):
        for duration, starts in ((300, (-600, -200, 0)), (900, (-500, 0))):
            for start in starts:
                name = f"{asset.lower()}-updown-{duration // 60}m-{midnight + start}"
                begins = (midnight + start) * 10**9
                found.append(
                    dataclasses.replace(
                        label(None),
                        market_id=name,
                        condition_id=name,
                        asset=asset,
                        duration=f"{duration // 60}m",
                        start_ns=begins,
                        end_ns=begins + duration * 10**9,
                    )
                )
    return sorted(found, key=lambda each: (each.start_ns, each.market_id))


@pytest.mark.parametrize("partitioned", [False, True])
def test_a_market_is_found_by_the_statistics_of_one_row_group(tmp_path: Path, partitioned: bool) -> None:
    record(tmp_path, [Socket(tokens=("1",))])
    (tmp_path / "research").mkdir()
    labels = rounds_of_two_days()
    label_files.write(tmp_path, labels, label_files.LabelStamp("hand"))
    made = canonical(tmp_path, master_url="", all_labelled=True, partitioned=partitioned)
    path = tmp_path / made.path
    groups = []
    for file in stored_files(tmp_path, made.path):
        metadata = pq.read_metadata(file)
        names = [metadata.schema.column(number).name for number in range(metadata.num_columns)]
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            groups.append([group.column(names.index(name)).statistics for name in ("market_id", "asset")])
    assert len(groups) == 2 * 2 * 2  # days, assets, durations
    for each in labels:
        found = pd.read_parquet(path, filters=[("market_id", "==", each.market_id)])
        assert found["t"].tolist() == list(range((each.end_ns - each.start_ns) // 10**9 + 1))
        assert sum(market.min <= each.market_id <= market.max for market, _ in groups) == 1
    assert all(asset.min == asset.max for _, asset in groups)
    midnight = pd.Timestamp(START // 86_400 * 86_400 + 86_400, unit="s", tz="UTC")
    later = pd.read_parquet(path, filters=[("asset", "==", "BTC"), ("time", ">=", midnight)])
    assert set(later["asset"]) == {"BTC"}
    # two of the day before reach into it: by 100 and by 400 s, and their last rows
    assert len(later) == 301 + 901 + 101 + 401


def test_parts_that_are_kept_keep_their_row_groups(tmp_path: Path) -> None:
    record(tmp_path, [Socket(tokens=("1",))])
    (tmp_path / "research").mkdir()
    labels = rounds_of_two_days()
    label_files.write(tmp_path, labels, label_files.LabelStamp("hand"))
    path = tmp_path / canonical(tmp_path, master_url="", all_labelled=True).path
    rows = pq.read_table(path)
    label_files.write(tmp_path, labels[:-1], label_files.LabelStamp("hand"))
    again = canonical(tmp_path, master_url="", all_labelled=True)
    assert (len(again.made), len(again.kept)) == (1, 3)
    assert pq.read_metadata(path).num_row_groups == 7
    left = rows.filter(pc.not_equal(rows["market_id"], labels[-1].market_id))
    assert pq.read_table(path).equals(left)
