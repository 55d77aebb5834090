"""The folder of the project's own source (its checkout), for commands that write into it."""

from __future__ import annotations

from pathlib import Path

from scrapy.exceptions import UsageError
from scrapy.utils.conf import closest_scrapy_cfg


def checkout(command: str) -> Path:
    """Return the project's checkout: the folder of this code, which must contain the working directory.

    command: name of the command, for the error. Raises UsageError where the package is installed without a
    checkout, or the working directory is outside of it.
    """
    source = Path(__file__).resolve().parent.parent
    if (found := closest_scrapy_cfg()) and Path(found).resolve().parent == source:
        return source
    raise UsageError(
        f"{command} writes into the project's own source: run it in a checkout of marketarchive, with the "
        "program of its .venv",
        print_help=False,
    )
