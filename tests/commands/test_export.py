"""`scrapy export`: what stands in records/ comes out digit by digit, in the order of ticks."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.archive.labels import label
from marketarchive.archive.ledger import Ledger
from marketarchive.archive.record_rows import series
from marketarchive.clock import RealClock
from marketarchive.commands.export import Command
from marketarchive.research.exports.export import declared_tables
from marketarchive.research.exports.formats import FORMATS
from marketarchive.times import DAY, SECOND, iso
from tests.e2e.harness import command
from tests.exporting import export

RUN = "20261121T101500Z-4f2a"


def _row(second: int, **more: Any) -> dict[str, Any]:
    tick = f"2026-11-21T10:15:{second:02d}.000000Z"
    return {"timestamp": None, "asset": "BTC", "mid": None, "is_observed": 0, "tick_at": tick, **more}


OLD = _row(1, tick_at="2026-11-20T10:15:01.000000Z")
"""Of the day before."""


def _write(root: Path, name: str, *lines: dict[str, Any] | str) -> Path:
    path = root / "records" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        "".join(f"{line}\n" if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
    )
    return path


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_rows_of_all_files_of_a_day_are_one_sequence(tmp_path: Path) -> None:
    _write(tmp_path, "chainlink_continuous-2026-11-21.jsonl", _row(2), _row(1), _row(4))
    _write(
        tmp_path,
        f"chainlink_continuous-2026-11-21-{RUN}.jsonl",
        _row(3, is_observed=1, mid=1.5),
        _row(1, asset="ETH"),
    )
    _write(tmp_path, "chainlink_continuous-2026-11-20.jsonl", _row(9, tick_at="2026-11-20T23:59:59Z"))
    done = command("export", tmp_path, "--table", "chainlink_continuous", "--format", "csv")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"made     {tmp_path}/exports/chainlink_continuous.csv: 6 rows of 3 files\n"
    rows = _read(tmp_path / "exports" / "chainlink_continuous.csv")
    assert list(rows[0]) == ["timestamp", "asset", "mid", "is_observed", "tick_at"]
    assert [row["tick_at"][17:19] for row in rows] == ["59", "01", "01", "02", "03", "04"]
    assert [row["asset"] for row in rows[1:3]] == ["BTC", "ETH"]
    assert rows[4] == {
        "timestamp": "",
        "asset": "BTC",
        "mid": "1.5",
        "is_observed": "1",
        "tick_at": "2026-11-21T10:15:03.000000Z",
    }


def test_what_is_no_row_is_named_and_left_out(tmp_path: Path) -> None:
    path = _write(tmp_path, "polymarket_btc-2026-11-21.jsonl", _row(1), "rubbish", _row(2))
    with path.open("a") as file:
        file.write('{"tick_at":"2026-')
    done = command("export", tmp_path, "--table", "polymarket_btc")
    assert done.returncode == 1
    assert "DAMAGED  records/polymarket_btc-2026-11-21.jsonl, line 2" in done.stdout
    assert "left out the last line of records/polymarket_btc-2026-11-21.jsonl" in done.stdout
    assert len(_read(tmp_path / "exports" / "polymarket_btc.csv")) == 2


def test_labelled_files_and_other_times_are_left_out(tmp_path: Path) -> None:
    bad = _write(tmp_path, "polymarket_btc-2026-11-20.jsonl", _row(1, tick_at="2026-11-20T10:00:00Z"))
    Ledger(tmp_path).append(
        {"kind": "day_file", "path": "records/" + bad.name, "bytes": 0, "lines": 1, "sha256": ""}
    )
    label(tmp_path, "records/" + bad.name, "invalid", "a test")
    _write(tmp_path, "polymarket_btc-2026-11-21.jsonl", _row(1), _row(2), _row(3))
    times = ("--since", "2026-11-20", "--until", "2026-11-21T10:15:03Z")
    done = command(
        "export", tmp_path, "--table", "polymarket_btc", *times, "--output", str(tmp_path / "x.csv")
    )
    assert done.returncode == 0
    assert f"left out records/{bad.name}: labelled" in done.stdout
    assert [row["tick_at"][17:19] for row in _read(tmp_path / "x.csv")] == ["01", "02"]


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    _write(tmp_path, "polymarket_btc-2026-11-21.jsonl", _row(1))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    done = command("export", tmp_path, "--table", "polymarket_btc", "--output", str(pipe))
    assert done.returncode == 2
    assert f"--output {pipe} exists and is not a file; name a file" in done.stderr
    assert pipe.is_fifo()


def test_columns_are_those_of_all_rows(tmp_path: Path) -> None:
    _write(tmp_path, "polymarket_btc-2026-11-21.jsonl", "rubbish", _row(1), _row(2, added=7))
    done = export(tmp_path, "polymarket_btc", tmp_path / "x.csv")
    assert done.damaged == ["records/polymarket_btc-2026-11-21.jsonl, line 1"]
    rows = _read(tmp_path / "x.csv")
    assert list(rows[0]) == ["timestamp", "asset", "mid", "is_observed", "tick_at", "added"]
    assert [(row["asset"], row["added"]) for row in rows] == [("BTC", ""), ("BTC", "7")]


def test_bytes_that_are_no_text_are_damage(tmp_path: Path) -> None:
    path = _write(tmp_path, "polymarket_btc-2026-11-21.jsonl", _row(1, asset="here"), _row(2))
    path.write_bytes(path.read_bytes().replace(b"here", b"\xff\xfe"))
    done = export(tmp_path, "polymarket_btc", tmp_path / "x.csv")
    assert (done.rows, done.damaged) == (1, ["records/polymarket_btc-2026-11-21.jsonl, line 1"])


def test_a_torn_line_may_be_cut_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _write(tmp_path, "polymarket_btc-2026-11-21.jsonl", _row(1))
    whole = path.stat().st_size
    with path.open("a") as file:
        file.write("x" * 2**20)  # many pages

    class CutWhileRead(io.BufferedReader):
        def __next__(self) -> bytes:
            line = super().__next__()
            cut.append(path.stat().st_size)
            os.truncate(path, whole)
            return line

    def opened(self: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        return CutWhileRead(io.FileIO(self)) if self == path else original(self, mode, *args, **kwargs)

    cut: list[int] = []
    original = Path.open
    monkeypatch.setattr(Path, "open", opened)
    assert export(tmp_path, "polymarket_btc", tmp_path / "x.csv").rows == 1
    assert cut[0] > whole, "the line was torn when its file was opened"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--table", "polymarket_doge"], "is unknown; there is gaps, polymarket_btc"),
        (
            ["--table", "polymarket_btc", "--format", "xls"],
            "--format 'xls' is unknown; use one of csv, parquet, jsonl.gz",
        ),
        (["--table", "polymarket_btc,nothing"], "--table 'nothing' is unknown; there is gaps"),
        (["--table", "nothing"], "made from raw: book_changes, books"),
        (
            ["--table", "all", "--output", "x.csv"],
            "--output writes one table: name one with --table, not all",
        ),
        (["--table", "gaps,polymarket_btc", "--output", "x.csv"], "--output writes one table"),
        (["--table", "polymarket_btc", "--since", "then"], "nor a span back from now like 1d"),
        (["--table", "gaps", "--assets", "BTC"], "--assets: the rows of gaps have no asset"),
        (["--table", "polymarket_btc", "--output", "/nowhere/x.csv"], "there is no folder /nowhere"),
        (["--table", "polymarket_btc", "--since", "then"], "is not a time like"),
        ([], "--table"),
    ],
)
def test_a_wrong_argument_is_exit_code_2(options: list[str], message: str, tmp_path: Path) -> None:
    _write(tmp_path, "polymarket_btc-2026-11-21.jsonl", _row(1))
    _write(tmp_path, "gaps-2026-11-21.jsonl", {"from": "2026-11-21T10:00:00Z"})
    done = command("export", tmp_path, *options)
    assert done.returncode == 2
    assert message in done.stderr


@given(st.decimals(allow_nan=False, allow_infinity=False), st.text())
def test_digits_and_text_come_out_as_they_are(
    tmp_path_factory: pytest.TempPathFactory, number: Decimal, text: str
) -> None:
    root = tmp_path_factory.mktemp("export")
    digits = f"{number:f}"
    tick = '"tick_at":"2026-11-21T10:15:01Z"'
    _write(root, "polymarket_btc-2026-11-21.jsonl", f'{{"mid":{digits},"asset":{json.dumps(text)},{tick}}}')
    export(root, "polymarket_btc", root / "x.csv")
    [row] = _read(root / "x.csv")
    assert row["mid"] == digits
    assert row["asset"] == text


@pytest.mark.parametrize("has_plain", [True, False])
def test_days_that_were_compressed_are_read_too(tmp_path: Path, has_plain: bool) -> None:
    """Of a day that is there in both forms, as a crash leaves it, the plain one is read."""
    old = _write(tmp_path, "KXBTC15M-2026-11-20.jsonl", OLD, OLD | {"asset": "ETH"})
    _write(tmp_path, "KXBTC15M-2026-11-21.jsonl", _row(3))
    plain = export(tmp_path, "KXBTC15M", tmp_path / "plain.csv")
    gzipped = old.with_name(f"{old.name}.gz")
    gzipped.write_bytes(gzip.compress(old.read_bytes()))
    if not has_plain:
        old.unlink()
    done = export(tmp_path, "KXBTC15M", tmp_path / "out.csv")
    assert (done.rows, done.origin, done.damaged) == (plain.rows, " of 2 files", [])
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "plain.csv").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"records", "plain.csv", "out.csv"}


def test_compressed_days_alone_are_a_table(tmp_path: Path) -> None:
    path = _write(tmp_path, "KXBTC15M-2026-11-21.jsonl", _row(1))
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    assert series(tmp_path) == ["KXBTC15M"]
    done = command("export", tmp_path, "--table", "KXBTC15M")
    assert done.returncode == 0, done.stderr
    assert len(_read(tmp_path / "exports" / "KXBTC15M.csv")) == 1


@pytest.mark.parametrize("spoil", [lambda data: data[:-9], lambda data: data[:-6] + b"\0" * 6])
def test_a_damaged_gzip_is_named_and_left_out(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = _write(tmp_path, "KXBTC15M-2026-11-20.jsonl", OLD)
    _write(tmp_path, "KXBTC15M-2026-11-21.jsonl", _row(1))
    path.with_name(f"{path.name}.gz").write_bytes(spoil(gzip.compress(path.read_bytes())))
    path.unlink()
    done = export(tmp_path, "KXBTC15M", tmp_path / "out.csv")
    assert (done.rows, done.origin) == (1, " of 1 files")
    [damaged] = done.damaged
    assert damaged.startswith("records/KXBTC15M-2026-11-20.jsonl.gz: ")


def test_lines_that_have_a_time_alone_are_rows_too(tmp_path: Path) -> None:
    """A record of rounds has lines of several types, each with columns of its own."""
    tick = {"type": "tick", "time": "2026-11-21T10:15:01.000Z", "feeds": {"kraken": 1.5}, "spread": 0.7}
    opened = {"type": "market_open", "time": "2026-11-21T10:15:00.000Z", "open_time": "2026-11-21T10:15:00Z"}
    _write(tmp_path, "KXBTC15M-2026-11-21.jsonl", tick, opened)
    done = export(tmp_path, "KXBTC15M", tmp_path / "out.csv")
    assert (done.rows, done.damaged) == (2, [])
    first, second = _read(tmp_path / "out.csv")
    assert (first["type"], first["spread"]) == ("market_open", "")
    assert (second["type"], second["spread"], second["feeds"]) == ("tick", "0.7", '{"kraken": 1.5}')


def test_several_tables_are_written_in_one_call_in_any_format(tmp_path: Path) -> None:
    row = _row(1, mid=1.50, is_observed=1, feeds={"kraken": 1}, received_at="2026-11-21T10:15:01.5Z")
    line = json.dumps(row).replace("1.5,", "1.50,")
    _write(tmp_path, "polymarket_btc-2026-11-21.jsonl", line, _row(2), _row(3, mid=2))
    _write(tmp_path, "gaps-2026-11-21.jsonl", {"from": "2026-11-21T10:00:00Z", "to": None})
    for form in ("parquet", "jsonl.gz"):
        done = command("export", tmp_path, "--table", "polymarket_btc,gaps", "--format", form)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"made     {tmp_path}/exports/polymarket_btc.{form}: 3 rows of 1 files" in done.stdout
        assert f"made     {tmp_path}/exports/gaps.{form}: 1 rows of 1 files" in done.stdout
    lines = gzip.decompress((tmp_path / "exports" / "polymarket_btc.jsonl.gz").read_bytes()).splitlines()
    assert lines[0].decode() == line, "byte for byte"
    table = pq.read_table(tmp_path / "exports" / "polymarket_btc.parquet")
    assert {each.name: str(each.type) for each in table.schema} == {
        "timestamp": "null",
        "asset": "string",
        "mid": "double",
        "is_observed": "int64",
        "tick_at": "timestamp[us, tz=UTC]",
        "feeds": "string",
        "received_at": "timestamp[us, tz=UTC]",
    }
    assert table["mid"].to_pylist() == [1.5, None, 2.0]
    assert table["feeds"].to_pylist() == ['{"kraken": 1}', None, None]
    assert table["tick_at"][1].as_py() == datetime(2026, 11, 21, 10, 15, 2, tzinfo=UTC)
    assert sorted(path.name for path in (tmp_path / "exports").iterdir()) == [
        f"{name}.{form}" for name in ("gaps", "polymarket_btc") for form in ("jsonl.gz", "parquet")
    ]


@pytest.mark.parametrize("number", ["1E+200000000", "123456789012345678901234567890"])
def test_a_number_that_no_column_of_numbers_holds_stays_text(tmp_path: Path, number: str) -> None:
    tick = '"tick_at":"2026-11-21T10:15:01Z"'
    _write(tmp_path, "polymarket_btc-2026-11-21.jsonl", f'{{"mid":{number},{tick}}}', f'{{"mid":1,{tick}}}')
    export(tmp_path, "polymarket_btc", tmp_path / "x.parquet", "parquet")
    assert pq.read_table(tmp_path / "x.parquet")["mid"].to_pylist() == [number, "1"]
    export(tmp_path, "polymarket_btc", tmp_path / "x.csv")
    assert [row["mid"] for row in _read(tmp_path / "x.csv")] == [number, "1"]


def test_rows_before_the_start_and_of_other_assets_are_left_out(tmp_path: Path) -> None:
    rows = [
        _row(n, asset=asset, preopen=preopen) for n, asset in ((1, "BTC"), (2, "ETH")) for preopen in (1, 0)
    ]
    _write(tmp_path, "polymarket-2026-11-21.jsonl", *rows, _row(3))
    done = command("export", tmp_path, "--table", "polymarket", "--no-preopen", "--assets", "btc")
    assert done.returncode == 0, done.stderr
    found = _read(tmp_path / "exports" / "polymarket.csv")
    assert [(row["asset"], row["preopen"]) for row in found] == [("BTC", "0"), ("BTC", "")]
    assert export(tmp_path, "polymarket", tmp_path / "x.csv").rows == 5


def test_a_time_may_be_a_span_back_from_now(tmp_path: Path) -> None:
    now = RealClock().now_ns()
    for days in (0, 1, 3):
        at = iso(now - days * DAY - 60 * SECOND)
        _write(tmp_path, f"polymarket_btc-{at[:10]}.jsonl", _row(0, tick_at=at))
    for times, count in ((("--since", "1d"), 1), (("--since", "2d"), 2), (("--since", "1w"), None)):
        done = command("export", tmp_path, "--table", "polymarket_btc", *times)
        assert done.returncode == (2 if count is None else 0)
        assert count is None or f" {count} rows" in done.stdout
    assert (
        " 1 rows"
        in command("export", tmp_path, "--table", "polymarket_btc", "--since", "2d", "--until", "12h").stdout
    )


def test_a_failed_export_leaves_the_file_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _write(tmp_path, "polymarket_btc-2026-11-21.jsonl", _row(1))
    export(tmp_path, "polymarket_btc", tmp_path / "x.csv")
    before = (tmp_path / "x.csv").read_bytes()
    path.write_text(path.read_text() * 3)

    def broken(*args: int) -> bytes:
        raise OSError("no more")

    monkeypatch.setattr(os, "pread", broken)
    with pytest.raises(OSError, match="no more"):
        export(tmp_path, "polymarket_btc", tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_bytes() == before
    assert {each.name for each in tmp_path.iterdir()} == {"records", "x.csv"}


@pytest.mark.process
def test_memory_is_bounded_by_a_day(tmp_path: Path) -> None:
    """Of six days of rows as many are held as of two, where one day follows another, in each format."""
    day = "".join(
        json.dumps(
            _row(0, tick_at=f"2026-11-21T{n // 3600:02d}:{n // 60 % 60:02d}:{n % 60:02d}Z", pad="x" * 200)
        )
        + "\n"
        for n in range(1500)
    )
    peaks = {}
    for days in (2, 6):
        root = tmp_path / str(days)
        (root / "records").mkdir(parents=True)
        for number in range(days):
            (root / "records" / f"polymarket_btc-2026-11-{10 + number}.jsonl").write_text(
                day.replace("2026-11-21T", f"2026-11-{10 + number}T")
            )
        for form in FORMATS:
            tracemalloc.start()
            export(root, "polymarket_btc", root / "x", form)
            peaks[form, days] = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
    for form in FORMATS:
        assert peaks[form, 6] < 1.5 * peaks[form, 2], peaks


def test_help_and_docs_name_every_format_and_table() -> None:
    told = Command().long_desc()
    for name in (*FORMATS, *declared_tables()):
        assert re.search(rf"\b{re.escape(name)}\b", told), name
