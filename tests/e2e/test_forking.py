"""A process that is forked is what one is that starts from nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.forking import Forked
from tests.e2e.harness import ENVIRONMENT, ROOT, SCRAPY, run

pytestmark = pytest.mark.process
NOBODY = "SIMULATOR_URL=http://127.0.0.1:9"


@pytest.mark.parametrize("words", [["version"], ["crawl", "polymarket_markets", "-s", NOBODY]])
def test_it_prints_and_ends_in_the_same_way(words: list[str]) -> None:
    line = [*SCRAPY, *words]
    started = subprocess.run(line, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    forked = run(line)
    assert forked.returncode == started.returncode
    assert forked.stdout == started.stdout
    said, _, unclosed = _without_times(forked.stderr).partition("Exception ignored in: ")
    assert said == _without_times(started.stderr)
    assert not unclosed or "BaseEventLoop.__del__" in unclosed  # Python's own words, after a fork only


def _without_times(log: str) -> str:
    return re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", "", log, flags=re.MULTILINE)


def test_it_has_the_environment_that_it_is_given(tmp_path: Path) -> None:
    told = run([*SCRAPY, "settings", "--get", "SIMULATOR_URL"], SCRAPY_PROJECT="default")
    assert (told.returncode, told.stdout) == (0, "\n")
    told = run([*SCRAPY, "settings", "--get", "SIMULATOR_URL"])
    assert (told.returncode, told.stdout) == (0, "http://127.0.0.1:8900\n")
    done = run([*SCRAPY, "status", "-s", "OUTPUT_DIR=~/none"], HOME=str(tmp_path))
    assert f"there is no folder {tmp_path}/none" in done.stderr


def test_it_has_an_id_and_an_end_of_its_own(tmp_path: Path) -> None:
    words = ["scrapy", "simulate", "--port", "0", "--truth", str(tmp_path)]
    first, second = (Forked(words, ENVIRONMENT, subprocess.PIPE) for _ in range(2))
    for process in (first, second):
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready ")
        assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        first.wait(0.01)
    first.kill()
    assert first.wait(60) == -signal.SIGKILL
    assert second.poll() is None
    assert os.getpgid(second.pid) == os.getpgid(0)  # Ctrl+C reaches it with the tests
    second.terminate()
    assert second.wait(60) == 0
    for process in (first, second):
        assert process.stdout is not None
        process.stdout.close()
