"""Reads a segment's gzip members and lines, each byte once, whole file or torn.

A segment is a row of gzip members (RFC 1952), each ending at the end of a line. Where reading stops
before the end of the file, `Scan.error` says why; what was readable before it has been given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from marketarchive.archive import codec
from marketarchive.archive.stored import StoredSegment

CHUNK = 1 << 16  # compressed bytes read at a time; bounds memory at the text of one chunk


@dataclass(frozen=True, slots=True)
class Member:
    """A finished gzip member; bytes and sha256 are those of its compressed form."""

    offset: int
    bytes: int
    lines: int
    sha256: str


class Scan:
    """Reader of a segment; iterate for batches of whole lines without their newline.

    Afterwards the attributes are complete. `unfinished`: the file ends inside a member, as a part in use or
    after a crash does. `error`: damage, with the byte where the member in question begins. `rest`: text after
    the last newline. `source`: a file, or a segment that may lie within one; offsets are the segment's own.
    """

    def __init__(self, source: Path | StoredSegment) -> None:
        self._source = source
        self.members: list[Member] = []
        self.bytes = 0
        self.lines = 0
        self.sha256 = ""
        self.unfinished = False
        self.error = ""
        self.rest = b""

    def __iter__(self) -> Iterator[list[bytes]]:
        pieces: list[bytes] = []  # of a line that has not ended yet
        for text in self._texts():
            lines = text.split(b"\n")
            if len(lines) > 1:
                pieces.append(lines[0])
                lines[0] = b"".join(pieces)
                pieces = [lines.pop()]
                self.lines += len(lines)
                yield lines
            else:
                pieces.append(text)
        self.rest = b"".join(pieces)

    def _texts(self) -> Iterator[bytes]:
        whole = hashlib.sha256()
        inflater, digest, start, lines = codec.decompressor(), hashlib.sha256(), 0, 0
        source = self._source
        with source.open("rb") if isinstance(source, Path) else source.open() as file:
            while data := file.read(CHUNK):
                whole.update(data)
                end = self.bytes = self.bytes + len(data)
                while data and not self.error:
                    try:
                        text = inflater.decompress(data)
                    except codec.DAMAGED as error:
                        self.error = f"damaged gzip member at byte {start}: {error}"
                        break
                    used = len(data) - len(inflater.unused_data)
                    digest.update(data[:used])
                    lines += text.count(b"\n")
                    data = data[used:]
                    if inflater.eof:
                        stop = end - len(data)
                        self.members.append(Member(start, stop - start, lines, digest.hexdigest()))
                        inflater, digest, start, lines = (
                            codec.decompressor(),
                            hashlib.sha256(),
                            stop,
                            0,
                        )
                    yield text
        self.unfinished = not self.error and start < self.bytes
        self.sha256 = whole.hexdigest()
