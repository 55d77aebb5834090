"""What a probe asks of the stream pages, as a stock client without a browser: it evades nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from marketarchive.exceptions import ParseError
from marketarchive.times import to_seconds
from marketarchive.venues.chainlink.endpoints import LIVE, PAGE, PAGES_PER_10S, Page
from marketarchive.venues.chainlink.reports import CHECKPOINT, parse_answer, parse_document
from marketarchive.venues.endpoint import Endpoint, Limit, Query
from marketarchive.venues.probing import Exchange, Findings, Probe, Questions, Reader, Topic
from marketarchive.venues.symbols import symbols

BLOCKED = frozenset({401, 403, 429, 451})
API_PER_10S = 10
"""A page asks about once a second."""
_ANSWERS = BLOCKED | {404}
_PAGE = replace(PAGE, final=_ANSWERS)
_LIVE = Endpoint("live", LIVE, Limit("chainlink/api", API_PER_10S), final=_ANSWERS)
_BROWSER = "the spider chainlink_streams looks in a browser"


class _Chainlink:
    """One conversation, which ends where the host does not want a client like this."""

    def __init__(self, findings: Findings, now_ns: int) -> None:
        self._findings = findings
        self._now_ns = now_ns
        self._is_blocked = False
        self._feed_ids: dict[str, str] = {}  # by asset, as its page says

    def questions(self) -> Questions:
        for asset in symbols("chainlink"):
            page, short = Page(asset, "spot"), asset.lower()
            query = Query(_PAGE, path={"slug": page.slug})
            yield from self._ask(f"page_{short}", "pages", query, partial(self._page, page))
            feed_id = self._feed_ids.get(asset, page.feed_id)
            if feed_id is None:
                self._findings.not_asked[f"live_{short}"] = "no feed id is known"
                continue
            params = {"feedId": feed_id, "abiIndex": "0", "queryWindow": "1m"}
            yield from self._ask(f"live_{short}", "reports", Query(_LIVE, params), self._live)

    def _ask(self, name: str, topic: Topic, query: Query, read: Reader) -> Questions:
        if self._is_blocked:
            self._findings.not_asked[name] = f"blocked, so left alone; {_BROWSER}"
            return
        yield from self._findings.ask(
            name, topic, query, lambda exchange: self._unless_blocked(read, exchange)
        )

    def _unless_blocked(self, read: Reader, exchange: Exchange) -> str:
        if exchange.status in BLOCKED or CHECKPOINT in exchange.payload:
            self._is_blocked = True
            what = "a checkpoint" if CHECKPOINT in exchange.payload else "refused"
            raise _wrong(f"blocked: status {exchange.status}, {what}; {_BROWSER}")
        if exchange.status == 404:
            raise _wrong("404: there is no such page")
        return read(exchange)

    def _page(self, page: Page, exchange: Exchange) -> str:
        feed_id = parse_document(exchange.payload).feed_id
        if feed_id is None:
            raise _wrong("the page does not say which feed it shows")
        if page.feed_id not in (None, feed_id):
            raise _wrong(f"the page shows feed {feed_id}, not {page.feed_id}")
        self._feed_ids[page.asset] = feed_id
        return f"{page.slug} shows feed {feed_id[:12]}...; its prices need a browser: {_BROWSER}"

    def _live(self, exchange: Exchange) -> str:
        answer = parse_answer(exchange.query.url, exchange.payload)
        if answer.errors:
            raise answer.errors[0]
        if not answer.reports:
            raise _wrong("no report of the last minute")
        newest = answer.reports[-1]
        age = to_seconds(exchange.received_at - newest.observed_ns)
        return f"{len(answer.reports)} reports, the newest {newest.mid}, observed {age:.1f} s ago"


def _wrong(text: str) -> ParseError:
    return ParseError("Probe", text)


_LIMITS: Mapping[str, int] = {_PAGE.limit.name: PAGES_PER_10S, _LIVE.limit.name: API_PER_10S}

PROBE = Probe(
    questions=lambda findings, now_ns: _Chainlink(findings, now_ns).questions(),
    how={
        "pages": (
            "GET data.chain.link/streams/SLUG: HTML whose __NEXT_DATA__ names the feed. The prices are "
            "filled in by a script, so that they can only be looked at in a browser. Clients without one "
            "were answered with a checkpoint (429); then nothing more is asked."
        ),
        "reports": (
            "GET data.chain.link/api/live-data-engine-stream-data?feedId=ID&abiIndex=0&queryWindow=1m: what "
            "a page's script asks about once a second, the reports of the last minute."
        ),
    },
    sockets=(),
    limits=_LIMITS,
    limits_source="nothing is documented; the figures are ours",
    needs_market=False,
    obeys_robots=True,
)
