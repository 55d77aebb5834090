"""What methods return rows as: the columns that are asked for, as a frame, a table or a relation."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from marketarchive import Archive
from marketarchive.exceptions import ArchiveError, ArgumentError
from marketarchive.research.labels.label_files import LabelStamp
from marketarchive.research.labels.label_files import write as write_labels
from tests.clients.calling import client
from tests.research.making import book
from tests.research.streaming import Frame, Lost, Socket, event, record
from tests.research.test_validation import labelled
from tests.venues.polymarket.rows import CONDITION

SLUG = "btc-updown-5m-1784853900"
TRACKED = {SLUG: {"condition_id": CONDITION, "tokens": {"Up": "1", "Down": "2"}}}
DAY_S = 86_400.0


def dump(*tokens: str) -> bytes:
    return json.dumps([json.loads(book(token)) | {"event_type": "book"} for token in tokens]).encode()


def trade(size: str, number: int) -> bytes:
    values = {"market": CONDITION, "asset_id": "1", "price": "0.5", "size": size, "side": "BUY"}
    values |= {"timestamp": "1785734468582", "transaction_hash": f"0x{number}", "fee_rate_bps": "0"}
    return event("last_trade_price", **values)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days of a market's socket with a gap, and a label."""
    root = tmp_path_factory.mktemp("recorded")
    first = [
        Socket(tokens=("1", "2")),
        Frame(dump("1", "2"), 1),
        Frame(trade("7", 1), 2),
        Lost(2.5, 3, {"connection": "c1", "markets": [SLUG]}),
        Frame(dump("1", "2"), 4),
        Socket("closed", 5),
    ]
    second = [Socket(at=DAY_S, tokens=("1", "2")), Frame(dump("1", "2"), DAY_S + 1)]
    second += [Frame(trade("8", 2), DAY_S + 2), Socket("closed", DAY_S + 3)]
    for begin, lines in ((0, first), (DAY_S, second)):
        record(root, lines, tracked=TRACKED, begin=begin)
    write_labels(root, [labelled(market_id=SLUG)], LabelStamp(key="k"))
    return root


def calls(archive: Archive) -> dict[str, Callable[..., Any]]:
    """Every method that returns rows of what is recorded."""
    moments = ["2026-11-21T12:00:02Z", "2026-11-21T12:00:05Z"]
    return {
        "books": archive.books,
        "levels": lambda **more: archive.books(levels=True, exact=True, **more),
        "quotes": archive.quotes,
        "trades": archive.trades,
        "book_changes": archive.book_changes,
        "reference": archive.reference,
        "coverage": archive.coverage,
        "gaps": archive.gaps,
        "labels": archive.labels,
        "markets": archive.markets,
        "books_at": lambda **more: archive.books_at("1", moments, levels=1, **more),
        "news": archive.news,
        "fills": lambda **more: archive.fills("1", "buy", 5, moments, **more),
    }


METHODS = tuple(calls(Archive(Path(__file__).parent)))


@pytest.mark.parametrize("name", METHODS)
def test_columns_are_those_asked_for_in_that_order(recorded: Path, name: str) -> None:
    call = calls(Archive(recorded))[name]
    whole = call()
    wanted = list(whole.columns[:: max(1, len(whole.columns) // 3)][::-1])
    pd.testing.assert_frame_equal(call(columns=wanted), whole[wanted])
    assert list(call(columns=wanted[0])) == wanted[:1]
    with pytest.raises(ArgumentError, match="there is no column 'best'; there is .*" + wanted[0]):
        call(columns=["best"])


@pytest.mark.parametrize("name", METHODS)
def test_a_table_and_a_relation_have_the_rows_of_the_frame(recorded: Path, name: str) -> None:
    frame = calls(Archive(recorded))[name]()
    table = calls(Archive(recorded, frames="arrow"))[name]()
    relation = calls(Archive(recorded, frames="duckdb"))[name]()
    assert list(frame.columns) == table.column_names == relation.columns
    assert table.schema.field(0).type == pa.timestamp("us", "UTC")
    assert len(frame) == table.num_rows
    assert [value.isoformat() for value in frame["time"]] == [
        value.isoformat() for value in table["time"].to_pylist()
    ]
    read = relation.to_arrow_table()
    assert read.to_pylist() == table.to_pylist()
    assert read.schema.equals(table.schema)
    for field in table.schema:
        if pa.types.is_floating(field.type):
            assert str(frame[field.name].dtype) == "float64"
        if pa.types.is_boolean(field.type):
            assert str(frame[field.name].dtype) == "boolean"


def of_polars(kind: pa.DataType) -> str:
    """The name of the type of polars that an Arrow type is there."""
    if pa.types.is_decimal(kind):
        return f"Decimal(precision={kind.precision}, scale={kind.scale})"
    if pa.types.is_list(kind):
        return f"List({of_polars(kind.value_type)})"
    if pa.types.is_struct(kind):
        return f"Struct({{{', '.join(f'{each.name!r}: {of_polars(each.type)}' for each in kind)}}})"
    if pa.types.is_map(kind):
        return f"Map({of_polars(kind.key_type)}, {of_polars(kind.item_type)})"
    names = {"double": "Float64", "bool": "Boolean"} | {f"int{size}": f"Int{size}" for size in (16, 32, 64)}
    names |= {"string": "String", "timestamp[us, tz=UTC]": "Datetime(time_unit='us', time_zone='UTC')"}
    return names[str(kind)]


@pytest.mark.process
def test_polars_reads_every_table_with_its_types(recorded: Path, tmp_path: Path) -> None:
    path = tmp_path / "table.arrow"
    with client("polars") as library:
        for name, call in calls(Archive(recorded, frames="arrow")).items():
            table = call()
            with pa.OSFile(str(path), "w") as file, pa.ipc.new_file(file, table.schema) as written:
                written.write_table(table)
            found = library.call("read", str(path))
            assert found["types"] == {field.name: of_polars(field.type) for field in table.schema}, name
            plain = [field.name for field in table.schema if not pa.types.is_map(field.type)]
            read = [{column: row[column] for column in plain} for row in found["rows"]]
            rows = table.select(plain).to_pylist()
            assert read == [{column: str(value) for column, value in row.items()} for row in rows], name


def test_what_is_no_column_asked_for_is_not_read(recorded: Path) -> None:
    """The bytes of the levels are spoilt: only who asks for them notices."""
    archive = Archive(recorded)
    assert len(archive.books()) == 6
    for path in recorded.glob("tables/books/*/*/*/books.parquet"):
        group = pq.read_metadata(path).row_group(0)
        chunks = [group.column(place) for place in range(group.num_columns)]
        with path.open("r+b") as file:
            for chunk in chunks:
                if chunk.path_in_schema.split(".")[0] in ("bids", "asks", "hash"):
                    file.seek(chunk.dictionary_page_offset or chunk.data_page_offset)
                    file.write(b"\xff" * chunk.total_compressed_size)
    try:
        chosen = archive.books(columns=["time", "best_bid", "gap_before"])
        assert chosen["best_bid"].tolist() == [0.49] * 6
        assert chosen["gap_before"].any()
        with pytest.raises(ArchiveError, match="cannot be read"):
            archive.books(columns="bids")
    finally:
        for path in recorded.glob("tables/books/*/*/*/books.parquet"):
            path.unlink()


def test_days_side_by_side_are_the_whole(recorded: Path) -> None:
    archive = Archive(recorded)
    days = list(archive.days())
    assert [start for start, _ in days] == [datetime(2026, 11, day, tzinfo=UTC) for day in (21, 22)]
    for call in (archive.trades, archive.quotes):
        parts = [call(start=start, end=end) for start, end in days]
        assert [len(part) for part in parts] != [0, 0]
        assert pd.concat(parts)["time"].tolist() == call()["time"].tolist()
    [(start, end)] = archive.days("2026-11-21T12:00:02Z", "2026-11-22")
    assert (start, end) == (datetime(2026, 11, 21, 12, 0, 2, tzinfo=UTC), datetime(2026, 11, 22, tzinfo=UTC))


def test_gaps_go_with_an_arrow_table(recorded: Path) -> None:
    frame, table = Archive(recorded).quotes(), Archive(recorded, frames="arrow").quotes()
    told = json.loads(table.schema.metadata[b"gaps"])
    assert told == json.loads(json.dumps(frame.attrs["gaps"]))
    assert len(told) == 1


def test_other_frames_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="pandas, arrow, duckdb"):
        Archive(tmp_path, frames="polars")  # type: ignore[arg-type]  # what is refused
