"""The proxy against published means: on the simulator's books and rounds, and where something is missing."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from pathlib import Path
from statistics import median

import pytest

from marketarchive.exceptions import ArgumentError
from marketarchive.research.labels.ground_truth import ground_truth
from marketarchive.research.products.brti.error import BrtiErrors, brti_errors
from marketarchive.research.products.brti.means import proxy_minutes
from marketarchive.simulator.kalshi import Kalshi
from marketarchive.simulator.kalshi.rounds import SimRound
from marketarchive.times import SECOND
from marketarchive.venues.brti import PARAMETERS, RealTimeIndex
from tests.archive.writing import NOON
from tests.e2e.harness import command
from tests.research.kalshi.recording import START, answered, minute, row, simulated, streamed
from tests.research.test_brti import ALL, DAYS, WORLDS, symbols, true_books

OPEN, CLOSE = START, START + 900
SEEN = ((-72, 3), (828, 903))
"""Seconds after noon in which books were archived: around both boundaries of a round."""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The round that starts at noon, its neighbours, and the books of two exchanges around its boundaries."""
    root = tmp_path_factory.mktemp("brti-error")
    simulated(root, Kalshi(1), [a_round(end) for end in (OPEN, CLOSE, CLOSE + 900)])
    books(root, SEEN)
    return root


def a_round(end: int) -> SimRound:
    return Kalshi(1).rounds.make("KXBTC15M", end)


def books(root: Path, seen: tuple[tuple[int, int], ...]) -> None:
    for venue in WORLDS:
        day = DAYS[venue]()
        for number, (first, last) in enumerate(seen, 1):
            day.open(f"c{number}", symbols(ALL[venue], ["BTC"]), first)
            day.send(f"c{number}", first, last)
            day.close(f"c{number}", last)
        day.write(root)


def true_index(close: int) -> dict[int, Decimal]:
    """The index of the true books of each second around a boundary."""
    calculated = RealTimeIndex(PARAMETERS["BTC"])
    found = {}
    for second in range(close - 60 - START, close + 1 - START):
        value = calculated.at((START + second) * SECOND, true_books("BTC", second)).value
        assert value is not None
        found[START + second] = value
    return found


def test_errors_are_those_of_the_true_books_by_both_definitions(recorded: Path) -> None:
    found = brti_errors(recorded)
    assert found.nothing is None
    there = [each for each in found.windows if each.seconds]
    assert {(each.market_id, each.kind) for each in there} == {
        (a_round(OPEN).ticker, "expiration_value"),
        (a_round(CLOSE).ticker, "floor_strike"),
        (a_round(CLOSE).ticker, "expiration_value"),
        (a_round(CLOSE + 900).ticker, "floor_strike"),
    }
    published = {OPEN: a_round(OPEN).final, CLOSE: a_round(CLOSE).final}
    for close in (OPEN, CLOSE):
        truth = true_index(close)
        means = {
            "(T-60s, T]": sum((truth[close - 59 + n] for n in range(60)), Decimal(0)) / 60,
            "[T-60s, T)": sum((truth[close - 60 + n] for n in range(60)), Decimal(0)) / 60,
        }
        of_close = [each for each in there if f"T12:{(close - START) // 60:02d}:00Z" in each.at]
        assert len(of_close) == 4
        for each in of_close:
            assert (each.seconds, each.published) == (60, published[close])
            assert each.proxy == means[each.definition]
            assert each.dollars == means[each.definition] - published[close]
            assert each.bps == pytest.approx(float(each.dollars / published[close]) * 10_000)
    for row_ in found.rows:
        mine = [each for each in there if (each.kind, each.definition) == (row_.kind, row_.definition)]
        errors = sorted(abs(float(each.dollars)) for each in mine if each.dollars is not None)
        assert (row_.windows, row_.recorded, row_.whole, row_.median_seconds) == (3, 2, 2, 60)
        assert row_.median_dollars == median(errors)
        assert row_.p95_dollars == row_.max_dollars == errors[-1]
        assert row_.max_dollars is not None
        assert row_.max_dollars < 10  # of 84,000


def test_what_was_replayed_is_kept_until_its_messages_change(recorded: Path) -> None:
    [minute] = proxy_minutes(recorded, {("BTC", CLOSE), ("DOGE", CLOSE), ("BTC", CLOSE + 900)}).values()
    kept = recorded / "research" / ".brti_minutes" / "v1" / "BTC" / "2026-11-21.json"
    document = json.loads(kept.read_text())
    document[str(CLOSE)]["values"][5] = "1.00"
    kept.write_text(json.dumps(document))
    [again] = proxy_minutes(recorded, {("BTC", CLOSE)}).values()
    assert again.values[CLOSE - 55] == 1  # it was not made again
    document[str(CLOSE)]["key"] = "of other segments"
    kept.write_text(json.dumps(document))
    [whole] = proxy_minutes(recorded, {("BTC", CLOSE)}).values()
    assert whole == minute


def test_the_command_prints_a_table_and_json(recorded: Path) -> None:
    done = command("brti-error", recorded)
    assert (done.returncode, done.stderr) == (0, "")
    head, *lines = done.stdout.splitlines()
    assert head.split()[:3] == ["asset", "mean", "seconds"]
    assert [line[:33].split(maxsplit=2) for line in lines] == [
        ["BTC", kind, definition]
        for kind in ("floor_strike", "expiration_value")
        for definition in ("(T-60s, T]", "[T-60s, T)")
    ] or len(lines) == 4
    found = json.loads(command("brti-error", recorded, "--json", "--assets", "BTC").stdout)
    assert found["nothing"] is None
    assert len(found["windows"]) == 12
    assert found["rows"][0]["whole"] == 2


def test_the_index_itself_is_compared_second_by_second(recorded: Path) -> None:
    """Where its frames are archived; a value that never came is no pair."""
    root = recorded.parent / "indexed"
    root.mkdir()
    truth = true_index(CLOSE)
    values = [truth[CLOSE - 59 + n] + Decimal(n % 3) for n in range(60)]
    frames = minute(CLOSE, values)
    streamed(root, [*frames[:10], *frames[11:], *minute(CLOSE + 900, values)])
    books(root, SEEN)
    found = brti_errors(root)
    [row_] = found.index_rows
    assert (row_.asset, row_.minutes, row_.index_seconds, row_.seconds) == ("BTC", 2, 119, 59)
    assert found.nothing is None
    errors = [n % 3 for n in range(60) if n != 10]
    assert row_.bias_dollars == pytest.approx(-sum(errors) / 59)
    assert (row_.median_dollars, row_.max_dollars) == (median(errors), 2)
    assert brti_errors(root, assets=["ETH"]).index_rows == []
    assert brti_errors(root, since=(CLOSE + 1000) * SECOND).index_rows == []
    done = command("brti-error", root)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].split()[:6] == ["BTC", "index", "each", "2", "119", "59"]
    assert json.loads(command("brti-error", root, "--json").stdout)["index_rows"][0]["seconds"] == 59


def said(found: BrtiErrors) -> str:
    assert found.nothing is not None
    assert not any(math.isfinite(row.max_dollars or math.inf) for row in found.rows)
    return found.nothing


def test_where_nothing_is_there_it_says_why_and_what_to_do(tmp_path: Path) -> None:
    assert "no archived answer speaks of a round" in said(brti_errors(tmp_path))
    answered(tmp_path, row(status="active", result="", expiration_value="", floor_strike=None))
    assert "none of 1 rounds states a mean yet" in said(brti_errors(tmp_path))
    answered(tmp_path, row(), at=4000)
    assert "no spot books are archived in the minute before any of 2 published means" in said(
        brti_errors(tmp_path)
    )
    books(tmp_path, ((870, 903),))
    assert "no minute is whole: the fullest has" in said(brti_errors(tmp_path))
    done = command("brti-error", tmp_path)
    assert done.returncode == 0
    assert "no error is known: no minute is whole" in done.stdout
    with pytest.raises(ArgumentError, match="there is no proxy of DOGE"):
        brti_errors(tmp_path, assets=["DOGE"])


def test_a_gap_in_a_minute_takes_its_error(tmp_path: Path) -> None:
    answered(tmp_path, row(floor_strike=84000.0))
    for venue in WORLDS:
        day = DAYS[venue]()
        day.open("c1", symbols(ALL[venue], ["BTC"]), -72)
        day.send("c1", -72, 3)
        if venue == "kraken":
            day.gap(-30, -20, symbols(ALL[venue], ["BTC"]))
        day.write(tmp_path)
    counts = {each.seconds for each in brti_errors(tmp_path).windows if each.kind == "floor_strike"}
    assert counts == {50}


def test_a_strike_that_is_far_off_the_proxy_is_flagged_and_no_error(tmp_path: Path) -> None:
    answered(tmp_path, row(floor_strike=7.0, expiration_value=""))
    books(tmp_path, ((-72, 3),))
    found = brti_errors(tmp_path)
    assert [each.is_implausible for each in found.windows] == [True, True]
    assert [(row_.whole, row_.implausible) for row_ in found.rows] == [(0, 1), (0, 1)]
    [label] = ground_truth(tmp_path).labels
    assert label.flag == "implausible_strike"
    assert "100.0 % off the proxy" in label.reason


def test_an_estimate_is_the_proxys_mean_with_the_error_that_was_measured(recorded: Path) -> None:
    """Of a round whose final value never came; the strike is the venue's."""
    truth = true_index(CLOSE)
    mean = sum((truth[CLOSE - 59 + n] for n in range(60)), Decimal(0)) / 60
    root = recorded.parent / "estimated"
    root.mkdir()
    answered(root, row(status="closed", result="", expiration_value="", floor_strike=84000.0))
    books(root, SEEN)
    assert ground_truth(root).labels[0].verdict == "not_provable"
    [found] = ground_truth(root, estimate=True).labels
    assert (found.verdict, found.strike_kind, found.settlement_kind) == ("estimated", "stated", "estimated")
    assert found.settlement is not None
    assert found.settlement == round(mean, 2)
    assert found.settlement_source == "estimate: mean of 60 of 60 seconds of the BRTI proxy"
    assert found.error is None  # nothing published was there to measure it against
    assert found.settlement_received_at_ns == NOON + 900 * SECOND
