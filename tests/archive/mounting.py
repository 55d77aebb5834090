"""An archive mounted read-only, as a snapshot or a share is."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def read_only(root: Path, place: Path) -> Iterator[Path]:
    """Mount `root` at `place`; skips the test where this may not mount."""
    place.mkdir()
    for options in (["--bind", str(root)], ["-o", "remount,bind,ro"]):
        done = subprocess.run(["mount", *options, str(place)], capture_output=True, text=True)
        if done.returncode:
            subprocess.run(["umount", str(place)], capture_output=True)
            pytest.skip(f"cannot mount here: {done.stderr.strip()}")
    try:
        with pytest.raises(OSError, match="Read-only"):
            (place / "new").touch()
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)
