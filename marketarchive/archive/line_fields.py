"""The keys of raw lines, as docs/DATA_CONTRACT.md lists them. `since` is the schema of raw."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from marketarchive.field_docs import FieldDoc

_Key = partial(FieldDoc, since="1")
_New = partial(FieldDoc, since="2")

_UTC = "UTC"

_AT = _Key("when the line was made", _UTC, type="text")
_RECEIVED = _Key("when the last byte arrived", _UTC, type="text")
_SEQ = _Key("number of the line: [seq](#seq)", type="int")
_CONNECTION = _Key("name of the connection in the run", "`c1`, `c2`, ...", type="text")
_COLLECTOR = _Key("program and version", "`marketarchive 0.1.0`", type="text")

LINES: Mapping[str, Mapping[str, FieldDoc]] = {
    "segment": {
        "schema": _Key("schema of the lines that follow: 2", type="int"),
        "run": _Key("the run whose segment it is", "run id", type="text"),
        "collector": _COLLECTOR,
        "spider": _Key("the spider that recorded it", type="text"),
        "venue": _Key("venue of the feed", type="text"),
        "feed": _Key("feed whose messages it holds", type="text"),
        "n": _Key("number of the segment in this run and feed, from 1", type="int"),
        "seq_next": _Key(
            "one more than the highest seq in this run's earlier segments of the feed", type="int"
        ),
        "collected_at_utc": _Key("wall time when the segment was opened", _UTC, type="text"),
        "mono_ns": _Key(
            "monotonic time of the same moment: Linux's CLOCK_BOOTTIME, which goes on while the machine is "
            "suspended (in segments of earlier collectors, and where a system has none, CLOCK_MONOTONIC). "
            "Only differences within one boot (`clock.boot_id`) mean anything",
            "nanoseconds",
            type="int",
        ),
        "clock": _Key(
            "state of the clock as the kernel states it: `synchronised`, `offset_ms`, `error_bound_ms`, "
            "`source`; and `boot_id`, `simulated`, `speed`",
            "",
            "never; a member is null where the kernel does not state it",
            type="object",
        ),
        "settings": _Key("the settings that shape collecting", type="object"),
    },
    "response": {
        "collected_at_utc": _RECEIVED,
        "seq": _SEQ,
        "collector": _COLLECTOR,
        "method": _Key("method of the request", "`GET`", type="text"),
        "url": _Key("the URL that was requested, without the query", type="text"),
        "canonical_url": _New(
            "the venue's own URL, where the user's settings put another in its place",
            "",
            "absent where it is `url`",
            type="text",
        ),
        "params": _Key("the query; a list where a key repeats", type="object"),
        "body": _Key("what the request sent", "", "absent where none was sent", type="JSON or text"),
        "status": _Key(
            "status of the answer; 0: it arrived, and another component refused it, or our time-out cut it "
            "(flag `timeout`)",
            "HTTP status",
            type="int",
        ),
        "latency_ms": _Key("from sending to the last byte", "milliseconds", type="number"),
        "headers": FieldDoc(
            "date, age, etag, retry-after, content-type, content-encoding, cf-ray, server; since 2 location, "
            "cf-mitigated, www-authenticate",
            "",
            "never; a header that was not received is absent",
            "1; three headers 2",
            "object of text",
        ),
        "flags": FieldDoc(
            "`dataloss`: the body ended too early; `undecoded`: its Content-Encoding could not be undone, "
            "and the payload is as it came; since 2 `timeout`: our time-out (`DOWNLOAD_TIMEOUT`) or the end "
            "of the run cut it, and the payload is what had arrived by then",
            "",
            "absent without any",
            "1; `timeout` 2",
            "list of text",
        ),
        "sha256": _Key("digest of the whole body", "64 hex digits", type="text"),
    },
    "frame": {"collected_at_utc": _RECEIVED, "seq": _SEQ, "connection": _CONNECTION},
    "connection": {
        "collected_at_utc": _Key("when it happened", _UTC, type="text"),
        "seq": _SEQ,
        "connection": _CONNECTION,
        "event": _Key(
            "`opened`, `closed`; `subscribed`, `unsubscribed`: something more or less on the same connection",
            type="text",
        ),
        "url": _Key("URL of the socket", type="text"),
        "subscribe": _Key("the exact texts that were sent", type="list of JSON or text"),
        "keys": _New(
            "what these texts subscribe or unsubscribe, in the venue's own keys: tokens, topics. In schema "
            "1 only the texts state it, and `Feed.keys` of the venue reads them",
            "",
            "absent where only the texts state them",
            type="list of text",
        ),
        "close_code": _Key(
            "code of the close; 1006: without a close message",
            "WebSocket close code",
            "not known; absent unless `closed`",
            type="int",
        ),
        "close_reason": _Key("reason of the close", "", "not known; absent unless `closed`", type="text"),
    },
    "book_state": {
        "collected_at_utc": _AT,
        "connection": _CONNECTION,
        "asset": _Key("the token whose book it is", type="text"),
        "derived_from_seq": _Key(
            "messages of that connection up to this seq are in the book already", "seq", type="int"
        ),
    },
    "gap": {
        "collected_at_utc": _Key(
            "when the gap was noticed, or its end was, or what a later line changes", _UTC, type="text"
        ),
        "seq": _Key("number of the line: [seq](#seq)", "", "absent in the gap of a crash", type="int"),
        "id": _New(
            "the gap that the line is about: run and seq of its first line, within its venue and feed",
            "`run:seq`",
            "absent in the gap of a crash",
            type="text",
        ),
        "scope": _Key("what is concerned, see below", type="object"),
        "from": _Key(
            "the last moment proven complete; a later line may know an earlier one", _UTC, type="text"
        ),
        "to": _Key(
            "its end. A gap that never gets one lasts until the next line of its venue, feed and scope. "
            "Equal to `from` in a line after the first: void",
            _UTC,
            "no end is known yet",
            type="text",
        ),
        "reason": _Key(
            "disconnect, stall, sequence, checksum, hash, missed_tick, rate_limited, blocked, not_served, "
            "dns, tls, clock, crash, disk",
            type="text",
        ),
        "cause": _Key("ours, venue, upstream, unknown", type="text"),
        "detail": _Key("one line for a reader", "", "absent where there is nothing to add", type="text"),
        "first_lost_seq": _Key(
            "number of the first line that is missing: of the gap of a crash, which recovery writes, and of "
            "one that begins with the end of a run whose disk got short, or which had to be sealed before "
            "all that it had received was written",
            "seq",
            "absent in other gaps",
            type="int",
        ),
    },
    "invalid": {
        "collected_at_utc": _RECEIVED,
        "ref_seq": _Key("the message's seq", "seq", type="int"),
        "item": _Key("the item that it would have made", "name of its class", type="text"),
        "error": _Key("why it did not", type="text"),
        "fields": _Key("the fields that are wrong", type="list of text"),
    },
    "cycle": {
        "collected_at_utc": _New(
            "when this was its state: at its begin, after a page, at its end", _UTC, type="text"
        ),
        "phase": _New(
            "`discover`, `snapshot`, `resolve`; with the venue and `started` it names the cycle", type="text"
        ),
        "started": _New("when the cycle began", _UTC, type="text"),
        "state": _New("`running`, `complete`, `incomplete`", type="text"),
        "pages": _New("answers with markets so far", "answers", type="int"),
        "markets": _New("rows of markets in them", "rows", type="int"),
        "failures": _New("requests that were given up so far", "requests", type="int"),
        "position": _New(
            "the place at which the cycle continues", "JSON", "absent once the cycle has ended", type="text"
        ),
    },
    "part": {
        "collected_at_utc": _Key("as in the message's line", _UTC, type="text"),
        "ref_seq": _Key("the message's seq", "seq", type="int"),
        "part": _Key("number of the piece, from 1", type="int"),
        "parts": _Key("how many pieces there are", "pieces", type="int"),
    },
    "end": {
        "lines": _Key("lines of the file, this one and the first included", "lines", type="int"),
        "seq_min": _Key("lowest seq", "seq", "no line has a seq", type="int"),
        "seq_max": _Key("highest seq", "seq", "no line has a seq", type="int"),
        "reason": _Key("rotated, size, recovered, or the run's exit reason", type="text"),
    },
}
"""Kind of line -> its keys, without `kind` and those of `PAYLOAD` and `IN_PARTS`."""

PAYLOAD: Mapping[str, FieldDoc] = {
    "payload": _Key("the body, byte for byte", "", "absent where another key carries it", type="JSON"),
    "payload_pre": _Key(
        "white space before the JSON of `payload`", "", "absent without any around it", type="text"
    ),
    "payload_post": _Key("white space behind it", "", "absent without any around it", type="text"),
    "payload_text": _Key(
        "a body that is no one-line JSON", "", "absent unless a string can carry it", type="text"
    ),
    "payload_base64": _Key(
        "a body that no string can carry", "base64", "absent unless none can", type="text"
    ),
}
"""Keys that carry a body: the last of a line."""

IN_PARTS: Mapping[str, FieldDoc] = {
    "bytes": _Key("size of the body", "bytes", "absent unless it is in `part` lines", type="int"),
    "parts": _Key("number of its `part` lines", "lines", "absent unless it is in `part` lines", type="int"),
    "sha256": _Key(
        "digest of the whole body", "64 hex digits", "absent in a frame that is in one piece", type="text"
    ),
}
"""Keys in place of the payload, of a message whose body is over 8 MiB."""
