"""What pages prove and what is a gap, told by hand: answers at given seconds, no browser."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from marketarchive.clock import Instant, RealClock
from marketarchive.collecting.pages.open_page import OpenPage
from marketarchive.collecting.pages.page_keeper import News, PageKeeper
from marketarchive.collecting.streams.axis import Outage
from marketarchive.items import Response
from marketarchive.spiders.chainlink_streams import ChainlinkStreams
from marketarchive.times import SECOND
from marketarchive.venues.chainlink.endpoints import LIVE, StreamPage
from tests.collecting.streams import at_work, gaps
from tests.gap_lines import holding

START = 1_795_168_800
DIED = Outage("disconnect", "unknown", "the page crashed")
STALE = Outage("stall", "upstream", "no new observation")
REFUSED = Outage("blocked", "venue", "status 429")


class HandClock(RealClock):
    """Stands still until a test moves it; `shift` is a step of its wall time, s."""

    seconds = 0.0
    shift = 0.0

    def instant(self) -> Instant:
        return Instant(int((START + self.seconds + self.shift) * SECOND), int((1000 + self.seconds) * SECOND))

    def now_ns(self) -> int:
        return self.instant().wall

    def mono_ns(self) -> int:
        return self.instant().mono


class Script:
    """One target, whose pages a test opens and answers; times are seconds after the start."""

    def __init__(self, spider: ChainlinkStreams, monkeypatch: pytest.MonkeyPatch) -> None:
        self.spider = spider
        self.clock = spider.run.clock = HandClock()
        self.keeper = PageKeeper(spider, StreamPage("BTC", "spot"))
        self._news: News | None = None
        self._newest = -1
        monkeypatch.setattr(spider, "apply", lambda *_: self._news)

    def open(self, name: str = "p1") -> OpenPage:
        page = OpenPage(self.keeper, name)
        self.keeper.pages.append(page)
        return page

    def answer(self, page: OpenPage, newest: int, *, held: int = 60) -> None:
        """Answer with one observation a second, `held` of them before `newest`."""
        oldest = newest - held
        new = [ns(each) for each in range(max(oldest, self._newest + 1), newest + 1)]
        self._news = News(new, ns(oldest), ns(newest))
        self._newest = max(self._newest, newest)
        run = self.spider.run
        item = Response(
            "chainlink",
            "pages",
            self.clock.now_ns(),
            run.next_seq("pages"),
            "GET",
            LIVE,
            {},
            200,
            {},
            0.0,
            b"",
        )
        self.keeper.answered(page, item, LIVE)

    def show(self, page: OpenPage, until: int) -> None:
        """Answer each second up to `until`, three seconds behind."""
        while self.clock.seconds < until:
            self.pass_to(int(self.clock.seconds) + 1)
            self.answer(page, int(self.clock.seconds) - 3)

    def pass_to(self, seconds: int) -> None:
        while self.clock.seconds < seconds:
            self.clock.seconds += 1
            self.keeper.settle()

    def lose(self, page: OpenPage, outage: Outage) -> None:
        self.keeper.begin_outage(outage, page)
        page.forget(outage.detail)
        self.keeper.pages.remove(page)

    def gaps(self) -> list[tuple[float, float | None, str]]:
        """Return (from, to, reason) of the gaps that hold, without void ones."""
        lines: list[tuple[str, str, Mapping[str, Any], list[str]]] = [
            ("chainlink", "pages", {"id": gap.id, "seq": gap.seq, "from": gap.from_ns, "to": gap.to_ns,
             "reason": gap.reason}, [])
            for gap in gaps(self.spider)
        ]  # fmt: skip
        return [
            (s(line["from"]), None if line["to"] is None else s(line["to"]), line["reason"])
            for line, _ in holding(lines)
        ]


def ns(seconds: float) -> int:
    return int((START + seconds) * SECOND)


def s(at: int) -> float:
    return at / SECOND - START


@pytest.fixture
async def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Script]:
    async with at_work(ChainlinkStreams, tmp_path) as spider:
        yield Script(spider, monkeypatch)


async def test_a_page_that_goes_on_leaves_no_gap(script: Script) -> None:
    script.show(script.open(), 100)
    script.keeper.finish()
    assert gaps(script.spider) == []


@pytest.mark.parametrize("step", [30.0, -30.0])
async def test_a_step_of_the_wall_makes_no_gap(script: Script, step: float) -> None:
    page = script.open()
    script.show(page, 50)
    script.clock.shift = step
    script.show(page, 100)
    script.keeper.finish()
    assert gaps(script.spider) == []


@pytest.mark.parametrize("step", [0.0, 30.0, -30.0])
async def test_a_step_of_the_wall_changes_no_gap(script: Script, step: float) -> None:
    page = script.open()
    script.show(page, 50)
    script.lose(page, DIED)
    script.clock.shift = step
    script.pass_to(150)
    assert script.gaps() == [(47, None, "disconnect")]
    script.answer(script.open("p2"), 147)
    script.keeper.finish()
    assert script.gaps() == [(47, 87, "disconnect")]


async def test_a_renewal_makes_no_gap(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    old = script.open()
    script.show(old, 50)

    async def open_page(**_: object) -> OpenPage:
        script.pass_to(55)
        new = script.open("p2")
        script.answer(new, 47)  # nothing that the old page has not shown
        return new

    monkeypatch.setattr(script.keeper, "open_page", open_page)
    new = await script.keeper.renew(old)
    assert script.keeper.pages == [new]
    script.show(new, 100)
    script.keeper.finish()
    assert gaps(script.spider) == []


async def test_an_answer_that_reaches_back_over_an_outage_makes_its_gap_void(script: Script) -> None:
    page = script.open()
    script.show(page, 50)
    script.lose(page, DIED)
    assert script.gaps() == [(47, None, "disconnect")]
    script.pass_to(70)
    script.answer(script.open("p2"), 67)
    script.keeper.finish()
    assert script.gaps() == []


async def test_an_answer_that_does_not_reach_back_leaves_a_gap(script: Script) -> None:
    page = script.open()
    script.show(page, 50)
    script.pass_to(70)
    script.answer(page, 67, held=10)
    script.keeper.finish()
    assert script.gaps() == [(47, 57, "sequence")]


async def test_old_values_do_not_end_a_gap(script: Script) -> None:
    page = script.open()
    script.show(page, 50)
    script.pass_to(80)
    script.lose(page, STALE)
    new = script.open("p2")
    for _ in range(20):
        script.answer(new, 47)
        script.pass_to(int(script.clock.seconds) + 1)
    assert script.gaps() == [(47, None, "stall")]
    script.pass_to(160)
    script.answer(new, 157)
    assert script.gaps() == [(47, 97, "stall")]


async def test_a_refusal_that_comes_later_replaces_the_reason(script: Script) -> None:
    page = script.open()
    script.show(page, 50)
    script.lose(page, DIED)
    script.pass_to(60)
    script.lose(script.open("p2"), REFUSED)
    script.pass_to(70)
    script.lose(script.open("p3"), STALE)
    assert script.gaps() == [(47, 60, "disconnect"), (60, None, "blocked")]
    script.pass_to(4000)
    script.answer(script.open("p4"), 3997)
    script.keeper.finish()
    assert script.gaps() == [(47, 60, "disconnect"), (60, 3937, "blocked")]


async def test_a_page_refused_from_the_start_is_a_gap_from_there(script: Script) -> None:
    script.pass_to(5)
    script.lose(script.open(), REFUSED)
    script.pass_to(100)
    script.keeper.finish()
    assert script.gaps() == [(0, 100, "blocked")]


async def test_a_page_behind_a_refusal_of_another_is_blocked(script: Script) -> None:
    script.spider.blocked(3600)
    script.pass_to(100)
    assert script.gaps() == [(0, None, "blocked")]


async def test_a_page_that_loads_while_another_is_refused_says_itself_why(script: Script) -> None:
    script.spider.blocked(3600)
    page = script.open()
    script.pass_to(40)
    assert script.gaps() == []
    script.lose(page, DIED)
    assert script.gaps() == [(0, None, "disconnect")]


async def test_text_labels_are_no_proof(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    async def text() -> str:
        return "Mid-price $100 Bid price $99 Ask price $101"

    monkeypatch.setattr("marketarchive.collecting.pages.page_keeper.FIRST_S", 0.0)
    monkeypatch.setattr(script.spider, "labels", lambda text: text)
    page = script.open()
    monkeypatch.setattr(page, "text", text)
    monkeypatch.setattr(page, "is_refused", _no)
    page.loaded.set_result(None)
    script.pass_to(40)
    assert script.gaps() == []
    assert await script.keeper.first_data(page) is None
    assert page.is_text
    script.pass_to(100)
    assert script.gaps() == [(0, None, "stall")]
    assert gaps(script.spider)[0].detail == "the page fetches no JSON; prices are read from its text"
    script.keeper.finish()
    assert script.gaps() == [(0, 100, "stall")]


async def _no() -> bool:
    return False
