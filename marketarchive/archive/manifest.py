"""The manifest of a run, `manifests/<spider>-<run>.json`: its arguments, its files, and how it ended.

All figures come from the ledger lines of the run's segments, whether the run itself or the recovery of a dead
run writes the manifest.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from marketarchive.archive.ledger import Head
from marketarchive.archive.lines import SCHEMA
from marketarchive.archive.paths import manifest_path
from marketarchive.archive.store import Store
from marketarchive.times import from_iso, iso

FeedKey = tuple[str, str]
"""(venue, feed)."""


def manifest(
    identity: Mapping[str, Any],
    finished_ns: int,
    exit_reason: str,
    entries: Iterable[Mapping[str, Any]],
    gaps: Mapping[FeedKey, Mapping[str, int]],
    records: Sequence[Mapping[str, Any]],
    summary: Mapping[str, Any],
    ledger: Head,
    *,
    recovered: bool = False,
) -> dict[str, Any]:
    """Return a run's manifest as a JSON object.

    identity: content of the run's lock file; entries: ledger lines of its segments in order; gaps: number by
    feed and reason; records: its rows in day files; summary: what the spider adds; ledger: head of the
    ledger; recovered: the run died, and recovery writes its manifest.
    """
    by_feed: dict[FeedKey, list[Mapping[str, Any]]] = {}
    for entry in entries:
        by_feed.setdefault((entry["venue"], entry["feed"]), []).append(entry)
    return {
        "kind": "manifest",
        "schema": SCHEMA,
        **identity,
        "finished_at_utc": iso(finished_ns),
        "duration_s": round((finished_ns - from_iso(identity["started_at_utc"])) / 1e9, 3),
        "exit_reason": exit_reason,
        "recovered": recovered,
        "raw": [feed_summary(*feed, found, gaps.get(feed, {})) for feed, found in sorted(by_feed.items())],
        "records": list(records),
        "summary": summary,
        "ledger": {"count": ledger.count, "head": ledger.sha256},
    }


def store_manifest(store: Store, name: str, document: Mapping[str, Any]) -> str:
    """Write a manifest durably and enter it in the ledger; return its path relative to OUTPUT_DIR.

    name: of the file without `.json`. Raises OSError.
    """
    data = msgspec.json.format(msgspec.json.encode(document, enc_hook=str), indent=2) + b"\n"
    path = manifest_path(name)
    store.files.write_whole(store.root / path, data)
    store.ledger.append(
        {
            "kind": "manifest",
            "path": str(path),
            "run": document["run"],
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
    )
    return str(path)


def feed_summary(
    venue: str, feed: str, entries: Sequence[Mapping[str, Any]], gaps: Mapping[str, int]
) -> dict[str, Any]:
    """Return the sums over a feed's segments: one element of `raw` in a manifest.

    entries: ledger lines of the segments; gaps: number by reason. `scrapy verify` computes the same sums
    again.
    """
    counts: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    for entry in entries:
        counts.update(entry["counts"])
        statuses.update(entry["statuses"])
    return {
        "venue": venue,
        "feed": feed,
        "lines": sum(entry["lines"] for entry in entries),
        "bytes": sum(entry["bytes"] for entry in entries),
        "first": min((entry["first"] for entry in entries if entry["first"]), default=None),
        "last": max((entry["last"] for entry in entries if entry["last"]), default=None),
        "seq_min": min((entry["seq_min"] for entry in entries if entry["seq_min"]), default=None),
        "seq_max": max((entry["seq_max"] for entry in entries if entry["seq_max"]), default=None),
        "counts": dict(sorted(counts.items())),
        "statuses": dict(sorted(statuses.items())),
        "gaps": dict(sorted(gaps.items())),
        "files": [{key: entry[key] for key in _FILE_KEYS} for entry in entries],
    }


_FILE_KEYS = ("path", "bytes", "lines", "first", "last", "seq_min", "seq_max", "sha256")
