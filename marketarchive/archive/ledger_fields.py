"""The keys of the ledger's lines, as docs/DATA_CONTRACT.md lists them."""

from __future__ import annotations

from collections.abc import Mapping

from marketarchive.field_docs import FieldDoc

_UTC = "UTC"
_HEX = "64 hex digits"
_NO_TIME = "no line has a time"
_NO_SEQ = "no line has a seq"

_PATH = FieldDoc("the file", "path below OUTPUT_DIR", type="text")
_RUN = FieldDoc("the run that wrote it", "run id", type="text")
_VENUE = FieldDoc("venue of the feed", type="text")
_FEED = FieldDoc("feed whose messages it holds", type="text")
_BYTES = FieldDoc("size of the file", "bytes", type="int")
_SHA256 = FieldDoc("digest of the file", _HEX, type="text")

COMMON: Mapping[str, FieldDoc] = {
    "kind": FieldDoc("the kind of line: the headings below; the first key", type="text"),
    "torn_before": FieldDoc(
        "true: a crash tore the preceding line, and this line's writer closed it with a newline",
        "",
        "absent otherwise",
        type="bool",
    ),
    "previous": FieldDoc(
        "digest of the preceding line's bytes without its newline; zeros in the first line; the last key",
        _HEX,
        type="text",
    ),
}
"""Keys of every line."""

ENTRIES: Mapping[str, Mapping[str, FieldDoc]] = {
    "segment": {
        "path": _PATH,
        "run": _RUN,
        "spider": FieldDoc("the spider that recorded it", type="text"),
        "venue": _VENUE,
        "feed": _FEED,
        "n": FieldDoc("number of the segment in its run and feed, from 1", type="int"),
        "bytes": _BYTES,
        "lines": FieldDoc("lines, the first and the last included", "lines", type="int"),
        "first": FieldDoc("earliest time of a line", _UTC, _NO_TIME, type="text"),
        "last": FieldDoc("latest time of a line", _UTC, _NO_TIME, type="text"),
        "seq_min": FieldDoc("lowest seq", "seq", _NO_SEQ, type="int"),
        "seq_max": FieldDoc("highest seq", "seq", _NO_SEQ, type="int"),
        "counts": FieldDoc("lines by kind", "lines", type="object of int"),
        "statuses": FieldDoc("answers by HTTP status", "answers", type="object of int"),
        "gaps": FieldDoc(
            "gaps that begin in it, by reason", "gaps", "absent in early lines", type="object of int"
        ),
        "members": FieldDoc(
            "`[offset, bytes, lines, sha256]` of each gzip member, a minute each",
            "bytes, bytes, lines, hex digits",
            type="list of lists",
        ),
        "sha256": _SHA256,
        "sealed_at_utc": FieldDoc("when it was sealed", _UTC, type="text"),
    },
    "torn": {
        "path": _PATH,
        "run": _RUN,
        "bytes": _BYTES,
        "sha256": _SHA256,
        "reason": FieldDoc("what cut it: `crash`, `disk`", type="text"),
    },
    "manifest": {
        "path": _PATH,
        "run": _RUN,
        "bytes": _BYTES,
        "sha256": _SHA256,
        "adopted": FieldDoc(
            "true: its writer was killed before it could enter it", "", "absent otherwise", type="bool"
        ),
    },
    "day_file": {
        "path": _PATH,
        "bytes": _BYTES,
        "lines": FieldDoc("rows", "lines", "absent of a gzip: those of the file it replaces", type="int"),
        "sha256": _SHA256,
        "torn_bytes_cut": FieldDoc(
            "bytes of a line that a crash had torn, cut by recovery",
            "bytes",
            "absent where none was",
            type="int",
        ),
        "replaces": FieldDoc(
            "digest of the plain file that this gzip replaces", _HEX, "absent of a plain file", type="text"
        ),
    },
    "label": {
        "path": FieldDoc("the file that is marked", "path below OUTPUT_DIR", type="text"),
        "label": FieldDoc("`deprecated`, `invalid`", type="text"),
        "why": FieldDoc("the reason, as given", type="text"),
        "labelled_at_utc": FieldDoc("when it was marked", _UTC, type="text"),
    },
    "moved": {
        "path": FieldDoc("the file that was deleted here", "path below OUTPUT_DIR", type="text"),
        "bytes": _BYTES,
        "sha256": _SHA256,
        "to": FieldDoc("address of its copy on the remote", "`REMOTE:PATH`", type="text"),
        "verified_by": FieldDoc("how the copy was compared: a kind of hash, or `read_back`", type="text"),
        "hash": FieldDoc("the hash that both sides have", "hex digits", type="text"),
        "verified_at_utc": FieldDoc("when it was compared", _UTC, type="text"),
        "moved_at_utc": FieldDoc(
            "when this line was written, before the file was deleted", _UTC, type="text"
        ),
    },
    "joined": {
        "path": FieldDoc("the [joined file](#joined-files)", "path below OUTPUT_DIR", type="text"),
        "venue": _VENUE,
        "feed": _FEED,
        "bytes": _BYTES,
        "segments": FieldDoc("how many segments it holds", "segments", type="int"),
        "first": FieldDoc("earliest time of a line", _UTC, type="text"),
        "last": FieldDoc("latest time of a line", _UTC, type="text"),
        "sha256": _SHA256,
        "collector": FieldDoc("program and version", "`marketarchive 0.1.0`", type="text"),
        "joined_at_utc": FieldDoc("when it was made", _UTC, type="text"),
    },
    "merged": {
        "path": FieldDoc("the segment", "path below OUTPUT_DIR", type="text"),
        "sha256": FieldDoc("digest of the segment", _HEX, type="text"),
        "to": FieldDoc("the joined file that holds its bytes too", "path below OUTPUT_DIR", type="text"),
        "offset": FieldDoc("where they begin in it", "bytes", type="int"),
        "length": FieldDoc("how many there are", "bytes", type="int"),
    },
}
"""Kind of line -> its keys, without those of `COMMON`. `recovered` has the keys of `segment`."""
