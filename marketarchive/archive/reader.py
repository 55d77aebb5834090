"""Reader of the archive: messages by venue, feed and time, with the exact bytes that were received.

Sealed segments are found through the ledger, so that file labels count and files outside of it are not taken
for data. Within a segment lines keep their order; across segments they are merged by time only on request.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from marketarchive.archive import lines
from marketarchive.archive.folders import unentered
from marketarchive.archive.labels import labels
from marketarchive.archive.ledger import Entry, Ledger
from marketarchive.archive.moved import absence
from marketarchive.archive.paths import PART, TORN, SegmentName, is_joined, parse_segment_path
from marketarchive.archive.scan import Scan
from marketarchive.archive.stored import StoredSegment
from marketarchive.exceptions import ArchiveError, CorruptError
from marketarchive.invocation import command
from marketarchive.times import SECOND, from_iso
from marketarchive.venues.messages import Received

_SIMULATED = re.compile(
    r"(http|ws)://(?:127\.0\.0\.1|localhost|\[::1\]):\d+/([^/?#]+\.[^/?#]+)(.*)", re.DOTALL
)


class Message(msgspec.Struct, frozen=True):
    """One line of a segment."""

    run: str
    venue: str
    feed: str
    kind: str
    received_at: int  # wall ns, in steps of 1 µs
    seq: int  # 0 where the line has none
    payload: bytes  # the exact bytes, of all parts; empty where the line has none
    envelope: dict[str, Any]  # the line's fields without the payload
    path: str  # of the segment, relative to OUTPUT_DIR
    line_number: int  # from 1
    url: str  # as requested; of a frame: its connection's, empty when the connection line was not read
    canonical_url: str  # the venue's own URL, also where a simulator or another host was requested instead

    def received(self) -> Received:
        """Return a `response` or `frame` line in the form that the parse functions of its venue expect."""
        if self.kind == "frame":
            return Received(
                self.venue,
                self.feed,
                self.canonical_url,
                {},
                None,
                0,
                self.payload,
                self.received_at,
                self.seq,
                self.envelope.get("connection"),
            )
        return Received.archived(
            self.venue, self.feed, self.canonical_url, self.envelope, self.payload, self.received_at
        )


@dataclass(frozen=True, slots=True)
class _Source:
    root: Path
    relative: str
    name: SegmentName
    first: str
    is_sealed: bool


class ArchiveReader:
    """Reader of the archive below `root`, an OUTPUT_DIR."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def segments(
        self,
        venue: str | None = None,
        feed: str | None = None,
        since: int | None = None,
        until: int | None = None,
        *,
        labelled: bool = False,
    ) -> list[Entry]:
        """Return the ledger lines, without members, of the segments that match, sorted by first time.

        venue, feed: None for all; since, until: wall ns, None for open; only segments that may hold a line
        received in `since` <= time < `until`; labelled: include segments labelled deprecated or invalid.
        Segments that were moved to a remote are included.
        """
        ledger = Ledger(self.root)
        excluded = set() if labelled else set(labels(ledger.of_kind("label")))
        feeds = None
        if venue is not None or feed is not None:
            feeds = {one for one in ledger.feeds() if venue in (None, one[0]) and feed in (None, one[1])}
        found = {
            entry["path"]: entry
            for entry in ledger.segments(feeds, since, until)
            if entry["path"] not in excluded
        }
        return sorted(found.values(), key=lambda entry: (entry["first"], entry["path"]))

    def messages(
        self,
        venue: str | None = None,
        feed: str | None = None,
        since: int | None = None,
        until: int | None = None,
        kinds: Collection[str] = ("response", "frame"),
        *,
        open_parts: bool = False,
        labelled: bool = False,
        by_time: bool = False,
    ) -> Iterator[Message]:
        """Yield the lines of the archive that match, segment after segment.

        venue, feed: None for all; since, until: wall ns, None for open, of `since` <= receipt < `until`;
        kinds: of the lines; labelled: include segments labelled deprecated or invalid. by_time: merge
        segments that overlap by time; within a segment lines keep their order, in which an HTTP answer may
        follow a slightly later one. open_parts: include segments that are not in the ledger yet, those being
        written up to their last complete line, and those waiting for recovery up to any damage. Raises
        CorruptError for a damaged sealed segment, ArchiveError for one that is not on the disk.
        """
        # files before the ledger: one may be sealed between
        parts = list(self._parts(venue, feed)) if open_parts else []
        sealed = self.segments(venue, feed, since, until, labelled=labelled)
        finals = {part.relative.removesuffix(PART) for part in parts}
        entered = {entry["path"] for entry in Ledger(self.root).naming(finals)} if finals else set()
        sources = [_sealed(self.root, entry) for entry in sealed]
        sources += [part for part in parts if part.relative.removesuffix(PART) not in entered]
        connections: dict[tuple[str, ...], str] = {}
        sources.sort(key=lambda source: (source.first, source.relative))
        streams = ((_ns(source.first), _read(source, connections)) for source in sources)
        for message in _interleaved(streams) if by_time else chain.from_iterable(each for _, each in streams):
            if (
                message.kind in kinds
                and (since is None or message.received_at >= since)
                and (until is None or message.received_at < until)
            ):
                yield message

    def _parts(self, venue: str | None, feed: str | None) -> Iterator[_Source]:
        """Yield segments on the disk, open or sealed, that the ledger does not name.

        Venue, feed: None for all.
        """
        for path in unentered(self.root, Ledger(self.root)):
            name = parse_segment_path(path)
            if name is None or path.endswith(TORN) or is_joined(path):
                continue
            if venue in (None, name.venue) and feed in (None, name.feed):
                source = _Source(self.root, path, name, "", is_sealed=False)
                first = next(_read(source, {}), None)
                if first is not None:
                    yield replace(source, first=first.envelope["collected_at_utc"])


def read_segment(root: Path, entry: Entry) -> Iterator[Message]:
    """Yield the lines of one segment in file order, all but its `end` line; entry: its ledger line."""
    return _read(_sealed(root, entry), {})


@lru_cache(maxsize=256)
def canonical_url(url: str) -> str:
    """Return the venue's own URL for a URL of the simulator; any other URL unchanged.

    `http://127.0.0.1:8900/HOST/PATH` becomes `https://HOST/PATH`, `ws:` becomes `wss:`.
    """
    match = _SIMULATED.fullmatch(url)
    return url if match is None else f"{match[1]}s://{match[2]}{match[3]}"


def _sealed(root: Path, entry: Entry) -> _Source:
    name = parse_segment_path(entry["path"])
    if name is None:
        raise CorruptError(
            f"manifests/ledger.jsonl line {entry.number}: {entry['path']!r} is not the path of a segment"
        )
    return _Source(root, entry["path"], name, entry["first"], is_sealed=True)


def _interleaved(streams: Iterable[tuple[int, Iterator[Message]]]) -> Iterator[Message]:
    """Merge streams of messages by time of receipt.

    streams: (wall ns of the first message, messages) with ascending times. Only streams that overlap are
    open at once.
    """
    ahead: list[tuple[int, int, Message, Iterator[Message]]] = []  # the next message of each open stream

    def advance(order: int, stream: Iterator[Message]) -> None:
        if (message := next(stream, None)) is not None:
            heapq.heappush(ahead, (message.received_at, order, message, stream))

    def before(first: int | None) -> Iterator[Message]:
        while ahead and (first is None or ahead[0][0] < first):
            _, order, message, stream = heapq.heappop(ahead)
            yield message
            advance(order, stream)

    for order, (first, stream) in enumerate(streams):
        yield from before(first)
        advance(order, stream)
    yield from before(None)


def _read(source: _Source, connections: dict[tuple[str, ...], str]) -> Iterator[Message]:
    number = 0
    waiting: tuple[int, lines.Line, list[bytes]] | None = None  # a message whose parts are coming
    scan = _open(source)
    frame = _frames(source, connections)
    for batch in scan:
        for raw in batch:
            number += 1
            if waiting is None and (message := frame(raw, number)) is not None:
                yield message
                continue
            try:
                line = lines.parse(raw)
                if waiting is not None:
                    if line.kind != "part":
                        raise CorruptError("a part of the preceding message is missing")
                    begun, whole, pieces = waiting
                    pieces.append(line.payload or b"")
                    if len(pieces) == whole.envelope["parts"]:
                        yield _message(source, begun, whole, b"".join(pieces), connections)
                        waiting = None
                elif line.envelope.get("parts"):
                    waiting = (number, line, [])
                elif line.kind != "end":
                    yield _message(source, number, line, line.payload or b"", connections)
            except CorruptError as error:
                raise CorruptError(
                    f"{source.relative} line {number}: {error}; run `{command('verify')}`"
                ) from error
    if source.is_sealed and (scan.error or scan.unfinished or waiting is not None):
        what = scan.error or "the file is truncated"
        raise CorruptError(f"{source.relative}, after line {number}: {what}; run `{command('verify')}`")


def _frames(
    source: _Source, connections: dict[tuple[str, ...], str]
) -> Callable[[bytes, int], Message | None]:
    """Return a fast parser, (line, its number) -> message, of usual `frame` lines.

    It returns None for others. connections: URLs of the connections read so far. Nearly all lines of a stream
    are usual frames.
    """
    name, path = source.name, source.relative
    run, venue, feed = name.run, name.venue, name.feed
    urls: dict[str, tuple[str, str]] = {}  # by connection: as asked, canonical

    def frame(raw: bytes, number: int) -> Message | None:
        found = lines.parse_frame(raw)
        if found is None:
            return None
        head, payload = found
        stamp, seq, connection = head.collected_at_utc, head.seq, head.connection
        if connection not in urls:
            url = connections.get(_connection_key(source, connection), "")
            if not url:  # its line may still come
                envelope = {"kind": "frame", "collected_at_utc": stamp, "seq": seq, "connection": connection}
                return _message(source, number, lines.Line("frame", envelope, payload), payload, connections)
            urls[connection] = url, canonical_url(url)
        return Message(
            run,
            venue,
            feed,
            "frame",
            _ns(stamp),
            seq,
            payload,
            {"kind": "frame", "collected_at_utc": stamp, "seq": seq, "connection": connection},
            path,
            number,
            *urls[connection],
        )

    return frame


def _connection_key(source: _Source, connection: str) -> tuple[str, ...]:
    return source.name.spider, source.name.run, source.name.venue, source.name.feed, connection


def _open(source: _Source) -> Scan:
    path = source.root / source.relative
    if source.relative.endswith(PART) and path.exists():
        return Scan(path)
    stored = StoredSegment(source.root, source.relative.removesuffix(PART))
    if stored.place() is not None:
        return Scan(stored)
    raise ArchiveError(f"{source.relative} {absence(source.root, source.relative)}")


def _message(
    source: _Source, number: int, line: lines.Line, payload: bytes, connections: dict[tuple[str, ...], str]
) -> Message:
    envelope = line.envelope
    url = envelope.get("url", "")
    if "connection" in envelope:
        key = _connection_key(source, envelope["connection"])
        url = connections.setdefault(key, url) if url else connections.get(key, "")
    return Message(
        source.name.run,
        source.name.venue,
        source.name.feed,
        line.kind,
        _ns(envelope["collected_at_utc"]),
        envelope.get("seq", 0),
        payload,
        envelope,
        source.relative,
        number,
        url,
        envelope.get("canonical_url") or canonical_url(url),
    )


def _ns(text: str) -> int:
    """Parse the time of a line (`YYYY-MM-DDTHH:MM:SS.ffffffZ`) to wall ns, faster than `clock.from_iso`."""
    return _whole_second(text[:19]) + int(text[20:26]) * 1000


@lru_cache(maxsize=64)
def _whole_second(text: str) -> int:
    return from_iso(text) // SECOND * SECOND
