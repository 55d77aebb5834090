"""The route of the venue's web pages that states the opening and closing price of a window."""

from __future__ import annotations

from datetime import UTC, datetime

from marketarchive.simulator.messages import Reply, SimRequest, json_reply
from marketarchive.simulator.noise import bits
from marketarchive.simulator.prices import ASSETS, E18, Prices

LIMIT = 3
"""Requests per 10 s. Not documented: readers that leave 5 s between requests are not refused."""

_PATH = "/api/crypto/crypto-price"
_VARIANTS_S = {"fiveminute": 300, "fifteen": 900, "hourly": 3600, "fourhour": 14_400, "daily": 86_400}
_OF_BINANCE = ("hourly", "daily")
_PUBLISHED_AFTER_MS, _JITTER_MS = 2000, 1000  # ms after a boundary
_CACHED_MS = 5000
_UNPUBLISHED = {
    "openPrice": None,
    "closePrice": None,
    "timestamp": 0,
    "completed": False,
    "incomplete": True,
    "cached": False,
}


class Web:
    """The web pages' route; it answers a request as of a moment."""

    def __init__(self, seed: int, prices: Prices) -> None:
        self._seed = seed
        self._prices = prices

    def answer(self, request: SimRequest, now_ms: int) -> Reply:
        if request.path.rstrip("/") != _PATH:
            return json_reply({"error": "not found"}, 404)
        asset, variant = request.first("symbol").upper(), request.first("variant", "fiveminute")
        if asset not in ASSETS or variant not in _VARIANTS_S:
            return json_reply({"error": "symbol or variant is not known"}, 400)
        window_s = self._window_s(request)
        start = _second(request.first("eventStartTime"))
        if start is None or window_s is None:
            return json_reply({"error": "eventStartTime or twapLookbackSeconds is not valid"}, 400)
        end = _second(request.first("endDate")) or start + _VARIANTS_S[variant]
        is_binance = variant in _OF_BINANCE
        opened, closed = (self._published_ms(asset, at) for at in (start, end))
        if now_ms < opened:
            return json_reply(_UNPUBLISHED)
        completed = now_ms >= closed
        reported = max(closed if completed else opened, now_ms - now_ms % _CACHED_MS)
        return json_reply(
            {
                "openPrice": self._price(asset, start, window_s, is_binance=is_binance),
                "closePrice": self._price(asset, end, window_s, is_binance=is_binance) if completed else None,
                "timestamp": reported,
                "completed": completed,
                "incomplete": not completed,
                "cached": reported != now_ms,
            }
        )

    def _window_s(self, request: SimRequest) -> int | None:
        """Return the requested TWAP window in seconds; 0 for spot, without the two parameters.

        None if invalid.
        """
        if request.first("twapEnabled") != "true":
            return 0
        window = request.first("twapLookbackSeconds")
        return int(window) if window in ("30", "60") else None

    def _published_ms(self, asset: str, second: int) -> int:
        return (
            second * 1000 + _PUBLISHED_AFTER_MS + bits(self._seed, "crypto-price", asset, second) % _JITTER_MS
        )

    def _price(self, asset: str, second: int, window_s: int, *, is_binance: bool) -> float:
        if window_s:
            return self._prices.twap(asset, second, window_s) / E18
        return (self._prices.exchange if is_binance else self._prices.spot)(asset, second) / E18


def _second(text: str) -> int | None:
    """Return Unix seconds from a text like `2026-08-21T11:35:00Z`, with or without milliseconds.

    None if invalid.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return int(at.replace(tzinfo=at.tzinfo or UTC).timestamp())
