"""Quotes: what the two books of a market said at a due tick, or that they said nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from marketarchive.clock import SECOND, utc
from marketarchive.items import Market, Quote, Verdict
from marketarchive.venues.polymarket import Book

if TYPE_CHECKING:
    from marketarchive.collecting.spider import Answer, ArchiveSpider


def quote_of(
    spider: ArchiveSpider,
    tick: int,
    market: Market,
    books: Mapping[str, Book],
    answer: Answer | None,
    verdicts: Mapping[str, Verdict] | None = None,
) -> Quote:
    """The quote of `market` at `tick` (wall ns): observed only where both books arrived and are sound."""
    outcomes = market.outcomes or ()
    tokens = market.tokens or {}
    first, second = (
        (tokens.get(outcome, "") for outcome in ("Up", "Down"))
        if "Up" in outcomes
        else (tokens[outcome] for outcome in outcomes)
    )
    up, down = books.get(first), books.get(second)
    found = [(verdicts or {}).get(token, "not_available") for token in (first, second)]
    verified: Verdict = "failed" if "failed" in found else "ok" if found == ["ok", "ok"] else "not_available"
    preopen = market.start_at is not None and tick / SECOND < market.start_at.timestamp()
    common = {
        "venue": spider.venue,
        "feed": spider.feed,
        "received_at": answer.received_at if answer else spider.run.clock.now_ns(),
        "timestamp": utc(tick),
        "asset": market.asset,
        "market_id": market.slug or market.market_id,
        "condition_id": market.market_id,
        "preopen": int(preopen),
        "source": "books",
        "verified": verified,
    }
    if up is None or down is None:
        return Quote(**common, seq=0, is_observed=0)
    assert answer is not None
    return Quote(
        **common,
        seq=answer.seq,
        is_observed=1,
        up_bid=up.best_bid,
        up_ask=up.best_ask,
        down_bid=down.best_bid,
        down_ask=down.best_ask,
    )
