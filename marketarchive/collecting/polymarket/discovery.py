"""Base class of Polymarket's spiders, which chooses and discovers their markets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, TypeVar

from marketarchive.collecting.arguments import Arguments
from marketarchive.collecting.polymarket.discovery_files import write_discovery
from marketarchive.collecting.spider import Answer
from marketarchive.collecting.sweep import SweepSpider, items_of
from marketarchive.exceptions import ArgumentError
from marketarchive.items import Market
from marketarchive.times import from_seconds
from marketarchive.venues.endpoint import Query
from marketarchive.venues.polymarket import queries, updown

logger = logging.getLogger(__name__)

T = TypeVar("T")


class PolymarketSpider(SweepSpider):
    """Base class of Polymarket's spiders.

    Finds the markets that `assets`, `durations`, `markets`, `shard` name.
    """

    venue = "polymarket"
    catalogue_feed: ClassVar[str] = "markets"
    default_assets: ClassVar[tuple[str, ...]] = ()  # () = without arguments, all markets of the venue

    @classmethod
    def check_arguments(cls, given: Mapping[str, Any]) -> Arguments:
        arguments = super().check_arguments(given)
        for asset in arguments.assets or ():
            if asset not in updown.ASSETS:
                raise ArgumentError(
                    f"assets={given['assets']!r}: Polymarket has up/down rounds of "
                    f"{', '.join(updown.ASSETS)}, not of {asset}"
                )
        if arguments.markets is not None and (arguments.assets or arguments.durations):
            raise ArgumentError("markets= names markets itself; leave out assets= and durations=")
        return arguments

    @property
    def assets(self) -> tuple[str, ...]:
        """Return the assets whose rounds are chosen; () when other arguments choose the markets."""
        if self.arguments.markets is not None:
            return ()
        if self.arguments.assets is None and self.arguments.durations is not None:
            return self.default_assets or updown.ASSETS
        return self.arguments.assets or self.default_assets

    async def discover(
        self, *, closed: bool = False, ended_since_ns: int | None = None, ends_until_ns: int | None = None
    ) -> dict[str, Market]:
        """Return the chosen markets by id; those of pages that failed are missing.

        All markets received go to the master. closed: markets that have ended, since `ended_since_ns` (wall
        ns); ends_until_ns: only rounds that end by then (wall ns), in which case no discovery files are
        written.
        """
        found: dict[str, Market] = {}
        source: dict[str, str] = {}

        def take(answer: Answer) -> Iterable[Any]:
            for item in items_of(answer):
                if isinstance(item, Market) and self._is_chosen(item):
                    found[item.market_id] = item
                    source[item.market_id] = answer.request.query.endpoint.url
                yield item

        complete = True
        if self.assets:
            complete = await self._rounds(
                take,
                partial(
                    queries.rounds, closed=closed, ended_since_ns=ended_since_ns, ends_until_ns=ends_until_ns
                ),
            )
        elif self.arguments.markets:
            requested = [
                self.fetch(queries.market(slug), self.catalogue_feed, take) for slug in self.arguments.markets
            ]
            complete = all(answer.status is not None for answer in await asyncio.gather(*requested))
            if complete:
                self._name_unknown(found)
        else:
            query = queries.markets(closed=closed, ended_since_ns=ended_since_ns)
            complete = await self.sweep(query, self.catalogue_feed, take)
        self.run.stats.inc_value("discovery/cycles")
        self.run.stats.set_value("discovery/markets", len(found))
        if not closed and ends_until_ns is None:
            await self._leave_files(found, source, complete=complete)
        return found

    async def _rounds(self, take: Any, rounds: Callable[[str], Query]) -> bool:
        series = queries.series(self.assets, self.arguments.durations or updown.DURATIONS)
        answer = await self.fetch(series, self.catalogue_feed, items_of)
        if answer.parsed is None:
            return False
        sweeps = [
            self.sweep(rounds(series_id), self.catalogue_feed, take)
            for series_id in answer.parsed.series.values()
        ]
        if not sweeps:
            logger.warning("Polymarket names no series for %s", series.params["slug"])
        return all(await asyncio.gather(*sweeps)) and bool(sweeps)

    def _is_chosen(self, market: Market) -> bool:
        if self.assets and (
            market.asset not in self.assets
            or market.duration not in (self.arguments.durations or updown.DURATIONS)
        ):
            return False
        return self.arguments.in_shard(market.market_id)

    def _name_unknown(self, found: Mapping[str, Market]) -> None:
        slugs = {market.slug for market in found.values()}
        for slug in self.arguments.markets or ():
            if slug not in slugs:
                logger.warning("Polymarket has no market %r (or it belongs to another shard)", slug)
                self.run.stats.inc_value("discovery/unknown_slugs")
        if not slugs and self.arguments.shard is None:
            logger.error(
                "None of markets=%s is known; a slug is the end of its page's address", self.arguments.markets
            )
            self.close_reason = "unknown_markets"

    async def _leave_files(
        self, found: Mapping[str, Market], source: Mapping[str, str], *, complete: bool
    ) -> None:
        by_asset: dict[str, list[Market]] = {asset: [] for asset in self.assets if found}
        for market in found.values():
            if market.asset:
                by_asset.setdefault(market.asset, []).append(market)
        run = self.run
        for asset, markets in by_asset.items():
            try:
                await asyncio.to_thread(
                    write_discovery,
                    run.process.root,
                    self.venue,
                    asset,
                    markets,
                    source,
                    run.archive.name,
                    complete,
                )
            except OSError as error:
                logger.error("Cannot write the discovery files of %s: %s", asset, error)
                run.stats.inc_value("discovery/write_errors")

    def ended_since(self, default_s: float) -> int:
        """Return the time from which ended markets are read, wall ns.

        default_s: seconds back without `since`.
        """
        return self.run.clock.now_ns() - from_seconds(self.arguments.since or default_s)


def batches(things: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield `things` in consecutive slices of at most `size`."""
    for start in range(0, len(things), size):
        yield things[start : start + size]
