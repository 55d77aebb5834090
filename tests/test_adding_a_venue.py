"""A stranger follows docs/ADDING_A_VENUE.md in a checkout of his own: its files, as they stand, work."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import ENVIRONMENT, SCRAPY, Output, serving

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "ADDING_A_VENUE.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^\*\*`([^`]+)`\*\*\n```\w*\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL))
START = "2026-11-21T10:01:40Z"


class Checkout:
    """A copy of the project, its commands called in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {**ENVIRONMENT, "PYTHONPATH": str(folder)}

    def run(self, *words: str, code: int = 0) -> str:
        """Run a command of `scrapy`; what it printed."""
        command = [sys.executable, "-m", "scrapy", *words]
        done = subprocess.run(command, cwd=self.folder, env=self.env, capture_output=True, text=True)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def ask(self, lines: str) -> Any:
        """What these lines of Python print, as JSON."""
        command = [sys.executable, "-c", lines]
        done = subprocess.run(command, cwd=self.folder, env=self.env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @contextmanager
    def simulator(self, *options: str) -> Iterator[str]:
        """A running one; its address."""
        command = [*SCRAPY, "simulate", "--start", START, *options]
        with serving(command, self.folder, self.env) as url:
            yield url


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """With the files of the guide, and nothing else changed."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("marketarchive", "settings"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "scrapy.cfg", folder)
    for name, text in FILES.items():
        path = folder / name
        assert not path.exists(), f"{name} is a file of the project: nothing is to be edited"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return Checkout(folder)


@pytest.fixture(scope="module")
def recorded(checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minute and a half of its books, with a fault, beside another venue in one OUTPUT_DIR; and a probe.

    The fault comes a minute after the simulator's start: until then the collector has started too.
    """
    out, folder = tmp_path_factory.mktemp("out"), tmp_path_factory.mktemp("faults")
    fault = {"kind": "status", "route": "api.acme.example/*", "status": 500, "from_s": 60, "to_s": 64}
    faults = folder / "faults.json"
    faults.write_text(json.dumps([fault]))
    with checkout.simulator("--speed", "10", "--faults", str(faults)) as url:
        where = ["-s", f"OUTPUT_DIR={out}", "-s", f"SIMULATOR_URL={url}"]
        every = ["-a", "interval=1s", "-a", "duration=90s"]
        checkout.run("crawl", "acme_books", *every, *where)
        checkout.run("crawl", "polymarket_orderbook", "-a", "ahead=5m", *where)
        checkout.run("probe", "acme", *where)
    return out


def test_the_guide_has_every_file() -> None:
    assert {name.partition("/")[2] for name in FILES} == {
        "plans/acme.py",
        "simulator/acme/__init__.py",
        "spiders/acme_books.py",
        *(
            f"venues/acme/{name}"
            for name in ("__init__.py", "books.py", "queries.py", "symbols.csv", "venue.py")
        ),
    }


def test_its_files_are_of_the_projects_form(checkout: Checkout) -> None:
    written = [name for name in FILES if name.endswith(".py")]
    for words in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *words, "--config", str(ROOT / "pyproject.toml"), *written]
        done = subprocess.run(command, cwd=checkout.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_there_beside_the_others(checkout: Checkout) -> None:
    names = checkout.run("list").split()
    assert "acme_books" in names
    assert "polymarket_orderbook" in names


def test_rows_say_what_was_and_was_not_observed(checkout: Checkout, recorded: Path) -> None:
    rows = [row for asset in ("btc", "eth") for row in Output(recorded).records(f"spot_acme_{asset}")]
    assert len(rows) == 180
    observed = [row for row in rows if row["is_observed"]]
    assert 120 <= len(observed) < 180
    requested = [row for row in observed if row["asset"] == "BTC"]
    spans = [(row["timestamp"][:19], row["received_at"][:19]) for row in requested]
    truth = checkout.ask(
        "import json; from marketarchive.simulator.acme import simulated\n"
        "from marketarchive.times import SECOND, from_iso\n"
        f"spans = [[from_iso(f'{{end}}Z') for end in span] for span in {spans!r}]\n"
        "book = lambda at: simulated(1).book('BTC-USD', at)\n"
        "print(json.dumps([[book(at) for at in range(a, b + 1, SECOND)] for a, b in spans]))"
    )
    for row, books in zip(requested, truth, strict=True):  # of one second from its request to its receipt
        best = [(float(book["bids"][0][0]), float(book["asks"][0][0])) for book in books]
        assert (row["bid"], row["ask"]) in best


def test_everything_is_sound_and_every_checksum_looked_at(checkout: Checkout, recorded: Path) -> None:
    told = checkout.run("verify", "--books", "-s", f"OUTPUT_DIR={recorded}")
    [count] = re.findall(r"books +(\d+) ok", told)
    books = len(Output(recorded).lines("books", "response"))
    polled = [line for line in Output(recorded).lines("orderbook", "response") if line["status"] == 200]
    assert int(count) > books - 20
    assert polled
    assert "failed" not in told


def test_tables_frames_and_coverage_tell_the_venues_apart(checkout: Checkout, recorded: Path) -> None:
    found = checkout.ask(
        "import json; from marketarchive import Archive\n"
        f"archive = Archive({str(recorded)!r})\n"
        "books, coverage = archive.books(venue='acme'), archive.coverage(venue='acme')\n"
        "gaps = archive.gaps()\n"
        "print(json.dumps({'books': books[['market', 'asset', 'verified']].values.tolist(),"
        "'coverage': coverage[['market', 'observed_s', 'gapped_s', 'tracked_s']].values.tolist(),"
        "'others': len(archive.books(venue='polymarket')), 'gaps': sorted(set(gaps['venue']))}, default=str))"
    )
    assert {row[0] for row in found["books"]} == {"BTC-USD", "ETH-USD"}
    assert {row[2] for row in found["books"]} == {"ok"}
    assert {row[0] for row in found["coverage"]} == {"BTC-USD", "ETH-USD"}
    for _, observed, gapped, tracked in found["coverage"]:
        assert observed >= 60
        assert gapped >= 3
        assert observed + gapped <= tracked <= 92
    assert found["others"] > 0
    assert found["gaps"] == ["acme"]


def test_probe_status_and_report_know_it(checkout: Checkout, recorded: Path) -> None:
    where = ("-s", f"OUTPUT_DIR={recorded}")
    probe = json.loads((recorded / "probes" / "acme_public_sources_probe_v1.json").read_text())
    assert probe["passed"]
    assert "acme" in checkout.run("status", *where)
    told = json.loads(checkout.run("report", "--json", *where))
    page = (
        (recorded / told["path"]).read_text()
        if "path" in told
        else next(recorded.glob("reports/*.html")).read_text()
    )
    assert "acme" in page


def test_it_has_a_place_in_collect(checkout: Checkout, tmp_path: Path) -> None:
    with checkout.simulator("--speed", "10") as url:
        where = ["-s", f"OUTPUT_DIR={tmp_path}", "-s", f"SIMULATOR_URL={url}"]
        checkout.run("collect", "acme", "--duration", "40s", *where)
    [manifest] = [each for each in Output(tmp_path).manifests() if each.get("spider") == "collect"]
    assert [run["spider"] for run in manifest["summary"]["runs"]] == ["acme_books"]
    assert len(Output(tmp_path).records("spot_acme_btc")) >= 18


SIGNED = """
def judge(answered: Answered) -> Failure | None:
    if answered.payload.startswith(b'{"code":'):  # with status 200
        return Failure("rate_limited", "venue", "code 10006", retryable=True, wait_s=0.5)
    return judge_status(answered)


def sign(query: Query, now_ns: int) -> dict[str, str]:
    return {"X-Acme-Signed": f"{query.params['symbol']} {now_ns // 10**9}"}


VENUE = replace(VENUE, judge=judge, headers=sign)
"""
STRICT = """
class Strict(Acme):
    def answer(self, request: SimRequest, now_ns: int) -> Reply:
        symbol, _, second = request.headers.get("x-acme-signed", "").partition(" ")
        if symbol != request.first("symbol") or abs(int(second or 0) - now_ns // SECOND) > 1:
            return json_reply({"error": "not signed"}, 401)
        if now_ns // SECOND % 7 == 0:
            return json_reply({"code": 10006})
        return super().answer(request, now_ns)


def simulated(seed: int) -> Strict:
    return Strict(seed)
"""


def test_a_venue_signs_its_requests_anew_and_judges_its_answers(checkout: Checkout, tmp_path: Path) -> None:
    """Each attempt has a signature of its time; what is no answer is a failure, whatever its status."""
    venue = checkout.folder / "marketarchive" / "venues" / "acme" / "venue.py"
    simulated = checkout.folder / "marketarchive" / "simulator" / "acme" / "__init__.py"
    kept = {path: path.read_text() for path in (venue, simulated)}
    imports = (
        "from dataclasses import replace\n"
        "from marketarchive.venues.answers import Answered, Failure, judge_status\n"
        "from marketarchive.venues.endpoint import Query\n"
    )
    out = tmp_path / "out"
    try:
        venue.write_text(
            kept[venue].replace("import annotations\n", f"import annotations\n{imports}") + SIGNED
        )
        simulated.write_text(kept[simulated] + STRICT)
        with checkout.simulator("--speed", "10") as url:
            where = ["-s", f"OUTPUT_DIR={out}", "-s", f"SIMULATOR_URL={url}"]
            checkout.run("crawl", "acme_books", "-a", "interval=1s", "-a", "duration=20s", *where)
    finally:
        for path, text in kept.items():
            path.write_text(text)
    answers = Output(out).lines("books", "response")
    assert {line["status"] for line in answers} == {200}
    assert any("code" in line["payload"] for line in answers)
    rows = Output(out).records("spot_acme_btc")
    assert sum(row["is_observed"] for row in rows) >= 12
    # a second is a tenth of one here: a busy machine may miss it
    assert {gap["reason"] for gap in Output(out).gaps()} <= {"rate_limited", "missed_tick"}


def test_frames_that_are_not_filled_yet_keep_nothing_else_from_loading(checkout: Checkout) -> None:
    made = []
    try:
        for template in ("sweep", "cadence", "stream", "page"):
            made.append(checkout.folder / "marketarchive" / "spiders" / f"other_{template}.py")
            checkout.run("genspider", "-t", template, f"other_{template}", "api.other.example")
            assert made[-1].exists()
        listed = checkout.run("list").split()
        assert {"acme_books", "polymarket_orderbook", "polymarket_trades"} <= set(listed)
    finally:
        for path in made:
            path.unlink(missing_ok=True)


def test_a_venue_that_is_being_written_keeps_nothing_else_from_loading(checkout: Checkout) -> None:
    folder = checkout.folder / "marketarchive" / "venues" / "halfway"
    folder.mkdir()
    try:
        (folder / "__init__.py").touch()
        assert "halfway" not in checkout.run("probe", "-h")
        (folder / "venue.py").write_text("import nothing_of_this_name\n")
        assert "venue halfway is left out: ModuleNotFoundError" in checkout.run("probe", "-h")
    finally:
        shutil.rmtree(folder)
