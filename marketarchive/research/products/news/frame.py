"""`Archive.news()`: headlines about markets, from the market master."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect, or_, select
from sqlalchemy.exc import SQLAlchemyError

from marketarchive.master.engine import connect, sqlite_path, sqlite_url, unusable
from marketarchive.master.tables import markets as master_markets
from marketarchive.master.tables import news_context
from marketarchive.research.engine import require
from marketarchive.research.views import Moment, ns

if TYPE_CHECKING:
    import pyarrow as pa

TEXTS = ("platform", "market_id", "slug", "title", "headline", "source", "url")
TIMES = ("captured_at", "published_at")


def table(
    root: Path,
    master_url: str | None,
    markets: str | Sequence[str] | None = None,
    *,
    as_of: Moment = None,
) -> pa.Table:
    """Return a row per headline and market, by the time of its first capture.

    markets: slugs or ids; None: all. as_of: only what we had captured by then.

    `published_at` is what a page or a search engine claims, and proves nothing: only `captured_at` says
    since when a headline was known. `slug` and `title` are those of now. Raises MasterError.
    """
    require()
    import pyarrow as pa

    wanted = None if markets is None else (markets,) if isinstance(markets, str) else tuple(markets)
    rows = _rows(root, master_url, wanted, ns(as_of))
    kinds = dict.fromkeys(TEXTS, pa.string()) | dict.fromkeys(TIMES, pa.timestamp("us", "UTC"))
    kinds["capture"] = pa.string()
    return pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in kinds.items()})


def _rows(
    root: Path, master_url: str | None, wanted: Sequence[str] | None, as_of: int | None
) -> list[dict[str, Any]]:
    """Return the rows of the master; none where there is no master yet."""
    if master_url == "":
        return []
    engine = connect(sqlite_url(root / "master.db") if master_url is None else master_url)
    path = sqlite_path(engine.url)
    try:
        if path is not None and not path.exists():
            return []  # to ask would make one
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
            if wanted is not None:
                query = query.where(
                    or_(master_markets.c.slug.in_(wanted), master_markets.c.market_id.in_(wanted))
                )
            if as_of is not None:
                query = query.where(news_context.c.captured_at <= as_of // 1000)
            lacking = dict.fromkeys((*TIMES, "capture"))
            return [{**lacking, **row} for row in connection.execute(query).mappings()]
    except SQLAlchemyError as error:
        raise unusable(engine, error) from None
    finally:
        engine.dispose()
