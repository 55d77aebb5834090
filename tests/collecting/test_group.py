"""Keys over one connection after the other, against a real peer: what is lost is said, from when it is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from marketarchive.archive.lines import build
from marketarchive.items import Connection, Gap
from marketarchive.times import SECOND
from tests.collecting.socket_peer import TEXT, Peer, close, frame, peer
from tests.collecting.streams import Letters, at_work, gaps
from tests.waiting import until_async

REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"


class Venue:
    """Each connection is accepted, or refused with 403; the letters subscribed are sent at once."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.refused: list[Peer] = []
        self.refuses = False
        self.is_silent = False

    async def __call__(self, one: Peer) -> None:
        if self.refuses:
            await one.request()
            self.refused.append(one)
            await self.before_refusal()
            await one.send(REFUSED)
            return
        await one.accept()
        _, letters = await one.frame()
        self.peers.append(one)
        if not self.is_silent:
            await one.send(frame(TEXT, letters))
        await one.gone()

    async def before_refusal(self) -> None:
        """For a test to say what happens meanwhile."""


def _open(spider: Letters) -> list[Gap]:
    return [gap for gap in gaps(spider) if gap.to_ns is None]


def _ended(spider: Letters) -> list[Gap]:
    return [gap for gap in gaps(spider) if gap.to_ns is not None]


async def test_a_lost_connection_is_a_gap_from_what_was_proven_to_what_is_found(tmp_path: Path) -> None:
    venue = Venue()
    async with peer(venue) as url, at_work(Letters, tmp_path) as spider:
        spider.url = url
        spider.want("ab")
        await until_async(lambda: spider.covers("a") and spider.covers("b"))
        [link] = spider.links
        proven = link.proven_at
        await venue.peers[0].send(close(1001, "away"))
        await until_async(lambda: _ended(spider))
        [lost], [ended] = _open(spider), _ended(spider)
        assert lost.from_ns == ended.from_ns == proven
        assert (ended.reason, ended.cause, ended.scope.subjects) == ("disconnect", "venue", ("a", "b"))
        assert ended.detail == lost.detail == "close code 1001 away"
        assert ended.id == lost.id == f"{spider.run.archive.run}:{lost.seq}"
        put: list[Any] = list(spider._outbox._queue)  # type: ignore[attr-defined]  # of asyncio.Queue
        events = {one.event: one.keys for one in put if isinstance(one, Connection)}
        assert events == {"opened": ("a", "b"), "closed": None}
        assert spider.covers("a")


class Many(Letters):
    """All letters on one connection, each message one letter."""

    name = "many"
    keys_per_socket = 2000


async def test_one_disconnect_of_many_keys_names_each_twice(tmp_path: Path) -> None:
    """In the gap and in an end line; a third time in the connection on which it is subscribed again."""
    keys = [chr(0x4E00 + number) for number in range(Many.keys_per_socket)]
    async with at_work(Many, tmp_path) as spider:
        spider.want(keys)
        spider.run.stop.set()  # no connection is needed
        link = spider.new_link(keys)
        now = spider.run.clock.now_ns()
        assert spider.lose(link, keys, now - SECOND, "disconnect", "venue", "cut") == keys
        for number, key in enumerate(keys):  # one after the other, as first books come
            spider.seen(link, key, now + number)
            spider.settle()
        begun, *ended = gaps(spider)
    assert begun.to_ns is None
    assert begun.scope.subjects == tuple(keys)
    assert [one.scope.subjects for one in ended] == [(key,) for key in keys]
    assert {one.id for one in ended} == {begun.id}
    assert [one.is_first for one in (begun, *ended[:2])] == [True, False, False]
    assert sum(build(one).size for one in (begun, *ended)) < 500 * len(keys)
    assert spider.run.stats.get_value("gaps/disconnect") == 1


async def test_a_replacement_comes_before_the_break_and_is_no_gap(tmp_path: Path) -> None:
    venue = Venue()
    async with peer(venue) as url, at_work(Letters, tmp_path) as spider:
        spider.url = url
        spider.want("ab")
        await until_async(lambda: spider.covers("a"))
        spider.renew("a")
        await until_async(lambda: len(venue.peers) == 2 and len(spider.links) == 1)
        assert [link.name for link in spider.links] == ["c2"]
        assert spider.covers("b")
        assert not gaps(spider)


async def test_while_a_replacement_is_refused_the_old_connection_is_attended(tmp_path: Path) -> None:
    """Its end is a gap at once, and the venue is left alone for as long as it was to be."""
    venue = Venue()
    async with peer(venue) as url, at_work(Letters, tmp_path, speed=10) as spider:
        spider.url = url
        spider.want("a")
        await until_async(lambda: spider.covers("a"))
        clock = spider.run.clock
        venue.refuses = True
        spider.renew("a")
        await until_async(lambda: venue.refused)
        refused_at = clock.mono_ns()
        await until_async(lambda: spider.run.stats.get_value("stream/refusals"))
        venue.refuses = False
        assert not gaps(spider)
        await venue.peers[0].cut()
        await until_async(lambda: gaps(spider))
        assert clock.mono_ns() - refused_at < 30 * SECOND
        await until_async(lambda: len(venue.peers) >= 2)
        assert clock.mono_ns() - refused_at > 55 * SECOND
        await until_async(lambda: _ended(spider))


async def test_a_connection_that_ends_while_its_replacement_is_refused_is_lost_since_it_proved(
    tmp_path: Path,
) -> None:
    venue = Venue()
    async with peer(venue) as url, at_work(Letters, tmp_path, speed=10) as spider:

        async def cut() -> None:
            await venue.peers[0].cut()
            await asyncio.sleep(0)  # let it go out first
            await until_async(lambda: not link.is_open)

        spider.url = url
        spider.want("a")
        await until_async(lambda: spider.covers("a"))
        [link] = spider.links
        wanted = spider.run.clock.now_ns()
        await until_async(lambda: spider.run.clock.now_ns() - wanted > 5 * SECOND)
        await venue.peers[0].send(frame(TEXT, b"a"))
        await until_async(lambda: link.proven_at > wanted + 4 * SECOND)
        proven = link.proven_at
        venue.refuses = True
        venue.before_refusal = cut  # type: ignore[method-assign]
        spider.renew("a")
        await until_async(lambda: gaps(spider))
        assert [gap.from_ns for gap in gaps(spider)] == [proven]
        assert {gap.reason for gap in gaps(spider)} == {"disconnect"}


async def test_what_never_comes_is_lost_since_it_is_wanted(tmp_path: Path) -> None:
    venue = Venue()
    venue.is_silent = True
    async with peer(venue) as url, at_work(Letters, tmp_path, speed=20) as spider:
        spider.url = url
        before = spider.run.clock.now_ns()
        spider.want("a")
        after = spider.run.clock.now_ns()
        await until_async(lambda: gaps(spider))
        [gap] = gaps(spider)
        assert before <= gap.from_ns <= after
        assert (gap.reason, gap.detail) == ("stall", "nothing came within 10 s")
