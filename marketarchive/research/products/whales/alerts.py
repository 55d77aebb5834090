"""Parsing of wwatcher's table of alerts; rows that are no alert are kept apart with their reason."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from marketarchive.times import SECOND, from_iso

Side = Literal["YES", "NO"]
RubbishReason = Literal["platform", "market", "value", "time"]
"""Column because of which a row is no alert: it is missing or has an implausible value."""
FIRST, LAST = from_iso("2015-01-01T00:00:00Z"), from_iso("2100-01-01T00:00:00Z")
"""Range of plausible trade times, ns."""

_NUMBER = re.compile(r"\d+(\.\d+)?")
_JSON = ("whale_profile", "wallet_activity", "market_context")
"""Columns with a JSON object that may state a wallet's win rate."""


@dataclass(frozen=True, slots=True)
class WhaleAlert:
    """A large trade reported by wwatcher. Times are ns UTC, `value` is dollars, `price` dollars per share."""

    row: int  # its number in the file
    platform: str  # lower case
    market_id: str | None
    title: str | None  # at least one of `market_id` and `title` is not None
    at: int  # time of the trade
    known_at: int  # when the alert was written, never before the trade
    value: float
    action: str = ""  # upper case: BUY, SELL, or the side that was bought
    outcome: str | None = None  # the traded outcome: a label of the market, or a text about it
    alert_type: str | None = None
    price: float | None = None
    size: float | None = None  # shares or contracts
    wallet: str | None = None
    win_rate: float | None = None  # share of the wallet's trades that won, 0 to 1, as the file states it


@dataclass(frozen=True, slots=True)
class RubbishRow:
    """A row of wwatcher's table that is no alert, unchanged."""

    reason: RubbishReason
    values: Mapping[str, Any]


def parse(row: int, values: Mapping[str, Any], extra: Mapping[str, Any]) -> WhaleAlert | RubbishRow:
    """Return the alert of a row of wwatcher's table, or the row as rubbish with a reason.

    row: its number; values: by the names of `database.COLUMNS`, as far as the table has them; extra: all
    columns by their own names. The trade's time is `timestamp`, or `created_at` where that cannot be read.
    """
    platform, title, market_id = (text(values.get(name)) for name in ("platform", "title", "market_id"))
    value = number(values.get("value"))
    traded_at, written_at = time(values.get("timestamp")), time(values.get("created_at"))
    times = [at for at in (traded_at, written_at) if at is not None]
    if platform is None:
        return RubbishRow("platform", extra)
    if title is None and market_id is None:
        return RubbishRow("market", extra)
    if value is None or value <= 0:
        return RubbishRow("value", extra)
    if not times:
        return RubbishRow("time", extra)
    price = number(values.get("price"))
    return WhaleAlert(
        row,
        platform.lower(),
        market_id,
        title,
        times[0],
        max(times),
        value,
        action=(text(values.get("action")) or "").upper(),
        outcome=text(values.get("outcome")),
        alert_type=text(values.get("alert_type")),
        price=price if price is not None and 0 <= price <= 1 else None,
        size=number(values.get("size")),
        wallet=text(values.get("wallet_id")) or text(values.get("wallet_hash")),
        win_rate=_win_rate(values, extra),
    )


def text(value: Any) -> str | None:
    """Return a text without surrounding space; None for an empty one or another type."""
    return value.strip() or None if isinstance(value, str) else None


def number(value: Any) -> float | None:
    """Return a finite number from a number or text; None for anything else. SQLite's columns have no type."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (OverflowError, ValueError):
        return None
    return found if math.isfinite(found) else None


def time(value: Any) -> int | None:
    """Return a time in ns from an ISO 8601 text or a number of s, ms, us or ns; None for anything else.

    The unit of a number is the one that puts it between FIRST and LAST.
    """
    if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
        try:
            found = from_iso(value.strip().removesuffix(" UTC"))
        except (OverflowError, ValueError):
            return None
        return found if FIRST <= found < LAST else None
    count = number(value)
    if count is None or not 0 <= count < LAST:
        return None
    for unit in (SECOND, SECOND // 1000, SECOND // 1_000_000, 1):
        found = value * unit if isinstance(value, int) else round(count * unit)
        if FIRST <= found < LAST:
            return found
    return None


def _win_rate(values: Mapping[str, Any], extra: Mapping[str, Any]) -> float | None:
    """Return the wallet's win rate that a row states, 0 to 1, in its column or else its JSON; else None.

    A value above 1 is taken as percent.
    """
    stated = number(values.get("win_rate"))
    for name in _JSON:
        if stated is None and (found := text(extra.get(name))) is not None:
            try:
                known = json.loads(found)
            except (RecursionError, ValueError):
                continue
            stated = number(known.get("win_rate")) if isinstance(known, dict) else None
    if stated is None or not 0 <= stated <= 100:
        return None
    return stated if stated <= 1 else stated / 100
