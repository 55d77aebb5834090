"""Small catalogues with the columns of `Archive.catalog()` that the join reads."""

from __future__ import annotations

from typing import Any

import pandas as pd

from marketarchive.research.products.whales.alerts import WhaleAlert
from marketarchive.research.products.whales.markets import TEXTS, TIMES

NOW = pd.Timestamp("2026-11-21T10:00:00Z")
HOUR_NS = 3_600 * 10**9


def ns(hours: float) -> int:
    """A time so many hours after NOW."""
    return NOW.value + round(hours * HOUR_NS)


def catalogue(*rows: dict[str, Any]) -> pd.DataFrame:
    """Markets of one platform, open from a day before NOW to a day after it but for what is said."""
    day = pd.Timedelta(days=1)
    plain = {"platform": "polymarket", "outcomes": ["Yes", "No"], "start_at": NOW - day, "end_at": NOW + day}
    frame = pd.DataFrame([plain | row for row in rows], columns=[*TEXTS, "outcomes", *TIMES])
    for name in TIMES:
        frame[name] = pd.to_datetime(frame[name], utc=True)
    return frame


def alert(row: int = 1, hours: float = 0.0, **changed: Any) -> WhaleAlert:
    """A purchase of Yes, so many hours after NOW."""
    given: dict[str, Any] = {
        "market_id": None,
        "title": "Will it rain?",
        "known_at": ns(hours),
        "value": 1000.0,
    } | changed
    given = {"platform": "polymarket", "action": "BUY", "outcome": "Yes"} | given
    return WhaleAlert(row=row, at=ns(hours), **given)
