"""Scope of a gap: which feed, connection, endpoint or subjects it is about."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

LOOKUP = "lookup"
"""Kind of the scope of a failed HTTP request for the state of a stream's subjects.

Such a gap leaves nothing out of the stream itself.
"""

_LISTS = {"token": "tokens", "topic": "topics", "market": "markets", LOOKUP: "asked_for"}
"""Kind of subject -> key of the list of subjects in a gap line's scope."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Scope of a gap: what could not be observed.

    Without subjects it is the whole connection or endpoint if one is named, else the whole feed.
    `research/tables/gap_scope.py` does the same as `concerns` in SQL.
    """

    venue: str
    feed: str
    subjects: tuple[str, ...] = ()  # tokens, markets, topics, ...: see `kind`
    connection: str | None = None  # name of a socket connection within its run, or of a page
    endpoint: str | None = None  # of HTTP requests
    kind: str = ""
    """Kind of the subjects: market, token, topic, symbol (topic:symbol), asset, page (an asset on the page
    `connection`), lookup (see LOOKUP); or records: rows were not made, though all messages were received."""

    @property
    def is_whole_feed(self) -> bool:
        """Return whether the scope is the whole feed, on all connections and endpoints."""
        return not self.subjects and self.connection is None and self.endpoint is None and not self.kind

    def concerns(
        self, venue: str, feed: str, names: Collection[str], connections: Collection[str] | None = None
    ) -> bool:
        """Return whether a gap of this scope may leave out data of a subject.

        names: all names of the subject (token, market, topic, ...); connections: those on which its data is
        sent, None where it is polled, or the connections are not known.
        """
        if (self.venue, self.feed) != (venue, feed) or self.kind == LOOKUP:
            return False
        if connections is not None and self.connection is None and self.endpoint is not None:
            return False  # a missing HTTP answer leaves nothing out of what a socket sends
        if self.subjects:
            return not frozenset(names).isdisjoint(self.subjects)
        return connections is None or self.connection is None or self.connection in connections

    def as_dict(self) -> dict[str, Any]:
        """Return the scope as the JSON object in gap lines and rows of records/; `read` parses it."""
        if self.is_whole_feed:
            return {"venue": self.venue, "feed": self.feed}
        found: dict[str, Any] = {}
        if self.connection is not None:
            found["page" if self.kind == "page" else "connection"] = self.connection
        if self.endpoint is not None:
            found["endpoint"] = self.endpoint
        return {**found, **self._words()}

    def _words(self) -> dict[str, Any]:
        if not self.subjects:
            return {self.kind: True} if self.kind else {}
        if self.kind in _LISTS:
            return {_LISTS[self.kind]: list(self.subjects)}
        if len(self.subjects) == 1:
            [subject] = self.subjects
            topic, colon, symbol = subject.partition(":")
            if self.kind == "symbol" and colon:
                return {"topics": [topic], "symbol": symbol}
            if self.kind in ("asset", "page"):
                return {"asset": subject}
        return {"subjects": list(self.subjects), "kind": self.kind}

    @classmethod
    def read(cls, venue: str, feed: str, document: Any) -> Scope:
        """Parse the scope in a gap line or row of a feed, of any schema.

        Fields of an unknown form are ignored. document: the decoded JSON value of `scope`.
        """
        if isinstance(document, str):  # as JSON text where a key or value holds "payload"
            try:
                document = json.loads(document)
            except (ValueError, RecursionError):
                document = None
        if not isinstance(document, dict):
            document = {}
        connection = _text(document.get("connection"))
        subjects, kind = _subjects(document)
        if (page := _text(document.get("page"))) is not None and connection is None:
            connection, kind = page, "page"
        return cls(venue, feed, subjects, connection, _text(document.get("endpoint")), kind)


def _subjects(document: dict[str, Any]) -> tuple[tuple[str, ...], str]:
    """Return (subjects, their kind) of a scope in a gap line, from its most specific key."""
    if isinstance(document.get("subjects"), list):
        return _texts(document["subjects"]), _text(document.get("kind")) or ""
    if "asked_for" in document:
        return _texts(document["asked_for"]), LOOKUP
    token, symbol, topics = (document.get(word) for word in ("token", "symbol", "topics"))
    if isinstance(token, str):
        return (token,), "token"
    if isinstance(symbol, str):
        within = _texts(topics)
        return tuple(f"{topic}:{symbol}" for topic in within) or (symbol,), "symbol"
    for kind, word in _LISTS.items():
        if isinstance(document.get(word), list):
            return _texts(document[word]), kind
    if isinstance(document.get("asset"), str):
        return (document["asset"],), "asset"
    if slugs := _texts(document.get("slug")):  # schema 1 wrote the parameters of a failed request
        return slugs, "market"
    return (), "records" if document.get("records") is True else ""


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    found: Iterable[Any] = value if isinstance(value, list) else ()
    return tuple(each for each in found if isinstance(each, str))
