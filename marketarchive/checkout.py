"""The folder of the project's own source, for commands that write into it."""

from __future__ import annotations

from pathlib import Path

from scrapy.exceptions import UsageError
from scrapy.utils.conf import closest_scrapy_cfg


def checkout(command: str) -> Path:
    """Return the checkout that this code runs from and that we stand in.

    command: who asks. Raises UsageError where the package is installed, or the folder is another one.
    """
    source = Path(__file__).resolve().parent.parent
    if (found := closest_scrapy_cfg()) and Path(found).resolve().parent == source:
        return source
    raise UsageError(
        f"{command} writes into the project's own source: call it inside a checkout of marketarchive, "
        "with the program of its .venv",
        print_help=False,
    )
