"""Free space that becomes short: a warning, then a stop while all can be sealed."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

import pytest

from marketarchive.archive.config import ArchiveConfig
from marketarchive.archive.disk_budget import MB, DiskBudget, Room, least_room
from marketarchive.archive.feed import EndGap
from marketarchive.archive.files import Files
from marketarchive.archive.health import problems
from marketarchive.archive.status import status
from marketarchive.archive.verify import verify
from marketarchive.archive.writer import ArchiveWriter
from marketarchive.clock import RealClock
from marketarchive.collecting.metrics import Metrics
from marketarchive.collecting.process import Process
from marketarchive.exceptions import ConfigurationError, DiskError
from marketarchive.times import SECOND, from_iso
from tests.archive.writing import FEED, NOON, VENUE, HandClock, frames, open_run, response, segments
from tests.collecting.scraping import scrape
from tests.spiders_under_test import project_settings
from tests.waiting import until


class FilledDisk(Files):
    """Disk with so many free bytes where files are open; OUTPUT_DIR itself has plenty, as if on another."""

    def __init__(self, free: int) -> None:
        super().__init__()
        self.left = free

    def free(self, place: Path | int) -> int:
        return self.left if isinstance(place, int) else 10**15


class ShortDisk(Files):
    """Two disks: the folder `short` beside OUTPUT_DIR is one with 50 MB, all else is on one with plenty."""

    def free(self, place: Path | int) -> int:
        path = self.paths[place] if isinstance(place, int) else place
        os.statvfs(place)  # it is there
        return 50 * MB if "short" in path.resolve().parts else 10**15


def linked(root: Path, folder: str) -> Path:
    """Let `folder` below OUTPUT_DIR be on the short disk; return it."""
    (root.parent / "short").mkdir()
    (root / folder).parent.mkdir(parents=True)
    (root / folder).symlink_to(root.parent / "short")
    return root / folder


LINKS = ["raw", f"raw/venue={VENUE}", f"raw/venue={VENUE}/feed={FEED}", "records", "manifests"]


@pytest.mark.parametrize("folder", LINKS)
def test_the_least_room_is_that_of_the_shortest_disk(tmp_path: Path, folder: str) -> None:
    root = tmp_path / "archive"
    root.mkdir()
    assert least_room(root, ShortDisk()) == (10**15, root)
    root.rmdir()
    short = linked(root, folder)
    assert least_room(root, ShortDisk()) == (50 * MB, short)
    (tmp_path / "short").rmdir()  # not mounted
    assert least_room(root, ShortDisk()) == (10**15, root)


@pytest.mark.parametrize("folder", LINKS)
def test_a_short_disk_behind_a_link_refuses_a_start_and_is_named(tmp_path: Path, folder: str) -> None:
    short = linked(tmp_path / "archive", folder)
    settings = project_settings(
        OUTPUT_DIR=str(tmp_path / "archive"),
        ARCHIVE_FILES=f"{ShortDisk.__module__}.{ShortDisk.__name__}",
        DISK_STOP_FREE_MB=51,
    )
    with pytest.raises(DiskError, match=re.escape(f"50 MB are free for {short}, less than DISK_STOP")):
        Process(settings)


def test_a_short_disk_behind_a_link_is_seen_by_all_that_watch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "archive"
    short = linked(root, f"raw/venue={VENUE}")
    files, budget = ShortDisk(), DiskBudget(51, 51)
    writer = ArchiveWriter(root, RealClock(), ArchiveConfig(flush_s=0.01), files, budget, look_s=0.05)
    writer.start()
    metrics = Metrics(writer, 0)
    try:
        until(lambda: writer.shortage)
        assert f"50 MB are free for {short}" in str(writer.shortage)
        assert metrics.url is not None
        assert scrape(metrics.url).one("marketarchive_disk_free_bytes") == 50 * MB
        run = open_run(writer)
        run.close("disk", {}).result(60)
    finally:
        metrics.close()
        writer.close()
    monkeypatch.setattr(Files, "free", ShortDisk.free)
    found = status(root, RealClock())
    assert found.room == (50 * MB, short)
    [low] = problems(found, [], 300, budget, only_expected=False)
    assert low == {"kind": "disk_low", "free_bytes": 50 * MB, "folder": str(short), "level": "stop"}


@pytest.mark.parametrize(
    ("free_mb", "level"), [(99.99, "stop"), (100, "warn"), (499.99, "warn"), (500, "ok"), (10**9, "ok")]
)
def test_the_levels(free_mb: float, level: str, tmp_path: Path) -> None:
    budget = DiskBudget(500, 100)
    free = int(free_mb * MB)
    assert budget.level(free) == level
    message = budget.message(Room(free, tmp_path))
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
    files = FilledDisk(2000 * MB)
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
