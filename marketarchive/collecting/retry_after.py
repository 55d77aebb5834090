"""Retry-After, in both forms of RFC 9110 section 10.2.3."""

from __future__ import annotations

import math
from datetime import UTC
from email.utils import parsedate_to_datetime

from marketarchive.times import to_seconds


def retry_after(value: str | None, now_ns: int) -> float | None:
    """Seconds to wait; None when the header is absent or makes no sense."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except (ValueError, TypeError):
            return None
        seconds = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - to_seconds(now_ns)
    return max(0.0, seconds) if math.isfinite(seconds) else None
