"""What is installed for the tests runs the benchmarks too, and they leave nothing that runs."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import main, names
from benchmarks.sender import at_full_speed, price_changes, sender
from benchmarks.stream import archived
from benchmarks.stream_crawl import crawl
from tests.waiting import until

ROOT = Path(__file__).parent.parent


def test_every_benchmark_says_what_it_measures(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks"])
    assert main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == names()
    assert all(len(line.split()) > 5 for line in lines)


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="keeps processes to processors")
def test_a_measured_crawl_ends_when_all_was_sent(tmp_path: Path) -> None:
    payloads = price_changes(50)
    with sender(at_full_speed(payloads, 3)) as port:
        assert crawl("plain", f"ws://127.0.0.1:{port}/", tmp_path).wall > 0
    assert archived(tmp_path, payloads) == 150


def running(session: int) -> set[int]:
    """The processes of a session."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, sid = path.read_text().rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):  # gone meanwhile
            continue
        if int(sid) == session and state != "Z":
            found.add(int(path.parent.name))
    return found


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda one: one.name)
def test_a_benchmark_that_is_stopped_leaves_no_process(number: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "stream"]
    environment = {"PATH": "", "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        until(lambda: len(running(process.pid)) == 3)  # itself, what sends, the crawl
        until(lambda: list(tmp_path.glob("stream*/ours/raw/**/*.part")))
        process.send_signal(number)
        assert process.wait() != 0
    until(lambda: not running(process.pid))
    if number != signal.SIGKILL:
        assert not list(tmp_path.glob("stream*"))
