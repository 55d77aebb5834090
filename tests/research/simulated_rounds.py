"""Archives of rounds of the simulated venues, made without a process: what was told, and what was lost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from marketarchive.items import Connection, Frames, Gap, Response
from marketarchive.scope import Scope
from marketarchive.simulator.chainlink import Chainlink
from marketarchive.simulator.chainlink.streams import BY_SLUG
from marketarchive.simulator.messages import SimRequest
from marketarchive.simulator.polymarket import DATA_HOST, Polymarket, market_channel, rtds
from marketarchive.simulator.polymarket.gamma_rows import GammaRows
from marketarchive.simulator.polymarket.markets import SimMarket
from marketarchive.times import SECOND
from marketarchive.venues.chainlink.endpoints import LIVE
from marketarchive.venues.polymarket.endpoints import MARKET_CHANNEL, RTDS
from marketarchive.venues.polymarket.market_channel import subscribe
from tests.archive.writing import HandClock, open_run, writer

SEED = 1
VENUE = Polymarket(SEED)
PAGES = Chainlink(SEED, VENUE.world.prices)
LAG = 40_000_000
"""What a frame of the market channel takes on its way, ns."""
BEFORE_S, AFTER_S = 40, 20
"""Collecting begins so long before the first round and ends so long after the last."""


class Lost(NamedTuple):
    """Nothing was received from `start` to `end`, in seconds after the first round's start."""

    start: float
    end: float


def rounds(start: int, count: int, *, asset: str = "BTC", duration: str = "5m") -> list[SimMarket]:
    """`count` rounds after one another."""
    found = [VENUE.world.rounds.make(asset, duration, start)]
    while len(found) < count:
        found.append(VENUE.world.rounds.make(asset, duration, found[-1].end))
    return found


def archive(
    root: Path,
    markets: Sequence[SimMarket],
    *,
    books: bool = True,
    prices: bool = True,
    pages: bool = False,
    lost: Sequence[Lost] = (),
    lost_prices: Sequence[Lost] = (),
    told: Sequence[tuple[int, bytes]] = (),
    **settings: Any,
) -> None:
    """An archive of rounds in the order of time; each loss has its gap.

    told: more frames of the market channel, and when (ns) they were sent; settings: of the run.
    """
    zero = markets[0].start
    assert zero is not None
    first, last = (zero - BEFORE_S) * SECOND, (markets[-1].end + AFTER_S) * SECOND
    clock = HandClock(first)
    tracked = {each.slug: {"tokens": dict(zip(("Up", "Down"), each.tokens, strict=True))} for each in markets}
    with writer(root, clock) as made:
        run = open_run(made, "polymarket_stream", **settings)

        def put(kind: type, venue: str, feed: str, at: int, **more: Any) -> None:
            run.write(kind(venue=venue, feed=feed, received_at=at, seq=run.next_seq(venue, feed), **more))

        def frames(
            feed: str, url: str, text: str, told: Iterable[tuple[int, bytes]], holes: Sequence[Lost]
        ) -> None:
            common = {"venue": "polymarket", "feed": feed}
            put(Connection, **common, at=first, connection="c1", event="opened", url=url, subscribe=(text,))
            for at, payload in told:
                frame = (at, run.next_seq("polymarket", feed), payload)
                run.write(Frames(**common, connection="c1", frames=(frame,)))
            for begin, end in _spans(zero, holes):
                scope = Scope("polymarket", feed, connection="c1")
                put(
                    Gap, **common, at=end, from_ns=begin, to_ns=end, scope=scope,
                    reason="disconnect", cause="venue", detail="",
                )  # fmt: skip

        if books:
            tokens = [token for each in markets for token in each.tokens]
            sent = sorted(
                [*_books(markets, first, last, zero, lost), *((at + LAG, payload) for at, payload in told)]
            )
            frames("stream", MARKET_CHANNEL, subscribe(tokens), sent, lost)
        if prices:
            frames("reference", RTDS, "", _prices(first, last, zero, lost_prices), lost_prices)
        if pages:
            request = {
                "attributeName": "benchmark",
                "queryWindow": "1m",
                "feedId": BY_SLUG["btc-usd-cexprice-streams"].feed_id,
            }
            for at, payload in _pages(request, first, last, zero, lost_prices):
                put(
                    Response, "chainlink", "pages", at, method="GET", url=LIVE, params=request,
                    status=200, headers={}, latency_ms=1.0, payload=payload,
                )  # fmt: skip
        for feed, url, at, body in _facts(markets, first, last):
            put(
                Response, "polymarket", feed, at, method="GET", url=url, params={},
                status=200, headers={}, latency_ms=1.0, payload=body,
            )  # fmt: skip
        clock.pass_s(last / SECOND - first / SECOND + 600)
        run.close("finished", {"markets": {"tracked": tracked}}).result()


def _spans(zero: int, holes: Sequence[Lost]) -> list[tuple[int, int]]:
    return [(zero * SECOND + int(a * SECOND), zero * SECOND + int(b * SECOND)) for a, b in holes]


def _is_lost(at: int, zero: int, holes: Sequence[Lost]) -> bool:
    return any(begin < at < end for begin, end in _spans(zero, holes))


def _books(
    markets: Sequence[SimMarket], first: int, last: int, zero: int, lost: Sequence[Lost]
) -> Iterator[tuple[int, bytes]]:
    starts = [first, *(end for _, end in _spans(zero, lost))]
    told = [(at + LAG, VENUE.market_channel.first(list(markets), at).payload) for at in starts]
    for each in markets:
        told += [(at + LAG, payload) for at, payload in market_channel.frames(VENUE.books, each, first, last)]
    return iter(sorted(one for one in told if not _is_lost(one[0], zero, lost)))


def _prices(first: int, last: int, zero: int, lost: Sequence[Lost]) -> Iterator[tuple[int, bytes]]:
    told = rtds.frames(VENUE.rtds, list(rtds.TOPICS), first, last, "AAAA")
    return ((at + LAG, payload) for at, payload in told if not _is_lost(at + LAG, zero, lost))


def _pages(
    request: dict[str, str], first: int, last: int, zero: int, lost: Sequence[Lost]
) -> Iterator[tuple[int, bytes]]:
    """What the page of BTC's spot fetches every five seconds."""
    for at in range(first, last, 5 * SECOND):
        for name in ("benchmark", "bid", "ask"):
            query = tuple({**request, "attributeName": name}.items())
            if not _is_lost(at, zero, lost):
                host, path = LIVE.removeprefix("https://").split("/", 1)
                yield at, PAGES.answer(SimRequest("GET", host, f"/{path}", query), at).body


def _facts(markets: Sequence[SimMarket], first: int, last: int) -> Iterator[tuple[str, str, int, bytes]]:
    """What the catalogue said at first, and the resolutions in the end."""
    rows = GammaRows(VENUE.world, VENUE.books)
    listed = json.dumps({"markets": [rows.market(each, first // SECOND) for each in markets]}).encode()
    yield "markets", "https://gamma-api.polymarket.com/markets/keyset", first, listed
    at = last + 600 * SECOND
    query = tuple(("condition", each.condition_id) for each in markets)
    told = VENUE.answer(SimRequest("GET", DATA_HOST, "/v2/resolutions", query), at)
    yield "resolutions", f"https://{DATA_HOST}/v2/resolutions", at, told.body
