"""Rows of perpetuals: all answers of one tick make one row per contract."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from marketarchive.collecting.spider import Answer
from marketarchive.times import utc
from marketarchive.venues.endpoint import Query
from marketarchive.venues.perp_record import PerpRecord
from marketarchive.venues.perps import FEED, Series
from marketarchive.venues.table_rows import FundingsRow, OpenInterestRow, ReferencePricesRow


class PerpTick:
    """Collector of the answers to the requests of one tick.

    It makes the rows when all of them are complete.
    """

    def __init__(
        self, venue: str, tick: int, contracts: Collection[Series], queries: Iterable[Query]
    ) -> None:
        """Expect one answer, or failure, to each of the queries.

        tick: wall ns; contracts: those that have a row.
        """
        paths = [urlsplit(query.url).path for query in queries]
        self._expected = len(paths)
        self._common = {
            "venue": venue, "feed": FEED, "timestamp": utc(tick), "source": ", ".join(dict.fromkeys(paths)),
        }  # fmt: skip
        self._contracts = contracts
        self._markets = {each.asset: each.market for each in contracts}
        self._values: dict[str, dict[str, Any]] = {}  # by market
        self._newest: dict[str, Answer] = {}  # by market: newest answer with a value of it

    def add(self, answer: Answer) -> Iterator[PerpRecord]:
        """Add the values of an answer; after the last expected answer, yield the tick's rows."""
        for row in () if answer.parsed is None else answer.parsed.statements:
            self._take(row, answer)
        self._expected -= 1
        if not self._expected:
            yield from self.rows(answer.received_at)

    def rows(self, now: int) -> Iterator[PerpRecord]:
        """Yield one row per contract from the answers so far; one without an answer is not observed.

        now: wall ns.
        """
        for contract in self._contracts:
            answer = self._newest.get(contract.market)
            yield PerpRecord(
                **self._common,
                asset=contract.asset,
                market_id=contract.market,
                received_at=now if answer is None else answer.received_at,
                seq=0 if answer is None else answer.seq,
                is_observed=0 if answer is None else 1,
                **self._values.get(contract.market, {}),
            )

    def _take(self, row: object, answer: Answer) -> None:
        found: dict[str, Any] = {}
        market = None
        if isinstance(row, FundingsRow) and row.kind != "settled":
            market = row.market
            found = {
                "funding_kind": row.kind,
                "funding_rate": row.rate,
                "funding_rate_short": row.rate_short,
                "funding_interval_s": row.interval_s,
                "next_funding_at": None if row.next_at is None else utc(row.next_at),
                "mark": row.mark_price,
                "index": row.index_price,
            }
        elif isinstance(row, OpenInterestRow):
            market, found = row.market, {"open_interest": row.amount}
        elif isinstance(row, ReferencePricesRow) and row.topic in ("mark", "index"):
            market, found = self._markets.get(row.asset or ""), {row.topic: row.value}
        found = {name: value for name, value in found.items() if value is not None}
        if market is not None and found:
            self._values.setdefault(market, {}).update(found)
            self._newest[market] = answer
