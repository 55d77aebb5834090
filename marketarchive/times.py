"""Conversions of time: the project counts integer nanoseconds, UTC since the Unix epoch or monotonic."""

from __future__ import annotations

from datetime import UTC, datetime

DAY = 86_400_000_000_000
HOUR = 3_600_000_000_000
SECOND = 1_000_000_000
MILLISECOND = 1_000_000
MICROSECOND = 1_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def from_seconds(seconds: float) -> int:
    """Return nanoseconds, cut towards zero."""
    return int(seconds * SECOND)


def to_seconds(ns: int) -> float:
    """Return seconds."""
    return ns / SECOND


def from_ms(milliseconds: int) -> int:
    """Return nanoseconds of whole milliseconds."""
    return milliseconds * MILLISECOND


def to_ms(ns: int) -> int:
    """Return whole milliseconds, rounded down."""
    return ns // MILLISECOND


def iso(ns: int) -> str:
    """Return `2026-11-21T10:15:00.000112Z`: UTC, microseconds (nanoseconds are cut, never rounded up)."""
    seconds, rest = divmod(ns, SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // MICROSECOND:06d}Z"


def from_iso(text: str) -> int:
    """Return nanoseconds of an ISO 8601 time; without an offset it is taken as UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return from_datetime(moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment)


def utc(ns: int) -> datetime:
    """Return an aware datetime, microseconds."""
    seconds, rest = divmod(ns, SECOND)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // MICROSECOND)


def from_datetime(moment: datetime) -> int:
    """Return nanoseconds of an aware datetime, exact to its microsecond."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds * MICROSECOND
