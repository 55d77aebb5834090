"""The master made from raw is the one that live collecting made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from scrapy.cmdline import execute
from scrapy.utils.project import get_project_settings
from sqlalchemy import delete, func, select

from marketarchive.archive.run import RunArchive
from marketarchive.exceptions import ArchiveError, MasterError
from marketarchive.items import Response
from marketarchive.master import queries
from marketarchive.master.compare import compare
from marketarchive.master.engine import open_master, writing
from marketarchive.master.fields import microseconds
from marketarchive.master.observation import observe
from marketarchive.master.rebuild import Rebuilt, rebuild
from marketarchive.master.store import MasterStore
from marketarchive.master.tables import market_changes, markets, metadata, price_snapshots
from marketarchive.times import SECOND, iso
from marketarchive.venues.messages import Received
from marketarchive.venues.polymarket.endpoints import BOOKS, MARKETS_KEYSET, RESOLUTIONS
from marketarchive.venues.polymarket.parse import parse
from tests.archive.writing import NOON, HandClock, writer

PROJECT = Path(__file__).parents[2]


def condition(number: int) -> str:
    return f"0x{number:064x}"


def gamma_row(number: int, **said: Any) -> dict[str, Any]:
    return {
        "id": str(number),
        "conditionId": condition(number),
        "slug": f"market-{number}",
        "question": f"Market {number}?",
        "description": "d" * 200,
        "outcomes": '["Up", "Down"]',
        "outcomePrices": '["0.5", "0.5"]',
        "clobTokenIds": json.dumps([str(10 * number), str(10 * number + 1)]),
        "active": True,
        "closed": False,
        "startDate": "2026-11-20T10:00:00.123456Z",
        "endDate": "2026-11-22T10:00:00Z",
        "volume": "35024.42854499998",
        **said,
    }


def paid(*numbers: int, first: bool) -> dict[str, Any]:
    row = {
        "status": "resolved",
        "payouts": [1_000_000 * first, 1_000_000 * (not first)],
        "reporter": "CHAINLINK",
    }
    return {
        "data": [{"condition_id": condition(number), **row} for number in numbers],
        "pagination": {"has_more": False},
    }


@dataclass
class Collector:
    """Archives answers as a spider does and hands what they say to a live master."""

    store: MasterStore
    runs: dict[str, RunArchive] = field(default_factory=dict)  # feed -> run

    def receive(
        self,
        feed: str,
        t: float,
        document: Any,
        url: str = MARKETS_KEYSET,
        status: int = 200,
        flags: tuple[str, ...] = (),
    ) -> None:
        """An answer `t` seconds after noon."""
        run = self.runs[feed]
        payload = document if isinstance(document, bytes) else json.dumps(document).encode()
        received_at = NOON + round(t * SECOND) + 789  # lines keep microseconds
        seq = run.next_seq("polymarket", feed)
        run.write(
            Response(
                "polymarket", feed, received_at, seq, "GET", url, {}, status, {}, 1.0, payload, flags=flags
            )
        )
        if status == 200 and not flags and payload.startswith(b"{"):
            parsed = parse(Received("polymarket", feed, url, {}, None, status, payload, received_at, seq))
            self.store.write([observe(item.model_copy(update={"run": run.run})) for item in parsed.items])


@pytest.fixture
def live(new_url: Callable[[], str], tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """An archive, some of it still being written, and the master that was filled meanwhile."""
    url = new_url()
    root = tmp_path / "out"
    clock = HandClock()
    with writer(root, clock, segment_s=60) as made:
        collector = Collector(MasterStore(url))
        for feed in ("markets", "resolutions", "orderbook"):
            collector.runs[feed] = made.open_run(f"polymarket_{feed}", "polymarket", [feed], {}, {})
        open_page = {"markets": [gamma_row(number) for number in range(40)]}
        collector.receive("markets", 0, open_page)
        collector.receive(
            "markets", 10, {"markets": [gamma_row(1, question="New?", volume="1e3"), {"id": "x"}]}
        )
        collector.receive("markets", 11, b"<html>", status=429)
        collector.receive("markets", 12, b"<html>")
        collector.receive("markets", 13, {"markets": [gamma_row(1, question="Cut off")]}, flags=("dataloss",))
        collector.receive("orderbook", 14, b"[]", url=BOOKS)
        collector.receive("resolutions", 30, paid(1, 2, 77, first=False), RESOLUTIONS)
        clock.pass_s(70)  # another segment
        # answers are written when their callback runs: not always in the order of arrival
        collector.receive("markets", 76, {"markets": [gamma_row(3, question="Later")]})
        collector.receive("markets", 75, {"markets": [gamma_row(3, question="Earlier")]})
        # sees the flip first, and is written by another run
        collector.receive("resolutions", 80, paid(1, first=True), RESOLUTIONS)
        collector.receive(
            "markets", 79, {"markets": [gamma_row(77, closed=True, outcomePrices='["0", "1"]')]}
        )
        made.flush().result(10)
        collector.store.close()
        yield root, url
        for run in collector.runs.values():
            run.close("finished", {}).result(10)


def test_a_master_made_from_raw_is_the_one_made_live(
    live: tuple[Path, str], new_url: Callable[[], str]
) -> None:
    root, url = live
    again = new_url()
    seen: list[int] = []
    done = rebuild(root, again, progress=lambda done: seen.append(done.rows))
    assert compare(url, again) == []
    assert (done.messages, done.unreadable) == (7, 2)
    assert seen == [done.rows]
    assert done.reached == NOON + 80 * SECOND
    engine = open_master(again)
    with engine.connect() as connection:
        flipped = queries.market(connection, "polymarket", condition(1))
        before = queries.as_of(connection, "polymarket", condition(1), NOON + 79 * SECOND)
        late = queries.market(connection, "polymarket", condition(3))
    engine.dispose()
    assert flipped is not None
    assert before is not None
    assert late is not None
    assert (before["resolution"], flipped["resolution"]) == ("Down", "Up")
    assert late["title"] == "Later"


def test_a_market_resolved_both_ways_keeps_three_revisions_in_a_rebuild_too(
    new_url: Callable[[], str], tmp_path: Path
) -> None:
    live, again = new_url(), new_url()
    event = {"id": "7", "negRisk": True, "negRiskMarketID": "0x2c3d", "endDate": "2026-11-22T10:00:00Z"}
    ended = {"closed": True, "closedTime": "2026-11-21 11:59:00+00", "umaResolutionStatus": "resolved"}
    with writer(tmp_path, HandClock(), segment_s=60) as made:
        collector = Collector(MasterStore(live))
        collector.runs["markets"] = made.open_run("polymarket_markets", "polymarket", ["markets"], {}, {})
        for t, said in (
            (0, {}),
            (10, {**ended, "outcomePrices": '["1", "0"]'}),
            (20, {"umaResolutionStatus": "disputed"}),
            (30, {}),  # nothing more is said of it
            (40, {**ended, "outcomePrices": '["0", "1"]', "umaEndDate": "2026-11-21T11:58:00Z"}),
        ):
            row = gamma_row(5, negRisk=True, events=[event], **said)
            collector.receive("markets", t, {"markets": [row]})
        collector.store.close()
        collector.runs["markets"].close("finished", {}).result(10)
    rebuild(tmp_path, again)
    assert compare(live, again) == []
    engine = open_master(again)
    with engine.connect() as connection:
        found = queries.market(connection, "polymarket", condition(5))
        entries = queries.journal(connection, "polymarket", condition(5))
    engine.dispose()
    assert found is not None
    revisions = {name: [e.new for e in entries if e.field == name] for name in found}
    assert revisions["resolution"] == ["Up", None, "Down"]
    assert revisions["resolution_kind"] == ["label", None, "label"]
    assert revisions["resolution_state"] == ["final", "disputed", "reopened", "final"]
    assert revisions["status"] == ["active", "resolved", "active", "resolved"]
    assert microseconds(found["reopened_at"]) * 1000 == (NOON + 20 * SECOND + 789) // 1000 * 1000
    assert (found["event_id"], found["group"], found["neg_risk"]) == ("7", "0x2c3d", True)
    assert found["closed_at"] == datetime(2026, 11, 21, 11, 59, tzinfo=UTC)
    assert found["determined_at"] == datetime(2026, 11, 21, 11, 58, tzinfo=UTC)
    assert (found["volume_unit"], found["liquidity_unit"]) == ("dollars", None)


def test_rebuilding_replaces_what_is_there(live: tuple[Path, str], new_url: Callable[[], str]) -> None:
    root, url = live
    again = new_url()
    engine = open_master(again)
    with writing(engine) as connection:
        connection.execute(
            markets.insert(),
            {"platform": "p", "market_id": "wrong", "content_hash": "", "created_at": 0, "updated_at": 0}
            | {"recent": "[]"},
        )
    for _ in range(2):
        rebuild(root, again)
        assert compare(url, again) == []
    with engine.connect() as connection:
        entries = connection.execute(select(func.count()).select_from(market_changes)).scalar_one()
        distinct = select(market_changes.c.market_id, market_changes.c.field, market_changes.c.observed_at)
        assert len(connection.execute(distinct.distinct()).all()) == entries  # written once, in order
    engine.dispose()


def test_since_catches_up_on_what_was_skipped(live: tuple[Path, str], new_url: Callable[[], str]) -> None:
    root, url = live
    again = new_url()
    rebuild(root, again)
    engine = open_master(again)
    with writing(engine) as connection:  # as if the rows of the last minute had been skipped
        for table in reversed(metadata.sorted_tables):
            if "market_id" in table.c:
                connection.execute(delete(table).where(table.c.market_id == condition(77)))
        connection.execute(
            delete(price_snapshots).where(price_snapshots.c.snapshot_at > (NOON + 70 * SECOND) // 1000)
        )
    engine.dispose()
    assert compare(url, again) != []
    rebuild(root, again, since=NOON + 20 * SECOND)
    assert compare(url, again) == []


def test_small_steps_make_the_same_master(
    live: tuple[Path, str], new_url: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, url = live
    again = new_url()
    monkeypatch.setattr("marketarchive.master.rebuild.CHUNK", 3)
    monkeypatch.setattr("marketarchive.master.rebuild.AHEAD", 4)
    steps: list[Rebuilt] = []
    rebuild(root, again, progress=steps.append)
    assert len(steps) > 10
    assert compare(url, again) == []


def test_a_failure_in_the_middle_leaves_the_old_master(
    live: tuple[Path, str], new_url: Callable[[], str]
) -> None:
    root, url = live
    copy = new_url()
    rebuild(root, copy)
    sealed = next(path for path in sorted(root.glob("raw/*/feed=markets/*/*/*.jsonl.gz")))
    sealed.rename(sealed.with_suffix(".away"))
    with pytest.raises(ArchiveError, match="is in the ledger, but not on the disk"):
        rebuild(root, url)
    assert compare(url, copy) == []
    sealed.with_suffix(".away").rename(sealed)


def test_the_wrong_folder_does_not_empty_a_master(live: tuple[Path, str], tmp_path: Path) -> None:
    _, url = live
    with pytest.raises(ArchiveError, match="the master is left as it was"):
        rebuild(tmp_path / "elsewhere", url)
    engine = open_master(url)
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(markets)).scalar_one() == 41
    engine.dispose()


def test_a_lock_held_too_long_is_a_master_error(
    live: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, url = live
    monkeypatch.setattr("marketarchive.master.rebuild.LOCK_WAIT_S", 0.1)
    engine = open_master(url)
    with writing(engine), pytest.raises(MasterError, match="cannot be used"):
        rebuild(root, url)
    engine.dispose()


@pytest.mark.process
@pytest.mark.parametrize("new_url", ["sqlite"], indirect=True)
def test_the_command_in_its_own_process(live: tuple[Path, str], new_url: Callable[[], str]) -> None:
    root, url = live
    again = new_url()
    settings = ["-s", f"OUTPUT_DIR={root}", "-s", f"MASTER_URL={again}"]
    done = subprocess.run(
        [sys.executable, "-m", "scrapy", "rebuild-master", *settings],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=PROJECT,
        env={**os.environ, "SCRAPY_PROJECT": "default"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(" changes in the journal, 2 not readable\n")
    assert compare(url, again) == []


@pytest.mark.parametrize(
    ("master", "arguments", "code", "out", "err"),
    [
        ("{url}", ["--since", iso(NOON + 70 * SECOND)], 0, "6 rows from 4 answers, 0 changes", ""),
        ("{url}", ["--since", "yesterday"], 2, "", "'yesterday' is not a time like"),
        ("{url}", ["now"], 2, "", "takes no argument"),
        ("", [], 2, "", "MASTER_URL is empty"),
        ("postgresql://127.0.0.1:1/nothing", [], 1, "", "cannot be used"),
    ],
)
@pytest.mark.parametrize("new_url", ["sqlite"], indirect=True)
def test_what_the_command_says(
    live: tuple[Path, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    master: str,
    arguments: list[str],
    code: int,
    out: str,
    err: str,
) -> None:
    root, url = live
    monkeypatch.chdir(PROJECT)
    settings = get_project_settings()
    settings.setdict({"OUTPUT_DIR": str(root), "MASTER_URL": master.format(url=url)}, priority="cmdline")
    with pytest.raises(SystemExit) as ended:
        execute(["scrapy", "rebuild-master", *arguments], settings)
    said = capsys.readouterr()
    assert ended.value.code == code
    assert out in said.out
    assert err in said.err
    assert bool(said.err) == bool(err)
