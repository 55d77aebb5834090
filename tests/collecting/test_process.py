"""The start of a process in an OUTPUT_DIR as an earlier one has left it."""

from __future__ import annotations

import os
from pathlib import Path

from marketarchive.collecting.process import Process
from tests.spiders_under_test import project_settings


def test_what_a_killed_start_of_the_same_pid_left_is_no_hindrance(tmp_path: Path) -> None:
    """In a container each process has the same PID."""
    left = tmp_path / "manifests" / f".writable-{os.getpid()}"
    left.parent.mkdir()
    left.touch()
    process = Process(project_settings(OUTPUT_DIR=str(tmp_path)))
    process.close()
    assert not list(left.parent.glob(".*"))
