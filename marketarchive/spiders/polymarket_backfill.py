from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from marketarchive.collecting.backfill import END, MINUTES, START, BackfillSpider, PastMarket
from marketarchive.items import Market
from marketarchive.times import SECOND, from_datetime
from marketarchive.venues.messages import Parsed
from marketarchive.venues.polymarket import queries
from marketarchive.venues.polymarket.endpoints import HISTORY_S, TOKENS_PER_HISTORIES
from marketarchive.venues.polymarket.price_history import TokenHistory

EARLIEST_S = 1_667_260_800  # 2022-11-01: no price history is older
MARGIN_S = 86_400
"""Seconds by which a page's closing times may be out of order while pages still count as ordered."""


class PolymarketBackfill(BackfillSpider):
    """Ended markets of Polymarket, with hourly mid prices of their first outcome.

    Source: Gamma /markets/keyset with closed=true, those that closed last first; /batch-prices-history
    Arguments: start (needed), end (today's 00:00 UTC)
    Cadence: one pass and exit; a backfill that was stopped or killed continues when it is started again with the same arguments
    Caveats: if Gamma ignores the requested order, all closed markets are listed; a price history is the venue's present statement about the past, not an observation
    """

    name = "polymarket_backfill"
    venue = "polymarket"
    accepts = (START, END)

    async def list_past(self) -> list[PastMarket]:
        self._newest: list[int] = []
        return await self.list_all(queries.markets_closed_last())

    def is_enough(self, page: Sequence[PastMarket]) -> bool:
        """Return whether a page's markets all ended before the start, and pages came in order of closing."""
        if not page:
            return False
        ended = [each.ended for each in page]
        self._newest.append(max(ended))
        is_ordered = all(
            later >= earlier - MARGIN_S * SECOND
            for later, earlier in zip(self._newest, self._newest[1:], strict=False)
        )
        return is_ordered and len(self._newest) > 1 and max(ended) < self.start_ns - MARGIN_S * SECOND

    def past_of(self, parsed: Parsed) -> Iterator[PastMarket]:
        for market in parsed.items:
            if isinstance(market, Market) and market.tokens and market.outcomes:
                at = market.resolved_at or market.closed_at
                if market.status in ("closed", "resolved") and at is not None:
                    token = market.tokens[market.outcomes[0]]
                    yield PastMarket(token, market.market_id, None, from_datetime(at))

    def named_of(self, parsed: Parsed) -> Iterator[str]:
        return (each.token for each in parsed.statements if isinstance(each, TokenHistory) and each.points)

    async def fetch_histories(self, markets: Sequence[PastMarket]) -> None:
        """Request price histories in windows, the newest first.

        A market's last window is the first without points before the window in which the market ended.
        """
        left = {each.name: each for each in markets}
        window = max((each.ended // SECOND for each in markets), default=0) // HISTORY_S
        while left and window * HISTORY_S >= EARLIEST_S - HISTORY_S and not self.run.stop.is_set():
            start = window * HISTORY_S
            due = [name for name, each in left.items() if each.ended // SECOND >= start]
            batches = [due[at : at + TOKENS_PER_HISTORIES] for at in range(0, len(due), TOKENS_PER_HISTORIES)]
            found = await asyncio.gather(*(self._window(batch, start) for batch in batches))
            for batch, named in zip(batches, found, strict=True):
                for name in batch:
                    is_last = start <= left[name].ended // SECOND < start + HISTORY_S
                    if named is None or not (name in named or is_last):
                        del left[name]
            self.progress(len(markets) - len(left), len(markets))
            window -= 1
        self.progress(len(markets) - len(left), len(markets))

    async def _window(self, tokens: Sequence[str], start: int) -> frozenset[str] | None:
        """Return the tokens with price history in the window that begins at `start` (Unix s).

        None is returned without an answer.
        """
        query = queries.price_histories(tokens, start, start + HISTORY_S - 1, MINUTES)
        found = await self.look_up(query)
        return None if found is None else found.named
