"""/prices-history and /batch-prices-history of the order book's REST interface, with their irregularities.

Observed on 2026-08-10 and 2026-08-11: `p` is the midpoint, carried forward; a range has 15 days at most;
`interval=max` is the last 31 days, and so is empty for a market that closed before.
"""

from __future__ import annotations

from typing import Any

import msgspec

from marketarchive.simulator.messages import Reply, SimRequest, json_reply
from marketarchive.simulator.polymarket.books import SimBooks
from marketarchive.simulator.polymarket.world import World

WINDOW_S = 15 * 86_400
BATCH = 20  # most tokens in a batch

_DAY_S = 86_400
_INTERVALS = {
    "1h": 3600,
    "6h": 6 * 3600,
    "1d": _DAY_S,
    "1w": 7 * _DAY_S,
    "1m": 30 * _DAY_S,
    "max": 31 * _DAY_S,
    "all": 31 * _DAY_S,
}
_LEAST = {"1w": 5, "1m": 10}  # smallest number of minutes between points
_Points = list[dict[str, Any]]


class _RefusedError(Exception):
    """Raised for a request that is answered with 400."""


class PriceHistory:
    """The routes that serve past midpoints of tokens."""

    def __init__(self, world: World, books: SimBooks) -> None:
        self._world = world
        self._books = books

    def one(self, request: SimRequest, second: int) -> Reply:
        """Answer GET /prices-history as of a Unix second."""
        names = ("market", "startTs", "endTs", "interval", "fidelity")
        market, start, end, interval, fidelity = (request.first(name) or None for name in names)
        try:
            if market is None:
                raise _RefusedError("'market' is required")
            window = _window(start, end, interval, second)
            return json_reply({"history": self._points(market, window, _step(fidelity, interval), second)})
        except _RefusedError as error:
            return json_reply({"error": f"invalid filters: {error}"}, 400)

    def batch(self, request: SimRequest, second: int) -> Reply:
        """Answer POST /batch-prices-history as of a Unix second."""
        try:
            sent = msgspec.json.decode(request.body)
            tokens = list(map(str, sent["markets"]))
            named = (sent.get(name) for name in ("start_ts", "end_ts", "interval", "fidelity"))
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
            return json_reply({"error": "Invalid payload"}, 400)
        start, end, interval, fidelity = (None if each is None else str(each) for each in named)
        try:
            if not 0 < len(tokens) <= BATCH:
                raise _RefusedError(f"'markets' takes 1 to {BATCH}")
            window, step = _window(start, end, interval, second), _step(fidelity, interval)
        except _RefusedError as error:
            return json_reply({"error": f"invalid filters: {error}"}, 400)
        return json_reply({"history": {each: self._points(each, window, step, second) for each in tokens}})

    def _points(self, token: str, window: tuple[int, int], step_s: int, second: int) -> _Points:
        """Return a token's points in a range, at multiples of a step; none for an unknown token.

        window: first and last Unix second; step_s: seconds between points; second: present Unix second.
        """
        found = self._world.by_token(token)
        if found is None:
            return []
        market, side = found
        last = min(window[1], second)
        if market.closed_at is not None:
            last = min(last, market.closed_at - 1)
        first = max(window[0], market.listed_at)
        points = []
        for at in range(-(-first // step_s) * step_s, last + 1, step_s):
            mid = self._books.top(self._world.as_of(market, at), at).mid
            points.append({"t": at, "p": round(mid if side == 0 else 1 - mid, 6)})
        return points


def _window(start: str | None, end: str | None, interval: str | None, second: int) -> tuple[int, int]:
    """Return first and last Unix second of the requested range. Raises _RefusedError for an invalid one.

    start, end, interval: parameters as sent; second: present Unix second.
    """
    if start is None and end is None:
        if interval not in _INTERVALS:
            raise _RefusedError("'startTs' and 'endTs' or a known 'interval' are required")
        return second - _INTERVALS[interval], second
    texts = (start or "0", str(second) if end is None else end)
    if not all(each.isascii() and each.isdigit() for each in texts):
        raise _RefusedError("'startTs' and 'endTs' are not Unix seconds")
    first, last = int(texts[0]), int(texts[1])
    if first > last:
        raise _RefusedError("'startTs' is after 'endTs'")
    if last - first > WINDOW_S:
        raise _RefusedError("'startTs' and 'endTs' interval is too long")
    return first, last


def _step(fidelity: str | None, interval: str | None) -> int:
    """Return the seconds between two points. Raises _RefusedError for invalid parameters.

    fidelity, interval: parameters as sent.
    """
    least = _LEAST.get(interval or "", 1)
    text = str(least) if fidelity is None else fidelity
    if not text.isdigit() or int(text) < least:
        raise _RefusedError(f"minimum 'fidelity' for '{interval}' range is {least}")
    return int(text) * 60
