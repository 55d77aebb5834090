"""Every stop ends the process: whenever signals come, whatever is in flight, however full the disk is."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.e2e import holding
from tests.e2e.collectors import (
    COLLECT,
    CRAWL,
    HELD,
    PROBE,
    assert_sound,
    collecting,
)
from tests.e2e.harness import Output, Simulator, command
from tests.waiting import until

pytestmark = pytest.mark.e2e


# ---- the two ways in which Scrapy waits for ever -------------------------------------------------------


@pytest.mark.parametrize("arguments", [CRAWL, COLLECT], ids=["crawl", "collect"])
def test_an_item_in_flight_does_not_keep_two_signals_from_ending(
    arguments: Sequence[str], world: Simulator, out: Path
) -> None:
    slow = holding.pipelines(holding.SlowPipeline)
    with collecting(world.url, out, arguments, ITEM_PIPELINES=slow) as collector:
        collector.until_parts()
        collector.send(signal.SIGTERM)
        collector.send(signal.SIGINT)
        assert collector.end() == 0, collector.log[-3000:]
    assert HELD not in collector.log
    assert not list(out.glob("manifests/*-*.lock"))
    assert_sound(out)


def test_an_item_in_flight_does_not_keep_a_full_disk_from_ending(world: Simulator, out: Path) -> None:
    full = {"ARCHIVE_FILES": "tests.archive.faulty_files.FullAfter", "MASTER_URL": ""}
    slow = holding.pipelines(holding.SlowPipeline)
    room = {"FULL_AFTER_BYTES": "20000"}
    with collecting(world.url, out, CRAWL, room, ITEM_PIPELINES=slow, **full) as collector:
        assert collector.end() == 3, collector.log[-3000:]
    assert HELD not in collector.log
    assert_sound(out)


@pytest.mark.parametrize("count", [1, 2], ids=["once", "twice"])
@pytest.mark.parametrize("arguments", [CRAWL, COLLECT, PROBE], ids=["crawl", "collect", "probe"])
def test_signals_before_the_event_loop_runs_are_remembered(
    arguments: Sequence[str], count: int, world: Simulator, out: Path, tmp_path: Path
) -> None:
    hold = tmp_path / "hold"
    waiting = f"{holding.__name__}.{holding.WaitingResolver.__name__}"
    options = {"TWISTED_DNS_RESOLVER": waiting}
    with collecting(world.url, out, arguments, {"HOLD_FILE": str(hold)}, **options) as collector:
        until(lambda: hold.exists() or collector.process.poll() is not None)
        for _ in range(count):
            collector.send(signal.SIGTERM)
            time.sleep(0.1)  # two at once are one signal
        hold.unlink()
        assert collector.end() == (1 if arguments is PROBE else 0), collector.log[-3000:]
    assert HELD not in collector.log
    assert {manifest["exit_reason"] for manifest in Output(out).manifests()} <= {"SIGTERM"}
    assert_sound(out)


# ---- SIGHUP ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [CRAWL, COLLECT], ids=["crawl", "collect"])
def test_a_dropped_session_seals_everything(arguments: Sequence[str], world: Simulator, out: Path) -> None:
    with collecting(world.url, out, arguments) as collector:
        collector.until_parts()
        collector.send(signal.SIGHUP)
        assert collector.end() == 0, collector.log[-3000:]
    assert {manifest["exit_reason"] for manifest in Output(out).manifests()} == {"SIGHUP"}
    assert not list(out.glob("manifests/*-*.lock"))
    assert command("verify", out).returncode == 0


def test_a_collector_under_nohup_outlives_its_session(world: Simulator, out: Path) -> None:
    with collecting(world.url, out, CRAWL, before=("nohup",)) as collector:
        collector.until_parts()
        collector.send(signal.SIGHUP)
        size = sum(path.stat().st_size for path in out.glob("raw/**/*.part"))
        until(lambda: sum(path.stat().st_size for path in out.glob("raw/**/*.part")) > size + 10_000)
        assert collector.process.poll() is None
        collector.send(signal.SIGTERM)
        assert collector.end() == 0, collector.log[-3000:]
    assert {manifest["exit_reason"] for manifest in Output(out).manifests()} == {"SIGTERM"}


# ---- the last resort -----------------------------------------------------------------------------------


def test_what_never_passes_the_pipelines_is_not_waited_for(
    world: Simulator, out: Path, tmp_path: Path
) -> None:
    """The event loop runs: the run is sealed."""
    stuck, hold = holding.pipelines(holding.StuckPipeline), tmp_path / "hold"
    with collecting(world.url, out, PROBE, {"HOLD_FILE": str(hold)}, ITEM_PIPELINES=stuck) as collector:
        until(lambda: hold.exists() or collector.process.poll() is not None)
        collector.send(signal.SIGTERM)
        assert collector.end() == 1, "a probe without a report"
    assert collector.log.count(HELD) == 1, collector.log[-3000:]
    assert "all is sealed" in collector.log
    assert not list(out.glob("manifests/*-*.lock"))
    gaps = Output(out).gaps()
    assert {(gap["reason"], gap["first_lost_seq"]) for gap in gaps} == {("crash", 1)}
    assert_sound(out)


def test_answers_that_a_short_disk_loses_are_declared(world: Simulator, out: Path, tmp_path: Path) -> None:
    stuck, hold, room = holding.pipelines(holding.StuckPipeline), tmp_path / "hold", tmp_path / "room"
    room.write_text(str(10**10))
    environment = {"HOLD_FILE": str(hold), "ROOM_FILE": str(room)}
    files = "tests.archive.faulty_files.Room"
    with collecting(
        world.url, out, CRAWL, environment, ITEM_PIPELINES=stuck, ARCHIVE_FILES=files
    ) as collector:
        until(lambda: hold.exists() or collector.process.poll() is not None)
        room.write_text("0")
        assert collector.end() == 3, collector.log[-3000:]
    assert "all is sealed" in collector.log
    gaps = Output(out).gaps()
    assert {(gap["reason"], gap["first_lost_seq"]) for gap in gaps} == {("disk", 1)}
    assert_sound(out)


def test_a_blocked_event_loop_does_not_keep_the_process_alive(
    world: Simulator, out: Path, tmp_path: Path
) -> None:
    blocking, hold = holding.pipelines(holding.BlockingPipeline), tmp_path / "hold"
    with collecting(world.url, out, CRAWL, {"HOLD_FILE": str(hold)}, ITEM_PIPELINES=blocking) as collector:
        until(lambda: hold.exists() or collector.process.poll() is not None)
        collector.send(signal.SIGTERM)
        assert collector.end() == 1, collector.log[-3000:]
    assert collector.log.count(HELD) == 1
    assert "left to recovery" in collector.log
    assert_sound(out)
