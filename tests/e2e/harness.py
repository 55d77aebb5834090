"""Whole runs as a user makes them: the simulator and `scrapy crawl` as processes, and what they left."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
from scrapy.cmdline import execute

from marketarchive.simulated_time import SimulatedClock
from marketarchive.time_page import FOREVER_NS, TimePage
from marketarchive.times import from_seconds, to_seconds
from tests.e2e.forking import Forked, Running
from tests.e2e.forking import run as run_forked
from tests.gap_lines import holding
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parent.parent.parent
SCRAPY = [sys.executable, "-m", "scrapy"]
ENVIRONMENT = {**os.environ, "SCRAPY_PROJECT": "simulator"}


def get_bytes(url: str) -> bytes:
    """The body at a URL of the simulator."""
    request = urllib.request.Request(url, headers={"User-Agent": "marketarchive tests"})
    with urllib.request.urlopen(request, timeout=60) as response:
        body: bytes = response.read()
        return body


def get_json(url: str) -> Any:
    """The document at a URL of the simulator."""
    return json.loads(get_bytes(url))


@dataclass
class Simulator:
    """A running `scrapy simulate`."""

    url: str
    truth: Path
    process: Running

    @cached_property
    def clock(self) -> SimulatedClock:
        """Its time."""
        return SimulatedClock(TimePage.of(self.url))

    def now_s(self) -> float:
        """Simulated Unix seconds."""
        return to_seconds(self.clock.now_ns())

    @contextmanager
    def taking_part(self) -> Iterator[None]:
        """Have time run as fast as all others keep up with, though nobody collects; we are never late."""
        slot = self.clock.page.join()
        slot.late_since(FOREVER_NS)
        try:
            yield
        finally:
            slot.leave()

    def wait_until(self, moment_s: float) -> None:
        """Until the simulated time is `moment_s`, Unix seconds."""
        with self.taking_part():
            while (left := moment_s - self.now_s()) > 0:
                assert self.process.poll() is None, "the simulator has ended"
                time.sleep(self.clock.wait_s(from_seconds(left)))

    def order(self, *faults: dict[str, Any]) -> None:
        """Replace the faults."""
        request = urllib.request.Request(f"{self.url}/_faults", json.dumps(faults).encode(), method="POST")
        urllib.request.urlopen(request, timeout=60).close()

    @contextmanager
    def ordered(self, *faults: dict[str, Any]) -> Iterator[None]:
        """Have these faults, and no others, while the block runs; then none."""
        self.order(*faults)
        try:
            yield
        finally:
            self.order()

    def served(self) -> list[dict[str, Any]]:
        """What was sent to clients, as the simulator wrote it down."""
        return self._lines("served.jsonl")

    def socket_lines(self) -> list[dict[str, Any]]:
        """What was due on sockets and what became of them, in the order in which it happened."""
        return self._lines("frames.jsonl")

    def _lines(self, name: str) -> list[dict[str, Any]]:
        """The whole lines of a file that is still being written."""
        path = self.truth / name
        text = path.read_text() if path.exists() else ""
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def frames(self, **wanted: Any) -> list[dict[str, Any]]:
        """Frames that were due on sockets, sent or not, whose fields are as `wanted`."""
        return _chosen(self.socket_lines(), {"line": "frame", **wanted})

    def connections(self, **wanted: Any) -> list[dict[str, Any]]:
        """Openings, subscriptions and ends of sockets, whose fields are as `wanted`."""
        return _chosen(self.socket_lines(), {"line": "connection", **wanted})

    def markets(self) -> list[dict[str, Any]]:
        """All rounds around the run, with their outcomes; ends the simulator."""
        stop(self.process)
        found: list[dict[str, Any]] = json.loads((self.truth / "markets.json").read_text())
        return found


def _chosen(lines: list[dict[str, Any]], wanted: dict[str, Any]) -> list[dict[str, Any]]:
    return [line for line in lines if all(line.get(name) == value for name, value in wanted.items())]


@contextmanager
def simulator(folder: Path, *options: str) -> Iterator[Simulator]:
    """On a free port, with its truth in `folder`."""
    words = ["scrapy", "simulate", "--port", "0", "--truth", str(folder), *options]
    process = Forked(words, ENVIRONMENT, subprocess.PIPE)
    with ready(process) as url:
        yield Simulator(url, folder, process)


@contextmanager
def serving(command: Sequence[str], folder: Path, env: Mapping[str, str]) -> Iterator[str]:
    """Yield the address of the simulator that `command` starts in `folder`, on a free port.

    command: its words up to the port; env: the whole environment. It is ended with the block.
    """
    line = [*command, "--port", "0"]
    process = subprocess.Popen(line, cwd=folder, env=env, stdout=subprocess.PIPE, text=True)
    with ready(process) as url:
        yield url


@contextmanager
def ready(process: Running) -> Iterator[str]:
    """Yield the address that a simulator prints when it listens; end it with the block."""
    try:
        assert process.stdout is not None
        told = process.stdout.readline().split()
        assert told[:1] == ["ready"], told
        yield told[1]
    finally:
        stop(process)


def stop(process: Running) -> None:
    """SIGTERM, by its id, and wait."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(120)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout:
        process.stdout.close()


def crawl_command(url: str, out: Path, spider: str, *arguments: str, **settings: Any) -> list[str]:
    command = [*SCRAPY, "crawl", spider, "-s", f"OUTPUT_DIR={out}", "-s", f"SIMULATOR_URL={url}"]
    for argument in arguments:
        command += ["-a", argument]
    for name, value in settings.items():
        command += ["-s", f"{name}={value}"]
    return command


@dataclass
class Done:
    """A finished crawl."""

    code: int
    log: str
    out: Output


def crawl(
    url: str, out: Path, spider: str, *arguments: str, timeout: float = 2 * PATIENCE_S, **settings: Any
) -> Done:
    """Runs to its end."""
    done = run(crawl_command(url, out, spider, *arguments, **settings), timeout)
    return Done(done.returncode, done.stderr, Output(out))


def run(line: Sequence[str], timeout: float = 600, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command line that begins with SCRAPY to its end, in a process. Raises TimeoutExpired."""
    assert list(line[:3]) == SCRAPY
    return run_forked(line[2:], {**ENVIRONMENT, **environment}, timeout)


@contextmanager
def crawling(url: str, out: Path, spider: str, *arguments: str, **settings: Any) -> Iterator[Running]:
    """A crawl under way; killed when the block is left."""
    command = crawl_command(url, out, spider, *arguments, **settings)
    with Path(os.devnull).open("w") as nowhere:
        process = Forked(command[2:], ENVIRONMENT, stderr=nowhere)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


class Told(NamedTuple):
    """What a command printed, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


def command(name: str, out: Path, *options: str) -> Told:
    """`scrapy <name>` on an OUTPUT_DIR: Scrapy's own command line, in this process.

    These commands start nothing that would stay, and a process of their own would mostly import.
    """
    printed, complained = io.StringIO(), io.StringIO()
    with (
        patch.dict(os.environ, SCRAPY_PROJECT="default", SCRAPY_SETTINGS_MODULE="settings.base"),
        redirect_stdout(printed),
        redirect_stderr(complained),
        pytest.raises(SystemExit) as ended,
    ):
        execute(["scrapy", name, *options, "-s", f"OUTPUT_DIR={out}"])
    code = ended.value.code
    return Told(code if isinstance(code, int) else 1, printed.getvalue(), complained.getvalue())


def _subjects(scope: dict[str, Any]) -> list[str]:
    """What a scope names, in the words of docs/DATA_CONTRACT.md."""
    listed = [
        each
        for word in ("tokens", "markets", "topics", "asked_for", "subjects")
        for each in scope.get(word, ())
    ]
    single = [str(scope[word]) for word in ("token", "asset") if word in scope]
    if "symbol" in scope:
        listed = [f"{each}:{scope['symbol']}" for each in listed] or [scope["symbol"]]
    return listed + single


class Output:
    """What lies in an OUTPUT_DIR, read with the standard library only."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def segments(self, feed: str = "*") -> list[Path]:
        return sorted(self.root.glob(f"raw/venue=*/feed={feed}/date=*/hour=*/*.jsonl.gz"))

    def lines(self, feed: str = "*", kind: str | None = None) -> list[dict[str, Any]]:
        found = []
        for path in self.segments(feed):
            with gzip.open(path) as file:
                found += [json.loads(line) for line in file]
        return [line for line in found if kind in (None, line["kind"])]

    def payload(self, line: dict[str, Any]) -> bytes:
        """The payload's bytes of a decoded line that is text or base64, or of a raw line."""
        if "payload_text" in line:
            return str(line["payload_text"]).encode()
        return base64.b64decode(line["payload_base64"])

    def payload_digests(self) -> Counter[str]:
        """sha256 of the payload bytes of every response, cut out of the lines as the contract says."""
        digests: Counter[str] = Counter()
        for path in self.segments():
            body, left = hashlib.sha256(), 0
            with gzip.open(path) as file:
                for raw in file:
                    kind = raw.split(b'"', 4)[3]
                    head, embedded, rest = raw.rstrip(b"\n").partition(b',"payload":')
                    if kind == b"response" and embedded:
                        outer = json.loads(head + b"}")
                        whole = b"".join(
                            (
                                outer.get("payload_pre", "").encode(),
                                rest[:-1],
                                outer.get("payload_post", "").encode(),
                            )
                        )
                        digests[hashlib.sha256(whole).hexdigest()] += 1
                    elif kind == b"response":
                        line = json.loads(raw)
                        body, left = hashlib.sha256(), line.get("parts", 0)
                        if not left:
                            digests[hashlib.sha256(self.payload(line)).hexdigest()] += 1
                    elif kind == b"part":
                        body.update(self.payload(json.loads(raw)))
                        left -= 1
                        if not left:
                            digests[body.hexdigest()] += 1
        return digests

    def gaps(self) -> list[dict[str, Any]]:
        """The gap lines that hold for something; `lines(kind="gap")` has those that were replaced, too."""
        found: list[tuple[str, str, dict[str, Any], list[str]]] = []
        for path in self.segments():
            venue, feed = (path.parents[place].name.partition("=")[2] for place in (3, 2))
            with gzip.open(path) as file:
                found += [
                    (venue, feed, line, _subjects(line["scope"]))
                    for line in map(json.loads, file)
                    if line["kind"] == "gap"
                ]
        return [dict(line) for line, _ in holding(found)]

    def ledger(self) -> list[dict[str, Any]]:
        path = self.root / "manifests" / "ledger.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def manifests(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in sorted((self.root / "manifests").glob("*.json"))]

    def manifest(self) -> dict[str, Any]:
        [only] = self.manifests()
        return only

    def records(self, series: str) -> list[dict[str, Any]]:
        found = []
        for path in sorted((self.root / "records").glob(f"{series}-*.jsonl")):
            found += [json.loads(line) for line in path.read_text().splitlines()]
        return found
