"""Reading wwatcher's file: it is never changed, nothing in it is taken for an alert that is none."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.exceptions import ConfigurationError
from marketarchive.research.products.whales.alerts import WhaleAlert, parse
from marketarchive.research.products.whales.database import COLUMNS as COLUMNS_READ
from marketarchive.research.products.whales.database import WhaleFile, read_alerts
from marketarchive.times import from_iso
from tests.properties import examples
from tests.research.whales.files import COLUMNS, LOOSE, SECOND_VERSION, insert, make, writer

AT = from_iso("2026-11-21T10:00:00Z")


def only(found: WhaleFile) -> WhaleAlert:
    (alert,) = found.alerts
    return alert


def read(tmp_path: Path, **changed: Any) -> WhaleFile:
    return read_alerts(make(tmp_path / "wwatcher.db", changed, columns=LOOSE))


@pytest.mark.parametrize("columns", [COLUMNS, SECOND_VERSION], ids=["version 1", "version 2"])
def test_a_row_becomes_an_alert(tmp_path: Path, columns: str) -> None:
    path = make(tmp_path / "wwatcher.db", {"market_id": " KX-1 "}, columns=columns)
    assert only(read_alerts(path)) == WhaleAlert(
        row=1,
        platform="polymarket",
        market_id="KX-1",
        title="Will it rain?",
        at=AT,
        known_at=from_iso("2026-11-21T10:00:03Z"),
        value=25_000.0,
        action="BUY",
        outcome="Yes",
        alert_type="WHALE_ENTRY",
        price=0.4,
        size=62_500.0,
        wallet="0xwhale",
    )


@pytest.mark.parametrize(
    "stated",
    [
        "2026-11-21T10:00:00Z",
        "2026-11-21T11:00:00+01:00",
        "2026-11-21 10:00:00 UTC",
        "2026-11-21T10:00:00.000000000Z",
        "1795255200",
        "1795255200000",
        "1795255200.0",
        1795255200,
    ],
)
def test_the_time_of_a_trade_has_many_forms(tmp_path: Path, stated: str | int) -> None:
    assert only(read(tmp_path, timestamp=stated)).at == AT


def test_without_a_time_that_can_be_read_the_trade_is_when_it_was_written(tmp_path: Path) -> None:
    for number, stated in enumerate((None, "", "yesterday", "0", "1e99")):
        (tmp_path / str(number)).mkdir()
        alert = only(read(tmp_path / str(number), timestamp=stated))
        assert (alert.at, alert.known_at) == (from_iso("2026-11-21T10:00:03Z"),) * 2


def test_an_alert_is_known_at_the_later_of_its_times(tmp_path: Path) -> None:
    alert = only(read(tmp_path, created_at=1_795_255_100))  # its writer's clock was slow
    assert alert.known_at == alert.at == AT


@pytest.mark.parametrize(
    ("reason", "changed"),
    [
        ("platform", {"platform": None}),
        ("platform", {"platform": b"\x00"}),
        ("market", {"market_title": " "}),
        ("value", {"value": "a lot"}),
        ("value", {"value": 0}),
        ("value", {"value": "nan"}),
        ("value", {"value": -5.0}),
        ("time", {"timestamp": "soon", "created_at": None}),
    ],
)
def test_rubbish_is_counted_and_kept(tmp_path: Path, reason: str, changed: dict[str, Any]) -> None:
    path = make(tmp_path / "wwatcher.db", {}, changed, {}, columns=LOOSE)
    found = read_alerts(path)
    assert [alert.row for alert in found.alerts] == [1, 3]
    assert found.rubbish_counts == {reason: 1}
    assert found.rubbish[0].values["id"] == 2
    assert changed.items() <= found.rubbish[0].values.items()


def test_bytes_that_are_no_text_do_not_end_the_reading(tmp_path: Path) -> None:
    path = make(tmp_path / "wwatcher.db", {})
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE alerts SET market_title = CAST(x'57fe' AS TEXT)")
    assert only(read_alerts(path)).title == "W\N{REPLACEMENT CHARACTER}"


@given(
    row=st.fixed_dictionaries(
        {},
        optional={
            name: st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.text(), st.binary())
            for name in (*COLUMNS_READ, "wallet_activity")
        },
    )
)
@examples(150)
def test_every_row_is_an_alert_or_rubbish(row: dict[str, Any]) -> None:
    found = parse(1, row, row)
    if isinstance(found, WhaleAlert):
        assert found.value > 0
        assert found.at <= found.known_at
        assert found.win_rate is None or 0 <= found.win_rate <= 1
    else:
        assert found.values == row


@pytest.mark.parametrize(
    ("stated", "expected"), [("0.6", 0.6), ("61.5", 0.615), ("-1", None), ("null", None), ('"x"', None)]
)
def test_a_rate_of_wins_in_json(tmp_path: Path, stated: str, expected: float | None) -> None:
    alert = only(read(tmp_path, wallet_activity=f'{{"transactions_last_day": 3, "win_rate": {stated}}}'))
    assert alert.win_rate == expected


def test_json_that_is_none_is_not_read(tmp_path: Path) -> None:
    assert only(read(tmp_path, wallet_activity="[1", market_context="[1]")).win_rate is None


def test_a_fork_with_other_names(tmp_path: Path) -> None:
    columns = "Platform TEXT, question TEXT, ticker TEXT, value_usd REAL, trade_time TEXT, win_rate REAL"
    path = tmp_path / "whale_alerts.db"
    with writer(path, columns, "whale_alerts") as connection:
        connection.execute(
            "INSERT INTO whale_alerts VALUES ('Kalshi', 'Rain?', 'KX-1', 9, '2026-11-21T10:00:00Z', 0.7)"
        )
    found = read_alerts(path)
    alert = only(found)
    assert found.table == "whale_alerts"
    assert (alert.row, alert.platform, alert.market_id, alert.title) == (1, "kalshi", "KX-1", "Rain?")
    assert (alert.value, alert.at, alert.known_at, alert.win_rate) == (9, AT, AT, 0.7)


def test_a_file_of_something_else_is_refused_with_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with writer(path, "id INTEGER, platform TEXT, headline TEXT", "news"):
        pass
    with pytest.raises(ConfigurationError, match=r"found: .*news \(id, platform, headline\)"):
        read_alerts(path)


def test_no_database_at_all_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wwatcher.db"
    with pytest.raises(ConfigurationError, match="there is no file"):
        read_alerts(path)
    assert not path.exists()  # looking for it did not make one
    path.write_bytes(b"id,platform\n" * 99)
    with pytest.raises(ConfigurationError, match="not a database"):
        read_alerts(path)


def test_reading_beside_the_writer_sees_what_is_committed_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "odd name?#%.db"
    with writer(path) as connection:
        insert(connection)
        connection.execute("BEGIN")
        insert(connection)
        before = path.read_bytes()
        assert len(read_alerts(path).alerts) == 1
        connection.execute("COMMIT")
        assert len(read_alerts(path).alerts) == 2  # still in the writer's log alone
        assert path.read_bytes() == before


def test_a_file_that_nobody_writes_is_read_without_leaving_anything_beside_it(tmp_path: Path) -> None:
    path = make(tmp_path / "wwatcher.db", {}, {})
    (tmp_path / "wwatcher.db-shm").mkdir()  # SQLite cannot make its index, as where only reading is allowed
    assert len(read_alerts(path).alerts) == 2
    assert {each.name for each in tmp_path.iterdir()} == {"wwatcher.db", "wwatcher.db-shm"}


def test_a_file_that_is_written_without_a_log(tmp_path: Path) -> None:
    path = make(tmp_path / "wwatcher.db", {})
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("BEGIN IMMEDIATE")
        insert(connection)
        assert len(read_alerts(path).alerts) == 1
        connection.execute("COMMIT")
    assert len(read_alerts(path).alerts) == 2
