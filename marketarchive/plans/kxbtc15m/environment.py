"""What of the environment concerns this plan, also from a file `.env` in the working folder.

    DATA_OUTPUT_DIR=/srv/records

A name that the environment has already keeps its value. Nothing of it is logged or written.
"""

from __future__ import annotations

import os
from pathlib import Path

NAMES = ("KALSHI_API_KEY_ID", "KALSHI_PRIV_KEY_PATH", "KALSHI_ENV", "DATA_OUTPUT_DIR")
FILE = ".env"


def load(folder: Path) -> None:
    """Take those of `NAMES` that the folder's `.env` has and the environment has not."""
    path = folder / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return
    for line in text.splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and name.strip() in NAMES:
            os.environ.setdefault(name.strip(), _unquoted(value.strip()))


def data_output_dir() -> Path | None:
    """Return the folder that DATA_OUTPUT_DIR names."""
    text = os.environ.get("DATA_OUTPUT_DIR", "")
    return Path(text).expanduser().absolute() if text else None


def _unquoted(text: str) -> str:
    is_quoted = len(text) >= 2 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if is_quoted else text.partition(" #")[0].rstrip()
