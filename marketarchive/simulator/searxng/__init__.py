"""A simulated SearXNG: a few search engines, which list headlines some time after their date."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from marketarchive.simulator.messages import Bucket, Reply, SimRequest, json_reply
from marketarchive.simulator.noise import bits, unit
from marketarchive.simulator.rest_venue import SimRestVenue
from marketarchive.times import SECOND, iso

HOST = "searxng.example"
ENGINES = ("bing news", "duckduckgo news", "qwant news", "yahoo news")
OUTLETS = ("herald.example", "www.tribune.example", "gazette.example", "courier.example")
PAGE = 10  # results on a page
SLOT_S = 3600
"""Seconds in which at most one headline is published about a query."""
REACH_S = 7 * 86_400
"""Seconds back from now for which engines list headlines."""
LATEST_S = 12 * 3600
"""Longest time (s) from a headline's date until an engine lists it."""
_PATTERNS = ("Analysts weigh {}", "{}: what we know", "Why {} matters", "Update: {}", "The long view on {}")
_FORBIDDEN = Reply(
    b"<!doctype html>\n<html lang=en>\n<title>403 Forbidden</title>\n<h1>Forbidden</h1>\n<p>You don&#39;t "
    b"have the permission to access the requested resource.</p>\n",
    403,
    "text/html; charset=utf-8",
)
_PAGE_HTML = Reply(b"<!DOCTYPE html><html><body>SearXNG</body></html>", 200, "text/html; charset=utf-8")
_TOO_MANY = Reply(b"<!doctype html>\n<title>429 Too Many Requests</title>\n", 429, "text/html; charset=utf-8")


class Story(NamedTuple):
    """One headline; its URL never changes, its title may change once."""

    url: str
    title: str
    published: int  # Unix seconds, as engines state it
    listed: int  # Unix second from which engines list it with this title
    engines: tuple[str, ...]


class Searxng(SimRestVenue):
    """The simulated search server: its answers depend only on seed, request and simulated time."""

    hosts = frozenset({HOST})

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def answer(self, request: SimRequest, now_ns: int) -> Reply:
        if request.path == "/healthz":
            return Reply(b"OK", 200, "text/plain; charset=utf-8")
        if request.path not in ("/", "/search"):
            return json_reply({"error": "not found"}, 404)
        if request.first("format", "html") != "json":
            return _PAGE_HTML
        if "searxng_html_only" in request.faults:
            return _FORBIDDEN
        text = request.first("q").strip()
        if not text:
            return json_reply({"error": "No query"}, 400)
        if "searxng_engines_down" in request.faults:
            return json_reply(_page(text, [], [[engine, "timeout"] for engine in ENGINES]))
        number = request.first("pageno", "1")
        if not number.isdecimal() or int(number) < 1:
            return json_reply({"error": f'Invalid value "{number}" for parameter pageno'}, 400)
        first = (int(number) - 1) * PAGE
        rows = self.results(text, now_ns // SECOND)[first : first + PAGE]
        if "searxng_repeats" in request.faults:
            rows = [row for row in rows for _ in range(2)]
        silent = ENGINES[bits(self._seed, "silent", text, now_ns // SECOND // 60) % len(ENGINES)]
        return json_reply(_page(text, rows, [[silent, "Suspended: too many requests"]]))

    def results(self, text: str, now: int) -> list[dict[str, Any]]:
        """Return the results of a query at `now` (Unix s), each URL once, with its newest title."""
        newest = {story.url: story for story in self.stories(text, now - REACH_S, now) if story.listed <= now}
        return [
            _result(story, place)
            for place, story in enumerate(sorted(newest.values(), key=lambda each: -each.published), 1)
        ]

    def stories(self, text: str, start: int, end: int) -> Iterator[Story]:
        """Yield the headlines about a query published from `start` to `end` (Unix s).

        Headlines that engines do not list yet are included.
        """
        for slot in range(start // SLOT_S, end // SLOT_S + 1):
            key = (self._seed, "story", text.casefold(), slot)
            published = slot * SLOT_S + bits(*key, "at") % SLOT_S
            if unit(*key) > 0.4 or not start <= published <= end:
                continue
            outlet = OUTLETS[bits(*key, "outlet") % len(OUTLETS)]
            url = f"https://{outlet}/{bits(*key, 'page') % 10**9}"
            engines = tuple(each for each in ENGINES if unit(*key, each) < 0.5) or ENGINES[:1]
            listed = published + 300 + bits(*key, "delay") % (LATEST_S - 300)
            pattern = bits(*key, "title") % len(_PATTERNS)
            yield Story(url, _PATTERNS[pattern].format(text), published, listed, engines)
            if unit(*key, "edited") < 0.2:
                other = _PATTERNS[(pattern + 1) % len(_PATTERNS)].format(text)
                yield Story(url, other, published, listed + 1800, engines)

    def limit(self, request: SimRequest) -> Bucket:
        """Return a limit that no client reaches.

        A private server has no rate limit unless one is configured.
        """
        del request
        return Bucket("searxng", 10.0, 200.0, 1, _TOO_MANY)


def _page(text: str, rows: list[dict[str, Any]], silent: list[list[str]]) -> dict[str, Any]:
    return {
        "query": text,
        "number_of_results": 0,
        "results": rows,
        "answers": [],
        "corrections": [],
        "infoboxes": [],
        "suggestions": [],
        "unresponsive_engines": silent,
    }


def _result(story: Story, place: int) -> dict[str, Any]:
    scheme, _, rest = story.url.partition("://")
    host, _, path = rest.partition("/")
    return {
        "url": story.url,
        "title": story.title,
        "content": f"{story.title}. More at {host}.",
        "publishedDate": iso(story.published * SECOND)[:19],  # without an offset, as engines state it
        "engine": story.engines[0],
        "template": "default.html",
        "parsed_url": [scheme, host, f"/{path}", "", "", ""],
        "engines": list(story.engines),
        "positions": [place] * len(story.engines),
        "score": len(story.engines) / place,
        "category": "news",
        "pubdate": iso(story.published * SECOND)[:10],
    }


def simulated(seed: int) -> Searxng:
    """Create the simulated server whose data are determined by `seed`.

    The simulator discovers it by the name of this function.
    """
    return Searxng(seed)
