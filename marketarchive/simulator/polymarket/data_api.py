"""The routes of data-api.polymarket.com."""

from __future__ import annotations

from typing import Any

from marketarchive.simulator.messages import Reply, SimRequest, json_reply
from marketarchive.simulator.noise import digest
from marketarchive.simulator.polymarket.books import SimBooks
from marketarchive.simulator.polymarket.gamma_rows import iso
from marketarchive.simulator.polymarket.markets import SimMarket
from marketarchive.simulator.polymarket.trades import (
    LIMIT,
    LIMIT_MAX,
    OFFSET_MAX,
    V1_LIMIT_MAX,
    Trades,
    first_version,
    read_cursor,
    write_cursor,
)
from marketarchive.simulator.polymarket.world import World

REPORTED_AFTER_S = 30
"""Seconds after the close at which a resolution is listed."""
_CONDITIONS_MAX = 20


class DataApi:
    """The Data API; it answers a request as of a moment."""

    def __init__(self, world: World, books: SimBooks) -> None:
        self._world = world
        self._trades = Trades(world, books.tape)

    def answer(self, request: SimRequest, second: int) -> Reply:
        path = request.path.rstrip("/")
        if path == "/trades":
            return self._traded_v1(request, second)
        if path not in ("/v2/resolutions", "/v2/trades"):
            return _error("not_found", f"no route {request.path}", 404)
        conditions = [each for text in request.all("condition") for each in text.split(",") if each]
        event = request.first("event_id")
        if len(conditions) > _CONDITIONS_MAX:
            return _error("invalid_request", f"at most {_CONDITIONS_MAX} conditions", 400, "condition")
        if path == "/v2/trades":
            return self._traded(request, conditions, event, second)
        if bool(conditions) == bool(event):
            return _error("invalid_request", "give either condition or event_id", 400, "condition")
        return self._resolved(self._chosen(conditions, event, second), second)

    def _chosen(self, conditions: list[str], event: str, second: int) -> list[SimMarket]:
        if event:
            found = [market for market in self._world.listed(second) if str(market.group.number) == event]
        else:
            found = [market for each in conditions if (market := self._world.by_condition(each))]
        return [self._world.as_of(market, second) for market in found if market.is_listed(second)]

    def _traded(self, request: SimRequest, conditions: list[str], event: str, second: int) -> Reply:
        """Answer the request for trades; without a filter these are of the rounds whose window is open.

        conditions: condition ids; event: id of an event, "" for none; second: Unix seconds.
        """
        limit = request.first("limit", str(LIMIT))
        if not limit.isdigit() or not 0 < int(limit) <= LIMIT_MAX:
            return _error("invalid_request", f"limit is 1 to {LIMIT_MAX}", 400, "limit")
        for name in ("offset", *(() if request.first("user") else ("start", "end"))):
            if request.first(name):
                return _error("invalid_request", f"{name} is not supported here", 400, name)
        cursor = request.first("cursor")
        place = read_cursor(cursor) if cursor else (second, 0)
        if place is None:
            return _error("invalid_request", "cursor is not one of ours", 400, "cursor")
        asof, skip = min(place[0], second), place[1]
        markets = self._chosen(conditions, event, asof) if conditions or event else self._live(asof)
        if request.first("user"):
            markets = []  # trades of a user: this world has no users of its own
        rows, has_more = self._trades.page(markets, request.first("side").upper(), asof, skip, int(limit))
        following = write_cursor(asof, skip + len(rows)) if has_more else None
        return json_reply(
            {
                "data": rows,
                "pagination": {
                    "limit": int(limit),
                    "offset": skip,
                    "has_more": has_more,
                    "next_cursor": following,
                },
            }
        )

    def _traded_v1(self, request: SimRequest, second: int) -> Reply:
        """Answer the request for trades in the first version: a bare array, paged by a bounded offset.

        It has no filter of time. second: Unix seconds.
        """
        numbers = [request.first("limit", str(LIMIT)), request.first("offset", "0")]
        if not all(number.isdigit() for number in numbers):
            return json_reply({"error": "invalid limit or offset"}, 400)
        limit, offset = min(int(numbers[0]), V1_LIMIT_MAX), int(numbers[1])
        if offset > OFFSET_MAX:
            return json_reply({"error": f"max historical trades offset of {OFFSET_MAX} exceeded"}, 400)
        conditions = [each for text in request.all("market") for each in text.split(",") if each]
        event = request.first("eventId")
        markets = self._chosen(conditions, event, second) if conditions or event else self._live(second)
        if request.first("user"):
            markets = []
        rows, _ = self._trades.page(markets, request.first("side").upper(), second, offset, limit)
        return json_reply([first_version(row) for row in rows])

    def _live(self, second: int) -> list[SimMarket]:
        """Return the rounds whose window is open at a Unix second."""
        listed = self._world.listed(second)
        return [each for each in listed if each.start and each.start <= second < each.end]

    def _resolved(self, markets: list[SimMarket], second: int) -> Reply:
        rows = [self._row(market, second) for market in markets]
        return json_reply(
            {
                "data": [row for row in rows if row is not None],
                "pagination": {"limit": 100, "offset": 0, "has_more": False, "next_cursor": None},
            }
        )

    def _row(self, market: SimMarket, second: int) -> dict[str, Any] | None:
        """Return a resolution; None before it is reported. Old rows have no payouts. second: Unix seconds."""
        closed_at = market.closed_at
        if closed_at is None or second < closed_at + REPORTED_AFTER_S:
            return None
        payouts = self._world.payouts(market)
        return {
            "condition_id": market.condition_id,
            "status": "resolved",
            "payouts": [round(float(payout) * 1_000_000) for payout in payouts] if payouts else None,
            "reporter": "CHAINLINK" if market.kind == "round" else "UMA_OO",
            "resolved_at": iso(closed_at),
            "resolved_block": 70_000_000 + closed_at // 2 % 10_000_000,
            "transaction_hash": f"0x{digest(32, self._world.seed, 'tx', market.number).hex()}",
            "was_disputed": "disputed" in market.uma_statuses,
            "extended_review": False,
            "resolution_source": "reported",
            "price": None,
        }


def _error(code: str, message: str, status: int, parameter: str | None = None) -> Reply:
    return json_reply(
        {"code": code, "error": message, "parameter": parameter, "retryable": False, "trace_id": "simulated"},
        status,
    )
