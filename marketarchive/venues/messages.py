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
    """One received message of a venue: an HTTP answer or a socket frame, live or read from the archive."""

    venue: str
    feed: str
    canonical_url: str  # URL at the venue itself, without a simulator's prefix and without the query
    params: Mapping[str, Any]
    body: bytes | None  # body of the request; None: it had none
    status: int  # HTTP status of an answer; 0: the message is a frame
    payload: bytes
    received_at: int  # receipt, wall clock, ns since the Unix epoch
    seq: int
    connection: str | None = None  # connection of a frame: c1, c2, ... of its run; None: an answer
    latency_ms: float = 0.0  # answers: from the request to the last byte
    # answers from the archive: the headers that it keeps, names in lower case
    headers: Mapping[str, Any] = {}

    @property
    def requested_at(self) -> int:
        """Return when the answer was requested: receipt less latency, wall clock, ns."""
        return self.received_at - int(self.latency_ms * 1_000_000)

    @classmethod
    def answer(
        cls, venue: str, feed: str, query: Query, status: int, payload: bytes, received_at: int, seq: int
    ) -> Received:
        """Create the message for a live answer to `query`.

        received_at: receipt, ns since the Unix epoch; seq: number of the answer in the archive.
        """
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
        """Create the message for a `response` or `frame` line of the archive.

        envelope: the keys of the line without its payload; payload: the bytes as received; received_at:
        receipt, ns since the Unix epoch.
        """
        params = envelope.get("params") or {}
        # the archive holds parameters as JSON text when a key or value contains "payload"
        if isinstance(params, str):
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
        """Return the fields that every item made from this message has in common."""
        return {
            "venue": self.venue,
            "feed": self.feed,
            "received_at": self.received_at,
            "seq": self.seq,
        }


class ConnectionLine(NamedTuple):
    """Content of a `connection` line of the archive: an event in the life of a socket connection."""

    connection: str  # c1, c2, ... of its run
    event: str  # opened, subscribed, unsubscribed or closed
    keys: tuple[str, ...]  # keys that the event is about
    received_at: int  # wall clock, ns since the Unix epoch
    url: str = ""  # the venue's own
    texts: tuple[Any, ...] = ()  # texts sent for the event, or what it shows, each as sent or as decoded JSON


@dataclass
class Parsed:
    """Parsed content of one answer.

    A row that cannot be read becomes an entry of `errors`; the other rows are kept.
    """

    items: list[Market | PriceSnapshot | Resolution | Headline] = field(default_factory=list)
    """Rows for the market master."""
    books: list[Any] = field(default_factory=list)  # order books, in the venue's own form
    trades: list[Any] = field(default_factory=list)  # trades, in the venue's own form
    errors: list[ParseError] = field(default_factory=list)
    next_cursor: str | None = None
    # ids of all rows of the page, unreadable ones too: they reveal a pagination that loops
    keys: list[str] = field(default_factory=list)
    series: dict[str, str] = field(default_factory=dict)  # name of a series -> its id
    # other content, such as table rows, in the venue's own form
    statements: list[Any] = field(default_factory=list)


def _body(kept: Any) -> bytes | None:
    """Return the bytes of a request's body from the archive, which holds it as JSON, as text or as base64."""
    if kept is None:
        return None
    if isinstance(kept, dict) and kept.keys() == {"base64"}:
        return base64.b64decode(kept["base64"])
    return kept.encode() if isinstance(kept, str) else msgspec.json.encode(kept)
