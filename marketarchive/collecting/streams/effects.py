"""Actions that completeness decides and the stream carries out."""

from __future__ import annotations

from dataclasses import dataclass

from marketarchive.items import Cause, GapReason
from marketarchive.venues.channel import Statement


@dataclass(frozen=True, slots=True)
class OpenConnection:
    """Request to open a connection, answered with `connected`, or with `refused`."""

    connection: str


@dataclass(frozen=True, slots=True)
class CloseConnection:
    """Request to close a connection, which needs no answer and is not looked at any more."""

    connection: str


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Request to subscribe keys on an open connection."""

    connection: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Request to end the subscription of keys."""

    connection: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RequestResync:
    """Request for new snapshots of keys on their connection."""

    connection: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RequestStatements:
    """Request for states of keys over REST, answered with `stated`, or with `request_failed`."""

    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LoadStatement:
    """Effect: load a statement, such as a REST snapshot, into a connection's session.

    The pool answers with `loaded` unless the statement did not fit.
    """

    connection: str
    statement: Statement


@dataclass(frozen=True, slots=True)
class DropBooks:
    """Request to drop the books of keys from a connection's session: their snapshot is not believed."""

    connection: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WriteGap:
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
    | WriteGap
)
