"""Input and output of a venue's parse functions, the same for every venue."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.items import Headline, Market, PriceSnapshot, Resolution
from marketarchive.venues.endpoint import Query


class Received(msgspec.Struct, frozen=True):
    """One message of a venue, from a live spider or from the archive."""

    venue: str
    feed: str
    canonical_url: str  # the venue's own URL, without a simulator's prefix and without the query
    params: Mapping[str, Any]
    body: bytes | None  # the request's
    status: int  # 0: a frame
    payload: bytes
    received_at: int  # wall ns
    seq: int
    connection: str | None = None  # of a frame: c1, c2, ... of its run
    latency_ms: float = 0.0  # of an answer: from the request to its last byte
    headers: Mapping[str, Any] = {}  # of an archived answer: those that are kept, names in lower case

    @property
    def requested_at(self) -> int:
        """Return when an answer was requested, wall ns."""
        return self.received_at - int(self.latency_ms * 1_000_000)

    @classmethod
    def answer(
        cls, venue: str, feed: str, query: Query, status: int, payload: bytes, received_at: int, seq: int
    ) -> Received:
        """Return the answer to `query` as a live spider got it."""
        return cls(venue, feed, query.url, query.params, query.body, status, payload, received_at, seq)

    @classmethod
    def archived(
        cls,
        venue: str,
        feed: str,
        canonical_url: str,
        envelope: Mapping[str, Any],
        payload: bytes,
        received_at: int,
    ) -> Received:
        """Return the same from a `response` or `frame` line: its keys without the payload, and its bytes."""
        params = envelope.get("params") or {}
        if isinstance(params, str):  # as JSON text where a key or value holds "payload"
            params = json.loads(params)
        body = envelope.get("body")
        return cls(
            venue,
            feed,
            canonical_url,
            params,
            _body(body),
            envelope.get("status", 0),
            payload,
            received_at,
            envelope.get("seq", 0),
            envelope.get("connection"),
            envelope.get("latency_ms", 0.0),
            envelope.get("headers") or {},
        )

    def origin(self) -> dict[str, Any]:
        """Return the fields that every item made from this message carries."""
        return {
            "venue": self.venue,
            "feed": self.feed,
            "received_at": self.received_at,
            "seq": self.seq,
        }


class ConnectionLine(NamedTuple):
    """Content of a `connection` line."""

    connection: str  # c1, c2, ... of its run
    event: str  # opened, subscribed, unsubscribed, closed
    keys: tuple[str, ...]  # that the event is about
    received_at: int  # wall ns
    url: str = ""  # the venue's own
    texts: tuple[Any, ...] = ()  # that were sent for it, or what it shows, each as it was or decoded


@dataclass
class Parsed:
    """Content of one response; a bad row is one entry of `errors` and spoils nothing else."""

    items: list[Market | PriceSnapshot | Resolution | Headline] = field(default_factory=list)
    """For the market master."""
    books: list[Any] = field(default_factory=list)  # in the venue's own form
    trades: list[Any] = field(default_factory=list)  # likewise
    errors: list[ParseError] = field(default_factory=list)
    next_cursor: str | None = None
    keys: list[str] = field(default_factory=list)  # the page's rows by id, bad ones too: to detect loops
    series: dict[str, str] = field(default_factory=dict)  # a series' name -> its id
    statements: list[Any] = field(default_factory=list)  # what it says of itself, in the venue's own form


def _body(kept: Any) -> bytes | None:
    """Return the bytes of a request's body: a line holds it as the document it is, or as text."""
    if kept is None:
        return None
    if isinstance(kept, dict) and kept.keys() == {"base64"}:
        return base64.b64decode(kept["base64"])
    return kept.encode() if isinstance(kept, str) else msgspec.json.encode(kept)
