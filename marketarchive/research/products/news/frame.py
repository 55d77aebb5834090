"""`Archive.news()`: headlines about markets, from the market master."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect, select
from sqlalchemy.exc import SQLAlchemyError

from marketarchive.master.engine import connect, sqlite_path, sqlite_url, unusable
from marketarchive.master.tables import markets as master_markets
from marketarchive.master.tables import news_context
from marketarchive.research.engine import require
from marketarchive.research.selection import OneOrMany, check, span, wanted
from marketarchive.research.views import Moment, ns

if TYPE_CHECKING:
    import pyarrow as pa

TIMES = ("captured_at", "published_at")
COLUMNS = {
    "time": "captured_at",
    "venue": "platform",
    "market": "slug",
    **{name: name for name in ("market_id", "title", "headline", "source", "url", "published_at", "capture")},
}
"""Column of the frame -> column of the master that it is made from."""


def table(
    root: Path,
    master_url: str | None,
    market: OneOrMany = None,
    start: Moment = None,
    end: Moment = None,
    *,
    venue: OneOrMany = None,
    as_of: Moment = None,
) -> pa.Table:
    """Return a row per headline and market with `start` <= time < `end`, by time of its first capture.

    as_of: only headlines captured by then. `published_at` is what a page or a search engine claims, and
    proves nothing: only `time` states since when a headline was known. `market` and `title` are those of now.
    Raises ArgumentError, MasterError.
    """
    require()
    import pyarrow as pa

    given = wanted(market=market, venue=venue)
    first, last = span(start, end)
    known = ns(as_of)
    rows = _rows(root, master_url)
    check("market", given.get("market", ()), {row[name] for row in rows for name in ("slug", "market_id")})
    check("venue", given.get("venue", ()), {row["platform"] for row in rows})
    chosen = [
        row
        for row in rows
        if ("market" not in given or not {row["slug"], row["market_id"]}.isdisjoint(given["market"]))
        and ("venue" not in given or row["platform"] in given["venue"])
        and (first is None or row["captured_at"] * 1000 >= first)
        and (last is None or row["captured_at"] * 1000 < last)
        and (known is None or row["captured_at"] * 1000 <= known)
    ]
    return pa.table(
        {
            name: pa.array(
                [row[of] if of != "slug" else row["slug"] or row["market_id"] for row in chosen],
                pa.timestamp("us", "UTC") if of in TIMES else pa.string(),
            )
            for name, of in COLUMNS.items()
        }
    )


def _rows(root: Path, master_url: str | None) -> list[dict[str, Any]]:
    """Return the headlines in the market master by time of capture; none where there is no master yet."""
    if master_url == "":
        return []
    engine = connect(sqlite_url(root / "master.db") if master_url is None else master_url)
    path = sqlite_path(engine.url)
    try:
        if path is not None and not path.exists():
            return []  # a connection would create the file
        with engine.connect() as connection:
            # a master that no collector has opened since an upgrade lacks newer columns
            there = {column["name"] for column in inspect(connection).get_columns(news_context.name)}
            held = [column for column in news_context.c if column.name in there]
            query = (
                select(*held, master_markets.c.slug, master_markets.c.title)
                .join_from(
                    news_context,
                    master_markets,
                    (news_context.c.platform == master_markets.c.platform)
                    & (news_context.c.market_id == master_markets.c.market_id),
                )
                .order_by(news_context.c.captured_at, news_context.c.url, news_context.c.headline)
            )
            lacking = dict.fromkeys((*TIMES, "capture"))
            return [{**lacking, **row} for row in connection.execute(query).mappings()]
    except SQLAlchemyError as error:
        raise unusable(engine, error) from None
    finally:
        engine.dispose()
