"""Types of a venue's side of one WebSocket connection, independent of any server library and clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from marketarchive.nesting import is_shallow

ABNORMAL = 1006
"""Code for cutting a connection without a close frame; it cannot be sent."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One text message, with what it is about."""

    ns: int  # when it is due, simulated wall clock, ns
    kind: str  # "book", "price_change", "update", "backfill", "pong", ...
    payload: bytes
    markets: tuple[str, ...] = ()  # slugs or symbols of the markets it is about
    tokens: tuple[str, ...] = ()
    topic: str | None = None
    symbol: str | None = None


@dataclass(frozen=True, slots=True)
class SocketReply:
    """The result of a client's text: what it did, and the frames that answer it.

    event: name of the event for the truth; "" when the text was not understood.
    """

    event: str = ""
    frames: Sequence[Frame] = field(default=())


class SimSession(Protocol):
    """Protocol of a venue's side of one connection; its frames depend only on subscriptions and time."""

    name: str  # venue's id of the connection; "" when it has none

    def received(self, text: str, now_ns: int) -> SocketReply:
        """Apply a text of the client, and return its result.

        now_ns: simulated wall clock, ns; everything due by then was sent before.
        """

    def due(self, from_ns: int, to_ns: int) -> list[Frame]:
        """Return all frames that are due in from_ns < ns <= to_ns (simulated wall clock), in order."""

    def end(self, now_ns: int) -> tuple[int, str] | None:
        """Return (code, reason) once the venue closes the connection, else None.

        The code ABNORMAL means that the connection is cut. now_ns: simulated wall clock, ns.
        """

    def is_deaf(self, now_ns: int) -> bool:
        """Return whether the venue has silently stopped sending, because the client sent no PING.

        now_ns: simulated wall clock, ns.
        """

    def dated_ahead(self, frame: Frame, ns: int) -> bytes:
        """Return the payload of `frame` dated `ns` later, with hashes that match the new dates."""

    def place(self, market: str) -> int | None:
        """Return the position of a market in the order of subscriptions, from 0; None: not subscribed."""


def message_of(text: str) -> dict[str, Any]:
    """Return the JSON object in a client's text; {} for any other text."""
    raw = text.encode()
    if not is_shallow(raw):
        return {}
    try:
        document = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return {}
    return document if isinstance(document, dict) else {}
