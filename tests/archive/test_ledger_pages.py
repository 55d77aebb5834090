"""Every answer of a ledger with pages is that of the whole file, whatever happens to either."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.archive.disk_budget import Room
from marketarchive.archive.ledger import Ledger
from marketarchive.archive.pages import load_pages
from marketarchive.archive.paths import LEDGER, LEDGER_PAGES, segment_path
from marketarchive.archive.reader import ArchiveReader
from marketarchive.archive.recover import recover
from marketarchive.archive.status import Status, status
from marketarchive.research.tables.partitions import days, feeds, partitions
from marketarchive.times import DAY, iso
from tests.archive import museum
from tests.archive.writing import NOON, HandClock
from tests.properties import examples

PAGE = 3
HOUR = DAY // 24
RUNS = [f"20261121T12000{n}Z-0000000{n}" for n in range(4)]
FEEDS = [("polymarket", "orderbook"), ("polymarket", "markets"), ("kalshi", "orderbook")]


def segment(run: str, feed: tuple[str, str], hour: int, n: int, kind: str = "segment") -> dict[str, Any]:
    """A line as a run enters it."""
    first = NOON + hour * HOUR
    return {
        "kind": kind,
        "path": str(segment_path(*feed, first, "spider", run, n)),
        "run": run,
        "spider": "spider",
        "venue": feed[0],
        "feed": feed[1],
        "n": n,
        "bytes": 10 + n,
        "lines": n,
        "first": iso(first),
        "last": iso(first + HOUR // 2),
        "seq_min": 1,
        "seq_max": n,
        "counts": {"frame": n, "invalid": hour % 2},
        "statuses": {},
        "members": [],
        "sha256": f"{n:064}",
    }


SEGMENTS = st.builds(
    segment,
    st.sampled_from(RUNS),
    st.sampled_from(FEEDS),
    st.integers(0, 60),
    st.integers(1, 5),
    st.sampled_from(["segment", "segment", "recovered"]),
)
PATHS = st.one_of(SEGMENTS.map(lambda line: str(line["path"])), st.just("records/quotes-2026-11-21.jsonl"))
LINES = st.one_of(
    SEGMENTS,
    SEGMENTS.map(lambda line: {"kind": "torn", "path": f"{line['path']}.torn", "run": line["run"]}),
    st.sampled_from(RUNS).map(
        lambda run: {"kind": "manifest", "path": f"manifests/spider-{run}.json", "run": run}
    ),
    st.builds(lambda path: {"kind": "label", "path": path, "label": "invalid"}, PATHS),
    st.builds(lambda path: {"kind": "moved", "path": path, "to": "s3://x"}, PATHS),
    st.integers(1, 9).map(lambda day: {"kind": "day_file", "path": f"records/quotes-2026-11-0{day}.jsonl"}),
    SEGMENTS.map(lambda line: {key: value for key, value in line.items() if key != "lines"}),  # odd
    st.just({"kind": "of tomorrow", "path": "x", "run": RUNS[0]}),
)


def answers(ledger: Ledger) -> dict[str, Any]:
    """What readers ask, for all that the strategies can make."""

    def numbers(found: Any) -> list[int]:
        return [entry.number for entry in found]

    names = sorted({str(entry["path"]) for entry in ledger.entries() if entry.get("path")})
    return {
        "head": str(ledger.head()),
        "day_files": sorted(ledger.day_files()),
        "damaged": ledger.damaged(),
        "feeds": sorted(ledger.feeds()),
        "kinds": {kind: numbers(ledger.of_kind(kind)) for kind in ("segment", "label", "torn", "moved", "x")},
        "runs": {run: numbers(ledger.of_run(run)) for run in RUNS},
        "naming": {name: numbers(ledger.naming({name})) for name in [*names, "none"]},
        "all": numbers(ledger.naming(names)),
        "segments": {
            (feed, since): numbers(ledger.segments({feed}, NOON + since * HOUR, NOON + (since + 5) * HOUR))
            for feed in FEEDS
            for since in (0, 20, 58, 70)
        },
        "all segments": numbers(ledger.segments()),
        "summary": ledger.summary(),
    }


def fresh(ledger: Ledger, folder: Path) -> dict[str, Any]:
    """The answers of the same file without pages."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / LEDGER.parent).mkdir(parents=True)
    if ledger.path.exists():
        shutil.copy(ledger.path, folder / LEDGER)
    return answers(Ledger(folder))


STEPS = st.one_of(
    st.tuples(st.just("append"), st.lists(LINES, min_size=1, max_size=4)),
    st.tuples(st.just("seal"), st.none()),
    st.tuples(st.just("tear"), st.sampled_from([b"{", b'{"kind":"label","path":"x', b"\0\0", b"[]"])),
    st.tuples(st.just("foreign"), st.binary(max_size=6).filter(lambda data: b"\n" not in data)),
    st.tuples(st.just("roll back"), st.integers(0, 12)),
    st.tuples(st.just("flip pages"), st.integers(0, 10_000)),
    st.tuples(st.just("cut pages"), st.integers(0, 400)),
    st.tuples(st.just("another's pages"), st.none()),
    st.tuples(st.just("older pages"), st.none()),
    st.tuples(st.just("no pages"), st.none()),
)


def take(step: str, what: Any, ledger: Ledger, pages: Path, others: bytes, kept: list[bytes]) -> None:
    """Do one step."""
    match step:
        case "append":
            ledger.append(*what)
        case "seal":
            ledger.seal_pages()
            if pages.exists():
                kept.append(pages.read_bytes())
        case "tear" | "foreign":  # a writer that died, or one that is none of ours
            ledger.path.parent.mkdir(exist_ok=True)
            with ledger.path.open("ab") as file:
                file.write(what if step == "tear" else what + b"\n")
        case "roll back":
            lines = ledger.path.read_bytes().splitlines(keepends=True) if ledger.path.exists() else []
            if lines:
                ledger.path.write_bytes(b"".join(lines[: max(0, len(lines) - what)]))
        case "flip pages":
            if pages.exists():
                museum.flip(pages, what % (8 * pages.stat().st_size))
        case "cut pages":
            if pages.exists():
                pages.write_bytes(pages.read_bytes()[:what])
        case "another's pages":
            pages.parent.mkdir(exist_ok=True)
            pages.write_bytes(others)
        case "older pages":
            if kept:
                pages.write_bytes(kept[0])
        case "no pages":
            pages.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Pages of another archive."""
    root = tmp_path_factory.mktemp("other")
    ledger = Ledger(root, page_lines=PAGE)
    for n in range(1, 8):
        ledger.append(segment(RUNS[0], FEEDS[0], n, n))
    assert ledger.seal_pages() == 2
    return (root / LEDGER_PAGES).read_bytes()


@examples(60)
@given(steps=st.lists(STEPS, max_size=14))
def test_answers_are_those_of_the_whole_file(
    tmp_path_factory: pytest.TempPathFactory, others: bytes, steps: list[tuple[str, Any]]
) -> None:
    root, copy = tmp_path_factory.mktemp("ledger"), tmp_path_factory.mktemp("copy")
    ledger = Ledger(root, page_lines=PAGE)
    kept: list[bytes] = []
    for step, what in steps:
        take(step, what, ledger, root / LEDGER_PAGES, others, kept)
        assert answers(ledger) == fresh(ledger, copy), step
    before = ledger.head()
    assert ledger.append({"kind": "label", "path": "x"}).count == before.count + 1
    last = list(ledger.entries())[-1]
    assert last["previous"] == before.sha256
    assert ledger.summary().problems == ledger.check()


def filled(root: Path, lines: int = 20) -> Ledger:
    ledger = Ledger(root, page_lines=PAGE)
    for n in range(lines):
        ledger.append(segment(RUNS[n % 4], FEEDS[n % 3], n, n + 1))
    return ledger


def test_pages_are_made_of_whole_lines_alone(tmp_path: Path) -> None:
    ledger = filled(tmp_path, PAGE - 1)
    assert ledger.seal_pages() == 0
    assert not (tmp_path / "index").exists()
    museum.append(ledger.path, b'{"kind":"label"')
    assert ledger.seal_pages() == 0
    ledger.append({"kind": "label", "path": "x"})
    assert ledger.seal_pages() == 1


def test_what_is_passed_over_is_not_read(tmp_path: Path) -> None:
    """A line changed in place behind a page shows to whoever reads that page, and to what `verify` asks."""
    ledger = filled(tmp_path)
    assert ledger.seal_pages() == 6
    museum.edit(ledger.path, lambda lines: [lines[0].replace(b"frame", b"fRame"), *lines[1:]])
    assert ledger.check()
    assert ledger.summary().problems == []
    [first] = ledger.segments({FEEDS[0]}, NOON, NOON + HOUR)
    assert "fRame" in first["counts"]


def test_each_damage_of_the_pages_is_found(tmp_path: Path) -> None:
    ledger = filled(tmp_path, 7)
    ledger.seal_pages()
    pages = tmp_path / LEDGER_PAGES
    whole = pages.read_bytes()
    assert len(load_pages(tmp_path)) == 2
    for bit in range(0, 8 * len(whole), 59):
        museum.flip(pages, bit)
        assert load_pages(tmp_path) == []
        pages.write_bytes(whole)


def found_by(root: Path) -> list[Any]:
    """What readers above the ledger say."""
    looked: Status = status(root, HandClock(NOON + 3 * DAY))
    looked.disk, looked.room = {}, Room(0, Path())  # the pages themselves are on it
    for feed in looked.feeds:  # the age of a file goes by the machine's clock
        feed.last = None if feed.last_from == "file" else feed.last
    reader = ArchiveReader(root)
    return [
        looked,
        feeds(root),
        days(root),
        partitions(root, set(feeds(root)), NOON, NOON + HOUR),
        partitions(root, set(feeds(root))),
        reader.segments(feed="orderbook"),
        list(reader.messages(kinds=("gap", "response"), open_parts=True)),
    ]


def test_readers_say_the_same_with_and_without_pages(tmp_path: Path) -> None:
    museum.build(tmp_path)
    before = found_by(tmp_path)
    assert Ledger(tmp_path, page_lines=2).seal_pages() > 2
    assert found_by(tmp_path) == before
    assert recover(tmp_path, HandClock(NOON + 3 * DAY)).warnings == []
    museum.flip(tmp_path / LEDGER_PAGES, 800)
    assert found_by(tmp_path) == before


def test_an_archive_that_nobody_may_write_to_is_read_by_the_pages_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    museum.build(tmp_path)
    Ledger(tmp_path, page_lines=2).seal_pages()
    before = found_by(tmp_path)
    files = sorted(tmp_path.rglob("*"))

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "write_bytes", refuse)  # of what is derived alone
    with pytest.raises(PermissionError):
        Ledger(tmp_path, page_lines=1).seal_pages()
    assert found_by(tmp_path) == before
    assert recover(tmp_path, HandClock(NOON + 3 * DAY)).failures == []
    assert sorted(tmp_path.rglob("*")) == files


SEALING = """
import sys
from pathlib import Path
from marketarchive.archive.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]), page_lines=3)
print("ready", flush=True)
while True:
    ledger.append({"kind": "label", "path": "x", "by": sys.argv[2]})
    ledger.seal_pages()
"""


@pytest.mark.process
def test_two_that_append_and_seal_are_killed_at_any_moment(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, page_lines=PAGE)
    for round_ in range(3):
        children = [
            subprocess.Popen([sys.executable, "-c", SEALING, str(tmp_path), name], stdout=subprocess.PIPE)
            for name in "ab"
        ]
        grown = ledger.head().count + 40 + 7 * round_
        while ledger.head().count < grown:
            assert ledger.summary().problems == []
        for child in children:
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
            assert child.stdout is not None
            child.stdout.close()
        assert ledger.summary().problems == ledger.check() == []
        assert answers(ledger) == fresh(ledger, tmp_path / "copy")
    assert len(load_pages(tmp_path)) > 10
