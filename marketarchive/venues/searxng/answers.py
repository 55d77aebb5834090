"""Parser of SearXNG's answers, and of its failures.

Shape: searx/webutils.py `get_json_response` and searx/webapp.py `search` (github.com/searxng/searxng, read
2026-11-29): {"query", "number_of_results" (not since 2026), "results": [{"url", "title", "content", "engine",
"engines", "publishedDate", ...}], "answers", "corrections", "infoboxes", "suggestions",
"unresponsive_engines": [[name, why], ...]}. Dates are ISO 8601, mostly without an offset. No recording of a
real server was available.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.items import Headline
from marketarchive.json_lines import NOT_JSON
from marketarchive.venues.answers import Answered, Failure, judge_status
from marketarchive.venues.messages import Parsed, Received

ITEM = "Headline"
REMEDY = (
    "status 403: the server does not give JSON; list json under search.formats in its settings.yml and "
    "restart it (or its limiter refuses this address)"
)


class ResultPage(msgspec.Struct, frozen=True):
    """One page of search results."""

    results: list[msgspec.Raw]
    unresponsive_engines: list[tuple[str, str]] = []


class PageResult(msgspec.Struct, frozen=True):
    """One search result with the fields that this project uses."""

    title: str | None = None
    url: str | None = None
    publishedDate: str | None = None  # noqa: N815  (the venue's name)


def judge(answered: Answered) -> Failure | None:
    """Return the failure of an answer; None when it can be parsed.

    An answer without results because no search engine responded is a failure too.
    """
    if answered.status == 403:
        return Failure("blocked", "venue", REMEDY, retryable=False)
    failure = judge_status(answered)
    if failure is not None:
        return failure
    try:
        answer = msgspec.json.decode(answered.payload, type=ResultPage)
    except NOT_JSON:
        return None  # `parse` reports what is wrong with it
    if answer.results or not answer.unresponsive_engines:
        return None
    engines = ", ".join(f"{name}: {why}" for name, why in answer.unresponsive_engines)
    return Failure("disconnect", "upstream", f"no search engine answered ({engines})", retryable=False)


def parse(received: Received) -> Parsed:
    """Return the headlines in an answer, each once. Raises ParseError.

    A result without a URL is not a headline and is skipped; one that cannot be read becomes an entry of
    `errors`.
    """
    try:
        answer = msgspec.json.decode(received.payload, type=ResultPage)
    except NOT_JSON as error:
        raise ParseError(ITEM, str(error), ("payload",)) from error
    platform, market_id = (received.params.get(name) for name in ("platform", "market"))
    if not isinstance(platform, str) or not isinstance(market_id, str) or not market_id:
        raise ParseError(ITEM, "the request names no market", ("market",))
    parsed = Parsed()
    for title, url, published in _results(answer, parsed):
        if (key := f"{url} {title}") in parsed.keys:
            continue
        parsed.keys.append(key)
        parsed.items.append(
            Headline(
                **received.origin(),
                platform=platform,
                market_id=market_id,
                headline=title,
                source=_host(url),
                url=url,
                published_at=_moment(published),
            )
        )
    return parsed


def _results(answer: ResultPage, parsed: Parsed) -> Iterator[tuple[str, str, str | None]]:
    """Yield title, URL and date of each result that has a title and a URL.

    Add unreadable results to the errors.
    """
    for raw in answer.results:
        try:
            result = msgspec.json.decode(raw, type=PageResult)
        except NOT_JSON as error:
            parsed.errors.append(ParseError(ITEM, str(error), ("results",)))
            continue
        if not result.url:
            continue  # an engine's table of keys and values
        title = (result.title or "").strip()
        if not title:
            parsed.errors.append(ParseError(ITEM, f"{result.url} has no title", ("title",)))
            continue
        yield title, result.url, result.publishedDate


def _host(url: str) -> str | None:
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.") or None
    except ValueError:  # a bracket that is no part of an IPv6 address
        return None


def _moment(text: str | None) -> datetime | None:
    """Return a claimed publication time, taken as UTC without an offset; None when it is no time."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
