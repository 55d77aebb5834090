"""What a connection of the market channel is held to when another one takes over from it."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

from marketarchive.collecting.polymarket.market_link import MarketLink
from marketarchive.collecting.polymarket.market_stream import Watched
from marketarchive.collecting.spider import Answer, Ask
from marketarchive.collecting.streams.link import UNDER_WAY_S
from marketarchive.items import Gap, Verdict
from marketarchive.spiders.polymarket_stream import PolymarketStream
from marketarchive.venues.messages import Parsed
from marketarchive.venues.polymarket import market_channel
from marketarchive.venues.polymarket.clob import Book
from marketarchive.venues.polymarket.market_channel import BookEvent
from tests.collecting.streams import at_work, gaps, step_clock
from tests.master.markets import market
from tests.venues.polymarket.tape import START_MS, Tape
from tests.waiting import until_async


class Channel:
    """Two connections of one market, the first of which has its books; frames are handed over by hand."""

    def __init__(self, spider: PolymarketStream, tape: Tape, *, is_told: bool) -> None:
        self.spider, self.tape = spider, tape
        self.market = tape.markets[0]
        self.seqs = itertools.count(1)
        self.old, self.new = self._link(), self._link()
        if is_told:
            self.tell(self.old, tape.dump())

    def _link(self) -> MarketLink:
        link = self.spider.new_link(self.tape.tokens)
        assert isinstance(link, MarketLink)
        link.opened_at = self.spider.run.clock.now_ns()
        return link

    def tell(self, link: MarketLink, *payloads: bytes) -> None:
        at = self.spider.run.clock.now_ns()
        link.received([(at, next(self.seqs), payload) for payload in payloads])

    def change(self) -> bytes:
        """The next change of both books, by the venue's clock."""
        self.tape.now = self.spider.run.clock.now_ns() // 1_000_000
        return self.tape.change(self.market)

    def refreshed(self) -> list[bytes]:
        """Both whole books, as after a trade: they mend whatever was missed, unseen."""
        return [self.tape.refresh(self.market, token) for token in self.tape.tokens]

    def shown(self) -> list[Book]:
        """Both books as a look-up shows them."""
        return [event.book for payload in self.refreshed() for event in _books_of(payload)]

    def asks(self) -> Ask:
        """The spider asks for both books; nothing is sent."""
        asked: list[Ask] = []

        def submit(ask: Ask) -> None:
            asked.append(ask)

        self.spider.submit = submit  # type: ignore[method-assign]  # nothing is sent
        self.spider._ask_for(self.tape.tokens)
        return asked[0]

    def answers(self, ask: Ask, books: list[Book]) -> None:
        self.spider.put(*ask.then(Answer(ask, 200, Parsed(books=books), self.spider.run.clock.now_ns(), 1)))

    async def passes(self, seconds: float) -> None:
        clock = self.spider.run.clock
        begun = clock.mono_ns()
        await until_async(lambda: clock.mono_ns() - begun > seconds * 1e9)

    def ends(self, *, is_told: bool) -> int:
        """The market is over; when its gaps were closed, wall ns."""
        ended_at = self.spider.run.clock.now_ns()

        def unwant(keys: Iterable[str]) -> None:
            self.spider._close_gaps(list(keys), ended_at)
            self.spider._group_of.clear()

        self.spider.unwant = unwant  # type: ignore[method-assign]  # there is no connection to tell
        self.spider._let_be(next(iter(self.spider.watched.values())).market, is_told=is_told)
        return ended_at

    def opens(self) -> None:
        """The second connection stands."""
        self.spider.taking_over(self.old)
        self.new.opened_at = self.spider.run.clock.now_ns()


@asynccontextmanager
async def channel(folder: Path, *, is_told: bool = True) -> AsyncIterator[Channel]:
    start = (START_MS + 60_000) * 1_000_000
    async with at_work(PolymarketStream, folder, speed=50, start=start) as spider:
        tape = Tape(3)
        names = dict(zip(("Up", "Down"), tape.tokens, strict=True))
        known = market(0, tape.markets[0].id, slug="a-round", tokens=names)
        spider.watched = {token: Watched(known, start, start) for token in tape.tokens}
        spider.let_go = {}
        spider._over = set()
        spider._group_of = dict.fromkeys(tape.tokens)  # type: ignore[assignment]  # no connection is wanted
        yield Channel(spider, tape, is_told=is_told)
        spider._group_of.clear()


@asynccontextmanager
async def attended(folder: Path, *, is_told: bool = True) -> AsyncIterator[Channel]:
    """As above, while the first connection is open."""
    with patch.object(MarketLink, "is_open", True):
        async with channel(folder, is_told=is_told) as at:
            at.spider.links = {at.old}
            yield at
            at.spider.links.clear()


async def test_what_the_old_connection_told_before_or_soon_after_is_no_gap(tmp_path: Path) -> None:
    async with channel(tmp_path) as at:
        at.tell(at.old, at.change())
        await at.passes(1)
        at.opens()
        under_way = at.change()
        at.tell(at.new, at.tape.dump())
        at.tell(at.old, under_way)
        await at.passes(0.5)
        at.tell(at.old, at.change())
        await at.spider.take_over(at.old, at.new)
        assert not gaps(at.spider)


@pytest.mark.parametrize("ends", ["never", "before the first book", "after it"])
async def test_a_mute_is_noticed_whenever_it_ends(ends: str, tmp_path: Path) -> None:
    async with channel(tmp_path) as at:
        await at.passes(2)
        told = at.change()
        at.tell(at.old, told)
        proven = min(at.old.proven.values())
        await at.passes(2)
        at.opens()
        at.change()  # the old connection is mute
        missed_at = at.spider.run.clock.now_ns()
        first = at.tape.dump()
        await at.passes(0.5)
        if ends == "before the first book":
            at.change()
            at.tell(at.old, *at.refreshed())
        at.tell(at.new, first)
        if ends == "after it":
            at.change()
            at.tell(at.old, *at.refreshed())
        await at.spider.take_over(at.old, at.new)
        closed = [gap for gap in gaps(at.spider) if gap.to_ns is not None]
        assert len(closed) == 1
        assert (closed[0].reason, set(closed[0].scope.subjects)) == ("stall", set(at.tape.tokens))
        assert closed[0].scope.connection == at.old.name
        assert _spans(closed[0], missed_at)
        assert closed[0].from_ns >= proven
        assert at.old.told is None


async def test_a_gap_that_the_first_book_ended_is_not_written_again_as_longer(tmp_path: Path) -> None:
    """A whole book that comes later, after a trade, is no first book: the new connection told it."""
    async with channel(tmp_path) as at:
        await at.passes(1)
        at.tell(at.old, at.change())
        at.opens()
        at.change()  # the old connection is mute, and that is known
        since = min(at.old.proven.values())
        at.spider.lose(at.old, at.tape.tokens, since, "stall", "venue", "frozen")
        at.tell(at.new, at.tape.dump())
        found_at = at.spider.run.clock.now_ns()
        await at.passes(1)
        at.tell(at.new, at.change(), *at.refreshed())
        await at.spider.take_over(at.old, at.new)
        closed = [gap for gap in gaps(at.spider) if gap.to_ns is not None]
        assert len(closed) == 1
        assert closed[0].from_ns == since
        assert closed[0].to_ns is not None
        assert closed[0].to_ns <= found_at


@pytest.mark.parametrize("passed_over", ["before it opened", "while it took over"])
@pytest.mark.parametrize("is_told", [True, False])
async def test_frames_that_were_passed_over_prove_their_order_and_accuse_nobody(
    is_told: bool, passed_over: str, tmp_path: Path
) -> None:
    """Nobody has looked at them; but messages come in order, so the newest vouches for those before it."""
    async with channel(tmp_path) as at:
        await at.passes(1)
        proven = min(at.old.proven.values())
        change = at.change()
        missed_at = at.spider.run.clock.now_ns()
        batch = [(missed_at, 1, change), (missed_at, 2, b"PONG")] if is_told else [(missed_at, 1, b"PONG")]
        if passed_over == "before it opened":
            at.spider._pass_over(at.old, batch)
            at.opens()
        else:
            at.opens()
            at.spider._pass_over(at.old, batch)
        await at.passes(0.1)
        at.tell(at.new, at.tape.dump())
        await at.spider.take_over(at.old, at.new)
        closed = [gap for gap in gaps(at.spider) if gap.to_ns is not None]
        assert len(closed) == (not is_told)
        for gap in closed:
            assert gap.from_ns == proven
            assert _spans(gap, missed_at)


async def test_a_book_asked_for_after_messages_were_passed_over_proves_nothing_before_it(
    tmp_path: Path,
) -> None:
    """The connection has died meanwhile: what it did not tell before the answer is missing too."""
    async with attended(tmp_path) as at:
        await at.passes(1)
        change = at.change()
        at.spider._pass_over(at.old, [(at.spider.run.clock.now_ns(), 1, change)])
        await at.passes(0.5)
        at.change()  # from here on nothing is told
        missed_at = at.spider.run.clock.now_ns()
        await at.passes(0.5)
        at.answers(at.asks(), at.shown())
        await at.passes(UNDER_WAY_S)
        await asyncio.gather(*at.spider._tasks)
        found = gaps(at.spider)
        assert {token for gap in found for token in gap.scope.subjects} == set(at.tape.tokens)
        assert all(gap.from_ns < missed_at and gap.to_ns is None for gap in found)


@pytest.mark.parametrize("doubt", ["an older first book last", "our clock behind", "a first book"])
async def test_what_was_passed_over_had_come(doubt: str, tmp_path: Path) -> None:
    """It is in the archive: a look-up that shows it finds nothing missing, and nothing is waited for."""
    async with attended(tmp_path, is_told=doubt != "a first book") as at:
        await at.passes(1)
        payloads = [at.tape.dump() if doubt == "a first book" else at.change()]
        if doubt == "an older first book last":
            payloads.append(Tape(9).dump())  # of a quiet market
        if doubt == "our clock behind":
            step_clock(at.spider, -1)
        await at.passes(0.1)
        now = at.spider.run.clock.now_ns()
        at.spider._pass_over(at.old, [(now, number, payload) for number, payload in enumerate(payloads)])
        await at.passes(0.5)
        at.answers(at.asks(), [event.book for event in _books_of(at.tape.dump())])
        await at.passes(UNDER_WAY_S)
        await asyncio.gather(*at.spider._tasks)
        assert not gaps(at.spider)
        assert not at.old.waiting


async def test_an_answer_to_a_heartbeat_that_was_passed_over_is_no_data(tmp_path: Path) -> None:
    async with attended(tmp_path) as at:
        heard = at.old.data_at
        at.spider._pass_over(at.old, [(at.spider.run.clock.now_ns(), 1, b"PONG")])
        assert at.old.data_at == heard


async def test_a_first_book_proves_what_was_before_but_for_what_may_be_under_way(tmp_path: Path) -> None:
    async with channel(tmp_path) as at:
        await at.passes(5)
        at.opens()
        at.tell(at.new, at.tape.dump())
        allowed = at.new.opened_at - UNDER_WAY_S * 1_000_000_000
        assert {each.proven_at for each in at.spider.watched.values()} == {allowed}
        assert at.new.proven_at == allowed


async def test_a_replacement_that_did_not_come_about_leaves_nothing(tmp_path: Path) -> None:
    async with channel(tmp_path) as at:
        at.opens()
        at.spider.stays(at.old)
        at.tell(at.old, at.change())
        assert at.old.told is None


async def test_a_book_from_a_look_up_is_held_to_as_well(tmp_path: Path) -> None:
    """The first connection had stalled before it told anything of the market."""
    async with attended(tmp_path, is_told=False) as at:
        await at.passes(1)
        at.change()
        answered_at = at.spider.run.clock.now_ns()
        at.answers(at.asks(), at.shown())
        await at.passes(1)
        at.change()  # the connection still tells nothing
        missed_at = at.spider.run.clock.now_ns()
        at.opens()
        at.tell(at.new, at.tape.dump())
        await at.spider.take_over(at.old, at.new)
        closed = [gap for gap in gaps(at.spider) if gap.to_ns is not None]
        assert len(closed) == 1
        assert _spans(closed[0], missed_at)
        assert closed[0].from_ns <= answered_at


async def test_an_answer_older_than_what_came_without_a_first_book_is_no_loss(tmp_path: Path) -> None:
    async with attended(tmp_path, is_told=False) as at:
        at.tell(at.old, at.change())
        ask = at.asks()
        await at.passes(0.1)
        shown = at.shown()
        await at.passes(0.1)
        at.tell(at.old, at.change())
        at.answers(ask, shown)
        await at.passes(0.1)
        at.tell(at.old, at.change())
        assert not gaps(at.spider)
        assert set(_verdicts(at.old)) == {"ok"}


@pytest.mark.parametrize("passed_over", ["before it was asked", "under way"])
async def test_an_answer_from_before_what_was_passed_over_is_no_base(
    passed_over: str, tmp_path: Path
) -> None:
    async with attended(tmp_path) as at:
        at.spider._pass_over(at.old, [(1, 1, at.change())])
        ask = at.asks()
        await at.passes(0.1)
        shown = at.shown()
        if passed_over == "under way":
            await at.passes(0.1)
            at.spider._pass_over(at.old, [(1, 2, at.change())])
        at.answers(ask, shown)
        await at.passes(0.1)
        at.tell(at.old, at.change())
        assert not gaps(at.spider)
        if passed_over == "under way":
            at.answers(at.asks(), at.shown())
        assert set(_verdicts(at.old)) == {"ok"}


@pytest.mark.parametrize("then", ["goes on", "tells it after all", "stays mute"])
async def test_a_change_that_a_look_up_shows_has_to_be_told(then: str, tmp_path: Path) -> None:
    async with attended(tmp_path) as at:
        await at.passes(1)
        at.tell(at.old, at.change())
        proven = min(at.old.proven.values())
        await at.passes(1)
        late = at.change()  # the connection is mute
        missed_at = at.spider.run.clock.now_ns()
        asked = at.shown()
        await at.passes(0.5)
        waiting = [at.spider._await_change(book.token, at.spider.watched[book.token], book) for book in asked]
        if then == "goes on":
            at.change()
            at.tell(at.old, *at.refreshed())
        elif then == "tells it after all":
            at.tell(at.old, late)
        await asyncio.gather(*waiting)
        found = gaps(at.spider)
        assert (not found) == (then == "tells it after all")
        assert any(gap.to_ns is None for gap in found) == bool(found)
        closed = [gap for gap in found if gap.to_ns is not None]
        assert bool(closed) == (then == "goes on")
        assert {token for gap in found for token in gap.scope.subjects} <= set(at.tape.tokens)
        for gap in closed:
            assert _spans(gap, missed_at)
            assert gap.from_ns >= proven


async def test_a_change_may_be_told_at_the_very_moment_that_a_look_up_shows_it(tmp_path: Path) -> None:
    async with attended(tmp_path) as at:
        await at.passes(1)
        late = at.change()
        at.answers(at.asks(), at.shown())
        at.tell(at.old, late)  # it had waited in its batch
        await at.passes(1)
        at.tell(at.old, at.change())
        await at.passes(UNDER_WAY_S)
        await asyncio.gather(*at.spider._tasks)
        assert not gaps(at.spider)


async def test_a_change_that_was_lost_before_a_hash_broke_is_not_missed_twice(tmp_path: Path) -> None:
    """A look-up shows it during a mute; then the next change breaks, and a second look-up mends the book."""
    async with attended(tmp_path) as at:
        at.tell(at.old, at.change())
        await at.passes(1)
        at.change()  # the connection is mute
        waiting = [
            at.spider._await_change(book.token, at.spider.watched[book.token], book) for book in at.shown()
        ]
        await at.passes(0.5)
        at.tell(at.old, at.change())
        assert all(token in at.spider.losses for token in at.tape.tokens)
        at.answers(at.asks(), at.shown())
        await asyncio.gather(*waiting)
        assert {gap.reason for gap in gaps(at.spider)} == {"hash"}
        assert not any(token in at.spider.losses for token in at.tape.tokens)


@pytest.mark.parametrize(("silent_s", "is_told"), [(15, False), (2, False), (15, True)])
async def test_a_market_that_ends_on_a_silent_connection_leaves_a_gap(
    silent_s: float, is_told: bool, tmp_path: Path
) -> None:
    async with attended(tmp_path) as at:
        at.tell(at.old, at.change())
        proven = min(each.proven_at for each in at.spider.watched.values())
        await at.passes(silent_s)
        ended_at = at.ends(is_told=is_told)
        closed = [gap for gap in gaps(at.spider) if gap.to_ns is not None]
        assert len(closed) == (silent_s > 10 and not is_told)
        for gap in closed:
            assert gap.reason == "stall"
            assert gap.from_ns == proven
            assert gap.to_ns == ended_at


@pytest.mark.parametrize("goes_on", [True, False])
async def test_a_silence_that_began_just_before_the_end_is_waited_for(goes_on: bool, tmp_path: Path) -> None:
    async with attended(tmp_path) as at:
        at.tell(at.old, at.change())
        proven = min(each.proven_at for each in at.spider.watched.values())
        await at.passes(2)
        ended_at = at.spider.run.clock.now_ns()
        at.ends(is_told=False)
        await at.passes(1)
        if goes_on:
            at.old.data_at = at.spider.run.clock.now_ns()  # another market of the connection
        await asyncio.gather(*at.spider._tasks)
        found = gaps(at.spider)
        assert len(found) == (not goes_on)
        for gap in found:
            assert set(gap.scope.subjects) == set(at.tape.tokens)
            assert gap.from_ns == proven
            assert gap.to_ns is not None
            assert abs(gap.to_ns - ended_at) < 1_000_000_000


@pytest.mark.parametrize("told_late", [True, False])
async def test_a_market_may_end_while_another_connection_takes_over(told_late: bool, tmp_path: Path) -> None:
    """The new connection tells the end; what the old one had not told is still missing."""
    async with attended(tmp_path) as at:
        at.spider.links = {at.old, at.new}
        await at.passes(2)
        at.tell(at.old, at.change())
        proven = min(at.old.proven.values())
        at.opens()
        late = at.change()
        missed_at = at.spider.run.clock.now_ns()
        at.tell(at.new, at.tape.dump())
        taking_over = asyncio.create_task(at.spider.take_over(at.old, at.new))
        await at.passes(0.5)
        at.ends(is_told=True)
        if told_late:
            at.tell(at.old, late)
        await taking_over
        found = gaps(at.spider)
        assert len(found) == (not told_late)
        for gap in found:
            assert (gap.scope.connection, set(gap.scope.subjects)) == (at.old.name, set(at.tape.tokens))
            assert gap.from_ns == proven
            assert _spans(gap, missed_at)


@pytest.mark.parametrize("told_late", ["looked at", "passed over", "after the run", ""])
async def test_a_market_may_end_while_a_change_is_waited_for(told_late: str, tmp_path: Path) -> None:
    async with attended(tmp_path) as at:
        await at.passes(1)
        proven = min(each.proven_at for each in at.spider.watched.values())
        late = at.change()
        missed_at = at.spider.run.clock.now_ns()
        at.answers(at.asks(), at.shown())
        await at.passes(0.5)
        at.ends(is_told=True)
        if told_late == "looked at":
            at.tell(at.old, late)
        elif told_late == "passed over":
            at.spider._pass_over(at.old, [(at.spider.run.clock.now_ns(), 1, late)])
        elif told_late:
            at.spider.run.stop.set()
        await asyncio.gather(*at.spider._tasks)
        found = gaps(at.spider)
        assert len(found) == (0 if told_late else len(at.tape.tokens))
        for gap in found:
            assert gap.from_ns == proven
            assert _spans(gap, missed_at)


async def test_an_answer_may_show_a_change_of_one_token_and_the_end_of_the_market(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The venue does not know the other token any more."""
    async with attended(tmp_path) as at:
        await at.passes(1)
        at.change()
        missed_at = at.spider.run.clock.now_ns()
        monkeypatch.setattr(at.spider, "_is_past_end", lambda _: True)
        monkeypatch.setattr(at.spider, "unwant", at.old.keys.difference_update)
        at.answers(at.asks(), at.shown()[:1])
        await at.passes(1)
        at.old.data_at = at.spider.run.clock.now_ns()  # other markets go on
        await asyncio.gather(*at.spider._tasks)
        [gap] = gaps(at.spider)
        assert _spans(gap, missed_at)


async def test_a_change_that_was_waited_for_when_the_connection_broke(tmp_path: Path) -> None:
    """The others had gone on, so that the break is proven up to a later moment; then the market ends."""
    async with attended(tmp_path) as at:
        await at.passes(5)
        at.change()
        missed_at = at.spider.run.clock.now_ns()
        at.answers(at.asks(), at.shown())
        await at.passes(1)
        at.old.newest_event = at.spider.run.clock.now_ns()
        at.spider.links.clear()
        at.spider.lose(at.old, at.tape.tokens, at.old.proven_at, "disconnect", "venue", "cut")
        await asyncio.gather(*at.spider._tasks)
        at.ends(is_told=False)
        stalls = [gap for gap in gaps(at.spider) if gap.reason == "stall"]
        assert {token for gap in stalls for token in gap.scope.subjects} == set(at.tape.tokens)
        assert all(_spans(gap, missed_at) for gap in stalls)


async def test_a_damaged_frame_on_a_connection_that_still_knows_an_ended_market(tmp_path: Path) -> None:
    """It was being opened when the market ended."""
    async with channel(tmp_path) as at:
        at.ends(is_told=True)
        damaged = json.dumps({"event_type": "price_change", "market": "0xabc", "timestamp": "17"})[:-5]
        at.spider.take(at.new, [(at.spider.run.clock.now_ns(), 1, damaged.encode())])
        assert not gaps(at.spider)


async def test_only_the_connection_of_a_market_says_that_it_is_over(tmp_path: Path) -> None:
    """Every connection is told, also when the one that had the market has fallen silent before its end."""
    async with attended(tmp_path) as at:
        at.spider.links = {at.old, at.new}
        at.new.keys.clear()
        at.spider._group_of.clear()
        document = {"event_type": "market_resolved", "market": at.market.id, "assets_ids": at.tape.tokens}
        over = json.dumps({**document, "timestamp": str(at.tape.now)}).encode()
        at.tell(at.new, over)
        assert set(at.spider.watched) == set(at.tape.tokens)
        at.tell(at.old, over)
        assert not at.spider.watched
        assert not gaps(at.spider)


async def test_a_gap_has_its_length_after_our_clock_has_stepped_back(tmp_path: Path) -> None:
    """The connection was opened in what is now the future."""
    async with channel(tmp_path) as at:
        await at.passes(2)
        step_clock(at.spider, -60)
        at.change()
        at.tell(at.old, *at.refreshed())
        await at.passes(2)
        at.change()  # lost
        await at.passes(2)
        at.tell(at.old, b"PONG")
        at.tell(at.old, at.change())
        lost = [gap for gap in gaps(at.spider) if gap.reason == "hash"]
        assert lost
        now = at.spider.run.clock.now_ns()
        assert all(gap.from_ns < now - 3_000_000_000 for gap in lost)


def _verdicts(link: MarketLink) -> list[Verdict]:
    return [book.verdict for book in link.books.books.values()]


def _books_of(payload: bytes) -> list[BookEvent]:
    return [event for event in market_channel.decode(payload) if isinstance(event, BookEvent)]


def _spans(gap: Gap, at: int) -> bool:
    assert gap.to_ns is not None
    return gap.from_ns < at <= gap.to_ns
