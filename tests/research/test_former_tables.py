"""Tables that an earlier version made: they are read as they are, and made again by `normalize` alone."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from marketarchive import Archive
from marketarchive.research.tables import partitions
from marketarchive.research.tables.normalize import normalize
from tests.research.making import Answer, book, collect, many

FEED = ("polymarket", "orderbook")


@pytest.fixture
def former(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive whose books are as version 2 of the table had them, without `asset`."""
    collect(tmp_path, [Answer(many(book("1"), book("2")), 0.5)])
    with monkeypatch.context() as earlier:
        earlier.setitem(partitions.VERSIONS, "books", 2)
        normalize(tmp_path)
    path = _path(tmp_path)
    rows = pq.ParquetFile(path).read()
    pq.write_table(rows.drop_columns(["asset"]), path)
    return tmp_path


def _path(root: Path) -> Path:
    [path] = root.glob("tables/books/*/*/*/books.parquet")
    return path


def test_a_notebook_reads_them_and_is_told_once(former: Path) -> None:
    before = _path(former).read_bytes()
    archive = Archive(former)
    with pytest.warns(UserWarning, match=r"earlier version.*normalize.*makes them again"):
        found = archive.books()
    assert found["token"].tolist() == ["1", "2"]
    assert found["asset"].isna().all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(archive.books()) == 2
    assert _path(former).read_bytes() == before


def test_normalize_makes_them_again(former: Path) -> None:
    assert [Path(one.path).stem for one in normalize(former).outputs] == ["books"]
    assert "asset" in pq.read_schema(_path(former)).names
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(Archive(former).books()) == 2


def test_what_has_other_segments_is_made_in_any_case(former: Path) -> None:
    collect(former, [Answer(many(book("3"), book("4")), 1.5)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Archive(former).books()["token"].tolist() == ["1", "2", "3", "4"]


def test_only_versions_that_lack_columns_are_read(tmp_path: Path) -> None:
    collect(tmp_path, [Answer(many(book("1"), book("2")))])
    for partition in partitions.partitions(tmp_path, {FEED}):
        assert bool(partition.former_keys) is (partition.table == "books")
        assert partition.key not in partition.former_keys
        assert replace(partition, labels={"x": "y"}).former_keys.isdisjoint(partition.former_keys)
    assert partitions.READABLE.keys() <= partitions.VERSIONS.keys()
