"""What completeness wants done: it decides, the stream carries out."""

from __future__ import annotations

from dataclasses import dataclass

from marketarchive.items import Cause, GapReason
from marketarchive.venues.channel import Statement


@dataclass(frozen=True, slots=True)
class OpenConnection:
    """Open a connection; answer with `connected`, or with `refused`."""

    connection: str


@dataclass(frozen=True, slots=True)
class CloseConnection:
    """Close a connection; it is not looked at any more, and need not be answered."""

    connection: str


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Subscribe keys on an open connection."""

    connection: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """End the subscription of keys."""

    connection: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RequestResync:
    """Request new snapshots of keys on their connection."""

    connection: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RequestStatements:
    """Request states of keys over REST; answer with `stated`, or with `request_failed`."""

    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LoadStatement:
    """Load a statement into the session of a connection; answer with `loaded` unless it did not fit."""

    connection: str
    statement: Statement


@dataclass(frozen=True, slots=True)
class DropBooks:
    """Drop the books of keys from the session of a connection: their base is not believed."""

    connection: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GapLine:
    """A gap as it is known now. The newest line of an id and key holds; `to_ns` = `from_ns` is a void gap."""

    id: str
    keys: tuple[str, ...]
    from_ns: int
    to_ns: int | None  # None: open
    reason: GapReason
    cause: Cause
    detail: str
    connection: str | None
    is_first: bool  # the first line of its id


Effect = (
    OpenConnection
    | CloseConnection
    | Subscribe
    | Unsubscribe
    | RequestResync
    | RequestStatements
    | LoadStatement
    | DropBooks
    | GapLine
)
