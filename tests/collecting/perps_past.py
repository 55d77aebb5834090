"""A pass over the past of perpetuals, answered by the simulated venue without a server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit

from marketarchive.collecting.perps import PerpsSpider
from marketarchive.collecting.spider import Answer, PendingRequest
from marketarchive.items import Gap
from marketarchive.simulator.messages import Reply, SimRequest
from marketarchive.times import from_iso, iso
from marketarchive.venues import venues
from marketarchive.venues.answers import Answered
from marketarchive.venues.endpoint import Query
from marketarchive.venues.messages import Received
from marketarchive.venues.table_rows import TableRow, single_rows
from tests.collecting.streams import at_work, gaps
from tests.spiders_under_test import spiders

NOW = from_iso("2026-11-20T10:01:00Z")
Changed = Callable[[Query, Reply], Reply]
"""Returns the answer that comes instead of the simulated venue's."""
FAILED = Reply(b"", 500)


@dataclass
class Past:
    """What a pass requested and received, and the gaps that it left."""

    queries: list[Query] = field(default_factory=list)
    rows: list[TableRow] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)

    def endpoints(self, market: str = "") -> set[str]:
        """Return the names of the endpoints that were requested, for a market if one is named."""
        return {
            query.endpoint.name
            for query in self.queries
            if not market or market in (*query.params.values(), *query.path.values())
        }

    def missing(self, endpoint: str) -> list[tuple[str, str, str]]:
        """Return the gaps of an endpoint: reason, begin and end to the second, the oldest first."""
        return sorted(
            (gap.reason, iso(gap.from_ns)[:19], iso(gap.to_ns or 0)[:19])
            for gap in self.gaps
            if gap.scope.endpoint == endpoint
        )


def as_it_is(query: Query, reply: Reply) -> Reply:
    del query
    return reply


async def past(name: str, folder: Path, changed: Changed = as_it_is, now: int = NOW, **given: str) -> Past:
    """Run the spider `name` with the arguments `given` to its end. now: wall ns."""
    spider = spiders()[name]
    assert issubclass(spider, PerpsSpider)
    venue = import_module(f"marketarchive.simulator.{spider.venue}").simulated(1)
    done = Past()

    async def submit_and_wait(pending: PendingRequest) -> Answer:
        query, pending.attempts = pending.query, 1
        done.queries.append(query)
        url = urlsplit(query.url)
        params = tuple((key, str(value)) for key, value in query.params.items())
        asked = SimRequest(query.endpoint.method, url.netloc, url.path, params, query.body or b"")
        reply = changed(query, venue.answer(asked, now))
        failure = venues()[spider.venue].judge(Answered(query, reply.status, {}, reply.body, now))
        if failure is None and reply.status == 200:
            received = Received.answer(spider.venue, "perps", query, 200, reply.body, now, 1)
            parsed = venues()[spider.venue].parse(received)
            done.rows += single_rows(parsed.statements)
            return Answer(pending, 200, parsed, now, 1)
        reason, cause = ("disconnect", "venue") if failure is None else (failure.reason, failure.cause)
        if pending.from_ns is not None and pending.scope is not None:
            run = made.run
            made.put(run.gap(reason, cause, pending.from_ns, pending.to_ns, pending.scope))  # type: ignore[arg-type]
        return Answer(pending, reply.status, None, now, 1)

    async with at_work(spider, folder, start=now) as made:
        made.arguments = spider.check_arguments(given)
        made.submit_and_wait = submit_and_wait  # type: ignore[method-assign]
        await made.main()
        done.gaps = gaps(made)
    return done
