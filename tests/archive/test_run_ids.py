"""Run ids: unique with their spider only, eight random digits, four in early archives."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from marketarchive.archive.paths import (
    RUN_ID,
    RunName,
    manifest_path,
    new_run_id,
    parse_run_name,
    parse_segment_path,
    run_of,
)
from marketarchive.archive.reader import ArchiveReader
from marketarchive.archive.recover import recover
from marketarchive.archive.run import RunArchive
from marketarchive.archive.status import status
from marketarchive.archive.verify import verify
from marketarchive.items import Connection
from tests.archive.writing import NOON, VENUE, HandClock, frames, ledger_of, open_run, response, writer

OLD, NEW = "20261121T120000Z-4f2a", "20261121T120000Z-4f2a91c7"


def drawing(monkeypatch: pytest.MonkeyPatch, digits: str) -> None:
    """Let every run draw the same digits."""
    monkeypatch.setattr("marketarchive.archive.paths.secrets.token_hex", lambda _: digits)


def opened(run: RunArchive, url: str) -> Connection:
    return Connection(VENUE, "stream", NOON, run.next_seq(VENUE, "stream"), "c1", "opened", url, ("{}",))


def later() -> HandClock:
    clock = HandClock()
    clock.pass_s(3 * 86_400)
    return clock


def test_a_new_id_has_eight_random_digits() -> None:
    assert re.fullmatch(r"20261121T120000Z-[0-9a-f]{8}", new_run_id(NOON))
    assert re.fullmatch(RUN_ID, new_run_id(NOON))


@pytest.mark.parametrize("run", [OLD, NEW])
def test_both_lengths_are_read(run: str) -> None:
    name = f"polymarket_stream-{run}"
    path = f"raw/venue=v/feed=f/date=2026-11-21/hour=12/{name}-7.jsonl.gz"
    assert parse_run_name(name) == RunName("polymarket_stream", run)
    segment = parse_segment_path(path)
    assert segment is not None
    assert (segment.spider, segment.run, segment.n) == ("polymarket_stream", run, 7)
    assert run_of(path) == run_of(path + ".torn") == run_of(str(manifest_path(name))) == name


@pytest.mark.parametrize("name", ["foo", "recovery", f"a-b-{OLD}", OLD, f"a-{OLD}0", f"a-{OLD.lower()}", ""])
def test_other_names_are_no_run_s(name: str) -> None:
    assert parse_run_name(name) is None
    assert run_of(f"manifests/{name}.json") is None
    assert run_of(f"records/{name}.jsonl") is None


@pytest.mark.parametrize("digits", ["4f2a", "4f2a91c7"])
def test_recovery_tells_runs_of_one_id_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits: str
) -> None:
    drawing(monkeypatch, digits)
    clock = HandClock()
    spiders = ("polymarket_markets", "polymarket_orderbook", "polymarket_stream")
    with writer(tmp_path, clock) as made:
        done, *dead = [open_run(made, spider) for spider in spiders]
        assert {run.run for run in (done, *dead)} == {f"20261121T120000Z-{digits}"}
        for count, run in enumerate((done, *dead), 2):
            for _ in range(count):
                run.write(response(run))
                run.write(frames(run, b"1", b"2"))
                run.flush().result(10)
                clock.pass_s(3600)  # a segment for each: recovery has to read what is in the ledger
        done.close("finished", {}).result(10)
    recovery = recover(tmp_path, later())
    assert [run.name for run in recovery.runs] == [run.name for run in dead]
    assert recovery.failures == []
    assert verify(tmp_path).problems == []
    assert {run.name: run.state for run in status(tmp_path, later()).runs} == {
        done.name: "done",
        **{run.name: "recovered" for run in dead},
    }
    assert recover(tmp_path, later()).runs == []


def test_connections_of_runs_of_one_id_keep_their_own_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing(monkeypatch, "4f2a91c7")
    with writer(tmp_path) as made:
        for spider in ("polymarket_a", "polymarket_b"):
            run = open_run(made, spider)
            run.write(opened(run, f"wss://{spider}"))
            run.write(frames(run, b"1"))
            run.close("finished", {}).result(10)
    found = {message.path.split("/")[-1]: message.url for message in ArchiveReader(tmp_path).messages()}
    assert found == {
        Path(entry["path"]).name: f"wss://{entry['spider']}" for entry in ledger_of(tmp_path, "segment")
    }


def test_a_lock_s_file_name_tells_whose_it_is(tmp_path: Path) -> None:
    """One damaged digit in its content makes it no other run's."""
    with writer(tmp_path) as made:
        run = open_run(made)
        run.write(response(run))
        run.flush().result(10)
    lock = tmp_path / f"manifests/{run.name}.lock"
    lock.write_bytes(lock.read_bytes().replace(b'"20261121T12', b'"20261121T13'))
    assert [found.name for found in recover(tmp_path, later()).runs] == [run.name]
    assert verify(tmp_path).problems == []
