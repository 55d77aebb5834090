"""Each second of a recorded round: observed, or known why not."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from marketarchive.items import Gap
from marketarchive.research.checks.check import CheckResult
from marketarchive.research.labels.label import Label
from marketarchive.research.products.kxbtc15m.checks import ticks
from marketarchive.scope import Scope
from marketarchive.times import SECOND, iso
from marketarchive.venues.kalshi.tickers import ticker_of
from tests.archive.writing import HandClock, writer
from tests.e2e.harness import command
from tests.research.kalshi.recording import START, answered, row
from tests.research.kalshi.test_checks import label

FIRST, SECOND_ROUND = (ticker_of("KXBTC15M", (START + end) * SECOND) for end in (900, 1800))
FILE = f"KXBTC15M-{iso(START * SECOND)[:10]}.jsonl"


def a_label(n: int = 0) -> Label:
    begin = (START + 900 * n) * SECOND
    return label(
        0, None, None, market_id=(FIRST, SECOND_ROUND)[n], start_ns=begin, end_ns=begin + 900 * SECOND
    )


def a_tick(second: int, market: str = FIRST, **said: Any) -> dict[str, Any]:
    time = f"{iso((START + second) * SECOND)[:23]}Z"
    return {
        "type": "tick",
        "time": time,
        "ticker": market,
        "is_observed": 1,
        "age_s": 0.1,
        "run": "r1",
    } | said


def unseen(second: int, **said: Any) -> dict[str, Any]:
    return a_tick(second, is_observed=0, **({"age_s": None} | said))


def record(root: Path, lines: Iterable[dict[str, Any]], name: str = FILE) -> Path:
    path = root / "records" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(json.dumps(each, separators=(",", ":")).encode() + b"\n" for each in lines))
    return path


def gap(root: Path, first: int, last: int, scope: Scope) -> None:
    """Archive a recorded gap, seconds since the open."""
    with writer(root, HandClock()) as made:
        run = made.open_run(scope.venue, scope.venue, [scope.feed], {}, {})
        begin, end = ((START + at) * SECOND for at in (first, last))
        seq = run.next_seq(scope.venue, scope.feed)
        line = Gap(scope.venue, scope.feed, end, seq, begin, end, scope, "missed_tick", "ours")
        run.write(line)
        run.close("finished", {}).result()


def checked(root: Path, *labels: Label) -> CheckResult:
    found = ticks(root, labels or [a_label()])
    assert found is not None
    return found


def whole(but: Callable[[int], dict[str, Any] | None] = a_tick) -> list[dict[str, Any]]:
    return [each for second in range(900) if (each := but(second)) is not None]


@pytest.mark.parametrize("packed", [False, True])
def test_900_observed_ticks_pass(tmp_path: Path, packed: bool) -> None:
    path = record(tmp_path, [{"type": "market_open", "ticker": FIRST}, *whole()])
    if packed:
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    found = checked(tmp_path, a_label(), a_label(1))
    assert found.state == "pass"
    assert found.figure.startswith("100.00 % of 900 seconds observed; 1 of 1 markets")
    assert found.figures["with all ticks"] == 1


def test_without_a_record_there_is_no_check(tmp_path: Path) -> None:
    assert ticks(tmp_path, [a_label()]) is None
    record(tmp_path, [a_tick(0, "KXBTC15M-OTHER")])
    assert ticks(tmp_path, [a_label()]) is None


@pytest.mark.parametrize(("seconds", "state"), [(2, "pass"), (3, "fail")])
def test_what_nothing_explains_fails(tmp_path: Path, seconds: int, state: str) -> None:
    hole = range(100, 100 + seconds)
    record(tmp_path, whole(lambda at: unseen(at) if at in hole else a_tick(at)))
    unobserved = checked(tmp_path)
    record(tmp_path, whole(lambda at: None if at in hole else a_tick(at)))
    missing = checked(tmp_path)
    for found in (unobserved, missing):
        assert (found.state, found.figures["longest unknown, s"]) == (state, seconds)
        assert [each["longest unknown"] for each in found.offenders] == [3] * (state == "fail")
    assert missing.figures["with all ticks"] == 0


@pytest.mark.parametrize(
    ("scope", "state"),
    [
        (Scope("kalshi", "prices", (FIRST,), kind="market"), "warn"),
        (Scope("kalshi", "stream", (FIRST,), "c1", kind="market"), "warn"),
        (Scope("kraken", "spot", ("BTC/USD",), "c1", kind="symbol"), "warn"),
        (Scope("kalshi", "prices", (SECOND_ROUND,), kind="market"), "fail"),
        (Scope("kraken", "spot", ("ETH/USD",), "c1", kind="symbol"), "fail"),
        (Scope("kalshi", "trades", (FIRST,), kind="market"), "fail"),
    ],
)
def test_a_gap_explains_what_it_concerns(tmp_path: Path, scope: Scope, state: str) -> None:
    record(tmp_path, whole(lambda at: unseen(at) if 100 <= at < 130 else a_tick(at)))
    gap(tmp_path, 100, 130, scope)
    found = checked(tmp_path)
    assert found.state == state
    assert found.figures["recorded seconds"] == (30 if state == "warn" else 0)


def test_a_gap_explains_no_more_than_its_time(tmp_path: Path) -> None:
    record(tmp_path, whole(lambda at: unseen(at) if 100 <= at < 130 else a_tick(at)))
    gap(tmp_path, 100, 120, Scope("kalshi", "prices", (FIRST,), kind="market"))
    found = checked(tmp_path)
    assert (found.state, found.figures["longest unknown, s"]) == ("fail", 8)


@pytest.mark.parametrize(("age_s", "state"), [(9.0, "warn"), (17.0, "warn"), (17.5, "fail")])
def test_copies_of_the_venue_explain_themselves(tmp_path: Path, age_s: float, state: str) -> None:
    record(tmp_path, whole(lambda at: unseen(at, age_s=age_s) if 100 <= at < 112 else a_tick(at)))
    assert checked(tmp_path).state == state


def test_what_nobody_collected_is_untracked(tmp_path: Path) -> None:
    """Before a run's first data of any market, between two runs, after the last."""

    def of(at: int) -> dict[str, Any] | None:
        if at < 60:
            return unseen(at)
        if 200 <= at < 300 or at >= 800:
            return None
        return a_tick(at, run="r1" if at < 200 else "r2")

    record(tmp_path, whole(of))
    found = checked(tmp_path)
    assert found.state == "pass"
    assert found.figures["untracked seconds"] == 60 + 100 + 100
    record(tmp_path, [*whole(), *(unseen(900 + at, ticker=SECOND_ROUND) for at in range(900))])
    assert checked(tmp_path, a_label(), a_label(1)).state == "fail"  # its run had data before


def test_a_second_tick_of_a_second_fails(tmp_path: Path) -> None:
    record(tmp_path, [*whole(), a_tick(7)])
    found = checked(tmp_path)
    assert (found.state, found.figures["ticks twice"]) == ("fail", 1)
    assert found.offenders[0]["twice"] == 1


def of_two(
    one: Callable[[int], dict[str, Any]], other: Callable[[int], dict[str, Any]]
) -> list[dict[str, Any]]:
    return [tick for at in range(900) for tick in (one(at), other(at) | {"run": "r2"})]


def test_two_recorders_observe_what_one_of_them_did(tmp_path: Path) -> None:
    """Each second has two ticks, none twice; only what both missed is missing."""

    def one(at: int) -> dict[str, Any]:
        return unseen(at) if 100 <= at < 200 else a_tick(at)

    def other(at: int) -> dict[str, Any]:
        return unseen(at) if 190 <= at < 300 else a_tick(at)

    record(tmp_path, whole(one))
    record(
        tmp_path, [other(at) | {"run": "r2"} for at in range(900)], FILE.replace(".", "-20261121T120000Z.")
    )
    found = checked(tmp_path)
    assert (found.state, found.figures["longest unknown, s"]) == ("fail", 10)
    assert (found.figures["ticks twice"], found.figures["with all ticks"]) == (0, 1)
    assert found.figures["observed seconds"] == 890
    gap(tmp_path, 100, 200, Scope("kalshi", "prices", (FIRST,), kind="market"))
    found = checked(tmp_path)
    assert (found.state, found.figures["recorded seconds"], found.figures["observed seconds"]) == (
        "warn",
        10,
        890,
    )


def test_a_second_that_two_recorders_left_out_is_unknown(tmp_path: Path) -> None:
    record(tmp_path, of_two(a_tick, a_tick)[:200] + of_two(a_tick, a_tick)[210:])
    found = checked(tmp_path)
    assert (found.state, found.figures["longest unknown, s"]) == ("fail", 5)


def test_the_report_has_it(tmp_path: Path) -> None:
    answered(tmp_path, row())
    record(tmp_path, whole())
    done = command("validate", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    [found] = [each for each in json.loads(done.stdout)["checks"] if each["name"] == "kxbtc15m_ticks"]
    assert (found["state"], found["figures"]["observed seconds"]) == ("pass", 900)
