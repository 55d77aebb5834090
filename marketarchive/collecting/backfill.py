"""Collecting the past of markets that have ended: their lists, and the history of their prices.

All answers are archived in the feed `backfill`, which holds nothing that was observed live. A request whose
answer the archive holds is not sent again, so a backfill that was killed continues when it is started again.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from marketarchive.archive.files import Files
from marketarchive.archive.ledger import Ledger
from marketarchive.archive.reader import ArchiveReader
from marketarchive.collecting.arguments import Argument, Arguments, moment
from marketarchive.collecting.master_settings import master_url, snapshots_kept
from marketarchive.collecting.spider import Answer
from marketarchive.collecting.sweep import Pages, SweepSpider
from marketarchive.exceptions import ArgumentError, CursorError, MarketArchiveError, ParseError
from marketarchive.items import Market
from marketarchive.master.rebuild import rebuild
from marketarchive.times import DAY, iso
from marketarchive.venues import venues
from marketarchive.venues.endpoint import Query
from marketarchive.venues.messages import Parsed, Received

logger = logging.getLogger(__name__)

FEED = "backfill"
START = Argument(
    "start", moment, "2026-10-01", "only markets that ended at this time or later (ISO 8601, UTC)"
)
END = Argument(
    "end", moment, "2026-11-01", "only markets that ended before this time (default: today's 00:00 UTC)"
)
MINUTES = 60
"""Minutes between two points of a price history."""
AT_ONCE = 4
"""Greatest number of requests for histories that are in flight at once."""


class PastMarket(NamedTuple):
    """A market that has ended, as its list states it; times are Unix ns."""

    name: str  # the name by which its price history is requested
    market_id: str
    opened: int | None
    ended: int


@dataclass
class BackfillAnswer:
    """The parts of a parsed answer that a backfill needs."""

    keys: tuple[str, ...] = ()
    next_cursor: str | None = None
    past: tuple[PastMarket, ...] = ()  # ended markets that it lists
    named: frozenset[str] = frozenset()  # names of the markets for which it has price history


@dataclass
class BackfillJob:
    """State of a backfill (a venue and a time range) over all its runs, a file in OUTPUT_DIR/backfill."""

    path: Path
    runs: list[str] = field(default_factory=list)
    finished_by: str | None = None  # run that had all answers; they are on the disk once it is sealed
    markets: int = 0

    @classmethod
    def of(cls, root: Path, venue: str, start: int, end: int) -> BackfillJob:
        """Return the job of a venue and range as its file describes it, or a new one without a file.

        start, end: the range of the markets' ends, Unix ns.
        """
        text = "-".join(iso(each)[:19].replace(":", "").replace("-", "") for each in (start, end))
        job = cls(root / "backfill" / f"{venue}-{text}.json")
        if job.path.exists():
            kept = json.loads(job.path.read_bytes())
            job.runs, job.finished_by, job.markets = kept["runs"], kept["finished_by"], kept["markets"]
        return job

    def is_finished(self, root: Path) -> bool:
        """Return whether the archive holds all answers: a run had them all and sealed itself without a crash.

        root: OUTPUT_DIR.
        """
        if self.finished_by is None:
            return False
        lines = Ledger(root).of_run(self.finished_by)
        kinds = {each.kind for each in lines if each.get("run") == self.finished_by}
        return "manifest" in kinds and "recovered" not in kinds

    def write(self) -> None:
        """Replace the job's file; when this returns, the new one is on the disk."""
        files = Files()
        files.make_dirs(self.path.parent, self.path.parent.parent)
        kept = {"runs": self.runs, "finished_by": self.finished_by, "markets": self.markets}
        files.write_whole(self.path, json.dumps(kept).encode())


class BackfillSpider(SweepSpider):
    """Base class of spiders of markets that ended in start <= time < end, with the history of their prices.

    A subclass implements `list_past`, which calls `list_all`, and `fetch_histories`, which calls `look_up`
    for each request; `past_of` and `named_of` decode the answers.
    """

    feed = FEED
    feeds = (FEED,)
    accepts = (START, END)
    item_classes = (Market,)

    @classmethod
    def check_arguments(cls, given: Mapping[str, Any]) -> Arguments:
        """Return the parsed arguments.

        Raises ArgumentError where `start` is missing or `end` is not after it.
        """
        arguments = super().check_arguments(given)
        start, end = (arguments.others.get(name) for name in ("start", "end"))
        if start is None:
            raise ArgumentError(
                f"{cls.name} needs start=TIME, e.g. start=2026-10-01: it collects markets that ended at that "
                "time or later"
            )
        if end is not None and end <= start:
            raise ArgumentError(f"end={given['end']!r} is not after start={given['start']!r}")
        return arguments

    # ---- what subclasses write -------------------------------------------------------------------------

    async def list_past(self) -> list[PastMarket]:
        """Return the markets in the venue's lists of ended markets, those outside the time range too."""
        raise NotImplementedError

    async def fetch_histories(self, markets: Sequence[PastMarket]) -> None:
        """Request the price history of each market of the time range, the earliest end first."""
        raise NotImplementedError

    def past_of(self, parsed: Parsed) -> Iterator[PastMarket]:
        """Yield the markets that an answer lists and that have ended."""
        raise NotImplementedError

    def named_of(self, parsed: Parsed) -> Iterator[str]:
        """Yield the names of the markets for which an answer has price history."""
        raise NotImplementedError

    # ---- what they use ---------------------------------------------------------------------------------

    @property
    def start_ns(self) -> int:
        """Return the argument `start`: markets that ended from this time on are collected, wall ns."""
        return int(self.arguments.others["start"])

    @property
    def end_ns(self) -> int:
        """Return the end of the time range: only markets that ended before it are collected, wall ns."""
        return self._end_ns

    async def list_all(self, query: Query) -> list[PastMarket]:
        """Return the markets of all pages of a list, or of its pages until `is_enough` is true for one.

        query: the request for the first page. A page without an answer, or paging that goes in a circle, ends
        the list.
        """
        pages = Pages()
        found: list[PastMarket] = []
        following: Query | None = query
        while following is not None and not self.run.stop.is_set():
            page = await self.look_up(following)
            if page is None:
                return found
            try:
                pages.check(page.keys, page.next_cursor)
            except CursorError as error:
                self.put_cursor_gap(following, FEED, self.run.clock.now_ns(), str(error))
                self._failures += 1
                return found
            found += page.past
            if self.is_enough(page.past):
                break
            following = self._venue.next_page(following, Parsed(next_cursor=page.next_cursor))
        return found

    def is_enough(self, page: Sequence[PastMarket]) -> bool:  # noqa: ARG002  (for subclasses)
        """Return whether no later page of the list can have a market of the time range.

        page: the ended markets of one page.
        """
        return False

    async def look_up(self, query: Query) -> BackfillAnswer | None:
        """Return the parsed answer to a request, from the archive where an earlier run stored it.

        None is returned without an answer.

        A failure is recorded as a gap, and the backfill stays unfinished.
        """
        key = _key(query.url, query.params, query.body)
        self.run.stats.inc_value("backfill/requests")
        if (found := self._known.get(key)) is not None:
            self.run.stats.inc_value("backfill/known")
            return found
        async with self._room:
            answer = await self.fetch(query, FEED, _markets)
        if answer.parsed is None:
            is_answer = answer.status is not None and answer.status in query.endpoint.final
            self._failures += not is_answer
            return None
        return self._found(answer.parsed)

    def progress(self, done: int, due: int) -> None:
        """Report to the progress display that `done` of `due` markets are complete."""
        self.run.stats.set_value("backfill/done", done)
        self.run.stats.set_value("backfill/due", due)

    # ---- the run ---------------------------------------------------------------------------------------

    async def sweep_once(self) -> None:
        now = self.run.clock.now_ns()
        self._end_ns = int(self.arguments.others.get("end", now // DAY * DAY))
        self._room = asyncio.Semaphore(AT_ONCE)
        self._failures = 0
        root = self.run.process.root
        job = BackfillJob.of(root, self.venue, self.start_ns, self.end_ns)
        if job.is_finished(root):
            self.run.stats.set_value("backfill/is_finished", 1)
            self.run.stats.set_value("backfill/markets", job.markets)
            return
        self._known, first = await asyncio.to_thread(self._read, root, frozenset(job.runs))
        if first is not None:
            await self._catch_up(root, first)
        job.runs.append(self.run.archive.run)
        job.write()
        listed = await self.list_past()
        markets = {each.market_id: each for each in listed if self.start_ns <= each.ended < self.end_ns}
        self.run.stats.set_value("backfill/markets", len(markets))
        self.progress(0, len(markets))
        if not self.run.stop.is_set():
            await self.fetch_histories(
                sorted(markets.values(), key=lambda each: (each.ended, each.market_id))
            )
        self.run.stats.set_value("backfill/failed", self._failures)
        if not self.run.stop.is_set() and not self._failures:
            job.finished_by, job.markets = self.run.archive.run, len(markets)
            job.write()
            self.run.stats.set_value("backfill/is_finished", 1)

    async def _catch_up(self, root: Path, since: int) -> None:
        """Write into the market master what earlier runs received and could not write.

        root: OUTPUT_DIR; since: the earliest receipt, wall ns.
        """
        settings = self.crawler.settings
        if not (url := master_url(settings)):
            return
        try:
            await asyncio.to_thread(rebuild, root, url, since, keep=snapshots_kept(settings))
        except (MarketArchiveError, OSError) as error:
            logger.error("The market master lacks what an earlier run received: %s", error)

    def _read(self, root: Path, runs: frozenset[str]) -> tuple[dict[Any, BackfillAnswer], int | None]:
        """Return the archived answers of earlier runs by request, and the receipt of the first one (wall ns).

        The receipt is None without an answer. root: OUTPUT_DIR; runs: the names of the earlier runs.
        """
        found: dict[Any, BackfillAnswer] = {}
        if not runs:
            return found, None
        times = []
        reader = ArchiveReader(root)
        for message in reader.messages(self.venue, FEED, kinds=("response",), open_parts=True):
            if message.run not in runs or message.envelope.get("status") != 200:
                continue
            received = message.received()
            try:
                parsed = venues()[self.venue].parse(received)
            except ParseError:
                continue
            found[_key_of(received)] = self._found(parsed)
            times.append(message.received_at)
        return found, min(times, default=None)

    def _found(self, parsed: Parsed) -> BackfillAnswer:
        return BackfillAnswer(
            tuple(parsed.keys),
            parsed.next_cursor,
            tuple(self.past_of(parsed)),
            frozenset(self.named_of(parsed)),
        )


def _markets(answer: Answer) -> Iterable[Any]:
    """Return the markets of an answer, and none of its present prices, which do not belong to the past."""
    items = () if answer.parsed is None else answer.parsed.items
    return [each for each in items if isinstance(each, Market)]


def _key_of(received: Received) -> Any:
    return _key(received.canonical_url, received.params, received.body)


def _key(url: str, params: Mapping[str, Any], body: bytes | None) -> Any:
    """Return a key that identifies a request: equal for equal address, parameters and JSON body."""
    sent = None if body is None else json.dumps(json.loads(body), sort_keys=True)
    return url, tuple(sorted((name, str(value)) for name, value in params.items())), sent
