"""Retry-After, in both forms of RFC 9110 section 10.2.3."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

from marketarchive.clock import SECOND


def retry_after(value: str | None, now_ns: int) -> float | None:
    """Seconds to wait; None when the header is absent or makes no sense."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now_ns / SECOND)
    except (ValueError, TypeError):
        return None
