"""Files of exchanges' public bulk archives: a zip with one CSV, and the checksum published beside it."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from zlib import error as ZlibError  # noqa: N812  (an exception)

from marketarchive.exceptions import ParseError
from marketarchive.times import from_datetime, from_ms, to_ms, utc
from marketarchive.venues.perps import DAY_MS, Range

UNPACKED_MAX = 2**28
"""Most bytes that a file may have unpacked; a day of one-minute candles has some 150,000."""
_DIGEST = re.compile(rb"\s*([0-9a-fA-F]{64})\b")


def day(at: int) -> Range:
    """Return the UTC day that contains a moment. at: ms since the Unix epoch."""
    first = at // DAY_MS * DAY_MS
    return Range(first, first + DAY_MS - 1)


def month(at: int, ahead_ms: int = 0) -> Range:
    """Return the calendar month that contains a moment.

    at: ms since the Unix epoch; ahead_ms: offset from UTC of the time zone whose months are meant.
    """
    here = utc(from_ms(at + ahead_ms))
    first = datetime(here.year, here.month, 1, tzinfo=UTC)
    after = datetime(here.year + here.month // 12, here.month % 12 + 1, 1, tzinfo=UTC)
    begins, ends = (to_ms(from_datetime(each)) - ahead_ms for each in (first, after))
    return Range(begins, ends - 1)


def rows_of(payload: bytes, columns: Sequence[str]) -> list[Mapping[str, str]]:
    """Return the lines of the CSV in a zip as column -> text.

    columns: names in order, for a file without a header line. Raises ParseError for a payload that is not a
    zip with one readable CSV.
    """
    try:
        lines = [line for line in csv.reader(_text(payload).splitlines()) if line]
    except csv.Error as error:
        raise ParseError("file", str(error), ("payload",)) from error
    if lines and not lines[0][0][:1].isdigit() and set(lines[0]) & set(columns):
        columns, lines = lines[0], lines[1:]
    return [dict(zip(columns, line, strict=False)) for line in lines]


def digest_of(payload: bytes) -> str:
    """Return the SHA-256 in a checksum file of sha256sum's format, in lower-case hex. Raises ParseError."""
    found = _DIGEST.match(payload)
    if found is None:
        raise ParseError("checksum", f"{payload[:80]!r} does not begin with a SHA-256", ("payload",))
    return found[1].decode().lower()


def has_digest(payload: bytes, digest: str) -> bool:
    """Return whether the SHA-256 of a file is `digest` (lower-case hex)."""
    return sha256(payload).hexdigest() == digest


def _text(payload: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(payload)) as packed:
            members = [each for each in packed.infolist() if each.filename.endswith(".csv")]
            if len(members) != 1:
                raise ParseError("file", f"{len(members)} files of CSV in the zip, not 1", ("payload",))
            if members[0].file_size > UNPACKED_MAX:
                raise ParseError("file", f"{members[0].file_size} bytes unpacked", ("payload",))
            return packed.read(members[0]).decode("utf-8-sig")
    except (zipfile.BadZipFile, ZlibError, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise ParseError("file", f"no zip that can be read: {error}", ("payload",)) from error
    except UnicodeDecodeError as error:
        raise ParseError("file", str(error), ("payload",)) from error
