"""Read a segment's gzip members and lines, each byte once, whether the file is complete or torn.

A segment is a sequence of gzip members (RFC 1952), each of which ends at the end of a line. Where reading
stops before the end of the file, `Scan.error` states why; all lines before have been yielded.
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
    """A complete gzip member of a segment; `bytes` and `sha256` are those of its compressed form."""

    offset: int  # bytes from the segment's beginning
    bytes: int
    lines: int  # number of lines in it
    sha256: str


class Scan:
    """Reader of a segment: iterate over it for lists of complete lines without their newline.

    After the iteration the attributes are final. `unfinished`: the file ends inside a gzip member, as that of
    an open segment or after a crash. `error`: damage, with the offset of the damaged member, or "". `rest`:
    text after the last newline. source: a file, or a segment that may be part of a joined file; offsets count
    from the segment's beginning.
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
