"""Spider of a venue's probe, so that a probe is a run with limits, receipts and raw archive like any other.

It is not in `scrapy list`: `scrapy probe` makes and runs it. Every answer is in raw, feed `probe`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from scrapy import Request
from scrapy.http import Response as HttpResponse

from marketarchive.collecting.probing.probe_socket import listen_to
from marketarchive.collecting.receipt import Receipt
from marketarchive.collecting.spider import ArchiveSpider, PendingRequest
from marketarchive.collecting.user_settings import user_setting
from marketarchive.exceptions import ParseError
from marketarchive.times import SECOND
from marketarchive.venues import venues
from marketarchive.venues.answers import Failure
from marketarchive.venues.endpoint import Query
from marketarchive.venues.probing import FEED, Exchange, Findings, Listen, Probe

WAIT_S = 15
"""Most seconds (project clock) that a probe's request waits for its limit, as after a Retry-After."""


def probes() -> dict[str, Probe]:
    """Return the probe of each venue that declares one, by the venue's name."""
    return {name: venue.probe for name, venue in venues().items() if venue.probe is not None}


@dataclass(slots=True)
class _ProbeRequest(PendingRequest):
    exchange: Exchange | None = None  # request with its answer; set before it completes


class ProbeSpider(ArchiveSpider):
    """Spider of a venue's probe: its checks in order, each request sent once, none retried.

    Each check of a socket opens a connection of its own.
    """

    feed = FEED
    feeds = (FEED,)
    accepts = ()
    custom_settings = {"REQUEST_ATTEMPTS": 1}  # noqa: RUF012  (Scrapy's own form)
    findings: Findings | None = None  # set when all checks are done

    async def main(self) -> None:
        venue = self._venue
        assert venue.probe is not None
        now, setting = self.run.clock.now_ns(), partial(user_setting, self.settings)
        findings = Findings(venue.probe, venue.name, venue.parse, now, setting)
        connections, questions = itertools.count(1), findings.requests()
        question = next(questions, None)
        while question is not None and not self.run.stop.is_set():
            if isinstance(question, Listen):
                exchange: Exchange = await listen_to(self, question, f"c{next(connections)}", WAIT_S)
            else:
                exchange = await self._exchange(question)
            try:
                question = questions.send(exchange)
            except StopIteration:
                question = None
        if question is None:
            self.findings = findings
        if findings.missing and not self._is_blocked():
            self.close_reason = "probe_failed"

    async def _exchange(self, query: Query) -> Exchange:
        """Send a request of the probe and return it with its answer, or with the error that came instead."""
        deadline = self.run.clock.mono_ns() + WAIT_S * SECOND
        pending = _ProbeRequest(query, lambda _: (), FEED, deadline=deadline)
        await self.submit_and_wait(pending)
        return pending.exchange or Exchange(
            query, self.run.clock.now_ns(), error="not sent: the run is stopping"
        )

    def _is_blocked(self) -> bool:
        """Return whether the venue refused every request.

        The run then ends with exit code 4, not as a failed probe.
        """
        get = self.run.stats.get_value
        good = get(f"responses/good/{FEED}", 0) + get(f"frames/good/{FEED}", 0)
        refused = get("gaps/blocked", 0)
        return bool(refused) and refused == get(f"requests/failed/{FEED}", 0) and not good

    # ---- a spider's answers are parsed and retried; a probe's are handed over as they came ---------------

    def _received(self, request: Request, response: HttpResponse) -> Iterator[Any]:
        pending: _ProbeRequest = request.meta["pending"]
        receipt: Receipt = request.meta["receipt"]
        if self.run.process.writer.failure is not None:  # the disk takes nothing more
            yield from self._complete(pending)
            return
        yield self._line(request, response.status, receipt)
        failure = self._classify(pending, response, receipt)
        pending.exchange = Exchange(
            pending.query,
            receipt.received_at,
            response.status,
            receipt.payload,
            {
                name.decode("latin-1").lower(): b", ".join(values).decode("latin-1")
                for name, values in response.headers.items()
            },
            receipt.latency_ms,
            receipt.seq,
            f"{failure.detail}: {_start(receipt.payload)}" if failure else None,
        )
        if failure is not None:
            yield from self._give_up(pending, failure)
            return
        self.run.process.limiter.succeeded(pending.query.endpoint)
        self.run.stats.inc_value(f"responses/good/{FEED}")
        if response.status == 200:
            yield from self._items(pending, receipt)
        yield from self._complete(pending)

    def _items(self, pending: PendingRequest, receipt: Receipt) -> Iterator[Any]:
        """Yield the markets of an answer for the master, as spiders do: a rebuild from raw has them too."""
        try:
            parsed = self._venue.parse(self.received_of(pending, 200, receipt))
        except ParseError:
            return  # a route that no spider reads, or one whose check fails by itself
        yield from parsed.items
        for bad in parsed.errors:
            yield self._invalid(pending, receipt, bad)

    def _give_up(self, pending: PendingRequest, failure: Failure) -> Iterator[Any]:
        assert isinstance(pending, _ProbeRequest)
        if pending.exchange is None:
            why = f"{failure.detail} ({failure.reason})"
            pending.exchange = Exchange(pending.query, self.run.clock.now_ns(), error=why)
        yield from super()._give_up(pending, failure)


def probe_spider(of: str) -> type[ProbeSpider]:
    """Return the spider class of a venue's probe; of: a venue that `probes()` has."""

    class VenueProbe(ProbeSpider):
        name = f"{of}_probe"
        venue = of
        custom_settings = {  # noqa: RUF012  (Scrapy's own form)
            **(ProbeSpider.custom_settings or {}),
            "ROBOTSTXT_OBEY": probes()[of].obeys_robots,
        }

    return VenueProbe


def _start(payload: bytes) -> str:
    text = payload[:80].decode("utf-8", "replace")
    return text if text.strip() else "an empty body"
