"""An archive of version 0.1.0 with a run that was killed: checked, recovered, read, all derived from it."""

from __future__ import annotations

import shutil
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from marketarchive.archive.book_checks import BookChecks
from marketarchive.archive.compact import Compaction, compact
from marketarchive.archive.config import ArchiveConfig
from marketarchive.archive.files import Files
from marketarchive.archive.ledger import Ledger
from marketarchive.archive.reader import ArchiveReader
from marketarchive.archive.store import Store
from marketarchive.archive.verify import verify
from marketarchive.invocation import command as named
from marketarchive.master.engine import open_master
from marketarchive.master.queries import market
from marketarchive.research.checks import sequence
from marketarchive.research.names import master_rows
from marketarchive.research.tables.normalize import normalize
from marketarchive.times import HOUR, from_iso
from tests.archive.writing import HandClock
from tests.data.digests import digests_of, read_digests, recover_then
from tests.e2e.harness import Output, command

DATA = Path(__file__).parent.parent / "data"
KEPT = DATA / "archive-0.1.0"
FIRST, SECOND = "btc-updown-5m-1786060500", "btc-updown-5m-1786060800"
"""The rounds that were seen whole: 23:55 to midnight, midnight to 00:05."""
KINDS = ("response", "frame", "connection", "book_state", "gap")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return Path(shutil.copytree(KEPT, tmp_path / "archive"))


def test_verify_names_the_dead_run_and_nothing_else(old: Path) -> None:
    parts = sorted(path.relative_to(old).as_posix() for path in old.rglob("*.part"))
    [lock] = [path.relative_to(old).as_posix() for path in old.glob("manifests/*-*.lock")]
    assert [path.split("/")[2] for path in parts] == ["feed=markets", "feed=stream"]
    told = command("verify", old, "--books")
    assert told.returncode == 1
    remedy = named("recover")
    assert [line for line in told.stdout.splitlines() if line.startswith(("PROBLEM", "note", "open"))] == [
        f"PROBLEM  {lock}: its run is dead: run `{remedy}`",
        *(f"PROBLEM  {part}: was left open by a run that died: run `{remedy}`" for part in parts),
    ]


def test_recover_seals_what_the_dead_run_left_and_says_what_it_lost(old: Path) -> None:
    parts = [path.relative_to(old).as_posix().removesuffix(".part") for path in old.rglob("*.part")]
    before = len(Output(old).gaps())
    recover_then(old)
    assert not list(old.rglob("*.part"))
    assert not list(old.glob("manifests/*-*.lock"))
    assert {line["path"] for line in Output(old).ledger() if line["kind"] == "recovered"} == set(parts)
    assert all((old / f"{path}.torn").exists() for path in parts)
    gaps = Output(old).gaps()
    crashes = [gap for gap in gaps if gap["reason"] == "crash"]
    assert len(gaps) == before + len(parts)
    assert {gap["scope"]["feed"] for gap in crashes} == {"markets", "stream"}
    assert all(gap["to"] is None for gap in crashes)
    for options in ((), ("--books",)):
        told = command("verify", old, *options)
        assert told.returncode == 0, told.stdout
    assert "books" in told.stdout


def test_the_command_recovers_it_by_the_clock_of_today(old: Path) -> None:
    told = command("recover", old)
    assert told.returncode == 0
    assert told.stdout.count("recovered ") == 2
    assert told.stdout.endswith("1 dead runs\n")
    assert command("recover", old).stdout == "0 dead runs\n"
    entered = {line["path"] for line in Output(old).ledger() if line["kind"] == "day_file"}
    assert entered == {path.relative_to(old).as_posix() for path in old.glob("records/*.jsonl")}
    told = command("verify", old, "--books")
    assert told.returncode == 0, told.stdout


@pytest.mark.process  # works for seconds
def test_what_is_derived_from_it_is_what_it_was(old: Path) -> None:
    kept = read_digests(DATA / "archive-0.1.0.digests.json")
    made = digests_of(old, kept["columns"])
    assert {path: made["files"].get(path) for path in kept["files"]} == kept["files"]


def test_its_records_and_every_message_can_be_read(old: Path) -> None:
    recover_then(old)
    rows = Output(old).records("polymarket_btc")
    assert {FIRST, SECOND} <= {row["market_id"] for row in rows}
    assert any(row["is_observed"] for row in rows)
    assert Output(old).records("chainlink_continuous")
    assert [row["reason"] for row in Output(old).records("gaps")]
    entered: Counter[str] = Counter()
    for line in Output(old).ledger():
        entered.update({kind: line.get("counts", {}).get(kind, 0) for kind in KINDS})
    assert all(entered[kind] for kind in KINDS)
    assert Counter(message.kind for message in ArchiveReader(old).messages(kinds=KINDS)) == entered


def test_its_market_master_opens(old: Path) -> None:
    resolved = {row["slug"]: row for row in master_rows(old, None)}
    assert {FIRST, SECOND} <= resolved.keys()
    engine = open_master(f"sqlite:///{old / 'master.db'}")
    with closing(engine.connect()) as connection:
        known = market(connection, "polymarket", resolved[FIRST]["market_id"])
    engine.dispose()
    assert known is not None
    assert known["slug"] == FIRST


@pytest.mark.process  # works for seconds
def test_compacted_it_verifies_and_gives_the_same_messages_and_products(old: Path) -> None:
    recover_then(old)
    before = [(one.path, one.line_number, one.payload) for one in ArchiveReader(old).messages(kinds=KINDS)]
    books = verify(old, books=BookChecks()).books
    done = compacted(old)
    assert (done.removed, len(done.joined), done.refused) == (18, 6, {})
    report = verify(old, books=BookChecks())
    assert (report.problems, report.books) == ([], books)
    after = [(one.path, one.line_number, one.payload) for one in ArchiveReader(old).messages(kinds=KINDS)]
    assert after == before
    kept = read_digests(DATA / "archive-0.1.0.digests.json")
    made = digests_of(old, kept["columns"])
    assert {path: made["files"].get(path) for path in kept["files"]} == kept["files"]
    assert sequence.check(old).state == "pass"


@pytest.mark.process  # works for seconds
def test_tables_that_were_made_before_it_was_compacted_stay_as_they_are(old: Path) -> None:
    recover_then(old)
    made = normalize(old)
    before = {path: path.read_bytes() for path in old.glob("tables/**/*.parquet")}
    assert len(before) == len(made.outputs) > 30
    assert compacted(old).removed == 18
    again = normalize(old)
    assert (again.outputs, again.failed, again.up_to_date) == ([], {}, len(before))
    assert {path: path.read_bytes() for path in old.glob("tables/**/*.parquet")} == before


def compacted(root: Path) -> Compaction:
    files = Files()
    clock = HandClock(from_iso("2026-08-09T00:00:00Z"))
    store = Store(root, clock, ArchiveConfig(), files, Ledger(root, files))
    return compact(store, 24 * HOUR, 8_000_000, remove=True)
