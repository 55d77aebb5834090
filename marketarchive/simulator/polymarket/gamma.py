"""The routes of gamma-api.polymarket.com, with the irregularities that readers of it reported."""

from __future__ import annotations

import base64
import binascii
import json
import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from marketarchive.simulator.messages import Reply, SimRequest, json_reply
from marketarchive.simulator.polymarket.catalog import EVENT_AFTER
from marketarchive.simulator.polymarket.gamma_rows import GammaRows
from marketarchive.simulator.polymarket.markets import Group, SimMarket
from marketarchive.simulator.polymarket.rounds import ASSET_LIST, series_id
from marketarchive.simulator.polymarket.world import World
from marketarchive.venues.polymarket import updown

_CAPS = {"markets": 100, "events": 500}
_OFFSET_MAX = 10_000
_IDS_MAX = 100

_ORDERS = frozenset({"endDate", "closedTime", "volumeNum", "volume24hr", "volume"})

_Row = SimMarket | tuple[Group, list[SimMarket]]  # a row of /markets or of /events
_Key = Callable[[_Row], tuple[float, int]]


class _BadRequestError(Exception):
    """Raised for a request that the venue answers with 422."""


class Gamma:
    """Gamma; it answers a request as of a Unix second."""

    def __init__(self, world: World, rows: GammaRows) -> None:
        self._world = world
        self._rows = rows

    def answer(self, request: SimRequest, second: int) -> Reply:
        try:
            return self._route(request, second)
        except _BadRequestError as error:
            return json_reply({"type": "validation error", "error": str(error)}, 422)

    def _route(self, request: SimRequest, second: int) -> Reply:
        parts = request.path.strip("/").split("/")
        match parts:
            case ["markets", "keyset"]:
                return self._keyset(request, second, "markets")
            case ["events", "keyset"]:
                return self._keyset(request, second, "events")
            case ["markets"]:
                return self._offset(request, second, "markets")
            case ["events"]:
                return self._offset(request, second, "events")
            case ["markets", "slug", slug]:
                return self._market(self._world.by_slug(slug, second), second)
            case ["markets", number]:
                return self._market(self._world.by_number(_whole(number, "id")), second)
            case ["events", "slug", slug]:
                return self._event(
                    lambda group: group.slug == slug, self._world.by_slug(slug, second), second
                )
            case ["events", number]:
                wanted = _whole(number, "id")
                market = self._world.by_number(wanted - EVENT_AFTER)
                return self._event(lambda group: group.number == wanted, market, second)
            case ["series"]:
                return self._series(request)
        return json_reply({"type": "not found error", "error": "not found"}, 404)

    # --- single rows -------------------------------------------------------------------------------------

    def _market(self, market: SimMarket | None, second: int) -> Reply:
        if market is None or not market.is_listed(second):
            return json_reply({"type": "not found error", "error": "slug not found"}, 404)
        return json_reply(self._rows.market(self._world.as_of(market, second), second))

    def _event(self, wanted: Callable[[Group], bool], market: SimMarket | None, second: int) -> Reply:
        members = [other for other in self._world.others if wanted(other.group)]
        if not members and market is not None and wanted(market.group):
            members = self._world.siblings(market, second)
        members = [member for member in members if member.is_listed(second)]
        if not members:
            return json_reply({"type": "not found error", "error": "slug not found"}, 404)
        return json_reply(self._rows.event(members[0].group, members, second))

    # --- lists -------------------------------------------------------------------------------------------

    def _keyset(self, request: SimRequest, second: int, what: str) -> Reply:
        if request.all("offset"):
            raise _BadRequestError("offset is not supported, use after_cursor")
        limit = _limit(request, _CAPS[what], strict=True)
        rows, key = self._selected(request, second, what)
        # `cursor` instead of `after_cursor` is ignored: the first page is returned again
        if after := request.first("after_cursor"):
            rows = _after(rows, key, _read_cursor(after), rising=_rising(request))
        page = rows[:limit]
        document: dict[str, Any] = {what: self._render(page, second, what)}
        if len(rows) > limit:
            value, number = key(page[-1])
            document["next_cursor"] = _write_cursor(value, number)
        return json_reply(document)

    def _offset(self, request: SimRequest, second: int, what: str) -> Reply:
        offset = _whole(request.first("offset", "0"), "offset")
        if offset > _OFFSET_MAX:
            raise _BadRequestError(f"offset must be at most {_OFFSET_MAX}")
        limit = _limit(request, _CAPS[what], strict=False)
        rows, _ = self._selected(request, second, what)
        return json_reply(self._render(rows[offset : offset + limit], second, what))

    def _selected(self, request: SimRequest, second: int, what: str) -> tuple[Sequence[_Row], _Key]:
        """Return the rows that match the filters, in the requested order, and their sort key.

        what: markets or events; second: Unix seconds.
        """
        found = _filtered(request, self._world.listed(second))
        # closed: false by default for markets; for events the opposite of what the documents say
        closed = request.first("closed", "false" if what == "markets" else "true") == "true"
        rows: Sequence[_Row]
        if what == "markets":
            rows = [market for market in found if market.is_closed(second) == closed]
        else:
            grouped = self._world.grouped(found).items()
            rows = [row for row in grouped if all(market.is_closed(second) for market in row[1]) == closed]
        order = request.first("order")
        key = self._key(order, second)
        if what == "markets" and order not in _ORDERS:
            return rows if _rising(request) else rows[::-1], key  # in order of listing
        return sorted(rows, key=key, reverse=not _rising(request)), key

    def _key(self, order: str, second: int) -> _Key:
        """Return the sort key of rows for an `order`.

        Names in snake case are ignored like any unknown order. Ids, createdAt and startDate all rise with the
        listing. second: Unix seconds.
        """

        def number(row: _Row) -> int:
            return row.number if isinstance(row, SimMarket) else row[0].number

        def value(row: _Row) -> float:
            markets = [row] if isinstance(row, SimMarket) else row[1]
            if order == "endDate":
                return max(market.end for market in markets)
            if order == "closedTime":
                return max(market.closed_at or 0 for market in markets)
            return self._rows.volume(markets[0], second) if order in _ORDERS else 0

        return lambda row: (value(row), number(row))

    def _render(self, rows: Sequence[_Row], second: int, what: str) -> list[dict[str, Any]]:
        if what == "markets":
            return [self._rows.market(row, second) for row in rows if isinstance(row, SimMarket)]
        return [self._rows.event(row[0], row[1], second) for row in rows if not isinstance(row, SimMarket)]

    def _series(self, request: SimRequest) -> Reply:
        """Answer the request for the up/down series."""
        found = []
        for asset in ASSET_LIST:
            for duration in updown.DURATIONS:
                slug = updown.series_slugs(asset, duration)[0]
                found.append(
                    {
                        "id": series_id(asset, duration),
                        "ticker": slug,
                        "slug": slug,
                        "title": f"{asset} Up or Down {duration}",
                        "seriesType": "single",
                        "recurrence": duration,
                        "active": True,
                        "closed": False,
                        "competitive": "0",
                    }
                )
        slugs = request.all("slug")
        found = [row for row in found if not slugs or row["slug"] in slugs]
        offset = _whole(request.first("offset", "0"), "offset")
        return json_reply(found[offset : offset + _limit(request, 50, strict=False)])


# --- filters and cursors ---------------------------------------------------------------------------------


def _filtered(request: SimRequest, listed: Sequence[SimMarket]) -> Sequence[SimMarket]:
    """Return the markets that match every filter of a request."""
    tests: list[Callable[[SimMarket], bool]] = []
    if series := _wanted(request, "series_id"):
        tests.append(lambda market: market.group.series_id in series)
    if slugs := _wanted(request, "slug"):
        tests.append(lambda market: market.slug in slugs or market.group.slug in slugs)
    if conditions := _wanted(request, "condition_ids"):
        tests.append(lambda market: market.condition_id in conditions)
    if numbers := _wanted(request, "id"):
        tests.append(lambda market: str(market.number) in numbers)
    if tokens := _wanted(request, "clob_token_ids"):
        tests.append(lambda market: not tokens.isdisjoint(market.tokens))
    if tags := _wanted(request, "tag_id"):
        if not all(tag.isdigit() for tag in tags):
            raise _BadRequestError("invalid integer")
        tests.append(lambda market: any(number in tags for number, _ in market.group.tags))
    if low := request.first("end_date_min"):
        earliest = _moment(low)
        tests.append(lambda market: market.end >= earliest)
    if high := request.first("end_date_max"):
        latest = _moment(high)
        tests.append(lambda market: market.end <= latest)
    if request.first("active") == "false":
        tests.append(lambda _: False)
    for test in tests:
        listed = list(filter(test, listed))
    return listed


def _wanted(request: SimRequest, name: str) -> frozenset[str]:
    wanted = frozenset(request.all(name))
    if len(wanted) > _IDS_MAX:
        raise _BadRequestError(f"{name} takes at most {_IDS_MAX} values")
    return wanted


def _moment(text: str) -> float:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise _BadRequestError(f"invalid time {text!r}") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _whole(text: str, name: str) -> int:
    if not re.fullmatch(r"\d{1,18}", text):
        raise _BadRequestError(f"{name} is invalid")
    return int(text)


def _limit(request: SimRequest, most: int, *, strict: bool) -> int:
    limit = _whole(request.first("limit", str(min(20, most))), "limit")
    if strict and not 0 < limit <= most:
        raise _BadRequestError(f"limit must be between 1 and {most}")
    return min(limit, most)


def _rising(request: SimRequest) -> bool:
    return request.first("ascending", "true") != "false"


def _after(rows: Sequence[_Row], key: _Key, last: tuple[float, int], *, rising: bool) -> Sequence[_Row]:
    """Return the rows after a place in the order of their keys.

    last: key of the last row of the page before; rising: True = keys rise.
    """
    if rising:
        return rows[bisect_right(rows, last, key=key) :]
    return rows[bisect_right(rows, _negative(last), key=lambda row: _negative(key(row))) :]


def _negative(key: tuple[float, int]) -> tuple[float, int]:
    return -key[0], -key[1]


def _write_cursor(value: Any, number: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([value, number]).encode()).decode()


def _read_cursor(text: str) -> tuple[Any, int]:
    try:
        value, number = json.loads(base64.urlsafe_b64decode(text))
        return float(value), int(number)
    except (binascii.Error, ValueError, TypeError):
        raise _BadRequestError("invalid cursor") from None
