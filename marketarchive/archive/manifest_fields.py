"""The fields of a run's manifest, as docs/DATA_CONTRACT.md lists them."""

from __future__ import annotations

from collections.abc import Mapping

from marketarchive.field_docs import FieldDoc

_UTC = "UTC"
_NO_TIME = "it has no line with a time"
_NO_SEQ = "it has no line with a seq"
_DEAD = "never; absent of a recovered run"

MANIFEST: Mapping[str, FieldDoc] = {
    "kind": FieldDoc("`manifest`", type="text"),
    "schema": FieldDoc("schema of the run's raw lines: 2", type="int"),
    "run": FieldDoc("id of the run", "run id", type="text"),
    "spider": FieldDoc("the spider that ran", type="text"),
    "venue": FieldDoc("its venue", type="text"),
    "feeds": FieldDoc("the feeds that it may write", type="list of text"),
    "collector": FieldDoc("program and version", "`marketarchive 0.1.0`", type="text"),
    "started_at_utc": FieldDoc("when it began", _UTC, type="text"),
    "arguments": FieldDoc("the spider's arguments, as given", type="object"),
    "settings": FieldDoc("the settings that shape collecting", type="object"),
    "pid": FieldDoc("id of its process", type="int"),
    "finished_at_utc": FieldDoc(
        "when it ended; of a recovered run the time of its last line", _UTC, type="text"
    ),
    "duration_s": FieldDoc("time from its begin to its end", "seconds", type="number"),
    "exit_reason": FieldDoc(
        "a [close reason](OPERATIONS.md#close-reasons-exit_reason-of-the-manifest-the-first-that-applies)",
        type="text",
    ),
    "recovered": FieldDoc("true: written by recovery for a dead run", type="bool"),
    "raw": FieldDoc("an object for each feed: the second table", type="list of objects"),
    "records": FieldDoc("day files of `records/` that it wrote: the third table", type="list of objects"),
    "summary": FieldDoc("what it counted: the last table", type="object"),
    "ledger": FieldDoc("`count`, `head`: lines of the ledger when this was written", type="object"),
}

RAW: Mapping[str, FieldDoc] = {
    "venue": FieldDoc("venue of the feed", type="text"),
    "feed": FieldDoc("the feed", type="text"),
    "lines": FieldDoc("lines of all its segments", "lines", type="int"),
    "bytes": FieldDoc("their size on the disk", "bytes", type="int"),
    "first": FieldDoc("earliest time of a line", _UTC, _NO_TIME, type="text"),
    "last": FieldDoc("latest time of a line", _UTC, _NO_TIME, type="text"),
    "seq_min": FieldDoc("lowest seq", "seq", _NO_SEQ, type="int"),
    "seq_max": FieldDoc("highest seq", "seq", _NO_SEQ, type="int"),
    "counts": FieldDoc("lines by kind", "lines", type="object of int"),
    "statuses": FieldDoc("answers by HTTP status", "answers", type="object of int"),
    "gaps": FieldDoc("gaps by reason", "gaps", type="object of int"),
    "files": FieldDoc(
        "`path`, `bytes`, `lines`, `first`, `last`, `seq_min`, `seq_max`, `sha256` of each segment, as in "
        "the ledger",
        type="list of objects",
    ),
}
"""An element of `raw`."""

RECORDS: Mapping[str, FieldDoc] = {
    "path": FieldDoc("the day file", "path below OUTPUT_DIR", type="text"),
    "folder": FieldDoc(
        "the folder of day files that lie in one of their own", "path", "absent of `records/`", type="text"
    ),
    "rows": FieldDoc("rows that this run wrote", "rows", type="int"),
    "torn_bytes_cut": FieldDoc(
        "bytes of a line that a crash had torn, cut when the file was opened again", "bytes", type="int"
    ),
    "offset": FieldDoc(
        "where the run's part of the file begins", "bytes", "absent in early manifests", type="int"
    ),
    "bytes": FieldDoc("size of this part", "bytes", "absent in early manifests", type="int"),
    "sha256": FieldDoc(
        "digest of this part",
        "64 hex digits",
        "absent where it has no row, and in early manifests",
        type="text",
    ),
}
"""An element of `records`."""

SUMMARY: Mapping[str, FieldDoc] = {
    "finish_reason": FieldDoc("how Scrapy closed the spider", "", _DEAD, type="text"),
    "stop_reason": FieldDoc("what ended the run", "", "nothing requested its end", type="text"),
    "exit_code": FieldDoc("the [exit code](OPERATIONS.md#exit-codes)", "", _DEAD, type="int"),
    "exit_cause": FieldDoc('why; "" for 0', "", _DEAD, type="text"),
    "requests": FieldDoc("`count`, and requests by `<venue>/<endpoint>`", "requests", _DEAD, type="object"),
    "responses": FieldDoc(
        "`count`, and answers by `<venue>/<endpoint>/<status>`", "answers", _DEAD, type="object"
    ),
    "retries": FieldDoc("second and later attempts", "requests", _DEAD, type="int"),
    **{
        name: FieldDoc(
            f"the [stats](OPERATIONS.md#stats) `{prefix}/`, less that name", "", _DEAD, type="object"
        )
        for name, prefix in {
            **{each: each for each in ("gaps", "ticks", "books", "prices", "frames", "stream", "page")},
            "invalid": "invalid",
            "records": "records",
            "sweeps": "sweep",
            "cycles": "cycles",
            "master": "master",
        }.items()
    },
    "markets": FieldDoc(
        "`count` of the markets that it set out to observe; `tracked`, where they are 32 at most: what is "
        "known of each by its name. Of more the answers of the run's own segments tell, and the market "
        "master. Early manifests name all of them",
        "markets",
        _DEAD,
        type="object",
    ),
    "simulated_time": FieldDoc(
        "highest and mean speed; {} on the real clock", "seconds per second", _DEAD, type="object"
    ),
    "recovered_at_utc": FieldDoc(
        "when recovery wrote this", _UTC, "absent of a run that ended itself", type="text"
    ),
    "failure": FieldDoc(
        "why its disk refused it", "", "nothing did; absent of a run that ended itself", type="text"
    ),
}
"""Fields of `summary`: a recovered run has the last two instead of the others."""
