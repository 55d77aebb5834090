"""A venue's side of one WebSocket connection, free of any server library and of any clock of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from marketarchive.nesting import is_shallow

ABNORMAL = 1006
"""Not a code that can be sent: the connection is cut without a close frame."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One text message and what it is about."""

    ns: int  # simulated; when it is due
    kind: str  # "book", "price_change", "update", "backfill", "pong", ...
    payload: bytes
    markets: tuple[str, ...] = ()  # slugs
    tokens: tuple[str, ...] = ()
    topic: str | None = None
    symbol: str | None = None


@dataclass(frozen=True, slots=True)
class SocketReply:
    """Result of a client's text: `event` names it in the truth, "" where nothing was understood."""

    event: str = ""
    frames: Sequence[Frame] = field(default=())


class SimSession(Protocol):
    """Venue's side of one connection; frames depend only on the subscriptions and on time."""

    name: str  # the venue's own id of the connection; "" where it has none

    def received(self, text: str, now_ns: int) -> SocketReply:
        """Handle a text of the client, after everything due until `now_ns`."""

    def due(self, from_ns: int, to_ns: int) -> list[Frame]:
        """Return all frames with from_ns < ns <= to_ns, in order."""

    def end(self, now_ns: int) -> tuple[int, str] | None:
        """Return (code, reason) once the venue closes the connection; ABNORMAL cuts it."""

    def is_deaf(self, now_ns: int) -> bool:
        """Return whether the venue has silently stopped sending because the client sent no PING."""

    def dated_ahead(self, frame: Frame, ns: int) -> bytes:
        """Return the payload of `frame` as if it had happened that much later, hashes right for its dates."""

    def place(self, market: str) -> int | None:
        """Return 0 for the market that was subscribed first on this connection, and so on."""


def message_of(text: str) -> dict[str, Any]:
    """Return a client's JSON object; {} for everything else."""
    raw = text.encode()
    if not is_shallow(raw):
        return {}
    try:
        document = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return {}
    return document if isinstance(document, dict) else {}
