"""Simulated Polymarket: Gamma, order book, Data API, market channel, RTDS and a route of the web pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from marketarchive.simulator.messages import Reply, SimRequest, json_reply
from marketarchive.simulator.polymarket.books import SimBooks
from marketarchive.simulator.polymarket.clob import Clob
from marketarchive.simulator.polymarket.data_api import DataApi
from marketarchive.simulator.polymarket.gamma import Gamma
from marketarchive.simulator.polymarket.gamma_rows import GammaRows
from marketarchive.simulator.polymarket.market_channel import MarketChannel
from marketarchive.simulator.polymarket.market_session import SimMarketSession
from marketarchive.simulator.polymarket.markets import SimMarket
from marketarchive.simulator.polymarket.rounds import LISTED_AHEAD_S
from marketarchive.simulator.polymarket.rtds import Rtds, SimRtdsSession
from marketarchive.simulator.polymarket.web import LIMIT as WEB_LIMIT
from marketarchive.simulator.polymarket.web import Web
from marketarchive.simulator.polymarket.world import HISTORY_S, World
from marketarchive.simulator.sockets import SimSession
from marketarchive.times import SECOND, iso
from marketarchive.venues.polymarket.endpoints import LIMITS, endpoint_class

GAMMA_HOST = "gamma-api.polymarket.com"
CLOB_HOST = "clob.polymarket.com"
DATA_HOST = "data-api.polymarket.com"
MARKET_HOST = "ws-subscriptions-clob.polymarket.com"
RTDS_HOST = "ws-live-data.polymarket.com"
WEB_HOST = "polymarket.com"
NO_SOCKET = json_reply({"error": "not found"}, 404)
MILLISECOND = SECOND // 1000


class Polymarket:
    """The simulated venue: its answers and frames depend only on seed, request and simulated time."""

    hosts = frozenset({GAMMA_HOST, CLOB_HOST, DATA_HOST, MARKET_HOST, RTDS_HOST, WEB_HOST})

    def __init__(self, seed: int) -> None:
        self.world = World(seed)
        self.books = SimBooks(self.world)
        self.market_channel = MarketChannel(self.books)
        self.rtds = Rtds(seed, self.world.prices)
        rows = GammaRows(self.world, self.books)
        self._web = Web(seed, self.world.prices)
        self._clob = Clob(self.world, self.books)
        self._sites: dict[str, Gamma | DataApi] = {
            GAMMA_HOST: Gamma(self.world, rows),
            DATA_HOST: DataApi(self.world, self.books),
        }

    def answer(self, request: SimRequest, now_ns: int) -> Reply:
        if request.host in (MARKET_HOST, RTDS_HOST):
            return NO_SOCKET
        if request.method not in ("GET", "POST"):
            return json_reply({"error": "method not allowed"}, 405)
        if request.host == CLOB_HOST:
            return self._clob.answer(request, now_ns // MILLISECOND)
        if request.host == WEB_HOST:
            return self._web.answer(request, now_ns // MILLISECOND)
        return self._sites[request.host].answer(request, now_ns // SECOND)

    def connect(self, request: SimRequest, number: int, now_ns: int) -> SimSession | None:
        path = request.path.rstrip("/")
        if (request.host, path) == (MARKET_HOST, "/ws/market"):
            return SimMarketSession(self.market_channel, now_ns)
        if (request.host, path) == (RTDS_HOST, ""):
            return SimRtdsSession(self.rtds, number, now_ns)
        return None

    def limit(self, request: SimRequest) -> tuple[str, int]:
        if request.host in (MARKET_HOST, RTDS_HOST):
            return "sockets", 1000  # not documented
        if request.host == WEB_HOST:
            return "web", WEB_LIMIT
        name = endpoint_class(f"https://{request.host}{request.path}")
        return name, LIMITS[name]

    def list_rounds(self, assets: Sequence[str]) -> None:
        """Restrict lists to the rounds of these assets; rounds of others are still found by id and slug."""
        self.world.listed_assets = assets

    def open_catalog(self, markets: int) -> None:
        """Add a catalogue of which `markets` are open at any moment.

        Raises ConfigurationError for too many.
        """
        self.world.open_catalog(markets)

    def catalog_truth(self, start_ns: int, end_ns: int) -> Iterator[dict[str, Any]]:
        """Yield the truth of the catalogue's markets in lists between two simulated times (ns).

        Markets that ended shortly before are still in lists.
        """
        long = self.world.catalog
        if long is None:
            return
        for event in long.catalog.between(start_ns // SECOND, end_ns // SECOND):
            for life in event.markets:
                market = long.as_of(life, event.over_at)
                yield {
                    "market_id": market.condition_id,
                    "slug": market.slug,
                    "event_id": str(market.group.number),
                    "neg_risk": market.neg_risk,
                    "outcomes": market.outcomes,
                    "tokens": dict(zip(market.outcomes or (), market.tokens, strict=True)),
                    **life.truth(),
                    "prices": {
                        iso(at * SECOND): self.books.top(long.as_of(life, at), at).mid
                        for at in life.days(start_ns // SECOND, end_ns // SECOND)
                    },
                }

    def truth(self, start_ns: int, end_ns: int) -> list[dict[str, Any]]:
        """Return the truth of each market that could be seen between two simulated times (ns), by number.

        The result is null for a round that ends after `end_ns`.
        """
        start, end = start_ns // SECOND, end_ns // SECOND
        rounds = self.world.rounds_between(start - HISTORY_S - 60, end + LISTED_AHEAD_S)
        markets = [*self.world.others, *sorted(rounds, key=lambda each: each.number)]
        return [
            self._true(market, has_ended=market.kind == "other" or market.end <= end) for market in markets
        ]

    def _true(self, market: SimMarket, *, has_ended: bool) -> dict[str, Any]:
        world = self.world
        payouts = world.payouts(market) if has_ended else None
        strike = world.strike(market) if has_ended else None
        settlement = world.settlement(market) if has_ended else None
        outcomes = market.outcomes
        return {
            "platform": "polymarket",
            "market_id": market.condition_id,
            "number": market.number,
            "slug": market.slug,
            "outcomes": outcomes,
            "tokens": None if outcomes is None else dict(zip(outcomes, market.tokens, strict=False)),
            "asset": market.asset,
            "duration": market.duration,
            "listed_at": iso(market.listed_at * SECOND),
            "start_at": None if market.start is None else iso(market.start * SECOND),
            "end_at": iso(market.end * SECOND),
            "closed_at": None if market.closed_at is None else iso(market.closed_at * SECOND),
            "twap_s": market.twap_s,
            "strike_e18": None if strike is None else str(strike),
            "settlement_e18": None if settlement is None else str(settlement),
            "payouts": payouts,
            "resolution": outcomes[payouts.index("1")] if outcomes and payouts and "1" in payouts else None,
        }


def simulated(seed: int) -> Polymarket:
    """Create the simulated venue whose data are determined by `seed`.

    The simulator discovers it by the name of this function.
    """
    return Polymarket(seed)
