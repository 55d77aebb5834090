"""Conversions of time; the project counts integer nanoseconds, since the Unix epoch (UTC) or monotonic."""

from __future__ import annotations

from datetime import UTC, datetime

DAY = 86_400_000_000_000
HOUR = 3_600_000_000_000
SECOND = 1_000_000_000
MILLISECOND = 1_000_000
MICROSECOND = 1_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def from_seconds(seconds: float) -> int:
    """Convert seconds to integer nanoseconds, rounded towards zero."""
    return int(seconds * SECOND)


def to_seconds(ns: int) -> float:
    """Convert nanoseconds to seconds."""
    return ns / SECOND


def from_ms(milliseconds: int) -> int:
    """Convert milliseconds to nanoseconds."""
    return milliseconds * MILLISECOND


def to_ms(ns: int) -> int:
    """Convert nanoseconds to whole milliseconds, rounded down."""
    return ns // MILLISECOND


def iso(ns: int) -> str:
    """Format ns since the Unix epoch as `2026-11-21T10:15:00.000112Z`, rounded down to microseconds."""
    seconds, rest = divmod(ns, SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // MICROSECOND:06d}Z"


def from_iso(text: str) -> int:
    """Parse an ISO 8601 time to ns since the Unix epoch; one without an offset is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return from_datetime(moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment)


def utc(ns: int) -> datetime:
    """Convert nanoseconds since the Unix epoch to a datetime in UTC, rounded down to microseconds."""
    seconds, rest = divmod(ns, SECOND)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // MICROSECOND)


def from_datetime(moment: datetime) -> int:
    """Convert an aware datetime to nanoseconds since the Unix epoch, exactly."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds * MICROSECOND
