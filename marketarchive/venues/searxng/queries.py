"""Requests to SearXNG: https://docs.searxng.org/dev/search_api (read 2026-11-29).

Public servers are never requested: the documents say that most refuse JSON, and their operators should not
carry our load.
"""

from __future__ import annotations

import re

from marketarchive.venues.endpoint import Address, Endpoint, Limit, Query

PLACE = "https://searxng.example"
"""Placeholder for the URL of the user's own server; hosts under `.example` do not exist (RFC 2606)."""
ADDRESS = Address(
    PLACE,
    section="news",
    key="searxng_url",
    setting="NEWS_SEARXNG_URL",
    meaning="your own SearXNG, e.g. `http://127.0.0.1:8080`; without it no news are collected",
    is_own_server=True,
)
PATH = "/search"
QUERY_MAX = 200
"""Most characters in a search text. The figure is ours: nothing is documented, and search engines read a
few dozen words at most."""
# Prefixes that SearXNG takes for itself, at the beginning of a word: !engine, !!redirect, :language, <timeout
# (https://docs.searxng.org/user/search-syntax, read 2026-11-29).
_OPERATORS = re.compile(r"(?<!\S)[!:<?]+")
_SPACE = re.compile(r"\s+")
_QUESTION = re.compile(r"^will\s+", re.IGNORECASE)


def endpoint(per_minute: float) -> Endpoint:
    """Return the search route, with a limit that the user sets, because the server states none."""
    return Endpoint("search", f"{PLACE}{PATH}", Limit("searxng/search", per_minute, window_s=60.0))


def search(route: Endpoint, text: str, platform: str, market_id: str) -> Query:
    """Return the request for headlines about a market.

    route: the search route; text: what to search for. `platform` and `market_id` are sent as parameters that
    SearXNG ignores, so that the archive records which market was searched for.
    """
    query = {"q": text, "format": "json", "categories": "news"}
    return Query(route, {**query, "platform": platform, "market": market_id})


def query_text(title: str, subtitle: str | None = None) -> str:
    """Return a search text made of a market's title without question words, and its subtitle or event.

    Words keep their order; what SearXNG would read as an operator is removed. "" when nothing is left.
    """
    text = _SPACE.sub(" ", title).strip()
    if subtitle and subtitle.casefold() not in text.casefold():
        text = f"{text.rstrip('?')} {_SPACE.sub(' ', subtitle).strip()}"
    text = _OPERATORS.sub("", _QUESTION.sub("", text)).rstrip("? ")
    if len(text) > QUERY_MAX:
        text = text[: QUERY_MAX + 1].rpartition(" ")[0] or text[:QUERY_MAX]
    return _SPACE.sub(" ", text).strip()
