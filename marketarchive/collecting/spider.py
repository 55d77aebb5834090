"""Base class of all spiders: sends requests, archives answers, classifies them, retries, records gaps."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from scrapy import Request, Spider
from scrapy.downloadermiddlewares.retry import get_retry_request
from scrapy.exceptions import CannotResolveHostError, CloseSpider, DownloadFailedError, DownloadTimeoutError
from scrapy.http import Response as HttpResponse
from scrapy.settings import BaseSettings
from twisted.python.failure import Failure as TwistedFailure

from marketarchive import items
from marketarchive.clock import sleep
from marketarchive.collecting.arguments import Argument, Arguments, parse_arguments
from marketarchive.collecting.exit_cause import UNANSWERED
from marketarchive.collecting.limits import backoff
from marketarchive.collecting.receipt import Receipt
from marketarchive.collecting.route import with_query
from marketarchive.collecting.run import Run
from marketarchive.collecting.streams.axis import Axis
from marketarchive.exceptions import ParseError
from marketarchive.items import DERIVED, Cause, Derived, GapReason, Invalid
from marketarchive.scope import Scope
from marketarchive.times import from_seconds
from marketarchive.venues import venues
from marketarchive.venues.answers import Answered, Failure
from marketarchive.venues.endpoint import Query
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.venue import Venue

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

logger = logging.getLogger(__name__)

ROOM_S = 0.02
"""Seconds after which a request that waits for space in the archive's buffer checks again."""
DRAIN_S = 0.005
"""Seconds (wall) between two checks whether all items have passed the pipelines."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Outcome of a request.

    `parsed` is None when the request failed, and its gap is then recorded already.
    """

    request: PendingRequest
    status: int | None  # None: no answer, or one that was given up
    parsed: Parsed | None
    received_at: int
    seq: int
    headers: Mapping[str, str] = field(default_factory=dict)  # those that are kept, names in lower case


@dataclass(slots=True)
class PendingRequest:
    """A request that is sent, retried, and completed exactly once by a call of `on_complete`."""

    query: Query
    on_complete: Callable[[Answer], Iterable[Any]]  # returns the items to yield
    feed: str
    scope: Scope | None = None  # scope of the gap when it fails; None: the endpoint
    from_ns: int | None = None  # start of the gap when it fails; None = when submitted
    to_ns: int | None = None  # end of that gap; None = when given up
    deadline: int | None = None  # monotonic ns after which nothing is sent any more
    attempts: int = 0
    failure: Failure | None = None  # of the last attempt
    detail: str = ""  # the request in words, for the gap
    is_complete: bool = False


_DONE = object()


class ArchiveSpider(Spider):
    """Base class of all spiders.

    To be derived from where neither SweepSpider (pages) nor PollingSpider (ticks) fits.

    A subclass sets `venue`, `feed`, `accepts` and implements `async def main`, which calls `submit`. All that
    the spider sends outside a callback goes through one output queue that `start` drains: so `start` ends by
    itself when all requests are complete, and nothing is lost when the run is requested to stop.
    """

    venue: ClassVar[str]
    feed: ClassVar[str]
    feeds: ClassVar[tuple[str, ...]]  # every feed it may write to
    accepts: ClassVar[tuple[Argument, ...]]
    is_one_pass: ClassVar[bool] = True  # ends by itself without the argument `interval`
    is_live: ClassVar[bool] = False  # its data cannot be requested later
    item_classes: ClassVar[tuple[type[Derived], ...]] = DERIVED  # what it may yield beside raw items
    run: Run  # set by RunExtension before anything is sent
    close_reason: str | None = None  # the close reason of a run that could not do its work

    def __init__(self, name: str | None = None, **given: Any) -> None:
        super().__init__(name)
        self.arguments = self.check_arguments(given)
        self._output_queue: asyncio.Queue[Any] = asyncio.Queue()
        self._withheld: list[Any] = []  # queued items at the time of the cut-off
        self._is_cut_off = False
        self._open = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Self:
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider.attempts = crawler.settings.getint("REQUEST_ATTEMPTS")
        spider.retry_after_max = crawler.settings.getfloat("RETRY_AFTER_MAX_S")
        return spider

    attempts: int = 5
    retry_after_max: float = 300.0

    @classmethod
    def check_arguments(cls, given: Mapping[str, Any]) -> Arguments:
        """Parse a spider's arguments. Raises ArgumentError."""
        return parse_arguments(given, cls.accepts, cls.name, is_one_pass=cls.is_one_pass)

    @classmethod
    def check_settings(cls, settings: BaseSettings) -> None:
        """Check that settings and machine have what the spider needs. Raises ConfigurationError."""

    @property
    def _venue(self) -> Venue:
        return venues()[self.venue]

    # ---- what subclasses use ---------------------------------------------------------------------------

    async def main(self) -> None:
        """Submit all requests; return when they are submitted, or soon after `self.run.stop` is set."""
        raise NotImplementedError

    def good_stat(self, feed: str) -> str:
        """Return the name of the stat that counts the usable messages of `feed`."""
        return f"responses/good/{feed}"

    def key_lags(self) -> list[float | None]:
        """Return the age (s) of the newest proof of each subscribed key; None for one that is not live."""
        return []

    @cached_property
    def axis(self) -> Axis:
        """Return the time axis of coverage, gaps and ends of markets; it starts with the run."""
        return Axis(self.run.clock.instant())

    def now(self) -> int:
        """Return the present time on the axis, Unix ns; no step of the wall clock moves it."""
        return self.axis.at(self.run.clock.mono_ns())

    def address(self, query: Query) -> str:
        """Return the venue's URL for a request, without parameters."""
        return query.url

    def submit(self, pending: PendingRequest) -> None:
        """Send a request as soon as limits and the archive's buffer allow.

        Its `on_complete` is called exactly once.
        """
        self._open += 1
        self._idle.clear()
        if pending.from_ns is None:
            pending.from_ns = self.run.clock.now_ns()
        self.spawn(self._send(self._request(pending)))

    def put(self, *things: Any) -> None:
        """Pass items to Scrapy's pipelines from outside a callback."""
        for thing in things:
            self._output_queue.put_nowait(thing)

    def queued_items(self) -> list[Any]:
        """Return the items in the output queue that Scrapy has not received yet, the oldest first.

        They stay in the queue.
        """
        queued = self._empty_output_queue()
        for thing in queued:
            self._output_queue.put_nowait(thing)
        return [*self._withheld, *(thing for thing in queued if thing is not _DONE)]

    async def wait_idle(self) -> None:
        """Wait until every submitted request is complete."""
        await self._idle.wait()

    def note_pause(self) -> None:
        """Record the gap since the feed's last run ended, where a collection started this run in its place.

        Spiders of live data call it when they begin to receive.
        """
        run = self.run
        if run.down_since is not None:
            scope = Scope(self.venue, self.feed)
            detail = "no run collected between one that ended by itself and this one"
            now = run.clock.now_ns()
            run.archive.write(run.gap("crash", "ours", run.down_since, now, scope, detail=detail))  # raw only
            run.down_since = None

    def cut_off(self) -> None:
        """Let `start` end now, whatever `main` does; items that it has not yielded are left to `abandon`."""
        self._is_cut_off = True
        self._withheld += self._empty_output_queue()
        self._output_queue.put_nowait(_DONE)

    def abandon(self) -> list[Any]:
        """Cancel all tasks and return the items that were not yielded to Scrapy, to be written directly."""
        for task in self._tasks:
            task.cancel()
        left, self._withheld = self.queued_items(), []
        self._empty_output_queue()
        return left

    def _empty_output_queue(self) -> list[Any]:
        left = []
        while not self._output_queue.empty():
            left.append(self._output_queue.get_nowait())
        return left

    # ---- Scrapy's side ---------------------------------------------------------------------------------

    async def start(self) -> AsyncIterator[Any]:
        main = asyncio.ensure_future(self._main())
        try:
            while (thing := await self._output_queue.get()) is not _DONE:
                yield thing
            if not self._is_cut_off:
                await main
            reason = self._reason_to_close()
        finally:
            main.cancel()
        await self._drain()
        if reason is not None:
            raise CloseSpider(reason)

    def _reason_to_close(self) -> str | None:
        """Return the reason with which Scrapy must close the spider now.

        None: it closes by itself when idle.
        """
        if self._is_cut_off:
            return "shutdown"
        return None if self.run.stop.is_set() else self.close_reason

    async def _drain(self) -> None:
        """Wait until every item that `start` yielded has passed the pipelines.

        Scrapy checks only once, when it closes a spider, whether such an item is in the pipelines; if so,
        nothing ever reports that the item has passed, and the close never ends.
        """
        scraper = self.crawler.engine.scraper
        while scraper.slot is not None and scraper.slot.itemproc_size:  # noqa: ASYNC110  (it has no event)
            await asyncio.sleep(DRAIN_S)

    async def _main(self) -> None:
        try:
            await self.main()
            await self.wait_idle()
        finally:
            self._output_queue.put_nowait(_DONE)

    async def submit_and_wait(self, pending: PendingRequest) -> Answer:
        """Submit a request and return its outcome, after its `on_complete` was called."""
        completed: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        use = pending.on_complete

        def on_complete(answer: Answer) -> Iterator[Any]:
            try:
                yield from use(answer)
            finally:
                if not completed.done():
                    completed.set_result(answer)

        pending.on_complete = on_complete
        self.submit(pending)
        return await completed

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine as a task of the spider; an exception in it is logged and makes the exit code 1."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("A task of the spider failed", exc_info=error)
            self.run.stats.inc_value("spider_exceptions/count")

    def _request(self, pending: PendingRequest) -> Request:
        query = pending.query
        return Request(
            with_query(self.run.process.route(self.address(query)), query.params),
            method=query.endpoint.method,
            body=query.body or b"",
            headers={"Content-Type": "application/json"} if query.body else None,
            callback=self.received,
            errback=self.failed,
            dont_filter=True,
            meta={"pending": pending, "download_slot": query.endpoint.limit.name},
        )

    async def _send(self, request: Request, after: float = 0.0) -> None:
        pending: PendingRequest = request.meta["pending"]
        run = self.run
        if after and not await sleep(run.clock, after, run.stop):
            return self._stopped(pending)
        answer: Literal["granted"] | GapReason = await run.process.limiter.acquire(
            pending.query.endpoint, run.stop, pending.deadline, cost=pending.query.cost
        )
        if answer == "granted":
            while not run.process.writer.has_room:
                if pending.deadline is not None and run.clock.mono_ns() > pending.deadline:
                    answer = "missed_tick"
                    break
                if not await sleep(run.clock, ROOM_S, run.stop):
                    break
        if run.stop.is_set():
            return self._stopped(pending)
        if answer != "granted":
            cause: Cause = "ours" if answer == "missed_tick" else "venue"
            return self.put(*self._give_up(pending, Failure(answer, cause, "not sent", retryable=False)))
        pending.attempts += 1
        run.stats.inc_value("requests/count")
        run.stats.inc_value(f"requests/{self.venue}/{pending.query.endpoint.name}")
        request.headers.update(self._venue.headers(pending.query, run.clock.now_ns()))
        return self.put(request)

    def _stopped(self, pending: PendingRequest) -> None:
        """Complete a request that was not answered before the end of the run.

        A gap is recorded if the request was sent, or was due at a tick.
        """
        if pending.attempts:
            last = pending.failure or Failure("disconnect", "venue", "", retryable=False)
            failure = replace(last, detail="no answer before the end", retryable=False)
            self.put(*self._give_up(pending, failure))
        elif pending.to_ns is not None:  # its row says that nothing was observed
            failure = Failure("missed_tick", "ours", "not sent before the end", retryable=False)
            self.put(*self._give_up(pending, failure))
        else:
            self.put(*self._complete(pending))

    # ---- answers ---------------------------------------------------------------------------------------

    def received(self, response: HttpResponse) -> Iterator[Any]:
        """Archive a response, then classify it: yield its raw item, then the items or the gap that follow."""
        assert response.request is not None
        yield from self._completing(response.request, self._received(response.request, response))

    def failed(self, failure: TwistedFailure) -> Iterator[Any]:
        """Handle a request that has no response, or whose response a component refused after its receipt."""
        request: Request = failure.request  # type: ignore[attr-defined]  # Scrapy sets it
        yield from self._completing(request, self._failed(request, failure))

    def _completing(self, request: Request, things: Iterator[Any]) -> Iterator[Any]:
        """Yield `things`.

        Where that raises, complete the request, since an open one would keep the run from ending.
        """
        try:
            yield from things
        except Exception:
            pending: PendingRequest = request.meta["pending"]
            if not pending.is_complete:
                self.put(*self._complete(pending))
            raise

    def _received(self, request: Request, response: HttpResponse) -> Iterator[Any]:
        pending: PendingRequest = request.meta["pending"]
        receipt: Receipt = request.meta["receipt"]
        if self.run.process.writer.failure is not None:  # the disk takes nothing more: only the end matters
            yield from self._complete(pending)
            return
        yield self._line(request, response.status, receipt)
        parsed, failure = None, self._classify(pending, response, receipt)
        if failure is None and response.status == 200:
            try:
                parsed = self._venue.parse(self.received_of(pending, response.status, receipt))
            except ParseError as error:
                yield self._invalid(pending, receipt, error)
                failure = Failure("disconnect", "venue", f"unusable answer: {error}", retryable=True)
        if failure is not None:
            yield from self._retry_or_fail(request, failure)
            return
        self.run.process.limiter.succeeded(pending.query.endpoint)
        self.run.note_good(f"responses/good/{pending.feed}", pending.feed, receipt.received_at)
        if parsed is not None:
            for bad in parsed.errors:
                yield self._invalid(pending, receipt, bad)
        answer = Answer(pending, response.status, parsed, receipt.received_at, receipt.seq, receipt.headers)
        yield from self._complete(pending, answer)

    def received_of(self, pending: PendingRequest, status: int, receipt: Receipt) -> Received:
        """Return an answer in the form that the venue's parse functions take."""
        at, seq = receipt.received_at, receipt.seq
        return Received.answer(self.venue, pending.feed, pending.query, status, receipt.payload, at, seq)

    def _failed(self, request: Request, failure: TwistedFailure) -> Iterator[Any]:
        receipt: Receipt | None = request.meta.get("receipt")
        if receipt is not None:
            yield self._line(request, 0, receipt)
        yield from self._retry_or_fail(
            request, failure_of(failure.value or DownloadFailedError("no reason given"))
        )

    def _line(self, request: Request, status: int, receipt: Receipt) -> items.Response:
        pending: PendingRequest = request.meta["pending"]
        self.run.stats.inc_value("responses/count")
        endpoint = f"{self.venue}/{pending.query.endpoint.name}"
        self.run.stats.inc_value(f"responses/{endpoint}/{status}")
        self.run.stats.inc_value(f"latency_us/{endpoint}", round(receipt.latency_ms * 1000))
        return items.Response(
            self.venue,
            pending.feed,
            receipt.received_at,
            receipt.seq,
            request.method,
            request.url.partition("?")[0],
            pending.query.params,
            status,
            receipt.headers,
            receipt.latency_ms,
            receipt.payload,
            pending.query.body,
            receipt.flags,
            self.run.process.canonical_url(self.address(pending.query)),
        )

    def _invalid(self, pending: PendingRequest, receipt: Receipt, error: ParseError) -> Invalid:
        return Invalid(
            self.venue, pending.feed, receipt.received_at, receipt.seq, error.item, str(error), error.fields
        )

    def _classify(self, pending: PendingRequest, response: HttpResponse, receipt: Receipt) -> Failure | None:
        """Return why an answer is a failure, None where it is not.

        Refusals and rate limits go to the limiter too.
        """
        if receipt.flags:
            return Failure("disconnect", "venue", f"body {', '.join(receipt.flags)}", retryable=True)
        failure = self._venue.judge(
            Answered(pending.query, response.status, receipt.headers, receipt.payload, receipt.received_at)
        )
        limiter, endpoint = self.run.process.limiter, pending.query.endpoint
        if failure is not None and failure.reason == "blocked":
            limiter.blocked(endpoint)
        elif failure is not None and failure.reason == "rate_limited":
            wait_s = backoff(pending.attempts) if failure.wait_s is None else failure.wait_s
            limiter.back_off(endpoint, wait_s)
            return replace(failure, wait_s=wait_s, retryable=wait_s <= self.retry_after_max)
        return failure

    def _retry_or_fail(self, request: Request, failure: Failure) -> Iterator[Any]:
        pending: PendingRequest = request.meta["pending"]
        wait = max(backoff(pending.attempts), failure.wait_s or 0.0)
        late = (
            pending.deadline is not None and self.run.clock.mono_ns() + from_seconds(wait) > pending.deadline
        )
        retry = None
        if failure.retryable and not late and not self.run.stop.is_set():
            request.meta.pop("receipt", None)
            retry = get_retry_request(
                request,
                spider=self,
                reason=failure.detail,
                max_retry_times=self.attempts - 1,
                give_up_log_level=logging.WARNING,
            )
        pending.failure = failure
        if retry is None:
            yield from self._give_up(pending, failure)
        else:
            self.spawn(self._send(retry, wait))

    def _give_up(self, pending: PendingRequest, failure: Failure) -> Iterator[Any]:
        pending.failure = failure
        now = self.run.clock.now_ns()
        scope = replace(
            pending.scope or Scope(self.venue, pending.feed), endpoint=pending.query.endpoint.name
        )
        detail = f"{failure.detail} after {pending.attempts} attempts"
        if pending.attempts or self.run.stop_reason in (None, "duration"):
            # else it was never sent because somebody stopped the run: that is no failure of the venue
            self.run.stats.inc_value(f"requests/failed/{pending.feed}")
        self.run.failures.note_host(pending.feed, pending.query.endpoint.url)
        gap = self.run.gap(
            failure.reason,
            failure.cause,
            now if pending.from_ns is None else pending.from_ns,
            pending.to_ns or now,
            scope,
            f"{detail}: {pending.detail}" if pending.detail else detail,
        )
        if failure.reason in UNANSWERED:  # reported at the end of the run, without the parameters
            self.run.failures.note_reason(pending.feed, detail)
        yield gap
        yield from self._complete(pending)

    def _complete(self, pending: PendingRequest, answer: Answer | None = None) -> Iterator[Any]:
        """Complete a request and yield its items.

        answer: None where it was given up, or the run is stopping.
        """
        try:
            yield from pending.on_complete(answer or Answer(pending, None, None, self.run.clock.now_ns(), 0))
        finally:
            pending.is_complete = True
            self.run.stats.inc_value("requests/completed")
            self._open -= 1
            if not self._open:
                self._idle.set()


def failure_of(error: BaseException) -> Failure:
    """Return the failure that an exception of a download stands for, of Scrapy or of Twisted."""
    text = f"{type(error).__name__}: {error}".strip()
    if isinstance(error, CannotResolveHostError):
        return Failure("dns", "unknown", text, retryable=True)
    if isinstance(error, DownloadTimeoutError):
        return Failure("stall", "venue", text, retryable=True)
    if "SSL" in text or "certificate" in text.lower():
        return Failure("tls", "unknown", text, retryable=False)
    return Failure("disconnect", "unknown", text, retryable=True)
