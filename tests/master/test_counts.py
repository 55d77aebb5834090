from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine

from marketarchive.exceptions import MasterError
from marketarchive.items import Market, PriceSnapshot, Resolution
from marketarchive.master.counts import counts
from marketarchive.master.engine import writing
from marketarchive.master.observation import observe
from marketarchive.master.upsert import upsert
from tests.master.markets import START, market, priced, resolved

NOW = START + 3 * 86_400 * 10**9


def test_rows_are_counted_by_status(engine: Engine, url: str) -> None:
    items: list[Market | Resolution | PriceSnapshot] = [
        market(0, "0xa", status="active"),
        market(1, "0xb", status="active"),
        market(2, "0xc", status="active"),
        priced(3, "0xa", yes_price=Decimal("0.4")),
        resolved(4, "0xc", payouts=("1", "0")),
        market(5, "0xd"),
    ]
    with writing(engine) as connection:
        upsert(connection, [observe(item) for item in items], "all")
    found = counts(url, NOW)
    assert found is not None
    assert found.by_status == {"active": 2, "resolved": 1, "unknown": 1}
    assert (found.markets, found.snapshots) == (4, 1)
    assert found.changes > 4


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "master.db"
    assert counts(f"sqlite:///{path}", NOW) is None
    assert not path.exists()


def test_a_database_that_does_not_answer_or_is_none_is_an_error(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(MasterError, match="cannot be used") as raised:
        counts("postgresql://me:secret@127.0.0.1:1/x", NOW)
    assert "secret" not in str(raised.value)
    for content in (b"", b"no database at all"):
        path = tmp_path / "master.db"
        path.write_bytes(content)
        with pytest.raises(MasterError):
            counts(f"sqlite:///{path}", NOW)
