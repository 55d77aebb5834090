"""The notebook's frames: what they say of gaps, of two recordings, and of what is not there."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from marketarchive import Archive
from marketarchive.archive.recover import recover
from marketarchive.exceptions import ArchiveError, ArgumentError
from marketarchive.research.labels.label_files import LabelStamp
from marketarchive.research.labels.label_files import write as write_labels
from marketarchive.times import SECOND
from tests.archive.writing import HandClock, ledger_of, open_run, response, writer
from tests.research.conftest import Simulated
from tests.research.making import Answer, Hole, book, collect, many
from tests.research.test_validation import labelled

SLUG = "btc-updown-5m-1784853900"
TRACKED = {SLUG: {"condition_id": "0x", "tokens": {"Up": "1", "Down": "2"}}}


def types(frame: pd.DataFrame) -> dict[str, str]:
    return {str(name): str(kind) for name, kind in frame.dtypes.items()}


def both(at: float, **changes: object) -> Answer:
    return Answer(many(book("1", **changes), book("2")), at)


def test_a_frame_has_floats_and_what_is_derived_from_them(tmp_path: Path) -> None:
    collect(tmp_path, [both(0, asks=[])], tracked=TRACKED)
    up, down = Archive(tmp_path).books().to_dict("records")
    assert (up["market"], up["outcome"], down["outcome"]) == (SLUG, "Up", "Down")
    assert up["best_bid"] == 0.49
    assert pd.isna([up["best_ask"], up["mid"], up["spread"]]).all()
    assert (down["mid"], down["spread"], down["bid_depth"]) == (0.5, 0.02, 50.5)
    exact = Archive(tmp_path).books(exact=True, levels=True, token="2").iloc[0]
    assert (exact["mid"], exact["spread"]) == (Decimal("0.5"), Decimal("0.02"))
    assert exact["bids"][0] == {"price": Decimal("0.49"), "size": Decimal("20.5")}
    assert "bids" not in Archive(tmp_path).books()


def test_what_is_new_is_normalised_when_asked_for(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    assert archive.books().empty
    collect(tmp_path, [both(0)])
    assert len(archive.books()) == 2
    collect(tmp_path, [both(1)], tracked=TRACKED)
    assert set(archive.books()["market"]) == {SLUG}


def test_names_learnt_later_reach_rows_made_before(tmp_path: Path) -> None:
    collect(tmp_path, [both(0)])
    frame = Archive(tmp_path).books()
    assert frame["market"].tolist() == frame["market_id"].tolist()
    collect(tmp_path, [], tracked=TRACKED)
    assert set(Archive(tmp_path).books(asset="BTC")["market"]) == {SLUG}
    assert len(Archive(tmp_path).books(market=[SLUG])) == 2


def test_time_is_half_open_and_may_be_given_in_many_ways(tmp_path: Path) -> None:
    collect(tmp_path, [both(0), both(1), both(2)])
    archive = Archive(tmp_path)
    for start in (
        "2026-11-21T12:00:01Z",
        "2026-11-21 13:00:01+01:00",
        datetime(2026, 11, 21, 12, 0, 1, tzinfo=UTC),
        pd.Timestamp("2026-11-21T12:00:01"),
    ):
        assert len(archive.books(start=start)) == 4
        assert len(archive.books(end=start)) == 2
    with pytest.raises(ArgumentError, match="yesterday"):
        archive.books(start="yesterday")


def test_a_row_after_a_gap_of_its_market_says_so(tmp_path: Path) -> None:
    lines: list[Answer | Hole] = [
        both(0),
        Hole(1, 1.5, {"markets": ["another"]}),
        both(2),
        Hole(3, 4, {"markets": [SLUG], "token": "2"}),
        both(5),
        Hole(6, 7, {"endpoint": "clob_books"}),
        both(8),
    ]
    collect(tmp_path, lines, tracked=TRACKED)
    collect(tmp_path, [Hole(1, 1.5)], feed="markets")
    frame = Archive(tmp_path).books()
    flags = frame.pivot(index="time", columns="token", values="gap_before")
    assert flags["1"].tolist() == [False, False, False, True]
    assert flags["2"].tolist() == [False, False, True, True]
    assert len(frame.attrs["gaps"]) == 3
    assert len(Archive(tmp_path).gaps("orderbook")) == 3
    late = Archive(tmp_path).gaps(start="2026-11-21T12:00:04Z", end="2026-11-21T12:00:06.5Z")
    assert late["scope"].tolist() == ['{"endpoint":"clob_books"}']


def test_the_gap_of_a_crash_reaches_until_the_next_row(tmp_path: Path) -> None:
    clock = HandClock()
    with writer(tmp_path, clock) as made:
        run = open_run(made)
        url = "https://clob.polymarket.com/books"
        run.write(replace(response(run, many(book("1"), book("2"))), url=url))
        run.flush().result()
        run.release()
    clock.pass_s(60)
    recover(tmp_path, clock)
    collect(tmp_path, [both(90), both(91)])
    frame = Archive(tmp_path).books(token="1")
    assert frame["gap_before"].tolist() == [False, True, False]
    [gap] = Archive(tmp_path).gaps().to_dict("records")
    assert (gap["reason"], gap["first_lost_seq"]) == ("crash", 2)
    assert pd.isna(gap["to"])


def test_two_recordings_both_appear_and_can_be_merged(tmp_path: Path) -> None:
    runs = {collect(tmp_path, [both(at)]) for at in (0, 0.5)}
    archive = Archive(tmp_path)
    assert set(archive.books()["run"]) == runs
    merged = archive.books(distinct=True)
    assert len(merged) == 2
    assert set(merged["time"]) == {pd.Timestamp("2026-11-21T12:00:00Z")}


def test_a_day_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    collect(tmp_path, [both(0)])
    [entry] = ledger_of(tmp_path)
    (tmp_path / entry["path"]).unlink()
    with pytest.raises(ArchiveError, match="bring them back"):
        Archive(tmp_path).books()
    assert Archive(tmp_path).books(start="2026-11-22").empty


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="no folder"):
        Archive(tmp_path / "nowhere")


def test_the_frame_of_nothing_has_the_columns_of_something(tmp_path: Path) -> None:
    collect(tmp_path, [both(0)])
    archive = Archive(tmp_path)
    assert types(archive.books(end="2026-11-20", levels=True)) == types(archive.books(levels=True))
    assert list(archive.gaps(end="2026-11-20").columns) == list(archive.gaps().columns)


def test_markets_and_labels_of_nothing_have_their_columns_and_types(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    markets, labels = archive.markets(), archive.labels()
    assert len(markets) == len(labels) == 0
    assert str(markets["start_at"].dtype) == "datetime64[us, UTC]"
    assert str(markets["strike"].dtype) == str(labels["strike"].dtype) == "float64"
    assert str(labels["start"].dtype) == "datetime64[us, UTC]"


def test_labels_by_round_asset_duration_and_time(tmp_path: Path) -> None:
    begins = int(datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()) * SECOND
    given = [
        labelled(
            market_id=name,
            asset=asset,
            start_ns=begins + n * 300 * SECOND,
            end_ns=begins + (n + 1) * 300 * SECOND,
        )
        for n, (name, asset) in enumerate((("a", "BTC"), ("b", "ETH"), ("c", "BTC")))
    ]
    write_labels(tmp_path, given, LabelStamp(key="k"))
    archive = Archive(tmp_path)
    assert archive.labels()["market"].tolist() == ["a", "b", "c"]
    assert archive.labels(asset="BTC")["market"].tolist() == ["a", "c"]
    assert archive.labels(market=["b", "c"], asset=["ETH"])["market"].tolist() == ["b"]
    with pytest.raises(ArgumentError, match="there is 5m"):
        archive.labels(duration="15m")
    touching = archive.labels(start="2026-11-21T12:05", end="2026-11-21T12:10")
    assert touching["market"].tolist() == ["b"]
    assert touching["start"].iloc[0] == pd.Timestamp("2026-11-21T12:05Z")
    row = archive.labels(exact=True).iloc[0]
    assert row["strike"] == given[0].strike
    assert row["strike_e18"] == given[0].strike_e18


def test_any_two_frames_are_joined_by_time_and_names(simulated: Simulated, tmp_path: Path) -> None:
    """`time` is first and of one type, a name is one thing, and a flag is no number."""
    archive = Archive(simulated.root)
    write_labels(tmp_path, [labelled(market_id=SLUG)], LabelStamp(key="k"))
    frames = {
        "books": archive.books(),
        "quotes": archive.quotes(),
        "trades": archive.trades(),
        "reference": archive.reference(),
        "coverage": archive.coverage(),
        "gaps": archive.gaps(),
        "markets": archive.markets(),
        "labels": Archive(tmp_path).labels(),
    }
    for name, frame in frames.items():
        assert (name, frame.columns[0], str(frame["time"].dtype)) == (name, "time", "datetime64[us, UTC]")
        kinds = {str(column): str(kind) for column, kind in frame.dtypes.items()}
        assert {kinds.get(each, "str") for each in ("venue", "market", "market_id", "asset", "token")} == {
            "str"
        }
        assert not {"slug", "platform", "condition_id", "received_at"} & kinds.keys()
        flags = [kind for column, kind in kinds.items() if column.startswith("is_") or column == "gap_before"]
        assert set(flags) <= {"boolean"}, name
    timed = {name: frame.dropna(subset="time").sort_values("time") for name, frame in frames.items()}
    for left in timed.values():
        for right in timed.values():
            if left.empty and right.empty:
                continue  # pandas 3.1 fails at texts of two frames without rows
            shared = [name for name in ("venue", "market", "asset") if name in left and name in right]
            pd.merge_asof(left, right, on="time", by=shared or None)
    joined = pd.merge_asof(timed["books"], timed["markets"], on="time", by=["venue", "market"])
    assert set(joined["asset_y"].dropna()) == {"BTC"}


def test_markets_by_asset_duration_and_time(simulated: Simulated) -> None:
    archive = Archive(simulated.root)
    every = archive.markets()
    start = every["start_at"].min()
    assert len(archive.markets(end=start)) == 0
    assert set(archive.markets(end=start + pd.Timedelta(1, "us"))["start_at"]) == {start}
    assert set(archive.markets(start=every["end_at"].max() - pd.Timedelta(1, "us"))["end_at"]) == {
        every["end_at"].max()
    }
    some = archive.markets(asset=["BTC"], duration="5m", exact=True)
    assert 0 < len(some) < len(every)
    assert set(some["asset"]) == {"BTC"}
    assert all(isinstance(value, Decimal) for value in some["tick_size"].dropna())


@pytest.mark.process
def test_a_missing_package_is_named_with_its_remedy(tmp_path: Path) -> None:
    without = (
        "import sys, importlib.util as u; real = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'duckdb' else real(name, *rest)\n"
        f"from marketarchive import Archive; Archive({str(tmp_path)!r})"
    )
    done = subprocess.run([sys.executable, "-c", without], capture_output=True, text=True)
    assert 'duckdb not installed: pip install "marketarchive[research]"' in done.stderr
