"""`Archive.kxbtc15m(date)` of a record that has no line yet, or is damaged."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from marketarchive import Archive
from marketarchive.exceptions import CorruptError

LINE = b'{"type":"tick","time":"2026-11-21T12:00:00.000Z","ticker":"KXBTC15M-26NOV210715-15","brti":1.5}\n'


def test_a_record_without_a_whole_line_is_an_empty_frame(tmp_path: Path) -> None:
    records = tmp_path / "records"
    records.mkdir()
    for written in (b"", LINE[:40]):
        (records / "KXBTC15M-2026-11-21.jsonl").write_bytes(written)
        frame = Archive(tmp_path).kxbtc15m("2026-11-21")
        assert frame[frame["type"] == "tick"].empty
        assert str(frame["time"].dtype).startswith("datetime64")
    (records / "KXBTC15M-2026-11-21.jsonl").write_bytes(LINE + LINE[:40])
    assert list(Archive(tmp_path).kxbtc15m("2026-11-21")["brti"]) == [1.5]


def test_a_line_that_is_nested_too_deep_is_named(tmp_path: Path) -> None:
    path = tmp_path / "records" / "KXBTC15M-2026-11-21.jsonl"
    path.parent.mkdir()
    path.write_bytes(LINE + LINE[:-2] + b',"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n")
    with pytest.raises(CorruptError, match=f"{path.name} line 2"):
        Archive(tmp_path).kxbtc15m("2026-11-21")


def test_a_damaged_gzip_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "records" / "KXBTC15M-2026-11-21.jsonl.gz"
    path.parent.mkdir()
    whole = gzip.compress(LINE * 100)
    flipped = whole[:20] + bytes([whole[20] ^ 255]) + whole[21:]
    for damaged in (whole[: len(whole) // 2], whole[:-8] + bytes(8), b"no gzip", flipped):
        path.write_bytes(damaged)
        with pytest.raises(CorruptError, match=path.name):
            Archive(tmp_path).kxbtc15m("2026-11-21")
