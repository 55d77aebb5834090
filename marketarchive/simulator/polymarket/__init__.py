"""Polymarket's REST hosts: Gamma, the order book and the Data API, from one world."""

from __future__ import annotations

from typing import Any

from marketarchive.clock import SECOND, iso
from marketarchive.simulator.messages import Asked, Reply, json_reply
from marketarchive.simulator.polymarket.books import Books
from marketarchive.simulator.polymarket.clob import Clob
from marketarchive.simulator.polymarket.data_api import DataApi
from marketarchive.simulator.polymarket.gamma import Gamma
from marketarchive.simulator.polymarket.gamma_rows import Rows
from marketarchive.simulator.polymarket.markets import SimMarket
from marketarchive.simulator.polymarket.world import World
from marketarchive.venues.polymarket.endpoints import LIMITS, endpoint_class

GAMMA_HOST = "gamma-api.polymarket.com"
CLOB_HOST = "clob.polymarket.com"
DATA_HOST = "data-api.polymarket.com"


class Polymarket:
    """The venue as the server sees it; answers depend on (seed, request, second) only."""

    hosts = frozenset({GAMMA_HOST, CLOB_HOST, DATA_HOST})

    def __init__(self, seed: int) -> None:
        self.world = World(seed)
        self.books = Books(self.world)
        rows = Rows(self.world, self.books)
        self._sites: dict[str, Gamma | Clob | DataApi] = {
            GAMMA_HOST: Gamma(self.world, rows),
            CLOB_HOST: Clob(self.world, self.books),
            DATA_HOST: DataApi(self.world),
        }

    def answer(self, asked: Asked, now_ns: int) -> Reply:
        if asked.method not in ("GET", "POST"):
            return json_reply({"error": "method not allowed"}, 405)
        return self._sites[asked.host].answer(asked, now_ns // SECOND)

    def limit(self, asked: Asked) -> tuple[str, int]:
        name = endpoint_class(f"https://{asked.host}{asked.path}")
        return name, LIMITS[name]

    def truth(self, start_ns: int, end_ns: int) -> list[dict[str, Any]]:
        """Every market that could be seen between two moments, by rising number."""
        rounds = self.world.rounds_between(start_ns // SECOND - 12 * 3600, end_ns // SECOND + 24 * 3600)
        return [
            self._true(market)
            for market in [*self.world.others, *sorted(rounds, key=lambda each: each.number)]
        ]

    def _true(self, market: SimMarket) -> dict[str, Any]:
        payouts = self.world.payouts(market)
        outcomes = market.outcomes
        winner = outcomes[payouts.index("1")] if outcomes and payouts and "1" in payouts else None
        strike, settlement = self.world.strike(market), self.world.settlement(market)
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
            "resolution": winner,
        }
