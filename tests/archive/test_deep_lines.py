"""A line nested deeper than a JSON decoder goes is a damaged line like any other."""

from __future__ import annotations

import gzip
from pathlib import Path

from marketarchive.archive.newest_data import newest_data
from marketarchive.archive.record_rows import RecordRows
from marketarchive.archive.verify import verify
from marketarchive.times import from_iso
from tests.archive.writing import cron

DEEP = b"[" * 100_000 + b"]" * 100_000
AT = "2026-11-21T12:00:00.000Z"


def test_a_row_is_skipped_and_named(tmp_path: Path) -> None:
    path = tmp_path / "records" / "books-2026-11-21.jsonl"
    path.parent.mkdir()
    row = b'{"tick_at":"%b","bid":1}\n' % AT.encode()
    path.write_bytes(row + b'{"tick_at":"%b","bid":%b}\n' % (AT.encode(), DEEP) + row)
    rows = RecordRows(tmp_path, "books")
    assert rows.damaged == ["records/books-2026-11-21.jsonl, line 2"]
    assert [len(batch) for batch in rows.batches(tmp_path)] == [2]


def test_the_newest_data_are_in_front_of_it(tmp_path: Path) -> None:
    path = tmp_path / "raw/venue=v/feed=f/date=2026-11-21/hour=12/s-r-1.jsonl.gz"
    path.parent.mkdir(parents=True)
    line = b'{"kind":"response","collected_at_utc":"%b","status":200' % AT.encode()
    path.write_bytes(gzip.compress(line + b"}\n" + line + b',"headers":%b}\n' % DEEP))
    assert newest_data(tmp_path, "v", "f", from_iso(AT)) == from_iso(AT)


def test_a_manifest_is_a_problem_of_verify(tmp_path: Path) -> None:
    cron(tmp_path, 1)
    [path] = tmp_path.glob("manifests/polymarket_orderbook-*.json")
    path.write_bytes(b'{"raw":%b}' % DEEP)
    problems = [str(problem) for problem in verify(tmp_path).problems]
    assert any("cannot be read as JSON" in text and path.name in text for text in problems)
