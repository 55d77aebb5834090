"""Items as spiders yield them, few words for tests."""

from __future__ import annotations

from typing import Any

from marketarchive.items import Market, PriceSnapshot, Resolution

START = 1_763_700_000_000_000_000  # 2025-11-21T04:40:00Z, ns
SECOND = 1_000_000_000


def origin(t: float, run: str = "r1", seq: int | None = None) -> dict[str, Any]:
    """What any item carries; `t` seconds after START."""
    return {
        "venue": "polymarket",
        "feed": "markets",
        "received_at": START + round(t * 1_000_000) * 1000,
        "seq": int(t) + 1 if seq is None else seq,
        "run": run,
        "platform": "polymarket",
    }


def market(
    t: float = 0, market_id: str = "0xabc", run: str = "r1", seq: int | None = None, **said: Any
) -> Market:
    return Market(**origin(t, run, seq), market_id=market_id, **said)


def resolved(
    t: float = 0, market_id: str = "0xabc", run: str = "r1", seq: int | None = None, **said: Any
) -> Resolution:
    said = {"status": "resolved", "resolution_source": "data-api", **said}
    return Resolution(**origin(t, run, seq), market_id=market_id, **said)


def priced(
    t: float = 0, market_id: str = "0xabc", run: str = "r1", seq: int | None = None, **said: Any
) -> PriceSnapshot:
    return PriceSnapshot(**origin(t, run, seq), market_id=market_id, **said)
