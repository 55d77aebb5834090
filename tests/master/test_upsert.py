from __future__ import annotations

from sqlalchemy import Engine

from marketarchive.master import queries
from marketarchive.master.engine import writing
from marketarchive.master.observation import observe
from marketarchive.master.upsert import upsert
from tests.master.markets import START, market, resolved


def put(engine: Engine, *items, keep="changes"):
    with writing(engine) as connection:
        return upsert(connection, [observe(item) for item in items], keep)


def test_smoke(engine: Engine) -> None:
    put(engine, market(0, title="a", outcomes=("Up", "Down")), resolved(5, payouts=("0", "1")))
    with engine.connect() as c:
        print(queries.market(c, "polymarket", "0xabc"))
        print(*queries.journal(c, "polymarket", "0xabc"), sep="\n")
        print(queries.as_of(c, "polymarket", "0xabc", START))
