"""The lines of a segment: a function per kind that builds them, and `parse`, which reads all kinds.

A line is compact UTF-8 JSON in the key order of the data contract, with the payload as its last key. A value
of the envelope never contains a key `payload` (such a value is written as a JSON string instead). So the
first `,"payload":` of a line is the payload's, whose bytes are the rest of the line without its closing
brace.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from marketarchive.archive import payload
from marketarchive.exceptions import CorruptError
from marketarchive.gap_lines import is_first
from marketarchive.items import BookState, Connection, Cycle, Frames, Gap, Invalid, Response
from marketarchive.json_lines import NOT_JSON
from marketarchive.scope import Scope
from marketarchive.times import SECOND, from_iso, iso
from marketarchive.version import COLLECTOR

SCHEMA = 2
"""Version of the line format. Since 2, connection lines have `keys`, and gaps an `id`."""
PART_BYTES = 8 * 2**20
"""Bytes; a larger message body is written as numbered `part` lines of at most this size."""
_AT_ONCE = 128  # frames built together: so many stay in the processor's cache

RawItem = Response | Frames | Connection | BookState | Gap | Invalid | Cycle

_PAYLOAD = b',"payload":'
_PAYLOAD_KEY = b'"payload"'
_encode = msgspec.json.Encoder(enc_hook=str).encode
_decode = msgspec.json.decode


class Built(NamedTuple):
    """Encoded lines of one raw item, with the figures that a segment counts of them.

    The bytes stay in pieces, so that a payload is copied only once, when its whole batch is joined.
    """

    pieces: Sequence[bytes]
    size: int  # bytes of all pieces
    kind: str
    lines: int  # how many, `part` lines included
    parts: int  # how many of them are `part` lines
    first: int  # ns, earliest collected_at_utc
    last: int  # ns, latest collected_at_utc
    seqs: Sequence[int]  # of the lines that have one
    status: int | None = None  # HTTP
    reason: str | None = None  # of a gap, only when this is the first line of it

    @property
    def data(self) -> bytes:
        """Return the encoded lines, each with its newline."""
        return b"".join(self.pieces)


class Line(NamedTuple):
    """A parsed line of a segment: its envelope and its payload."""

    kind: str
    envelope: dict[str, Any]  # every key but the payload's
    payload: bytes | None  # the exact bytes; None where the line has none (also a response in parts)


def build(item: RawItem) -> Built:
    """Encode any raw item as lines of a segment."""
    if isinstance(item, Response):
        return response(item)
    if isinstance(item, Frames):
        return frames(item)
    if isinstance(item, Connection):
        return connection(item)
    if isinstance(item, Gap):
        return gap(item)
    if isinstance(item, Invalid):
        return invalid(item)
    if isinstance(item, Cycle):
        return cycle(item)
    return book_state(item)


def response(item: Response) -> Built:
    stamp = _stamp(item.received_at)
    body = b"" if item.body is None else b',"body":' + _verbatim(item.body)
    flags = b',"flags":' + _encode(item.flags) if item.flags else b""
    canonical = b',"canonical_url":' + _text(item.canonical_url) if item.canonical_url else b""
    head = (
        b'{"kind":"response","collected_at_utc":"%b","seq":%d,"collector":%b,"method":%b,"url":%b%b,'
        b'"params":%b%b,"status":%d,"latency_ms":%b,"headers":%b%b'
        % (
            stamp,
            item.seq,
            _COLLECTOR,
            _text(item.method),
            _text(item.url),
            canonical,
            _object(item.params),
            body,
            item.status,
            _encode(round(item.latency_ms, 3)),
            _object(item.headers),
            flags,
        )
    )
    tail, parts = _parts(item.payload, stamp, item.seq) if len(item.payload) > PART_BYTES else ((), 0)
    if not parts:
        tail = (b',"sha256":"%b"' % _sha256(item.payload), *payload.field(item.payload), b"}\n")
    pieces = (head, *tail)
    at, seq = item.received_at, item.seq
    return Built(pieces, sum(map(len, pieces)), "response", 1 + parts, parts, at, at, (seq,), item.status)


def frames(item: Frames) -> Built:
    pieces: list[bytes] = []
    parts = 0
    for start in range(0, len(item.frames), _AT_ONCE):
        more, more_parts = _frames(item.connection, item.frames[start : start + _AT_ONCE])
        pieces += more
        parts += more_parts
    times, seqs, _ = zip(*item.frames, strict=True)
    size, count = sum(map(len, pieces)), len(item.frames) + parts
    return Built(pieces, size, "frame", count, parts, min(times), max(times), seqs)


def _frames(connection: str, some: Sequence[tuple[int, int, bytes]]) -> tuple[Sequence[bytes], int]:
    """Return (encoded lines of frames in pieces, how many of them are `part` lines).

    some: (receipt in wall ns, seq, body) of each frame.
    """
    times, _, bodies = zip(*some, strict=True)
    second = min(times) // SECOND
    is_usual = max(times) // SECOND == second and max(map(len, bodies)) <= PART_BYTES
    if is_usual and payload.are_plain(bodies):
        return (_plain_frames(connection, some, second),), 0
    return _any_frames(connection, some)


def _plain_frames(connection: str, some: Sequence[tuple[int, int, bytes]], second: int) -> bytes:
    """Encode frames received in one `second` (Unix time) whose bodies are JSON that can be embedded as it is.

    some: (receipt in wall ns, seq, body) of each frame.
    """
    start = second * SECOND
    line = b'{"kind":"frame","collected_at_utc":"%b%%06dZ","seq":%%d,"connection":%b,"payload":%%b}\n' % (
        _whole_second(second),
        _text(connection).replace(b"%", b"%%"),
    )
    values = [value for at, seq, body in some for value in ((at - start) // 1000, seq, body)]
    return line * len(some) % tuple(values)


def _any_frames(connection: str, some: Sequence[tuple[int, int, bytes]]) -> tuple[list[bytes], int]:
    name = _text(connection)
    pieces: list[bytes] = []
    parts = 0
    for at, seq, body in some:
        stamp = _stamp(at)
        head = b'{"kind":"frame","collected_at_utc":"%b","seq":%d,"connection":%b' % (stamp, seq, name)
        if len(body) > PART_BYTES:
            tail, more = _parts(body, stamp, seq)
            pieces += (head, *tail)
            parts += more
        else:
            pieces += (head, *payload.field(body), b"}\n")
    return pieces, parts


def connection(item: Connection) -> Built:
    line = {
        "kind": b'"connection"',
        "collected_at_utc": _time(item.received_at),
        "seq": b"%d" % item.seq,
        "connection": _text(item.connection),
        "event": _text(item.event),
        "url": _text(item.url),
        "subscribe": b"[%b]"
        % b",".join(_verbatim(text.encode("utf-8", "backslashreplace")) for text in item.subscribe),
    }
    if item.keys is not None:
        line["keys"] = b"[%b]" % b",".join(map(_text, item.keys))
    if item.event == "closed":
        line["close_code"] = _encode(item.close_code)
        line["close_reason"] = b"null" if item.close_reason is None else _text(item.close_reason)
    return _built("connection", line, item.received_at, item.seq)


def book_state(item: BookState) -> Built:
    line = {
        "kind": b'"book_state"',
        "collected_at_utc": _time(item.received_at),
        "connection": _text(item.connection),
        "asset": _text(item.asset),
        "derived_from_seq": b"%d" % item.derived_from_seq,
    }
    return _built("book_state", line, item.received_at, None, b"".join(payload.field(item.payload)))


def gap(item: Gap) -> Built:
    line = {
        "kind": b'"gap"',
        "collected_at_utc": _time(item.received_at),
        "seq": b"%d" % item.seq,
        **({"id": _text(item.id)} if item.id else {}),
        **_gap_values(item.scope.as_dict(), item.from_ns, item.to_ns, item.reason, item.cause, item.detail),
    }
    built = _built("gap", line, item.received_at, item.seq)
    return built._replace(reason=item.reason) if item.is_first else built


def crash_gap(
    now_ns: int, venue: str, feed: str, from_ns: int, reason: str, detail: str, first_lost_seq: int
) -> Built:
    """Encode the gap line that begins with the end of a feed's run; it has no end and no seq.

    now_ns: when the line is made; from_ns: begin of the gap; both wall ns. reason: `crash` or `disk`;
    first_lost_seq: the smallest seq that the archive does not have.
    """
    line = {
        "kind": b'"gap"',
        "collected_at_utc": _time(now_ns),
        **_gap_values(Scope(venue, feed).as_dict(), from_ns, None, reason, "ours", detail),
        "first_lost_seq": b"%d" % first_lost_seq,
    }
    return _built("gap", line, now_ns, None)._replace(reason=reason)


def is_first_line(gap: Mapping[str, Any]) -> bool:
    """Return whether a `gap` line is the first line of its gap; gap: the line's envelope.

    In schema 1 each line is a gap of its own.
    """
    return is_first(gap.get("id"), gap.get("seq"))


def invalid(item: Invalid) -> Built:
    line = {
        "kind": b'"invalid"',
        "collected_at_utc": _time(item.received_at),
        "ref_seq": b"%d" % item.ref_seq,
        "item": _text(item.item),
        "error": _text(item.error),
        "fields": b"[%b]" % b",".join(map(_text, item.fields)),
    }
    return _built("invalid", line, item.received_at, None)


def cycle(item: Cycle) -> Built:
    line = {
        "kind": b'"cycle"',
        "collected_at_utc": _time(item.received_at),
        "phase": _text(item.phase),
        "started": _time(item.started),
        "state": _text(item.state),
        "pages": b"%d" % item.pages,
        "markets": b"%d" % item.markets,
        "failures": b"%d" % item.failures,
        **({"position": _text(item.position)} if item.position else {}),
    }
    return _built("cycle", line, item.received_at, None)


def parse_cycle(venue: str, feed: str, envelope: Mapping[str, Any]) -> Cycle:
    """Parse the envelope of a `cycle` line: the state of a phase of `scrapy catalog`."""
    return Cycle(
        venue,
        feed,
        from_iso(envelope["collected_at_utc"]),
        envelope["phase"],
        from_iso(envelope["started"]),
        envelope["state"],
        envelope["pages"],
        envelope["markets"],
        envelope["failures"],
        envelope.get("position", ""),
    )


def segment(
    run: str,
    spider: str,
    venue: str,
    feed: str,
    n: int,
    seq_next: int,
    now_ns: int,
    mono_ns: int,
    clock: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> Built:
    """Encode a segment's first line.

    n: number of the segment in its run and feed; seq_next: one more than the highest seq in the feed's
    earlier segments; now_ns, mono_ns: wall and monotonic time of opening; clock: see `clock_evidence`;
    settings: of the run.
    """
    line = {
        "kind": b'"segment"',
        "schema": b"%d" % SCHEMA,
        "run": _text(run),
        "collector": _COLLECTOR,
        "spider": _text(spider),
        "venue": _text(venue),
        "feed": _text(feed),
        "n": b"%d" % n,
        "seq_next": b"%d" % seq_next,
        "collected_at_utc": _time(now_ns),
        "mono_ns": b"%d" % mono_ns,
        "clock": _object(clock),
        "settings": _object(settings),
    }
    return _built("segment", line, now_ns, None)


def end(lines: int, seq_min: int | None, seq_max: int | None, reason: str) -> bytes:
    """Encode a segment's last line.

    lines: number of all lines of the file, the first and this one included; seq_min, seq_max: None without
    any; reason: why the segment ends.
    """
    return (
        _encode({"kind": "end", "lines": lines, "seq_min": seq_min, "seq_max": seq_max, "reason": reason})
        + b"\n"
    )


def parse(line: bytes) -> Line:
    """Parse a line of a segment, with or without its newline. Raises CorruptError for any other bytes."""
    line = line.removesuffix(b"\n")
    head, embedded, rest = line.partition(_PAYLOAD)
    try:
        if embedded:
            if not rest.endswith(b"}"):
                raise ValueError("no closing brace after the payload")
            envelope = _decode(head + b"}")
            pre, post = envelope.pop("payload_pre", ""), envelope.pop("payload_post", "")
            body = b"".join((pre.encode(), rest[:-1], post.encode())) if pre or post else rest[:-1]
            return Line(envelope["kind"], envelope, body)
        envelope = _decode(line)
        if (text := envelope.pop("payload_text", None)) is not None:
            return Line(envelope["kind"], envelope, text.encode())
        if (text := envelope.pop("payload_base64", None)) is not None:
            return Line(envelope["kind"], envelope, base64.b64decode(text, validate=True))
        return Line(envelope["kind"], envelope, None)
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError, binascii.Error) as error:
        raise CorruptError(f"not a line of the archive ({error}): {line[:80]!r}") from error


class FrameLine(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Envelope of a `frame` line that has its whole payload."""

    kind: str
    collected_at_utc: str
    seq: int
    connection: str


_FRAME = b'{"kind":"frame",'
_FRAME_HEAD = msgspec.json.Decoder(FrameLine)


def parse_frame(line: bytes) -> tuple[FrameLine, bytes] | None:
    """Parse a usual `frame` line as `parse` does, in a third of the time.

    line: without its newline. Returns (envelope, payload); None for any other line, which `parse` reads.
    """
    head, embedded, rest = line.partition(_PAYLOAD)
    if not embedded or not head.startswith(_FRAME) or rest[-1:] != b"}":
        return None
    try:
        return _FRAME_HEAD.decode(head + b"}"), rest[:-1]
    except NOT_JSON:
        return None  # it has other keys, or `parse` says what is wrong with it


def _parts(body: bytes, stamp: bytes, seq: int) -> tuple[Sequence[bytes], int]:
    """Encode the body of a large message as numbered `part` lines.

    stamp: time of receipt as the lines have it; seq: of the message. Returns (the end of the message's own
    line, followed by the `part` lines, in pieces; the number of `part` lines).
    """
    pieces = payload.pieces(body, PART_BYTES)
    count = len(pieces)
    chunks = [b',"bytes":%d,"parts":%d,"sha256":"%b"}\n' % (len(body), count, _sha256(body))]
    for number, piece in enumerate(pieces, 1):
        chunks += (
            b'{"kind":"part","collected_at_utc":"%b","ref_seq":%d,"part":%d,"parts":%d'
            % (stamp, seq, number, count),
            *payload.text_field(piece),
            b"}\n",
        )
    return chunks, count


def _sha256(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()


def _gap_values(
    scope: Mapping[str, Any], from_ns: int, to_ns: int | None, reason: str, cause: str, detail: str
) -> dict[str, bytes]:
    values = {
        "scope": _object(scope),
        "from": _time(from_ns),
        "to": b"null" if to_ns is None else _time(to_ns),
        "reason": _text(reason),
        "cause": _text(cause),
    }
    return {**values, "detail": _text(detail)} if detail else values


def _built(kind: str, values: Mapping[str, bytes], at: int, seq: int | None, tail: bytes = b"") -> Built:
    pairs = b",".join(b'"%b":%b' % (key.encode(), value) for key, value in values.items())
    line = b"{%b%b}\n" % (pairs, tail)
    return Built((line,), len(line), kind, 1, 0, at, at, () if seq is None else (seq,))


def _verbatim(text: bytes) -> bytes:
    """Encode a text that was sent to a venue, as a JSON value.

    A JSON object or array is kept as it is, other text becomes a JSON string, other bytes base64.
    """
    if (
        text[:1] in (b"{", b"[")
        and _PAYLOAD_KEY not in text
        and payload.embeddable(text)
        and text[-1:] in b"}]"
    ):
        return text
    try:
        return _encode(text.decode())
    except UnicodeDecodeError:
        return b'{"base64":"%b"}' % base64.b64encode(text)


def _object(value: Any) -> bytes:
    """Encode a value as compact JSON; a value that contains the key `payload` as a JSON string of it."""
    try:
        text = _encode(value)
    except UnicodeEncodeError:  # a lone surrogate: only an escape can carry it, and only inside a string
        return _encode(json.dumps(value, default=str))
    return _encode(text.decode()) if _PAYLOAD_KEY in text else text


def _text(value: str) -> bytes:
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return _encode(value.encode("utf-8", "backslashreplace").decode())


def _time(ns: int) -> bytes:
    return b'"%b"' % _stamp(ns)


def _stamp(ns: int) -> bytes:
    """Format wall ns as `clock.iso` does, in bytes; the date is formatted only once per second, for speed."""
    second, rest = divmod(ns, SECOND)
    return b"%b%06dZ" % (_whole_second(second), rest // 1000)


@lru_cache(maxsize=64)
def _whole_second(second: int) -> bytes:
    return iso(second * SECOND)[:20].encode()


_COLLECTOR = _encode(COLLECTOR)
