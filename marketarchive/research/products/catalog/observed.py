"""Prices and headlines of some markets as they were received over time, from the market master.

Times are microseconds UTC of our receipt.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, func, select

from marketarchive.master.observation import Key
from marketarchive.master.queries import by_platform
from marketarchive.master.tables import market_changes, news_context, price_snapshots

Identity = tuple[str, str]
"""Platform and id of a market."""
ENDS = ("closed_at", "determined_at", "resolved_at")
"""Times of the venue at or after which nothing is a forecast any more."""
RESULTS = ("resolution", "payouts", "result_kind")


@dataclass(frozen=True, slots=True)
class PricePoint:
    """A price snapshot: the mid of the first outcome, dollars a share, and the figures beside it."""

    at: int
    price: float | None
    volume: float | None
    liquidity: float | None


@dataclass(frozen=True, slots=True)
class SeenHeadline:
    """A headline with the time of its first capture."""

    at: int
    headline: str
    source: str | None
    url: str | None


@dataclass
class MarketHistory:
    """What was received of one market, each by time."""

    prices: list[PricePoint] = field(default_factory=list)
    headlines: list[SeenHeadline] = field(default_factory=list)


def observed(master: Connection, identities: Iterable[Identity]) -> Mapping[Identity, MarketHistory]:
    """Return what was received of some hundred markets; of snapshots of one time the last by its capture."""
    found: dict[Identity, MarketHistory] = defaultdict(MarketHistory)
    for platform, market_ids in by_platform(identities):
        _read_prices(master, platform, market_ids, found)
        _read_headlines(master, platform, market_ids, found)
    return found


def first_results(master: Connection) -> dict[Identity, int]:
    """Return when any result of a market was received first, also one that was withdrawn later."""
    table = market_changes.c
    query = (
        select(table.platform, table.market_id, func.min(table.observed_at))
        .where(table.field.in_(RESULTS), table.new.is_not(None))
        .group_by(table.platform, table.market_id)
    )
    return {(platform, market_id): at for platform, market_id, at in master.execute(query)}


def _read_prices(
    master: Connection, platform: str, market_ids: Collection[str], found: dict[Identity, MarketHistory]
) -> None:
    table = price_snapshots.c
    columns = (table.market_id, table.snapshot_at, table.capture)
    query = (
        select(*columns, table.yes_price, table.volume, table.liquidity)
        .where(table.platform == platform, table.market_id.in_(market_ids))
        .order_by(table.market_id, table.snapshot_at)
    )
    newest: Key | None = None
    for market_id, at, capture, *figures in master.execute(query):
        point = PricePoint(at, *(None if each is None else float(each) for each in figures))
        prices, key = found[platform, market_id].prices, Key.of(at, capture)
        if not prices or prices[-1].at != at:
            prices.append(point)
            newest = key
        elif newest is None or newest < key:
            prices[-1] = point
            newest = key


def _read_headlines(
    master: Connection, platform: str, market_ids: Collection[str], found: dict[Identity, MarketHistory]
) -> None:
    table = news_context.c
    query = (
        select(table.market_id, table.captured_at, table.headline, table.source, table.url)
        .where(table.platform == platform, table.market_id.in_(market_ids))
        .order_by(table.captured_at, table.url, table.headline)
    )
    for market_id, *headline in master.execute(query):
        found[platform, market_id].headlines.append(SeenHeadline(*headline))
