"""What is wrong with an archive: runs, feeds without data, the disk; and what is not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from marketarchive.archive.disk_budget import DiskBudget
from marketarchive.archive.health import Expected, Finding, problems
from marketarchive.archive.newest_data import newest_data
from marketarchive.archive.run import RunArchive
from marketarchive.archive.status import status
from marketarchive.archive.writer import ArchiveWriter
from marketarchive.items import Connection, Frames, Gap
from marketarchive.scope import Scope
from marketarchive.times import SECOND
from tests.archive.writing import FEED, NOON, VENUE, HandClock, frames, response, writer

MINUTE = 60 * SECOND


def looked_at(
    root: Path, clock: HandClock, *expected: Expected, max_age_s: float = 300, warn_mb: float = 0
) -> Sequence[Finding]:
    budget = DiskBudget(warn_mb, 0)
    return problems(status(root, clock), expected, max_age_s, budget, only_expected=False)


def open_poll(made: ArchiveWriter, **arguments: object) -> RunArchive:
    return made.open_run("polymarket_orderbook", VENUE, [FEED, "markets"], arguments, {})


def gap(run: RunArchive, at: int) -> Gap:
    scope = Scope(VENUE, FEED)
    return Gap(VENUE, FEED, at, run.next_seq(VENUE, FEED), at - 1, at, scope, "disconnect", "venue", "503")


def kinds(found: Sequence[Finding]) -> list[str]:
    return [str(each["kind"]) for each in found]


def test_a_folder_that_is_no_archive_is_a_problem(tmp_path: Path) -> None:
    [missing] = looked_at(tmp_path, HandClock())
    assert missing["kind"] == "no_archive"
    assert "its disk is not mounted" in missing["message"]


def test_a_living_run_whose_data_are_old_is_stale_though_it_writes_gaps(tmp_path: Path) -> None:
    clock = HandClock()
    with writer(tmp_path, clock) as made:
        run = open_poll(made)
        run.write(response(run))
        run.flush().result(60)
        assert looked_at(tmp_path, clock) == []
        clock.pass_s(299)
        assert looked_at(tmp_path, clock) == []
        for _ in range(3):
            clock.pass_s(60)
            run.write(response(run, b"slow down", status=429))
            run.write(gap(run, clock.now_ns()))
        run.flush().result(60)
        [stale] = looked_at(tmp_path, clock)
        assert (stale["kind"], stale["venue"], stale["feed"]) == ("stale_feed", VENUE, FEED)
        assert stale["age_s"] == pytest.approx(479, abs=0.1)
        assert looked_at(tmp_path, clock, max_age_s=480) == []
        run.close("finished", {"exit_code": 0}).result(60)
    assert looked_at(tmp_path, clock) == [], "it has ended as it should"
    clock.pass_s(86_400)
    assert looked_at(tmp_path, clock) == []
    assert kinds(looked_at(tmp_path, clock, Expected(VENUE, FEED, 3600))) == ["stale_feed"]
    assert looked_at(tmp_path, clock, Expected(VENUE, FEED, 100_000)) == []


def test_a_slow_poll_and_a_run_that_has_just_begun_are_not_stale(tmp_path: Path) -> None:
    clock = HandClock()
    with writer(tmp_path, clock) as made:
        run = open_poll(made, interval=900.0)
        clock.pass_s(2000)
        assert looked_at(tmp_path, clock) == [], "it has none yet, two intervals are not over"
        run.write(Frames(VENUE, "markets", "c1", ((clock.now_ns(), run.next_seq(VENUE, "markets"), b"{}"),)))
        run.flush().result(60)
        clock.pass_s(200)
        [stale] = looked_at(tmp_path, clock)
        assert (stale["feed"], stale["last_data_utc"], stale["limit_s"]) == (FEED, None, 2100)


def test_a_feed_that_is_not_there_is_stale_where_it_is_expected(tmp_path: Path) -> None:
    clock = HandClock()
    with writer(tmp_path, clock) as made:
        open_poll(made).close("finished", {"exit_code": 0}).result(60)
    assert looked_at(tmp_path, clock) == []
    [stale] = looked_at(tmp_path, clock, Expected("kalshi", "stream", 60))
    assert (stale["venue"], stale["feed"], stale["age_s"]) == ("kalshi", "stream", None)


def test_dead_and_failed_runs_are_problems_until_another_has_done_better(tmp_path: Path) -> None:
    clock = HandClock()
    with writer(tmp_path, clock) as made:
        dead = open_poll(made)
        dead.write(response(dead))
        dead.flush().result(60)
    [problem] = looked_at(tmp_path, clock)
    assert problem == {"kind": "dead_run", "spider": "polymarket_orderbook", "run": dead.run}
    clock.pass_s(1)
    with writer(tmp_path, clock) as made:
        failed = open_poll(made)
        failed.close("start_error", {"exit_code": 1}).result(60)
    assert kinds(looked_at(tmp_path, clock)) == ["dead_run", "failed_run"]
    clock.pass_s(1)
    with writer(tmp_path, clock) as made:
        open_poll(made).close("finished", {"exit_code": 0}).result(60)
    assert kinds(looked_at(tmp_path, clock)) == ["dead_run"]


def test_a_run_that_failed_days_ago_is_history(tmp_path: Path) -> None:
    clock = HandClock()
    with writer(tmp_path, clock) as made:
        open_poll(made).close("start_error", {"exit_code": 4}).result(60)
    [problem] = looked_at(tmp_path, clock)
    assert (problem["exit_reason"], problem["exit_code"]) == ("start_error", 4)
    clock.pass_s(86_401)
    assert looked_at(tmp_path, clock) == []


@pytest.mark.parametrize("ahead_s", [600, 7200, 365 * 86_400])
def test_a_step_ahead_that_was_undone_hides_no_silence(tmp_path: Path, ahead_s: float) -> None:
    clock = HandClock()

    def receive(run: RunArchive) -> None:
        run.write(Frames(VENUE, FEED, "c1", ((clock.now_ns(), run.next_seq(VENUE, FEED), b"{}"),)))
        run.flush().result(60)

    with writer(tmp_path, clock) as made:
        run = open_poll(made)
        receive(run)
        clock.step_s(ahead_s)
        receive(run)
        late = open_poll(made)  # whatever begins meanwhile begins in the future
        clock.pass_s(2)
        clock.step_s(-ahead_s)
        receive(run)
        assert looked_at(tmp_path, clock) == []
        clock.pass_s(301)
        for expected in ([], [Expected(VENUE, FEED, 300)]):
            [stale] = looked_at(tmp_path, clock, *expected)
            assert (stale["kind"], stale["age_s"]) == ("stale_feed", 301)
        late.close("finished", {}).result(60)


def test_a_run_that_failed_in_the_future_is_history_once_another_has_done_better(tmp_path: Path) -> None:
    clock = HandClock()
    clock.step_s(365 * 86_400)
    with writer(tmp_path, clock) as made:
        open_poll(made).close("start_error", {"exit_code": 1}).result(60)
    clock.step_s(-365 * 86_400)
    assert kinds(looked_at(tmp_path, clock)) == ["failed_run"], "maybe just now"
    with writer(tmp_path, clock) as made:
        open_poll(made).close("finished", {"exit_code": 0}).result(60)
    assert looked_at(tmp_path, clock) == []


def test_too_little_space_and_a_damaged_ledger_are_problems(tmp_path: Path) -> None:
    clock = HandClock()
    with writer(tmp_path, clock) as made:
        run = open_poll(made)
        run.write(response(run))
        run.close("finished", {"exit_code": 0}).result(60)
    assert kinds(looked_at(tmp_path, clock, warn_mb=10**12)) == ["disk_low"]
    ledger = tmp_path / "manifests" / "ledger.jsonl"
    ledger.write_bytes(b"".join(ledger.read_bytes().splitlines(keepends=True)[1:]))
    assert set(kinds(looked_at(tmp_path, clock))) == {"ledger"}


def test_the_newest_data_are_found_in_front_of_much_that_is_none(tmp_path: Path) -> None:
    clock = HandClock()
    with writer(tmp_path, clock, member_s=60) as made:
        run = made.open_run("polymarket_stream", VENUE, ["stream"], {}, {})
        run.write(frames(run, b'{"a":1}'))
        data_at = NOON + 1000 * 1  # as `frames` stamps the first
        run.flush().result(60)
        for minute in range(1, 6):  # a member each, of what does not compress
            clock.pass_s(60)
            for n in range(40):
                at, seq = clock.now_ns(), run.next_seq(VENUE, "stream")
                noise = "".join(f"{(minute * 7919 + n * 104729 + k) ** 7:x}" for k in range(120))
                run.write(Connection(VENUE, "stream", at, seq, "c1", "opened", f"wss://h/{noise}"))
            run.write(
                Frames(VENUE, "stream", "c1", ((clock.now_ns(), run.next_seq(VENUE, "stream"), b"PONG"),))
            )
            run.flush().result(60)
        [part] = tmp_path.glob("raw/*/*/*/*/*.part")
        assert part.stat().st_size > 2**18, "more than is read at first"
        assert newest_data(tmp_path, VENUE, "stream", clock.now_ns()) == data_at
        run.close("finished", {"exit_code": 0}).result(60)
    assert newest_data(tmp_path, VENUE, "stream", clock.now_ns()) == data_at
    assert newest_data(tmp_path, VENUE, "nothing", clock.now_ns()) is None


def test_what_is_old_and_was_written_anew_hides_nothing_newer(tmp_path: Path) -> None:
    clock = HandClock()
    data_at = 0
    with writer(tmp_path, clock) as made:
        for _ in range(7):  # an hour each
            run = open_poll(made)
            seq = run.next_seq(VENUE, FEED)
            data_at = clock.now_ns()
            run.write(Frames(VENUE, FEED, "c1", ((data_at, seq, b"{}"),)))
            run.close("finished", {"exit_code": 0}).result(60)
            clock.pass_s(3600)
    for path in sorted(tmp_path.glob("raw/*/*/*/*/*.gz"))[:-1]:
        path.touch()
    assert newest_data(tmp_path, VENUE, FEED, clock.now_ns()) == data_at
