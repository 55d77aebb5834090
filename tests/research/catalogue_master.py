"""Market masters made of items, as collectors fill them."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import delete

from marketarchive.items import Headline
from marketarchive.master.engine import open_master, sqlite_url, writing
from marketarchive.master.headlines import write_headlines
from marketarchive.master.observation import HeadlineObservation, MasterItem, observe
from marketarchive.master.tables import metadata
from marketarchive.master.upsert import upsert
from marketarchive.times import iso
from tests.master.markets import SECOND, START, origin


def put(root: Path, *items: MasterItem) -> None:
    engine = open_master(sqlite_url(root / "master.db"))
    observations = [observe(item) for item in items]
    with writing(engine) as connection:
        upsert(connection, [each for each in observations if not isinstance(each, HeadlineObservation)])
        write_headlines(connection, [each for each in observations if isinstance(each, HeadlineObservation)])
    engine.dispose()


def empty(root: Path) -> None:
    engine = open_master(sqlite_url(root / "master.db"))
    with writing(engine) as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(delete(table))
    engine.dispose()


def at(t: float) -> str:
    return iso(START + round(t * SECOND))


def headline(t: float, text: str, market_id: str = "0xabc") -> Headline:
    return Headline(
        **origin(t), market_id=market_id, headline=text, source="x.test", url=f"https://x.test/{t}"
    )
