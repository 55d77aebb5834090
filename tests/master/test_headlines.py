"""Headlines in the master: each once, as it was first received, in whatever order it comes."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, select, text

from marketarchive.items import Headline
from marketarchive.master.compare import compare
from marketarchive.master.engine import open_master, writing
from marketarchive.master.observation import MasterItem, observe
from marketarchive.master.queries import active, named
from marketarchive.master.tables import news_context
from marketarchive.master.upsert import Written, upsert
from marketarchive.times import utc
from tests.master.markets import START, market, origin


def headline(
    t: float = 0, said: str = "Ice", url: str = "https://x/1", seq: int | None = None, **more: Any
) -> Headline:
    given = {**origin(t, seq=seq), "market_id": "0xabc", "headline": said, "url": url}
    return Headline(**{**given, "venue": "searxng", "feed": "news", **more})


def put(engine: Engine, *items: MasterItem) -> Written:
    with writing(engine) as connection:
        return upsert(connection, [observe(item) for item in items])


def rows(engine: Engine) -> list[tuple[Any, ...]]:
    table = news_context.c
    query = select(table.url, table.headline, table.captured_at, table.capture).order_by(
        table.url, table.headline
    )
    with engine.connect() as connection:
        return [(*row[:2], row[2] * 1000 - START, row[3]) for row in connection.execute(query)]


def test_the_first_capture_stays(engine: Engine) -> None:
    put(engine, market(0))
    put(engine, headline(20, source="x", published_at=utc(START)))
    put(engine, headline(30), headline(40, "Ice!"), headline(25, url="https://x/2"))
    put(engine, headline(10))
    assert rows(engine) == [
        ("https://x/1", "Ice", 10 * 10**9, "r1/searxng/news/11"),
        ("https://x/1", "Ice!", 40 * 10**9, "r1/searxng/news/41"),
        ("https://x/2", "Ice", 25 * 10**9, "r1/searxng/news/26"),
    ]


def test_the_view_says_times_as_text(engine: Engine) -> None:
    put(engine, market(0), headline(1, published_at=utc(START)))
    with engine.connect() as connection:
        row = connection.execute(text("SELECT * FROM news_context_view")).mappings().one()
    assert row["captured_at"] == "2025-11-21T04:40:01.000000Z"
    assert row["published_at"] == "2025-11-21T04:40:00.000000Z"
    assert row["capture"] == "r1/searxng/news/2"


def test_headlines_of_unknown_markets_are_given_back(engine: Engine) -> None:
    put(engine, market(0))
    written = put(engine, headline(1), headline(2, market_id="other"))
    assert (written.rows, [each.market_id for each in written.unplaced]) == (1, ["other"])


def test_any_order_makes_the_same(new_url: Callable[[], str]) -> None:
    items = [headline(t, f"h{t % 3}", f"https://x/{t % 4}") for t in range(30)]
    urls = new_url(), new_url()
    for number, url in enumerate(urls):
        engine = open_master(url)
        put(engine, market(0))
        shuffled = random.Random(number).sample(items, len(items))
        for start in range(0, len(items), 7):
            put(engine, *shuffled[start : start + 7])
        engine.dispose()
    assert compare(*urls) == []


def test_a_text_that_a_database_cannot_hold_is_made_storable(engine: Engine) -> None:
    put(engine, market(0), headline(1, "a\0b"), headline(2, "a\0b"))
    assert [row[1] for row in rows(engine)] == ["a\ufffdb"]


def test_active_markets_are_listed_by_what_is_traded(engine: Engine) -> None:
    listed: dict[str, Any] = {"status": "active", "title": "t"}
    put(
        engine,
        market(0, "small", volume="9", **listed),
        market(0, "large", volume="10", slug="big", **listed),
        market(0, "over", end_at=utc(START), **listed),
        market(0, "open", end_at=utc(START + 10**9), **listed),
        market(0, "round", duration="5m", **listed),
        market(0, "closed", status="closed", title="t"),
        market(0, "nameless", status="active"),
    )
    with engine.connect() as connection:
        assert [each.market_id for each in active(connection, START)] == ["large", "small", "open"]
        assert [each.market_id for each in named(connection, ["big", "closed", "none"])] == [
            "closed",
            "large",
        ]
