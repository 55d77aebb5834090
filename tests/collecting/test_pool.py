"""A pool goes on after faults of our own, and carries out what a message decides before the next."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from marketarchive.exceptions import ParseError
from marketarchive.items import Invalid
from marketarchive.times import from_seconds
from marketarchive.venues.channel import Channel, Update, UpdateKind
from marketarchive.venues.polymarket.sockets import MARKET_CHANNEL
from tests.collecting.letters import Letters, LetterSession
from tests.collecting.socket_peer import TEXT, Peer, frame, peer
from tests.collecting.streams import at_work, gaps
from tests.waiting import until_async


class Clumsy(Letters):
    """Its first session cannot be made."""

    made = 0

    def new_session(self) -> LetterSession:
        self.made += 1
        if self.made == 1:
            raise RuntimeError("no session")
        return LetterSession()


async def test_a_session_that_cannot_be_made_costs_one_attempt(tmp_path: Path) -> None:
    peers: list[Peer] = []

    async def accept(one: Peer) -> None:
        await one.accept()
        peers.append(one)
        await one.gone()

    async with peer(accept) as url, at_work(Clumsy, tmp_path, speed=20) as spider:
        spider.url = url
        spider.subscribe(["a", "b"])
        [pool] = spider.pools
        keeping = asyncio.ensure_future(pool.keep())
        await until_async(lambda: peers)
        await peers[0].send(frame(TEXT, b"ab"))
        await until_async(lambda: pool.completeness.is_live("a") and pool.completeness.is_live("b"))
        keeping.cancel()
        assert spider.run.stats.get_value("spider_exceptions/count") == 1
        assert all(gap.to_ns is not None for gap in gaps(spider)[1:])


class Refusing(LetterSession):
    """`!` refuses a part of `a`."""

    def apply(self, received_at: int, seq: int, payload: bytes, **more: Any) -> list[Update]:
        if payload != b"!":
            return super().apply(received_at, seq, payload, **more)
        refusal = ParseError("Letter", "refused")
        dropped = Update("a", "dropped", received_at, detail="refused")
        return [dropped, Update("", "damage", received_at, value=refusal)]

    def concerned(self, payload: bytes) -> list[str]:
        return ["a"]


class Refused(Letters):
    """Its letters may be refused."""

    def new_session(self) -> LetterSession:
        return Refusing()


async def test_what_the_venue_refuses_is_proven_by_another_connection_only(tmp_path: Path) -> None:
    peers: list[Peer] = []

    async def accept(one: Peer) -> None:
        await one.accept()
        peers.append(one)
        await one.gone()

    async with peer(accept) as url, at_work(Refused, tmp_path, speed=20) as spider:
        spider.url = url
        spider.subscribe(["a", "b"])
        [pool] = spider.pools
        keeping = asyncio.ensure_future(pool.keep())
        await until_async(lambda: peers)
        await peers[0].send(frame(TEXT, b"ab"))
        await until_async(lambda: pool.completeness.is_live("a") and pool.completeness.is_live("b"))
        await peers[0].send(frame(TEXT, b"!") + frame(TEXT, b"ab"))
        await until_async(lambda: len(peers) == 2)
        assert not pool.completeness.is_live("a")
        assert pool.completeness.is_live("b")
        await peers[1].send(frame(TEXT, b"ab"))
        await until_async(lambda: pool.completeness.is_live("a"))
        keeping.cancel()
        put = spider.queued_items()
        assert [(each.item, each.error) for each in put if isinstance(each, Invalid)] == [
            ("Letter", "refused")
        ]


class NumberedSession(LetterSession):
    """Has the book of `a` after a `+`, until it is dropped; a `.` changes it, a `^` is dated ahead."""

    def __init__(self) -> None:
        self.books: set[str] = set()

    def apply(self, received_at: int, seq: int, payload: bytes, **more: Any) -> list[Update]:
        if payload == b"?":
            raise ParseError("Letter", "no letter")
        if payload == b"^":
            return [Update("a", "delta", 2 * more["latest"], "ok")]
        if payload == b"+":
            self.books.add("a")
        kind: UpdateKind = "snapshot" if payload == b"+" else "delta"
        return [Update("a", kind, received_at, "ok" if "a" in self.books else "unchecked")]

    def drop(self, keys: Iterable[str]) -> None:
        self.books.difference_update(keys)


class Numbered(Letters):
    """Its messages are numbered."""

    channel = Channel(MARKET_CHANNEL, "sequence", "topic", 10, expects_pong=False, has_resync=True)

    def new_session(self) -> NumberedSession:
        return NumberedSession()


@pytest.mark.parametrize("unusable", [b"?", b"^"])
async def test_a_book_in_the_batch_of_an_unusable_message_is_kept(tmp_path: Path, unusable: bytes) -> None:
    """What drops the book held is carried out before the next book comes: it came, and is not dropped."""

    async def accept(one: Peer) -> None:
        await one.accept()
        await one.gone()

    async with peer(accept) as url, at_work(Numbered, tmp_path) as spider:
        spider.url = url
        spider.subscribe(["a"])
        [pool] = spider.pools
        await until_async(lambda: pool.connections)
        [connection] = pool.connections

        def receive(*payloads: bytes) -> None:
            now = spider.run.clock.now_ns()
            pool.received(connection, [(now, seq, payload) for seq, payload in enumerate(payloads)])

        receive(b"+")
        receive(unusable, b"+")
        assert pool.completeness.is_live("a")
        assert isinstance(connection.session, NumberedSession)
        assert connection.session.books == {"a"}


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
async def test_a_retry_after_of_a_day_is_waited_for_as_long_as_that_of_a_request(
    tmp_path: Path, status: str
) -> None:
    async def refuse(one: Peer) -> None:
        await one.request()
        await one.send(f"HTTP/1.1 {status}\r\nRetry-After: 86400\r\nContent-Length: 0\r\n\r\n".encode())
        await one.gone()

    async with peer(refuse) as url, at_work(Letters, tmp_path) as spider:
        spider.url = url
        spider.subscribe(["a"])
        await until_async(lambda: spider.run.stats.get_value("stream/refusals"))
        limiter, endpoint = spider.run.process.limiter, spider.channel.endpoint
        longest = from_seconds(spider.settings.getfloat("RETRY_AFTER_MAX_S"))
        now = spider.run.clock.mono_ns()
        assert not limiter.reconnects(endpoint).is_due(now + longest // 2)
        assert limiter.reconnects(endpoint).is_due(now + longest)
