"""Ctrl+C before a command handles signals itself: one sentence, and the end that Python gives it."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.harness import ENVIRONMENT, ROOT, SCRAPY
from tests.waiting import PATIENCE_S

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("interruptible")]

PIPE_BYTES = 4096
"""The least that a pipe holds: so many bytes the process can be ahead of what we have read."""


def interrupted_at(module: str, command: list[str]) -> tuple[int, list[str]]:
    """Exit code and words of a process that gets Ctrl+C when it has just imported `module`.

    It tells its imports to a small pipe, so it cannot be far ahead.
    """
    process = subprocess.Popen(
        [command[0], "-X", "importtime", *command[1:]],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    assert process.stderr is not None
    try:
        pipe = process.stderr.fileno()
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        told = b""
        while not re.search(rf"\| +{re.escape(module)}\n".encode(), told):
            more = os.read(pipe, 256)
            assert more, told.decode()
            told += more
        process.send_signal(signal.SIGINT)
        told += process.communicate(timeout=PATIENCE_S)[1]
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    lines = told.decode().splitlines()
    return process.returncode, [line for line in lines if not line.startswith("import time:")]


def test_ctrl_c_while_our_own_program_loads() -> None:
    command = [sys.executable, "-m", "marketarchive", "--profile", "simulator", "simulate", "--port", "0"]
    code, said = interrupted_at("marketarchive.collecting", command)
    assert said == ["marketarchive: interrupted by Ctrl+C"]
    assert code == -signal.SIGINT


@pytest.mark.parametrize(
    ("arguments", "module"),
    [
        (["crawl", "polymarket_markets"], "marketarchive.collecting"),
        (["verify"], "marketarchive.collecting"),
        (["simulate", "--port", "0"], "marketarchive.collecting"),
        (["simulate", "--port", "0"], "aiohttp.hdrs"),
        (["collect"], "marketarchive.collecting"),
    ],
)
def test_ctrl_c_while_a_command_is_imported(arguments: list[str], module: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, said = interrupted_at(module, [*SCRAPY, *arguments, "-s", f"OUTPUT_DIR={out}"])
    assert said == ["scrapy: interrupted by Ctrl+C"]
    assert code == -signal.SIGINT
    assert not out.exists()


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", f"from marketarchive.interrupts import report_interrupts\n{program}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


def test_other_exceptions_are_shown_as_ever() -> None:
    done = run("report_interrupts('it')\n1 / 0")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_the_program_that_asked_first_is_named() -> None:
    done = run("report_interrupts('first')\nreport_interrupts('second')\nraise KeyboardInterrupt")
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "first: interrupted by Ctrl+C\n")


def test_an_interrupt_where_nothing_can_be_raised_ends_the_process_too() -> None:
    program = """report_interrupts("it")
import signal, weakref
class Thing: pass
thing = Thing()
kept = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT))
del thing
print("it goes on")
"""
    done = run(program)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "it: interrupted by Ctrl+C\n")


def test_another_exception_where_nothing_can_be_raised_is_shown_as_ever() -> None:
    program = (
        "report_interrupts('it')\nclass Thing:\n  def __del__(self): 1 / 0\nThing()\nprint('it goes on')"
    )
    done = run(program)
    assert (done.returncode, done.stdout) == (0, "it goes on\n")
    assert "ZeroDivisionError" in done.stderr
