"""What is lost since when: the first loss of a key stands, and nothing before it stays unsaid."""

from __future__ import annotations

from pathlib import Path

from marketarchive.collecting.streams.losses import Loss, Losses
from marketarchive.times import SECOND
from tests.collecting.streams import Letters, at_work, gaps, step_clock
from tests.waiting import until_async


def _loss(since: int, detail: str = "") -> Loss:
    return Loss(since, "stall", "venue", detail, "c1")


def test_the_first_loss_of_a_key_stands_until_it_is_found() -> None:
    losses = Losses()
    first, second = _loss(5), _loss(7)
    assert losses.lose("ab", first) == ["a", "b"]
    assert losses.lose("bc", second) == ["c"]
    assert losses.get("b") == first
    assert losses.find("bcx") == {first: ["b"], second: ["c"]}
    assert "b" not in losses
    assert losses.lose("b", second) == ["b"]
    assert losses.find("ab") == {first: ["a"], second: ["b"]}


def test_losses_that_readers_cannot_tell_apart_are_one() -> None:
    losses = Losses()
    losses.lose("a", Loss(5, "stall", "venue", "", "c1", noticed_mono=1))
    losses.lose("b", Loss(5, "stall", "venue", "", "c1", noticed_mono=2))
    assert losses.find("ab") == {_loss(5): ["a", "b"]}


def test_a_key_that_was_lost_before_its_loss_says_is_named_once() -> None:
    losses = Losses()
    losses.lose("ab", _loss(10))
    assert losses.begin_at(10, "abc") == []
    assert losses.begin_at(6, "bc") == ["b"]
    assert losses.begin_at(8, "ab") == ["a"]
    assert losses.begin_at(4, "b") == ["b"]
    losses.find("ab")
    losses.lose("b", _loss(20))
    assert losses.begin_at(15, "b") == ["b"]


async def test_what_lies_before_a_loss_gets_a_gap_that_reaches_into_it(tmp_path: Path) -> None:
    async with at_work(Letters, tmp_path) as spider:
        spider.want("ab")
        spider.run.stop.set()  # no connection is needed
        link = spider.new_link("ab")
        now = spider.run.clock.now_ns()
        spider.lose(link, "a", now - 2 * SECOND, "checksum", "venue", "torn")
        assert spider.lose(link, "ab", now - 9 * SECOND, "hash", "unknown", "wrong") == ["b"]
        spider.seen(link, "ab", now + SECOND)
        spider.settle()
        torn, before, wrong, *ended = gaps(spider)
        assert [gap.to_ns for gap in (torn, wrong)] == [None, None]
        assert (before.from_ns, before.reason, before.scope.subjects) == (now - 9 * SECOND, "hash", ("a",))
        assert before.to_ns is not None
        assert before.to_ns > torn.from_ns
        assert before.seq < wrong.seq  # else readers would take it for the end of that
        assert sorted((gap.from_ns, gap.to_ns) for gap in ended) == [
            (now - 9 * SECOND, now + SECOND),
            (now - 2 * SECOND, now + SECOND),
        ]


async def test_a_gap_keeps_its_length_when_our_clock_steps_back_in_it(tmp_path: Path) -> None:
    async with at_work(Letters, tmp_path, speed=100) as spider:
        spider.want("a")
        spider.run.stop.set()
        link = spider.new_link("a")
        mono = spider.run.clock.mono_ns()
        spider.lose(link, "a", spider.run.clock.now_ns(), "disconnect", "venue", "")
        await until_async(lambda: spider.run.clock.mono_ns() - mono > SECOND)
        step_clock(spider, -60)
        spider.unwant("a")
        ended = gaps(spider)[-1]
        assert ended.to_ns is not None
        assert ended.to_ns - ended.from_ns >= SECOND * 0.99


async def test_a_gap_begins_before_now_when_our_clock_has_stepped_back(tmp_path: Path) -> None:
    async with at_work(Letters, tmp_path) as spider:
        spider.want("a")
        spider.run.stop.set()
        link = spider.new_link("a")
        proven = spider.run.clock.now_ns()
        step_clock(spider, -60)
        spider.lose(link, "a", proven, "disconnect", "venue", "")
        [gap] = gaps(spider)
        now = spider.run.clock.now_ns()
        assert now - SECOND < gap.from_ns < gap.received_at
