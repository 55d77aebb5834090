"""What is said of a topic that stops, and of the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

from marketarchive.items import Gap
from marketarchive.simulator.polymarket import Polymarket
from marketarchive.simulator.polymarket.rtds import updates
from marketarchive.spiders.polymarket_reference import PolymarketReference
from marketarchive.times import SECOND, from_datetime
from marketarchive.venues.polymarket import rtds
from tests.collecting.socket_peer import TEXT, Peer, frame, peer
from tests.collecting.streams import at_work, gaps, step_clock
from tests.waiting import until_async

FIRST, *OTHERS = rtds.TOPICS


class Reference(PolymarketReference):
    url = ""
    peers: list[Peer]

    @property
    def socket_url(self) -> str:
        return self.url

    def renew(self, key: str) -> None:
        """One connection is enough here."""

    async def hear(self, topics: Collection[str]) -> int:
        """The updates of the last two seconds; the newest publication, ns."""
        now = self.run.clock.now_ns()
        sent = list(updates(Polymarket(1).rtds, list(topics), now - 2 * SECOND, now, ""))
        assert {topic for each in sent for topic in [rtds.decode(each.payload)[0].topic]} == set(topics)
        await self.peers[0].send(*(frame(TEXT, each.payload) for each in sent))
        await until_async(lambda: all(self.updated_at.get(topic, 0) >= now for topic in topics))
        return max(each.ns for each in sent)


@asynccontextmanager
async def reference(folder: Path) -> AsyncIterator[Reference]:
    peers: list[Peer] = []

    async def accept(one: Peer) -> None:
        await one.accept()
        peers.append(one)
        await one.gone()

    start = 1_795_168_800 * SECOND
    async with peer(accept) as url, at_work(Reference, folder, speed=20, start=start) as spider:
        spider.url, spider.peers = url, peers
        await spider.prepare()
        await until_async(lambda: peers and spider.links)
        watching = asyncio.ensure_future(spider._watch())
        try:
            yield spider
        finally:
            watching.cancel()


async def test_others_went_on_when_they_did_though_all_are_silent_by_now(tmp_path: Path) -> None:
    async with reference(tmp_path) as spider:
        published = await spider.hear(rtds.TOPICS)
        stopped = spider.updated_at[FIRST]
        await until_async(lambda: spider.run.clock.now_ns() - stopped > 7 * SECOND)
        await spider.hear(OTHERS)
        step_clock(spider, 30)
        await until_async(lambda: _lost(spider).keys() == set(rtds.TOPICS))
        told = _lost(spider)
        assert told[FIRST].detail == "no update for 15 s; others went on"
        assert {told[topic].detail for topic in OTHERS} == {"no update for 15 s; others silent too"}
        assert published - 2 * SECOND < told[FIRST].from_ns <= published < stopped


async def test_a_topic_is_missed_as_soon_as_ever_when_our_clock_has_stepped_back(tmp_path: Path) -> None:
    async with reference(tmp_path) as spider:
        await spider.hear(rtds.TOPICS)
        step_clock(spider, -3600)
        begun = spider.run.clock.mono_ns()
        await until_async(lambda: _lost(spider))
        assert spider.run.clock.mono_ns() - begun < 40 * SECOND
        now = spider.run.clock.now_ns()
        assert all(gap.from_ns < now for gap in _lost(spider).values())


async def test_what_is_missing_before_the_first_word_of_a_new_connection_is_a_gap_too(tmp_path: Path) -> None:
    """Its topic was not silent for long enough to be lost, but shares the connection with one that was."""
    async with reference(tmp_path) as spider:
        await spider.hear(rtds.TOPICS)
        [link] = spider.links
        link.waiting.add(FIRST)
        step_clock(spider, 5)
        await spider.hear([FIRST])
        symbols = sorted(symbol for topic, symbol in spider.newest if topic == FIRST)
        assert len(symbols) > 1
        told = [gap.scope.subjects[0].partition(":")[2] for gap in gaps(spider) if gap.reason == "sequence"]
        assert sorted(told) == symbols


async def test_rows_hold_prices_of_their_topics_window_only(tmp_path: Path) -> None:
    topic = "crypto_prices_twap_thirty"
    async with reference(tmp_path) as spider:
        [link], now = spider.links, spider.run.clock.now_ns()
        first = now // SECOND + 2
        for second, value, window_s in [(0, "5.10", 30), (1, "0", 30), (2, "6", 60), (3, "7", 30)]:
            stamp = (first + second) * 1000
            payload = (
                f'{{"topic":"{topic}","type":"update","timestamp":{stamp},"payload":'
                f'{{"symbol":"btc/usd","timestamp":{stamp},"value":{value},"window_s":{window_s}}}}}'
            )
            spider.take(link, [(now, 1 + second, payload.encode())])
        step_clock(spider, 30)
        [rows] = spider.rows.values()
        found = {from_datetime(row.tick_at) // SECOND - first: row.mid for row in rows.due()}
        assert [found[second] for second in range(4)] == [Decimal("5.10"), None, None, Decimal(7)]


def _lost(spider: Reference) -> dict[str, Gap]:
    """By topic."""
    return {gap.scope.subjects[0]: gap for gap in gaps(spider) if gap.reason == "stall" and gap.to_ns is None}
