"""Lines of a plain or gzip file, and the errors of a damaged one."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from marketarchive.exceptions import CorruptError

DAMAGED_GZIP = (EOFError, gzip.BadGzipFile, zlib.error)
"""Errors of reading a gzip file that is cut, or has other bytes than were written."""

NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Errors of decoding bytes that are no JSON of the type, or are nested deeper than the decoder goes."""


def complete_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (number, line) of the complete lines of a file, plain or gzip, each with its line end.

    A last line still being written is left out. Raises CorruptError for a damaged gzip file.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.endswith(b"\n"):
                    yield number, line
    except DAMAGED_GZIP as error:
        raise CorruptError(f"{path}: {error}") from error
