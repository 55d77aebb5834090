"""The report of a soak on crafted journals and a small real archive: each threshold spoiled is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from marketarchive.archive.config import ArchiveConfig
from marketarchive.archive.files import Files
from marketarchive.archive.ledger import Ledger
from marketarchive.archive.manifest import store_manifest
from marketarchive.archive.soak.journal import Soak, read_lines, soaks
from marketarchive.archive.store import Store
from marketarchive.research.soak import report as soak_reports
from marketarchive.research.soak.measure import longest_still_s, outages, unrecorded
from marketarchive.research.soak.page import ACCELERATED
from marketarchive.research.soak.report import WrittenSoakReport, soak_report
from marketarchive.research.tables.normalize import normalize
from marketarchive.times import SECOND, iso
from tests.archive.writing import NOON, HandClock
from tests.e2e.harness import command
from tests.research.streaming import Frame, Line, Lost, Socket, record
from tests.research.test_coverage import SLUG, TRACKED, change, dump, opened

DAY_S = 86_400.0
Event = tuple[str, float, dict[str, Any]]
"""Kind, elapsed seconds, further keys."""


def journal(root: Path, *events: Event, simulated: bool = False) -> Soak:
    """A journal of a day that began at noon, with a sample each half hour and these events."""
    soak = Soak("s1", iso(NOON), 24.0, ["updown"], [], is_simulated=simulated, collector="marketarchive")
    samples: list[Event] = [
        ("sample", at * 1800.0 + 60, {"pid": 7, "resident_bytes": 100 * 2**20, "cpu_s": at * 20.0})
        for at in range(48)
    ]
    first: list[Event] = [("started", 0.0, {}), ("child_started", 0.1, {"pid": 7}), ("first_data", 5.0, {})]
    last: Event = ("end", DAY_S, {"reason": "its hours are over"})
    lines = sorted([*first, *samples, *events, last], key=lambda each: each[1])
    folder = root / "soak" / soak.id
    folder.mkdir(parents=True)
    with (folder / "samples.jsonl").open("w") as file:
        for kind, at, fields in lines:
            head: dict[str, Any] = {"kind": kind, "at_utc": iso(NOON + int(at * SECOND)), "elapsed_s": at}
            head |= {"mono_ns": int(at * SECOND), "boot_id": "b", "free_bytes": 10**9}
            file.write(json.dumps({**head, "disk_bytes": {"raw": int(at)}, **fields}) + "\n")
    return soak


def archive(root: Path, *more: Line, last: int = 86_400, closed: float = DAY_S) -> None:
    """A market of which every second is seen up to `last`, but for what `more` says; tracked to `closed`."""
    frames = [Frame(change(at), at) for at in range(25, last, 25)]
    lines = [opened(0.5), Frame(dump("1", "2"), 1.2), *frames, *more, Socket("closed", closed)]
    record(root, lines, tracked=TRACKED)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such an archive with its tables, which copies of it need not make again."""
    root = tmp_path_factory.mktemp("sound")
    archive(root)
    normalize(root)
    return root


def test_a_sound_day_in_real_time_passes_and_its_report_has_all(sound: Path, tmp_path: Path) -> None:
    root = tmp_path / "out"
    shutil.copytree(sound, root)
    copies = [{"path": "x", "state": "verified"}, {"path": "y", "state": "not_verified"}]
    offload = {
        "kind": "manifest",
        "run": "r",
        "remote": "box:",
        "finished_at_utc": iso(NOON),
        "files": copies,
    }
    store = Store(root, HandClock(), ArchiveConfig(), Files(), Ledger(root))
    store_manifest(store, "offload-20261121T120000Z-00000000", offload)
    cost = ("child_exited", 7000.0, {"pid": 7, "exit_code": -9}), ("first_data", 7030.0, {"pid": 8})
    done = soak_report(root, journal(root, ("killed", 6999.0, {"pid": 7}), *cost))
    assert (done.verdict.gate, done.path.name) == ("PASS", "soak_test_2026-11-21.md"), done.verdict.reasons
    text = done.path.read_text()
    assert text.startswith("# Soak s1\n\nGate: **PASS**")
    assert "| killed by the soak, exit code -9 | 30.0 s |" in text
    assert "| offload | 1 of 2 files of the last offload verified on box:, 2026-11-21T12:00:00Z |" in text
    titles = ("Uptime", "What was collected", "Disk, processors and memory over time", "Data quality")
    for title in (*titles, "Known issues"):
        assert f"\n## {title}\n" in text
    for word in ("markets", "snapshots", "missed intervals", "errors", "rate limits", "file sizes"):
        assert f"\n| {word} | " in text
    assert {path.name for path in done.plots} == {
        f"soak_test_2026-11-21-{name}.svg" for name in ("memory", "cpu", "disk", "observed")
    }
    assert all(path.read_text().startswith("<svg") and f"({path.name})" in text for path in done.plots)


def spoil_unsealed(root: Path) -> None:
    [segment] = (root / "raw").rglob("*.jsonl.gz")
    shutil.copy(segment, segment.with_name(segment.name.replace("-1.jsonl.gz", "-2.jsonl.gz.part")))


def spoil_segment(root: Path) -> None:
    [segment] = (root / "raw").rglob("*.jsonl.gz")
    segment.chmod(0o644)
    data = bytearray(segment.read_bytes())
    data[-5] ^= 1  # of the last member's CRC
    segment.write_bytes(data)


@pytest.mark.parametrize(
    ("named", "events", "spoil"),
    [
        ("unsealed", [], spoil_unsealed),
        ("verify", [], spoil_segment),
        ("memory", [("sample", 50_000.0, {"pid": 7, "resident_bytes": 111 * 2**20})], None),
        (
            "restart",
            [("child_exited", 7000.0, {"exit_code": 1}), ("first_data", 7060.0, {})],
            None,
        ),
        ("uptime", [("child_exited", DAY_S - 500, {"exit_code": 3})], None),
    ],
)
def test_a_spoiled_day_fails_and_says_by_what(
    named: str, events: list[Event], spoil: Callable[[Path], None] | None, sound: Path, tmp_path: Path
) -> None:
    root = tmp_path / "out"
    shutil.copytree(sound, root)
    if spoil is not None:
        spoil(root)
    assert_fails_by(named, soak_report(root, journal(root, *events)))


@pytest.mark.parametrize(
    ("named", "more", "last", "closed"),
    [
        ("observed", [Lost(100, 600, {"connection": "c1", "markets": [SLUG], "token": "1"})], 86_400, DAY_S),
        ("unrecorded", [], 85_000, DAY_S),  # then nothing comes, and no gap says why
        ("tracked", [], 85_000, 85_000.0),
    ],
)
def test_a_day_with_seconds_missing_fails_and_says_by_what(
    named: str, more: list[Line], last: int, closed: float, tmp_path: Path
) -> None:
    archive(tmp_path, *more, last=last, closed=closed)
    assert_fails_by(named, soak_report(tmp_path, journal(tmp_path)))


def assert_fails_by(named: str, done: WrittenSoakReport) -> None:
    assert done.verdict.gate == "FAIL"
    assert named in [reason.partition(":")[0] for reason in done.verdict.reasons], done.verdict.reasons
    assert any(
        line.startswith(f"| {named} |") and "| NO |" in line for line in done.path.read_text().splitlines()
    )


def test_simulated_hours_say_so_first_and_pass_no_gate(sound: Path, tmp_path: Path) -> None:
    root = tmp_path / "out"
    shutil.copytree(sound, root)
    done = soak_report(root, journal(root, simulated=True))
    assert done.verdict.gate == "OPEN"
    text = done.path.read_text()
    assert text.splitlines()[0] == ACCELERATED
    assert "| offload | never offloaded |" in text


def test_a_soak_on_other_addresses_than_the_venues_own_leaves_the_gate_open(
    sound: Path, tmp_path: Path
) -> None:
    root = tmp_path / "out"
    shutil.copytree(sound, root)
    done = soak_report(root, journal(root, ("resumed", 100.0, {"stand_ins": ["https://a.venue"]})))
    assert done.verdict.gate == "OPEN"
    assert "https://a.venue" in done.verdict.reasons[0]


def test_without_the_extra_it_says_what_it_could_not_measure(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "out"
    shutil.copytree(sound, root)
    monkeypatch.setattr("marketarchive.research.engine.PACKAGES", ("a_package_that_is_missing",))
    monkeypatch.setattr(soak_reports, "PLOTTING", "another_that_is_missing")
    done = soak_report(root, journal(root))
    assert (done.verdict.gate, done.plots) == ("OPEN", ())
    assert "marketarchive[research]" in " ".join(done.verdict.reasons)
    assert "plots" in done.path.read_text()


def test_a_second_soak_of_a_day_does_not_replace_the_report_of_the_first(sound: Path, tmp_path: Path) -> None:
    root = tmp_path / "out"
    shutil.copytree(sound, root)
    (root / "reports").mkdir()
    other = root / "reports" / "soak_test_2026-11-21.md"
    other.write_text("# Soak s0\n")
    assert soak_report(root, journal(root)).path.name == "soak_test_2026-11-21-s1.md"
    assert other.read_text() == "# Soak s0\n"


def test_a_soak_that_was_killed_before_its_report_writes_it_and_begins_no_other(
    sound: Path, tmp_path: Path
) -> None:
    root = tmp_path / "out"
    shutil.copytree(sound, root)
    soak = journal(root)
    (root / "soak" / soak.id / "soak.json").write_bytes(msgspec.json.encode(soak))
    done = command("soak", root)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "gate PASS")
    assert [line.kind for line in read_lines(root, soak.id)][-2:] == ["end", "reported"]
    assert soaks(root) == [soak]
    shown = command("soak-report", root, "--json")
    assert (shown.returncode, json.loads(shown.stdout)["gate"]) == (0, "PASS")
    assert command("soak-report", root, "--soak", "s2").returncode == 2


def test_seconds_before_a_first_message_are_no_loss_and_others_are() -> None:
    def span(state: str, seconds: int) -> dict[str, Any]:
        return {"state": state, "seconds": seconds}

    begun = [span("unknown", 2), span("observed", 50)]
    again = [span("observed", 5), span("gapped", 3), span("unknown", 4), span("observed", 5)]
    assert unrecorded([begun, again]).seconds == 0
    assert unrecorded([begun, again]).settling == 6
    assert unrecorded([[span("observed", 5), span("unknown", 1), span("quiet", 5)]]).seconds == 1
    assert unrecorded([[span("unknown", 11), span("observed", 5)]]).seconds == 11


def test_a_collector_under_which_raw_stands_still_is_noticed(tmp_path: Path) -> None:
    still = [("sample", at, {"pid": 7, "disk_bytes": {"raw": 5}}) for at in (100.0, 160.0, 220.0)]
    soak = journal(tmp_path, *still, ("sample", 280.0, {"pid": 8, "disk_bytes": {"raw": 5}}))
    samples = [line for line in read_lines(tmp_path, soak.id) if line.kind == "sample"]
    assert longest_still_s(samples) == 120.0


def test_exits_that_follow_one_another_are_one_restart(tmp_path: Path) -> None:
    soak = journal(
        tmp_path,
        ("child_exited", 1000.0, {"exit_code": 1}),
        ("child_exited", 1020.0, {"exit_code": 1}),
        ("first_data", 1050.0, {}),
        ("child_exited", DAY_S - 10, {"down_since_s": DAY_S - 20, "reason": "while no supervisor ran"}),
    )
    found, down_s = outages(list(read_lines(tmp_path, soak.id)), DAY_S)
    assert [(each.cost_s, each.is_complete) for each in found] == [(50.0, True), (20.0, False)]
    assert down_s == 5 + 50 + 20
