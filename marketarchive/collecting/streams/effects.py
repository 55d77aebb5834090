"""Effects: the actions that `Completeness` decides on and a pool carries out."""

from __future__ import annotations

from dataclasses import dataclass

from marketarchive.items import Cause, GapReason
from marketarchive.venues.channel import Statement


@dataclass(frozen=True, slots=True)
class OpenConnection:
    """Effect: open a connection; the pool answers with `connected` or `refused`."""

    connection: str


@dataclass(frozen=True, slots=True)
class CloseConnection:
    """Effect: close a connection, whose messages are no longer applied; the pool gives no answer."""

    connection: str


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Effect: subscribe keys on an open connection."""

    connection: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Effect: end the subscription of keys on a connection."""

    connection: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RequestResync:
    """Effect: request new snapshots of keys on their own connection."""

    connection: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RequestStatements:
    """Effect: request states of keys over REST; the pool answers with `stated` or `request_failed`."""

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
    """Effect: drop the books of keys from a connection's session, since they are no longer believed."""

    connection: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WriteGap:
    """Effect: write a line of a gap as it is known now; times are axis ns.

    The newest line of an id and key counts; `to_ns` = `from_ns` is a void gap.
    """

    id: str
    keys: tuple[str, ...]
    from_ns: int
    to_ns: int | None  # None: open
    reason: GapReason
    cause: Cause
    detail: str
    connection: str | None
    is_first: bool  # whether this is the first line with this id


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
