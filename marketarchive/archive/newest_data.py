"""Time of the newest data of a feed, read from the end of its newest segments.

Data are successful HTTP answers and messages of sockets. A feed whose venue is down still writes lines: gaps,
attempts to connect, error answers. So the time of a file, or of its last line, does not show new data. A time
later than now is of a clock that was ahead, and shows nothing either.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from marketarchive.archive.codec import DAMAGED, decompressor
from marketarchive.archive.paths import PART
from marketarchive.json_lines import NOT_JSON
from marketarchive.times import from_iso, utc

MEMBER = b"\x1f\x8b\x08"
"""First bytes of a gzip member: ID1, ID2 and CM of RFC 1952, 2.3.1."""
FIRST_BYTES = 2**18
"""Bytes at a file's end that are read first; if they hold no data, four times as many, and so on."""
DAYS = 2
FILES = 4
"""Number of a feed's newest files that are read, within its newest DAYS days."""


class _DatedLine(msgspec.Struct):
    kind: str
    collected_at_utc: str = ""
    status: int = 200
    payload_text: str = ""


def newest_data(root: Path, venue: str, feed: str, now: int) -> int | None:
    """Return the receipt of a feed's newest data at the time `now`; None where its newest files have none.

    Times are wall ns. Read are its FILES newest files of hours that have begun: when a clock is put back, its
    runs go on in the folder of the true hour.
    """
    files = []
    of_feed = root / "raw" / f"venue={venue}" / f"feed={feed}"
    present = of_feed / f"date={utc(now):%Y-%m-%d}" / f"hour={utc(now):%H}"
    for day in sorted(day for day in of_feed.glob("date=*") if day <= present)[-DAYS:]:
        for path in day.glob("hour=*/*"):
            if path.name.endswith((".jsonl.gz", f".jsonl.gz{PART}")) and path.parent <= present:
                with suppress(FileNotFoundError):  # sealed meanwhile: its new name has the same bytes
                    # by hour first: `compact` writes what is old anew
                    files.append((path.parent, path.stat().st_mtime_ns, path))
    found = [_newest_of(path, now) for _, _, path in sorted(files, reverse=True)[:FILES]]
    return max((time for time in found if time is not None), default=None)


def _newest_of(path: Path, now: int) -> int | None:
    """Return the receipt of the newest data at the time `now` in a segment, sealed or open; None without any.

    Times are wall ns.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            length = FIRST_BYTES
            while True:
                start = max(0, size - length)
                file.seek(start)
                for lines in _members(file.read(size - start)):
                    if (found := _newest_line(lines, now)) is not None:
                        return found
                if start == 0:
                    return None
                length *= 4
    except FileNotFoundError:
        return None


def _members(data: bytes) -> Iterator[list[bytes]]:
    """Yield the lines of each gzip member that begins in `data`, the last member first."""
    at = len(data)
    while (at := data.rfind(MEMBER, 0, at)) >= 0:
        try:
            text = decompressor().decompress(data[at:])
        except DAMAGED:
            continue  # these three bytes stand within another member
        if text.startswith(b'{"kind":"') or b'\n{"kind":"' in text:
            yield text.splitlines()


def _newest_line(lines: list[bytes], now: int) -> int | None:
    decoder = msgspec.json.Decoder(_DatedLine)
    for text in reversed(lines):
        if not text.startswith((b'{"kind":"frame"', b'{"kind":"response"')):
            continue
        try:
            line = decoder.decode(text)
        except NOT_JSON:
            continue  # it is still being written
        if 200 <= line.status < 400 and line.payload_text not in ("PONG", "pong"):
            received_at = from_iso(line.collected_at_utc)
            if received_at <= now:
                return received_at
    return None
