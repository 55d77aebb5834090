"""Writing headlines into the master: each (market, url, headline) has one row, of its first receipt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, insert, select, update

from marketarchive.master.observation import HeadlineObservation, Key
from marketarchive.master.queries import by_platform
from marketarchive.master.tables import markets, news_context

CHUNK = 500  # headlines compared at a time: bounds the parameters of a statement

Identity = tuple[str, str, str, str]  # platform, market_id, url, headline


class Placed(NamedTuple):
    """Result of writing headlines: how many were merged, and those whose market the master does not have."""

    rows: int
    unplaced: list[HeadlineObservation]


def write_headlines(connection: Connection, headlines: Sequence[HeadlineObservation]) -> Placed:
    """Merge headlines into the master, in any order; headlines that it has already may be among them.

    connection: with a transaction from `engine.writing`.
    """
    rows, unplaced = 0, list[HeadlineObservation]()
    for start in range(0, len(headlines), CHUNK):
        some = headlines[start : start + CHUNK]
        known = _known_markets(connection, some)
        here = [each for each in some if (each.platform, each.market_id) in known]
        unplaced += [each for each in some if (each.platform, each.market_id) not in known]
        _merge(connection, here)
        rows += len(here)
    return Placed(rows, unplaced)


def _merge(connection: Connection, headlines: Sequence[HeadlineObservation]) -> None:
    earliest: dict[Identity, HeadlineObservation] = {}
    for each in sorted(headlines, key=lambda each: each.key):
        earliest.setdefault((each.platform, each.market_id, each.url, each.headline), each)
    held = dict(_held(connection, earliest))
    new = [_row(each) for identity, each in earliest.items() if identity not in held]
    # a rebuild and answers that were written late may bring an earlier receipt than the one that is held
    earlier = [
        {**_row(each), "row_id": held[identity][0]}
        for identity, each in earliest.items()
        if identity in held and each.key < held[identity][1]
    ]
    if new:
        connection.execute(insert(news_context), new)
    if earlier:
        connection.execute(update(news_context).where(news_context.c.id == bindparam("row_id")), earlier)


def _held(connection: Connection, wanted: Iterable[Identity]) -> Iterator[tuple[Identity, tuple[int, Key]]]:
    """Yield (identity, (row id, key of the first receipt)) of those headlines that the master has."""
    table = news_context.c
    urls = sorted({url for _, _, url, _ in wanted})
    for platform, ids in by_platform((platform, market_id) for platform, market_id, _, _ in wanted):
        query = select(news_context).where(
            table.platform == platform, table.market_id.in_(ids), table.url.in_(urls)
        )
        for row in connection.execute(query).mappings():
            identity = (platform, row["market_id"], row["url"], row["headline"])
            capture = row["capture"]  # null in a row that was put there by hand, before there was the column
            yield identity, (row["id"], Key.of(row["captured_at"], capture) if capture else Key(0, "", 0))


def _row(headline: HeadlineObservation) -> dict[str, object]:
    return {
        "platform": headline.platform,
        "market_id": headline.market_id,
        "headline": headline.headline,
        "source": headline.source,
        "url": headline.url,
        "captured_at": headline.key.observed_at,
        "published_at": headline.published_at,
        "capture": headline.key.capture,
    }


def _known_markets(connection: Connection, headlines: Iterable[HeadlineObservation]) -> set[tuple[str, str]]:
    return {
        (platform, market_id)
        for platform, ids in by_platform((each.platform, each.market_id) for each in headlines)
        for market_id in connection.execute(
            select(markets.c.market_id).where(markets.c.platform == platform, markets.c.market_id.in_(ids))
        ).scalars()
    }
