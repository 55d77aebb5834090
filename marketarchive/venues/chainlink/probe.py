"""Probe of the stream pages by an ordinary HTTP client without a browser; it works around no refusal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from marketarchive.times import to_seconds
from marketarchive.venues.chainlink.endpoints import LIVE, PAGE, StreamPage
from marketarchive.venues.chainlink.reports import CHECKPOINT, parse_answer, parse_document
from marketarchive.venues.endpoint import Endpoint, Limit, Query
from marketarchive.venues.probing import Check, Exchange, Findings, NotRequestedError, Probe, unexpected
from marketarchive.venues.symbols import symbols

BLOCKED = frozenset({401, 403, 429, 451})
API_PER_10S = 10
"""Requests that are allowed per 10 s; a page in a browser sends about one a second."""
_ANSWERS = BLOCKED | {404}
_PAGE = replace(PAGE, final=_ANSWERS)
_LIVE = Endpoint("live", LIVE, Limit("chainlink/api", API_PER_10S), final=_ANSWERS)
_BROWSER = "the spider chainlink_streams looks in a browser"


def _checks(page: StreamPage) -> tuple[Check, Check]:
    """Return the checks of a page and of the data responses that it fetches."""
    short = page.asset.lower()
    return (
        Check(
            f"page_{short}",
            "pages",
            partial(_document, page),
            _unless_blocked(partial(_names_feed, page)),
        ),
        Check(f"live_{short}", "reports", partial(_live, page), _unless_blocked(_has_reports)),
    )


def _document(page: StreamPage, findings: Findings) -> Query:
    _require_not_refused(findings)
    return Query(_PAGE, path={"slug": page.slug})


def _live(page: StreamPage, findings: Findings) -> Query:
    _require_not_refused(findings)
    name = f"page_{page.asset.lower()}"
    reported = next((one for one in findings.results if one.name == name and one.passed), None)
    feed_id = page.feed_id if reported is None else parse_document(reported.exchange.payload).feed_id
    if feed_id is None:
        raise NotRequestedError("no feed id is known")
    return Query(_LIVE, {"feedId": feed_id, "abiIndex": "0", "queryWindow": "1m"})


def _require_not_refused(findings: Findings) -> None:
    """Raise NotRequestedError if the host has refused an earlier request, so that no more are sent."""
    if any(map(_is_blocked, findings.exchanges.values())):
        raise NotRequestedError(f"blocked, so not requested again; {_BROWSER}")


def _is_blocked(exchange: Exchange) -> bool:
    return exchange.status in BLOCKED or CHECKPOINT in exchange.payload


def _unless_blocked(read: Callable[[Exchange], str]) -> Callable[[Exchange, Findings], str]:
    def expect(exchange: Exchange, _: Findings) -> str:
        if _is_blocked(exchange):
            what = "a checkpoint" if CHECKPOINT in exchange.payload else "refused"
            raise unexpected(f"blocked: status {exchange.status}, {what}; {_BROWSER}")
        if exchange.status == 404:
            raise unexpected("404: there is no such page")
        return read(exchange)

    return expect


def _names_feed(page: StreamPage, exchange: Exchange) -> str:
    feed_id = parse_document(exchange.payload).feed_id
    if feed_id is None:
        raise unexpected("the page does not say which feed it shows")
    if page.feed_id not in (None, feed_id):
        raise unexpected(f"the page shows feed {feed_id}, not {page.feed_id}")
    return f"{page.slug} shows feed {feed_id[:12]}...; its prices need a browser: {_BROWSER}"


def _has_reports(exchange: Exchange) -> str:
    answer = parse_answer(exchange.query.url, exchange.payload)
    if answer.errors:
        raise answer.errors[0]
    if not answer.reports:
        raise unexpected("no report of the last minute")
    newest = answer.reports[-1]
    age = to_seconds(exchange.received_at - newest.observed_ns)
    return f"{len(answer.reports)} reports, the newest {newest.mid}, observed {age:.1f} s ago"


PROBE = Probe(
    checks=[check for asset in symbols("chainlink") for check in _checks(StreamPage(asset, "spot"))],
    limits_source="nothing is documented; the figures are ours",
    limits={each.limit.name: each.limit for each in (_PAGE, _LIVE)},
    topics={
        "pages": "Can the pages be looked at without a browser?",
        "reports": "And the JSON that they fetch?",
    },
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
    obeys_robots=True,
)
