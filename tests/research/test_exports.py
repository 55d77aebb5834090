"""`scrapy export` of tables that are made from raw."""

from __future__ import annotations

import csv
import gzip
import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from marketarchive import Archive
from marketarchive.exceptions import ArgumentError
from marketarchive.research.exports.table import ExportRequest, of_arrow
from marketarchive.research.labels import label_files
from marketarchive.research.products.updown.canonical.dataset import canonical
from tests.e2e.harness import command
from tests.exporting import export
from tests.research.conftest import Simulated
from tests.research.streaming import Socket, record
from tests.research.test_canonical import label


def test_all_tables_that_an_archive_can_have_in_one_call(simulated: Simulated) -> None:
    done = command("export", simulated.root, "--table", "all", "--format", "parquet")
    assert (done.returncode, done.stderr) == (0, "")
    made = {path.name.removesuffix(".parquet") for path in (simulated.root / "exports").iterdir()}
    assert made >= {"polymarket_btc", "books", "coverage", "current_gaps"}
    assert made.isdisjoint({"pairs", "fundings", "candles"}), "no venue of theirs was recorded"
    frame = Archive(simulated.root).books()
    table = pq.read_table(simulated.root / "exports" / "books.parquet")
    assert table.num_rows == len(frame) > 0
    assert table["received_at"].to_pylist() == sorted(frame["time"])
    assert {*table["feed"].to_pylist()} == {"orderbook"}
    assert set(table["slug"].to_pylist()) == set(frame["market"])


def test_a_table_has_the_same_values_in_each_format(simulated: Simulated) -> None:
    root = simulated.root
    _made(simulated, "parquet")
    lines = gzip.decompress(_made(simulated, "jsonl.gz").read_bytes()).splitlines()
    rows = [json.loads(line, parse_float=Decimal, parse_int=Decimal) for line in lines]
    with _made(simulated, "csv").open(newline="") as file:
        cells = list(csv.DictReader(file))
    table = pq.read_table(root / "books.parquet").to_pylist()
    assert len(rows) == len(cells) == len(table) > 0
    for row, cell, exact in zip(rows, cells, table, strict=True):
        assert list(row) == list(cell) == list(exact)
        for name in ("token", "outcome", "best_bid", "bids", "is_crossed", "seq", "age_ms"):
            assert row[name] == exact[name], name
        assert (cell["token"], cell["seq"], cell["is_crossed"]) == (row["token"], str(row["seq"]), "0")
        assert Decimal(cell["best_bid"]) == exact["best_bid"]
        assert json.loads(cell["bids"], parse_float=Decimal, parse_int=Decimal) == exact["bids"]
        assert exact["received_at"] == datetime.fromisoformat(row["received_at"])
        assert cell["received_at"] == row["received_at"]


def test_times_choose_rows_by_receipt(simulated: Simulated) -> None:
    whole = pq.read_table(_made(simulated, "parquet"))["received_at"]
    middle = whole[len(whole) // 2].as_py()
    at = int(middle.timestamp() * 1e6) * 1000
    parts = [
        export(simulated.root, "books", simulated.root / "part.parquet", "parquet", **times).rows
        for times in ({"until": at}, {"since": at})
    ]
    assert all(parts)
    assert sum(parts) == len(whole)


@pytest.mark.parametrize("partitioned", [False, True])
def test_the_canonical_dataset_is_taken_as_it_was_made(partitioned: bool, tmp_path: Path) -> None:
    record(tmp_path, [Socket(tokens=("1",))])
    target = tmp_path / "x.parquet"
    assert export(tmp_path, "canonical", target, "parquet").rows == 0
    (tmp_path / "research").mkdir()
    label_files.write(tmp_path, [label(None)], label_files.LabelStamp("hand"))
    whole = canonical(tmp_path, partitioned=partitioned, all_labelled=True, master_url="").rows
    assert export(tmp_path, "canonical", target, "parquet").rows == whole > 0
    made = pq.read_table(target)
    assert set(made["market_id"].to_pylist()) == {label(None).market_id}
    assert {"t", "asset", "preopen"} < set(made.schema.names)
    end = label(None).end_ns
    for wanted, rows in (({"since": end + 1}, 0), ({"until": end}, whole), ({"assets": ["DOGE"]}, 0)):
        assert export(tmp_path, "canonical", target, "parquet", **wanted).rows == rows


def test_rows_before_the_start_are_left_out_of_made_tables(tmp_path: Path) -> None:
    given = pa.table({"t": [1, 2, 3], "preopen": [True, False, None], "asset": ["BTC", "BTC", "ETH"]})
    table = of_arrow("made_up", "three rows", lambda _: [given])
    for wanted, left in (({}, 3), ({"with_preopen": False}, 2), ({"assets": ["ETH"]}, 1)):
        rows = table.open(ExportRequest(tmp_path, **wanted))
        assert sum(batch.arrow().num_rows for batch in rows.batches(tmp_path)) == left


def test_rows_before_a_start_are_not_left_out_of_tables_that_do_not_know_them(simulated: Simulated) -> None:
    with pytest.raises(ArgumentError, match="--no-preopen: the rows of books have no column preopen"):
        export(simulated.root, "books", simulated.root / "no.parquet", "parquet", with_preopen=False)


def _made(simulated: Simulated, form: str) -> Path:
    target = simulated.root / f"books.{form}"
    if not target.exists():
        export(simulated.root, "books", target, form)
    return target
