"""Simulated Kalshi: 15-minute rounds on the prices of the simulated world, and a signed socket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from marketarchive.simulator.catalog import Catalog, Life
from marketarchive.simulator.kalshi.access import ROUTE, Access
from marketarchive.simulator.kalshi.books import Books
from marketarchive.simulator.kalshi.catalog import Listings, quote
from marketarchive.simulator.kalshi.lifecycle import Lifecycle
from marketarchive.simulator.kalshi.rest import Rest
from marketarchive.simulator.kalshi.rounds import (
    INDICES,
    LISTED_AHEAD_S,
    LIVE_S,
    SERIES,
    Rounds,
    SimRound,
    by_ticker,
)
from marketarchive.simulator.kalshi.stream import StreamSession
from marketarchive.simulator.kalshi.stream_world import StreamWorld
from marketarchive.simulator.messages import Bucket, Reply, SimRequest, json_reply
from marketarchive.simulator.prices import ASSETS, prices_of
from marketarchive.simulator.sockets import SimSession
from marketarchive.times import SECOND, iso
from marketarchive.venues.kalshi.endpoints import REQUEST_TOKENS
from marketarchive.venues.kalshi.tickers import market_facts

SOCKET_HOSTS = frozenset({"external-api-ws.kalshi.com", "external-api-ws.demo.kalshi.co"})
HOSTS = SOCKET_HOSTS | {
    "api.elections.kalshi.com",
    "external-api.kalshi.com",
    "external-api.demo.kalshi.co",
    "demo-api.kalshi.co",
}
"""Hosts that are served. REST hosts also have the socket; the venue's demo exchange shows the same world."""
SOCKET_PATH = "/trade-api/ws/v2"
BUCKET = Bucket(
    "kalshi/public",
    per_second=200.0,
    capacity=400.0,
    cost=REQUEST_TOKENS,
    refusal=json_reply({"error": {"code": "too_many_requests", "message": "too many requests"}}, 429),
)
"""Limit of read requests, as documented for a key; a refusal does not state how long to wait."""


class Kalshi:
    """The simulated venue: its answers and frames depend only on seed, request and simulated time."""

    hosts = HOSTS

    def __init__(self, seed: int) -> None:
        prices = prices_of(seed)
        self._seed = seed
        self.rounds = Rounds(seed, prices)
        self.books = Books(seed, prices)
        self.stream = StreamWorld(self.books, prices)
        self.lives = Lifecycle(self.rounds)
        self.access = Access()
        self._rest = Rest(self.rounds, self.books)

    def answer(self, request: SimRequest, now_ns: int) -> Reply:
        if request.path == ROUTE:
            return self.access.give(request)
        if request.path == SOCKET_PATH:  # requested without an upgrade
            return self.access.refusal(request, now_ns) or json_reply({"error": "upgrade required"}, 426)
        return self._rest.answer(request, now_ns // SECOND)

    def limit(self, request: SimRequest) -> Bucket:
        del request
        return BUCKET

    def connect(self, request: SimRequest, number: int, now_ns: int) -> SimSession | Reply | None:
        del number
        if request.path != SOCKET_PATH:
            return None
        return self.access.refusal(request, now_ns) or self.session()

    def session(self) -> StreamSession:
        """Return the venue's side of a new connection."""
        indices = {index: asset for asset, index in INDICES.items() if asset in ASSETS}
        return StreamSession(self.stream, self.lives, self._round_of, indices)

    def _round_of(self, ticker: str) -> SimRound | None:
        end_ns = market_facts(ticker).end_ns
        return by_ticker(self.rounds, ticker, None if end_ns is None else end_ns // SECOND)

    def list_rounds(self, assets: Sequence[str]) -> None:
        """Restrict lists to the rounds of these assets; rounds of others are still found by ticker."""
        self.rounds.listed_series = [series for series, asset in SERIES.items() if asset in assets]

    def open_catalog(self, markets: int) -> None:
        """Add a catalogue of which `markets` are open at any moment.

        Raises ConfigurationError for too many.
        """
        self._rest.catalog = Listings(Catalog(self._seed, "kalshi", markets))

    def catalog_market(self, slot: int, generation: int, member: int) -> Life | None:
        """Return a market of the catalogue; None when there is none.

        slot: number of its sequence of events; generation: number of its event in the slot; member: number of
        the market in its event.
        """
        long = self._rest.catalog
        return None if long is None else long.catalog.market(slot, generation, member)

    def catalog_truth(self, start_ns: int, end_ns: int) -> Iterator[dict[str, Any]]:
        """Yield the truth of the catalogue's markets in lists between two simulated times (ns).

        Markets that ended shortly before are still in lists.
        """
        long = self._rest.catalog
        if long is None:
            return
        start, end = start_ns // SECOND, end_ns // SECOND
        for event in long.catalog.between(start, end):
            for life in event.markets:
                listings = [long.as_of(life, each.at) for each in life.revisions]
                true = life.truth()
                for revision, listing in zip(true["revisions"], listings, strict=True):
                    revision["title"] = listing.title  # markets of an event differ in their label only
                yield {
                    "market_id": listings[0].ticker,
                    "slug": listings[0].ticker,
                    "event_id": listings[0].event,
                    "neg_risk": None,
                    "outcomes": ("yes", "no"),
                    "tokens": None,
                    **true,
                    "prices": {
                        iso(at * SECOND): sum(quote(life, at)) / 2000
                        for at in life.days(start, end)
                        if long.as_of(life, at).status(at) in ("active", "inactive")
                    },
                }

    def truth(self, start_ns: int, end_ns: int) -> list[dict[str, Any]]:
        """Return the truth of each round that could be seen between two simulated times (ns), by close.

        The result is null for a round that closes after `end_ns`.
        """
        start, end = start_ns // SECOND, end_ns // SECOND
        found = self.rounds.between(start - LIVE_S - 60, end + LISTED_AHEAD_S)
        return [_true(each, has_ended=each.end <= end) for each in found]


def _true(each: SimRound, *, has_ended: bool) -> dict[str, Any]:
    is_settled = has_ended and each.finalized is not None
    payouts = [f"{value.normalize():f}" for value in (each.value, 1 - each.value)]
    return {
        "platform": "kalshi",
        "market_id": each.ticker,
        "slug": each.ticker,
        "outcomes": ("yes", "no"),
        "tokens": None,
        "asset": each.asset,
        "duration": "15m",
        "series": each.series,
        "listed_at": iso(each.created * SECOND),
        "start_at": iso(each.start * SECOND),
        "end_at": iso(each.end * SECOND),
        "closed_at": None if each.finalized is None else iso(each.finalized * SECOND),
        "oddity": each.oddity,
        "strike_at": None if each.strike_from is None else iso(each.strike_from * SECOND),
        "shown_strike": None if each.strike is None else str(each.strike),
        "strike": str(each.true_strike) if has_ended else None,
        "settlement": str(each.final) if has_ended else None,
        "result": each.result if is_settled else None,
        "payouts": payouts if is_settled else None,
        "resolution": each.result if is_settled and each.result != "scalar" else None,
    }


def simulated(seed: int) -> Kalshi:
    """Create the simulated venue whose data are determined by `seed`.

    The simulator discovers it by the name of this function.
    """
    return Kalshi(seed)
