"""Reading paginated lists to their end: the base class of spiders that do so."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from marketarchive.clock import sleep_until
from marketarchive.collecting.spider import Answer, ArchiveSpider, PendingRequest
from marketarchive.exceptions import CursorError
from marketarchive.scope import Scope
from marketarchive.times import from_seconds
from marketarchive.venues import venues
from marketarchive.venues.endpoint import Query

logger = logging.getLogger(__name__)

BARREN_PAGES = 3
"""Pages in a row without a new key that end a sweep."""


class Pages:
    """Keys and cursors of the pages of one sweep, to notice paging that never ends."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self._cursors: set[str] = set()
        self._barren = 0

    def check(self, keys: Iterable[str], cursor: str | None) -> None:
        """Add a page: its keys and the cursor of the next one (None: it was the last).

        Raises CursorError where a cursor comes again, or BARREN_PAGES pages bring no new key.
        """
        before = len(self.keys)
        self.keys.update(keys)
        self._barren = 0 if len(self.keys) > before else self._barren + 1
        if cursor is None:
            return
        if cursor in self._cursors:
            raise CursorError(f"cursor {cursor[:80]!r} was repeated after {len(self.keys)} keys")
        if self._barren >= BARREN_PAGES:
            raise CursorError(
                f"{BARREN_PAGES} pages in a row brought nothing new after {len(self.keys)} keys"
            )
        self._cursors.add(cursor)


class SweepSpider(ArchiveSpider):
    """Base class of spiders of paginated lists: one sweep and exit, or one at each multiple of `interval`.

    A subclass implements `async def sweep_once`, which calls `sweep` and `fetch`.
    """

    async def sweep_once(self) -> None:
        """Request everything that this spider lists, once."""
        raise NotImplementedError

    async def main(self) -> None:
        interval = self.arguments.interval
        while not self.run.stop.is_set():
            started = self.run.clock.now_ns()
            await self.sweep_once()
            await self.wait_idle()
            if interval is None:
                return
            step = from_seconds(interval)
            if not await sleep_until(self.run.clock, (started // step + 1) * step, self.run.stop):
                return

    async def fetch(
        self,
        query: Query,
        feed: str,
        take: Callable[[Answer], Iterable[Any]],
        scope: Scope | None = None,
    ) -> Answer:
        """Submit a request, wait for its answer and return it.

        take: turns the answer into items to yield, also that of a failed request (`parsed` is None); scope:
        of the gap when the request fails, None: the endpoint.
        """
        return await self.submit_and_wait(PendingRequest(query, take, feed, scope, detail=_selection(query)))

    async def sweep(
        self, query: Query | None, feed: str, take: Callable[[Answer], Iterable[Any]] | None = None
    ) -> bool:
        """Request all pages of a list; return whether the last one was reached.

        query: the request for the first page; take: turns an answer into items to yield, by default those
        that it holds.
        """
        pages = Pages()
        started = self.run.clock.now_ns()
        while query is not None:
            if self.run.stop.is_set():
                return False
            answer = await self.fetch(query, feed, take or items_of)
            if answer.parsed is None:
                return answer.status is not None  # an answer without a page, like 404, ends it as well
            self.run.stats.inc_value("sweep/pages")
            try:
                pages.check(answer.parsed.keys, answer.parsed.next_cursor)
            except CursorError as error:
                logger.error("Sweep of %s stopped before its end: %s", query.endpoint.name, error)
                self.put_cursor_gap(query, feed, started, f"{error}: {_selection(query)}")
                self.close_reason = "sweep_cursor_loop"
                return False
            query = venues()[self.venue].next_page(query, answer.parsed)
        self.run.stats.inc_value("sweep/keys", len(pages.keys))
        return True

    def put_cursor_gap(self, query: Query, feed: str, since: int, detail: str) -> None:
        """Record that paging did not come to an end, so that later entries were not listed.

        since: start of the sweep, wall ns.
        """
        self.run.stats.inc_value("sweep/cursor_errors")
        scope = Scope(self.venue, feed, endpoint=query.endpoint.name)
        self.put(self.run.gap("sequence", "venue", since, self.run.clock.now_ns(), scope, detail))


def items_of(answer: Answer) -> Iterable[Any]:
    """Return the items of an answer; none of a failed request."""
    return answer.parsed.items if answer.parsed else ()


def _selection(query: Query) -> str:
    """Return a request's parameters as text, without the page size."""
    chosen = {**query.path, **{key: value for key, value in query.params.items() if key != "limit"}}
    return ", ".join(f"{key}={value}" for key, value in chosen.items())
