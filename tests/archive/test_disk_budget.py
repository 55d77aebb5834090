"""Free space that becomes short: a warning, then a stop while all can be sealed."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from marketarchive.archive.config import ArchiveConfig
from marketarchive.archive.disk_budget import MB, DiskBudget
from marketarchive.archive.feed import EndGap
from marketarchive.archive.files import Files
from marketarchive.archive.verify import verify
from marketarchive.archive.writer import ArchiveWriter
from marketarchive.clock import RealClock
from marketarchive.exceptions import ConfigurationError
from marketarchive.times import SECOND, from_iso
from tests.archive.writing import FEED, NOON, HandClock, frames, open_run, response, segments
from tests.waiting import until


class Room(Files):
    """Disk with so many free bytes where files are open; OUTPUT_DIR itself has plenty, as if on another."""

    def __init__(self, free: int) -> None:
        super().__init__()
        self.left = free

    def free(self, place: Path | int) -> int:
        return self.left if isinstance(place, int) else 10**15


@pytest.mark.parametrize(
    ("free_mb", "level"), [(99.99, "stop"), (100, "warn"), (499.99, "warn"), (500, "ok"), (10**9, "ok")]
)
def test_the_levels(free_mb: float, level: str, tmp_path: Path) -> None:
    budget = DiskBudget(500, 100)
    free = int(free_mb * MB)
    assert budget.level(free) == level
    message = budget.message(free, tmp_path)
    if level == "ok":
        assert message == ""
    else:
        assert f"less than DISK_{level.upper()}_FREE_MB" in message
        assert "Free space" in message


def test_zero_is_never() -> None:
    assert DiskBudget(0, 0).level(0) == "ok"


@pytest.mark.parametrize("value", ["plenty", -1, "nan", "inf"])
@pytest.mark.parametrize("name", ["DISK_WARN_FREE_MB", "DISK_STOP_FREE_MB"])
def test_nonsense_is_refused_by_the_settings_name(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=name):
        DiskBudget.from_settings({name: value})


def test_settings_are_read() -> None:
    assert DiskBudget.from_settings({"DISK_WARN_FREE_MB": "7"}) == DiskBudget(7, DiskBudget().stop_mb)


def test_a_gap_of_lost_lines_is_only_of_feeds_that_lost_some(tmp_path: Path) -> None:
    writer = ArchiveWriter(tmp_path, RealClock(), ArchiveConfig(flush_s=0.01))
    writer.start()
    run = open_run(writer)
    held = response(run)
    run.write(frames(run, b"{}", b"{}", feed=FEED))
    run.write(frames(run, b"{}", feed="whole"))
    run.close("shutdown", {}, EndGap(NOON, "crash", "held", only_lost=True)).result(60)
    writer.close()
    found = [line.envelope for lines in segments(tmp_path).values() for line in lines if line.kind == "gap"]
    assert [(gap["scope"]["feed"], gap["first_lost_seq"]) for gap in found] == [(FEED, held.seq)]
    assert not verify(tmp_path).problems


@pytest.mark.parametrize("reason", ["crash", "disk"])
def test_the_gap_at_the_end_begins_before_the_receipt_of_what_is_lost(reason: str, tmp_path: Path) -> None:
    writer = ArchiveWriter(tmp_path, HandClock(NOON), ArchiveConfig(flush_s=0.01))
    writer.start()
    run = open_run(writer)
    whole = frames(run, b"{}", b"{}", feed=FEED)
    run.write(whole)
    held = response(run)
    run.write(frames(run, b"{}", feed=FEED))  # overtakes what is held
    run.close("shutdown", {}, EndGap(NOON + SECOND, reason, "held", only_lost=reason == "crash")).result(60)
    writer.close()
    [lines] = segments(tmp_path).values()
    [gap] = [line.envelope for line in lines if line.kind == "gap"]
    assert gap["first_lost_seq"] == held.seq
    assert whole.frames[0][0] <= from_iso(gap["from"]) <= held.received_at


def test_a_writer_warns_and_then_asks_for_the_end_of_its_runs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = Room(2000 * MB)
    writer = ArchiveWriter(
        tmp_path, RealClock(), ArchiveConfig(flush_s=0.01), files, DiskBudget(1000, 100), look_s=0.05
    )
    writer.start()
    run = open_run(writer)
    with caplog.at_level(logging.WARNING):
        until(lambda: writer.free is not None)
        assert caplog.text == ""
        files.left = 999 * MB
        until(lambda: writer.free == files.left)
        assert caplog.text.count("DISK_WARN_FREE_MB=1000") == 1
    assert writer.shortage is None
    files.left = 99 * MB
    until(lambda: writer.shortage)
    assert "DISK_STOP_FREE_MB=100" in str(writer.shortage)
    assert writer.failure is None  # what is handed over is still written, and all is sealed
    held, written = response(run), frames(run, b"{}", b"{}", feed=FEED)
    run.write(written)  # and what came before it is still on its way when the run is sealed
    run.close("disk", {}, EndGap(NOON, "disk", "99 MB are free")).result(60)
    writer.close()
    [lines] = segments(tmp_path).values()
    [gap] = [line.envelope for line in lines if line.kind == "gap"]
    assert (gap["reason"], gap["first_lost_seq"], held.seq) == ("disk", 1, 1)
    assert not verify(tmp_path).problems
