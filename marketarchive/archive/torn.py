"""Find the intact content of a torn segment: complete gzip members, and complete lines of incomplete ones.

A complete member is proven by its CRC-32. A member that a crash cut has no checksum: its lines are used up to
the first that is not exactly of the archive's format, or whose body does not match its sha256. A member that
is complete and fails its CRC is damaged at an unknown place: none of it is used. After damage, reading
continues at the next member.
"""

from __future__ import annotations

import hashlib
import mmap
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from marketarchive.archive import lines, payload
from marketarchive.archive.codec import GZIP
from marketarchive.archive.scan import CHUNK
from marketarchive.archive.segment_scan import SegmentScan
from marketarchive.exceptions import CorruptError

_MEMBER = b"\x1f\x8b\x08"  # RFC 1952: ID1, ID2, deflate
_LINE = b'{"kind":"'
_LONGEST_LINE = 7 * lines.PART_BYTES  # bytes; a part whose every byte is a 6-byte escape, and its envelope


@dataclass(frozen=True, slots=True)
class IntactMember:
    """A complete gzip member of a torn segment, which can be copied unchanged."""

    offset: int  # bytes from the beginning of the file
    bytes: int


@dataclass(frozen=True, slots=True)
class LooseLines:
    """Complete lines, with newlines, of a gzip member that is cut."""

    text: bytes


@dataclass(frozen=True, slots=True)
class UnreadableBytes:
    """Unreadable bytes of a torn segment that are followed by readable members."""

    offset: int
    last_received: str  # time (ISO) of the last line received before them; "" without any


@dataclass(slots=True)
class TornScan:
    """Intact content of a torn segment in file order, and the figures of its lines."""

    pieces: list[IntactMember | LooseLines | UnreadableBytes] = field(default_factory=list)
    facts: SegmentScan = field(default_factory=SegmentScan)

    @property
    def has_unreadable(self) -> bool:
        return any(isinstance(piece, UnreadableBytes) for piece in self.pieces)


def scan_torn(path: Path) -> TornScan:
    """Find the intact content of a torn segment's file; it never fails on the file's content."""
    found = TornScan()
    if path.stat().st_size == 0:
        return found
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        offset = 0
        while offset < len(data) and not found.facts.end:
            end = _end_of_member(data, offset)
            if end is not None:
                found.pieces.append(IntactMember(offset, end - offset))
                for text in _whole(_texts(data, offset, end)):
                    found.facts.add(text.split(b"\n"))
                offset = end
                continue
            following = _next_member(data, offset + 1)
            text = b"".join(line + b"\n" for line in _trusted(data, offset, following))
            if text:
                found.pieces.append(LooseLines(text))
                found.facts.add(text[:-1].split(b"\n"))
            if following < len(data):
                found.pieces.append(UnreadableBytes(offset, found.facts.last_received))
            offset = following
        if found.facts.end and (found.has_unreadable or not found.facts.end_fits):
            _drop_end(found, data)
    return found


def _drop_end(found: TornScan, data: mmap.mmap) -> None:
    """Remove the `end` line from the last piece: with lost bytes before it, its counts are wrong."""
    last = found.pieces.pop()
    if isinstance(last, IntactMember):
        last = LooseLines(b"".join(_texts(data, last.offset, last.offset + last.bytes)))
    assert isinstance(last, LooseLines)
    text = last.text[: last.text.rfind(b"\n", 0, -1) + 1]
    if text:
        found.pieces.append(LooseLines(text))
    found.facts.drop_end()


def _end_of_member(data: mmap.mmap, offset: int) -> int | None:
    """Return the end offset of the gzip member at `offset`; None where it is cut or fails its CRC."""
    inflater = zlib.decompressobj(GZIP)
    at = offset
    try:
        while at < len(data) and not inflater.eof:
            chunk = data[at : at + CHUNK]
            inflater.decompress(chunk)
            at += len(chunk) - len(inflater.unused_data)
    except zlib.error:
        return None
    return at if inflater.eof else None


def _next_member(data: mmap.mmap, start: int) -> int:
    """Return the offset, from `start` on, of the next gzip member with lines.

    The data's length without one.
    """
    while (start := data.find(_MEMBER, start)) >= 0:
        head = next(_texts(data, start, len(data)), b"")
        if head.startswith(_LINE):
            return start
        start += 1
    return len(data)


def _texts(data: mmap.mmap, offset: int, end: int) -> Iterator[bytes]:
    """Yield all text that can be decompressed from `offset` to `end`, up to the first byte that fails."""
    inflater = zlib.decompressobj(GZIP)
    for at in range(offset, end, CHUNK):
        chunk = data[at : min(at + CHUNK, end)]
        before = inflater.copy()
        try:
            yield inflater.decompress(chunk)
        except zlib.error:
            # the failing call gives nothing: take the chunk byte by byte up to the one that fails
            for byte in range(len(chunk)):
                try:
                    yield before.decompress(chunk[byte : byte + 1])
                except zlib.error:
                    return


def _whole(texts: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the same text in pieces that end at a line's end, each without its last newline."""
    rest = b""
    for text in texts:
        whole, newline, rest = (rest + text).rpartition(b"\n")
        if newline:
            yield whole


def _trusted(data: mmap.mmap, offset: int, end: int) -> Iterator[bytes]:
    """Yield the lines of a cut gzip member, up to the first that may differ from what was written."""
    if _fails_its_check(data, offset, end):
        return
    group: list[bytes] = []  # a message's line and its part lines: yielded only when complete
    message: lines.Line | None = None
    pieces: list[bytes] = []
    for text in _whole(_bounded(_texts(data, offset, end))):
        for raw in text.split(b"\n"):
            line = _strict(raw)
            if line is None or (line.kind == "part") is not (message is not None):
                return
            group.append(raw)
            if message is None and "parts" in line.envelope:
                message, pieces = line, []
                continue
            body = line.payload or b""
            if message is not None:
                pieces.append(body)
                if len(pieces) < message.envelope["parts"]:
                    continue
                line, body, message = message, b"".join(pieces), None
            digest = line.envelope.get("sha256")
            if digest is not None and hashlib.sha256(body).hexdigest() != digest:
                return
            yield from group
            group.clear()


def _fails_its_check(data: mmap.mmap, offset: int, end: int) -> bool:
    inflater = zlib.decompressobj(GZIP)
    try:
        for at in range(offset, end, CHUNK):
            inflater.decompress(data[at : min(at + CHUNK, end)])
    except zlib.error as error:
        return "check" in str(error)  # "incorrect data check", "incorrect length check"
    return False


def _bounded(texts: Iterator[bytes]) -> Iterator[bytes]:
    """Yield `texts` until a line is longer than any that is ever written: noise may inflate without end."""
    length = 0
    for text in texts:
        length = len(text) - 1 - at if (at := text.rfind(b"\n")) >= 0 else length + len(text)
        if length > _LONGEST_LINE:
            return
        yield text


def _strict(raw: bytes) -> lines.Line | None:
    """Parse a line; return None unless it is exactly of the archive's format."""
    try:
        line = lines.parse(raw)
    except CorruptError:
        return None
    _, embedded, rest = raw.partition(b',"payload":')
    return None if embedded and not payload.embeddable(rest[:-1]) else line
