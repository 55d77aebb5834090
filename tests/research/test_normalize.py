"""Hand-made archives: what a day's files are made from, when they are made again, and what is no row."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive import Archive
from marketarchive.archive.labels import label
from marketarchive.archive.ledger import Ledger
from marketarchive.archive.verify import verify
from marketarchive.exceptions import ArgumentError
from marketarchive.research.tables.normalize import Normalized, normalize
from tests.archive.writing import ledger_of
from tests.properties import examples
from tests.research.making import Answer, Hole, book, collect, many

MIDNIGHT = 12 * 3600.0


def rows(root: Path, table: str = "books", day: str = "2026-11-21") -> list[dict[str, Any]]:
    path = next(root.glob(f"tables/{table}/venue=*/feed=orderbook/date={day}/{table}.parquet"))
    found: list[dict[str, Any]] = pq.ParquetFile(path).read().to_pylist()
    return sorted(found, key=lambda row: (row["run"], row["seq"] or 0, row.get("position", 0)))


def levels(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"price": price, "size": size} for price, size in pairs]


def failing(done: Normalized) -> set[str]:
    return {check.name for check in done.checks.values() if check.passed is False}


def test_a_book_is_a_row_with_its_exact_values(tmp_path: Path) -> None:
    run = collect(
        tmp_path,
        [
            Answer(many(book("1"), book("2", bids=None)), 0.25),
            Answer(book("3", last_trade_price=""), 1, "/book"),
        ],
        tracked={"a-slug": {"condition_id": "0x", "tokens": {"Up": "1", "Down": "2"}}},
    )
    assert not failing(normalize(tmp_path))
    one, two, three = rows(tmp_path)
    assert (one["run"], one["seq"], one["position"], one["route"]) == (run, 1, 1, "books")
    assert (one["slug"], one["outcome"], two["outcome"], three["slug"]) == ("a-slug", "Up", "Down", None)
    assert one["bids"] == [
        {"price": Decimal("0.49"), "size": Decimal("20.5")},
        {"price": Decimal("0.48"), "size": Decimal(30)},
    ]
    assert (one["best_bid"], one["best_bid_size"], one["bid_depth"]) == (
        Decimal("0.49"),
        Decimal("20.5"),
        Decimal("50.5"),
    )
    assert one["received_at"].isoformat() == "2026-11-21T12:00:00.250000+00:00"
    assert int(one["event_time"].timestamp() * 1000) == 1785734468581
    assert (two["bids"], two["best_bid"], two["bid_levels"], two["bid_depth"]) == ([], None, 0, 0)
    assert (three["route"], three["position"], three["last_trade_price"]) == ("book", 1, None)
    assert {row["verified"] for row in (one, two, three)} == {"ok"}


def test_only_answers_of_the_book_with_status_200_are_read(tmp_path: Path) -> None:
    collect(
        tmp_path,
        [
            Answer(many(book("1"), book("2")), host="http://127.0.0.1:8900/clob.polymarket.com"),
            Answer(many(book("3")), status=429),
            Answer(many(book("4")), host="https://gamma-api.polymarket.com"),
            Answer(many(book("5")), path="/spreads"),
            Answer(b"[]"),
        ],
    )
    done = normalize(tmp_path)
    assert [row["token"] for row in rows(tmp_path)] == ["1", "2"]
    assert not done.outputs[0].unreadable


def test_what_cannot_be_read_is_counted_with_its_reason_and_costs_nothing_else(tmp_path: Path) -> None:
    pretty = json.dumps(json.loads(many(book("7"), book("8"))), indent=1).encode()
    collect(
        tmp_path,
        [
            Answer(many(book("1"), b'{"market":"0x"}', book("2"), b"null", b"5")),
            Answer(many(book("3", bids=levels(("0.4", "0.1234567"))), book("4")), 1),
            Answer(many(book("5", asks=levels(("0.5000000000", "1.00000000"))), book("6")), 2),
            Answer(pretty, 3),
            Answer(b"<html>busy</html>", 4),
            Answer(b'{"error":"none"}', 5),
            Answer(b'{"error":"none"}', 6, "/book"),
            Answer(many(book("9", hash="", bids=[{"price": 0.4, "size": "1"}]), book("10")), 7),
            Answer(many(book("11", bids=levels(("12345678901", "1")))), 8),
        ],
    )
    done = normalize(tmp_path)
    assert [row["token"] for row in rows(tmp_path)] == ["1", "2", "4", "5", "6", "7", "8", "10"]
    assert rows(tmp_path)[3]["asks"] == [{"price": Decimal("0.5"), "size": Decimal(1)}]
    assert {row["verified"] for row in rows(tmp_path) if row["token"] not in ("7", "8")} == {"ok"}
    made = next(one for one in done.outputs if "books" in one.path)
    assert sum(made.unreadable.values()) == 9
    assert made.unreadable["bids"] == 3
    assert made.unreadable["the answer is not what /book or /books promise"] == 2
    assert "books that can be read" in failing(done)
    named = done.checks["books that can be read"]
    assert (named.bad, named.of) == (9, 17)
    assert named.offenders[0]["seq"] == 1
    assert verify(tmp_path).state == "passed"


def test_books_in_parts_are_read(tmp_path: Path) -> None:
    big = [book(str(n), asks=levels(*((f"0.{99 - k}", f"{n}.5") for k in range(40)))) for n in range(5_200)]
    assert len(many(*big)) > 8 * 2**20
    collect(tmp_path, [Answer(many(*big)), Answer(many(book("a"), book("b")), 1)])
    done = normalize(tmp_path)
    assert next(one for one in done.outputs if "books" in one.path).rows == 5_202
    assert not failing(done)


def test_the_checks_name_what_is_wrong(tmp_path: Path) -> None:
    collect(
        tmp_path,
        [
            Answer(many(book("crossed", asks=levels(("0.48", "1"))), book("1"))),
            Answer(many(book("range", asks=levels(("1.5", "1"), ("0.6", "1"))), book("1")), 1),
            Answer(many(book("negative", bids=levels(("-0.1", "1"))), book("1")), 2),
            Answer(many(book("empty", bids=levels(("0.1", "0"))), book("1")), 3),
            Answer(many(book("order", bids=levels(("0.3", "1"), ("0.2", "1"))), book("1")), 4),
            Answer(many(book("twice", asks=levels(("0.7", "1"), ("0.70", "1"))), book("1")), 5),
            Answer(many(book("hash", hash="0" * 40), book("1")), 6),
            Answer(many(book("alone")), 7),
            Answer(book("alone"), 8, "/book"),
        ],
    )
    done = normalize(tmp_path)
    tokens = {
        name: [one["token"] for one in check.offenders] for name, check in done.checks.items() if check.bad
    }
    assert tokens == {
        "best bid below best ask": ["crossed"],
        "prices within [0, 1]": ["range", "negative"],
        "sizes above 0": ["empty"],
        "levels in order, no price twice": ["order", "twice"],
        "hashes as stated": ["hash"],
        "both tokens in each answer of /books": ["alone"],
    }
    by_token = {row["token"]: row for row in rows(tmp_path)}
    assert by_token["order"]["best_bid"] == Decimal("0.3")
    assert by_token["order"]["best_bid_size"] == 1
    assert (by_token["crossed"]["is_crossed"], by_token["crossed"]["verified"]) == (True, "ok")
    assert by_token["hash"]["verified"] == "failed"
    assert done.manifest is not None
    stored = json.loads((tmp_path / done.manifest).read_text())["checks"]
    assert stored == json.loads(json.dumps([check.as_dict() for check in done.checks.values()]))


def test_a_run_over_midnight_gives_two_days(tmp_path: Path) -> None:
    collect(
        tmp_path,
        [
            Answer(many(book("1"), book("2")), MIDNIGHT - 0.000001),
            Answer(many(book("3"), book("4")), MIDNIGHT),
        ],
    )
    assert not failing(normalize(tmp_path))
    assert [row["token"] for row in rows(tmp_path)] == ["1", "2"]
    assert [row["token"] for row in rows(tmp_path, day="2026-11-22")] == ["3", "4"]


def test_a_day_is_made_again_only_when_something_changed(tmp_path: Path) -> None:
    first = collect(tmp_path, [Answer(many(book("1"), book("2")))])
    assert len(normalize(tmp_path).outputs) == 3
    assert normalize(tmp_path).up_to_date == 3
    second = collect(tmp_path, [Answer(many(book("1"), book("2")), 5)])
    assert len(normalize(tmp_path).outputs) == 3
    assert {row["run"] for row in rows(tmp_path)} == {first, second}
    labelled = next(entry["path"] for entry in ledger_of(tmp_path) if entry["run"] == first)
    label(tmp_path, labelled, "invalid", "a test")
    assert len(normalize(tmp_path).outputs) == 3
    assert {row["run"] for row in rows(tmp_path)} == {second}
    assert verify(tmp_path).state == "passed", verify(tmp_path).problems


def test_hashes_can_be_left_for_later_but_are_not_forgotten(tmp_path: Path) -> None:
    collect(tmp_path, [Answer(many(book("1"), book("2")))])
    done = normalize(tmp_path, verify=False)
    assert {row["verified"] for row in rows(tmp_path)} == {"unchecked"}
    assert done.checks["hashes as stated"].passed is None
    made = [one.path for one in normalize(tmp_path).outputs]
    assert made == [one.path for one in done.outputs if "books" in one.path or "coverage" in one.path]
    assert {row["verified"] for row in rows(tmp_path)} == {"ok"}
    assert not normalize(tmp_path, verify=False).outputs


def test_a_table_is_not_replaced_by_one_from_fewer_segments(tmp_path: Path) -> None:
    collect(tmp_path, [Answer(many(book("1"), book("2")))])
    short = Ledger(tmp_path).path.read_bytes()
    collect(tmp_path, [Answer(many(book("3"), book("4")), 5)])
    normalize(tmp_path)
    Ledger(tmp_path).path.write_bytes(short)  # as restored from an older copy
    done = normalize(tmp_path)
    assert not done.outputs
    assert "does not name any more" in next(iter(done.failed.values()))
    assert len(rows(tmp_path)) == 4


def test_segments_moved_away_keep_their_table_until_it_would_change(tmp_path: Path) -> None:
    collect(tmp_path, [Answer(many(book("1"), book("2")))])
    normalize(tmp_path)
    [entry] = ledger_of(tmp_path)
    Ledger(tmp_path).append(
        {"kind": "moved", "path": entry["path"], "sha256": entry["sha256"], "to": "elsewhere"}
    )
    (tmp_path / entry["path"]).unlink()
    assert normalize(tmp_path).up_to_date == 3
    collect(tmp_path, [Answer(many(book("3"), book("4")), 5)])
    done = normalize(tmp_path)
    assert not done.outputs
    assert all("bring them back" in why for why in done.failed.values())
    assert [row["token"] for row in rows(tmp_path)] == ["1", "2"]


def test_a_damaged_segment_is_named_and_spoils_only_its_day(tmp_path: Path) -> None:
    collect(tmp_path, [Answer(many(book("1"), book("2")))])
    collect(tmp_path, [Answer(many(book("3"), book("4")), MIDNIGHT + 1)])
    damaged = tmp_path / next(e["path"] for e in ledger_of(tmp_path) if e["first"] < "2026-11-22")
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    done = normalize(tmp_path)
    assert len(done.failed) == 3  # books, gaps and coverage of the first day
    assert all(str(damaged.relative_to(tmp_path)) in why for why in done.failed.values())
    assert [row["token"] for row in rows(tmp_path, day="2026-11-22")] == ["3", "4"]
    assert not list(tmp_path.rglob("*.tmp"))


def test_what_a_killed_call_left_is_swept_up(tmp_path: Path) -> None:
    collect(tmp_path, [Answer(many(book("1"), book("2", bids=None)))])
    folder = tmp_path / "tables/books/venue=polymarket/feed=orderbook/date=2026-11-21"
    folder.mkdir(parents=True)
    for name in ("books.parquet.tmp", "books.parquet.tmp.first"):
        (folder / name).write_bytes(b"half")
    assert not normalize(tmp_path).failed
    assert [path.name for path in folder.iterdir()] == ["books.parquet"]


def test_only_what_was_asked_for(tmp_path: Path) -> None:
    collect(tmp_path, [Answer(many(book("1"), book("2")))])
    collect(tmp_path, [Answer(many(book("3"), book("4")), MIDNIGHT + 1)])
    collect(tmp_path, [Hole(0, 1)], feed="markets")
    noon = 1795262400 * 10**9
    assert len(normalize(tmp_path, ["polymarket/orderbook"], until=noon).outputs) == 3
    assert normalize(tmp_path, ["orderbook"]).up_to_date == 3
    assert [one.path.split("/")[1] for one in normalize(tmp_path, ["markets"]).outputs] == ["gaps"]
    with pytest.raises(ArgumentError, match="polymarket/markets, polymarket/orderbook"):
        normalize(tmp_path, ["orderbooks"])


def test_gap_lines_are_a_table_too(tmp_path: Path) -> None:
    collect(tmp_path, [Answer(b"[]"), Hole(1, 2.5, {"markets": ["a", "b"], "token": "1", "endpoint": "x"})])
    normalize(tmp_path)
    [gap] = rows(tmp_path, "gaps")
    assert (gap["to"] - gap["from"]).total_seconds() == 1.5
    assert (gap["reason"], gap["cause"], gap["markets"], gap["token"]) == (
        "rate_limited",
        "venue",
        None,
        "1",
    )
    assert json.loads(gap["scope"]) == {"endpoint": "x", "tokens": ["1"]}
    assert (gap["kind"], gap["subjects"], gap["endpoint"], gap["id"]) == ("token", ["1"], "x", None)


def test_any_folder_will_do(tmp_path: Path) -> None:
    root = tmp_path / 'it\'s [1] *odd? "folder"'
    collect(root, [Answer(many(book("1"), book("2", bids=None)))])
    assert not failing(normalize(root))
    assert len(Archive(root).books()) == 2
    assert not normalize(root).outputs


def test_an_archive_without_segments_is_left_alone(tmp_path: Path) -> None:
    assert normalize(tmp_path) == Normalized()
    assert not list(tmp_path.iterdir())


prices = st.decimals("0", "1", places=4).map(str)
sizes = st.decimals("0.000001", "999999999", places=6).map(str)
sides = st.lists(st.tuples(prices, sizes), max_size=6)


@examples(15)
@given(st.lists(st.tuples(sides, sides), min_size=1, max_size=6))
def test_any_levels_come_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, books: list[tuple[list[Any], list[Any]]]
) -> None:
    root = tmp_path_factory.mktemp("levels")
    sent = [book(str(n), bids=levels(*bids), asks=levels(*asks)) for n, (bids, asks) in enumerate(books)]
    collect(root, [Answer(many(*sent))])
    normalize(root)
    with duckdb.connect() as connection:
        path = next(root.glob("tables/books/**/books.parquet"))
        for row, (bids, asks) in zip(rows(root), books, strict=True):
            for side, due in (("bids", bids), ("asks", asks)):
                exact = [{"price": Decimal(price), "size": Decimal(size)} for price, size in reversed(due)]
                assert row[side] == exact
            assert row["best_bid"] == max((Decimal(price) for price, _ in bids), default=None)
            assert row["ask_depth"] == sum(Decimal(size) for _, size in asks)
        counted = connection.execute("SELECT count(*) FROM read_parquet(?)", [str(path)]).fetchall()
    assert counted == [(len(books),)]
