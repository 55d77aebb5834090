"""Simulated stream pages of data.chain.link, and the endpoints that their script requests."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

from marketarchive.simulator.chainlink.candles import RANGES, SimCandles
from marketarchive.simulator.chainlink.page import NOT_FOUND, SCRIPT_PATH, render
from marketarchive.simulator.chainlink.reports import Reports, SimReport, decimal, stamp
from marketarchive.simulator.chainlink.script import SCRIPT
from marketarchive.simulator.chainlink.streams import BY_FEED_ID, BY_SLUG, Stream
from marketarchive.simulator.messages import Reply, SimRequest, json_reply
from marketarchive.simulator.noise import bits
from marketarchive.simulator.prices import Prices, prices_of
from marketarchive.simulator.sockets import SimSession
from marketarchive.times import SECOND, from_seconds

HOST = "data.chain.link"
CARRIED_S = 900
"""Seconds ahead for which a page contains its own reports, when it has no endpoint (fault `page_no_json`)."""

_WINDOWS_S = {"1m": 60}
_LIMIT = 1000  # requests per 10 s; not documented
_HEADERS = {"Server": "Vercel", "Cache-Control": "public, max-age=0, must-revalidate"}
_HTML = "text/html; charset=utf-8"
_SCRIPT = "application/javascript; charset=utf-8"


class Chainlink:
    """The simulated venue: its answers and frames depend only on seed, request and simulated time."""

    hosts = frozenset({HOST})

    def __init__(self, seed: int, prices: Prices) -> None:
        self._seed = seed
        self.reports = Reports(seed, prices)
        self._nodes = lru_cache(maxsize=1 << 13)(self._make_nodes)
        self._candles = SimCandles(self.reports)

    def answer(self, request: SimRequest, now_ns: int) -> Reply:
        if request.method not in ("GET", "HEAD"):
            return _json({"error": "Method not allowed"}, 405)
        match request.path.strip("/").split("/"):
            case ["streams", slug] if slug in BY_SLUG:
                return self._page(BY_SLUG[slug], slug, request, now_ns)
            case ["api", "live-data-engine-stream-data"]:
                return self._live(request, now_ns)
            case ["api", "historical-data-engine-stream-data"]:
                return self._history(request, now_ns)
        if request.path == SCRIPT_PATH:
            return Reply(SCRIPT.encode(), 200, _SCRIPT, _HEADERS)
        return Reply(NOT_FOUND, 404, _HTML, _HEADERS)  # also /api/query-timescale, which no longer exists

    def connect(self, request: SimRequest, number: int, now_ns: int) -> SimSession | None:
        del request, number, now_ns
        return None

    def limit(self, request: SimRequest) -> tuple[str, int]:
        del request
        return "chainlink_pages", _LIMIT

    def truth(self, start_ns: int, end_ns: int) -> list[dict[str, Any]]:
        """Return no markets, because the venue has none; its true prices are in its attribute `reports`."""
        del start_ns, end_ns
        return []

    def _page(self, stream: Stream, slug: str, request: SimRequest, now_ns: int) -> Reply:
        carried = None
        if "page_no_json" in request.faults:
            reports = self.reports.observed(stream, now_ns - 10 * SECOND, now_ns + CARRIED_S * SECOND)
            carried = [((report.published_ns - now_ns) // 10**6, report) for report in reports]
        return Reply(render(stream, slug, request.faults, carried), 200, _HTML, _HEADERS)

    def _live(self, request: SimRequest, now_ns: int) -> Reply:
        if (stream := BY_FEED_ID.get(request.first("feedId"))) is None:
            return _json({"error": "feedId is not one of a stream"}, 400)
        if (window_s := _WINDOWS_S.get(request.first("queryWindow"))) is None:
            return _json({"error": "queryWindow is not known"}, 400)
        at = now_ns
        if stale := request.faults.get("page_stale"):
            at = min(at, stale["since_ns"])
        if lag := request.faults.get("page_lag"):
            at -= from_seconds(lag["seconds"])
        name = request.first("attributeName")
        found = sorted(
            keyed
            for report in self.reports.published(stream, at, window_s)
            for keyed in self._nodes(report)
            if name in ("", keyed[1])
        )
        nodes = [
            {"attributeName": attribute, "valueNumeric": value, "validAfterTs": observed}
            for _, attribute, value, observed in found
        ]
        return _json({"data": {"allStreamValuesGenerics": {"nodes": nodes}}})

    def _make_nodes(self, report: SimReport) -> list[tuple[int, str, str, str]]:
        """Return (position, attribute, value, time) of each attribute of a report.

        The venue guarantees no order, so the position is arbitrary.
        """
        observed = stamp(report)
        return [
            (bits(self._seed, "order", name, value, observed), name, decimal(value), observed)
            for name, value in report.values
        ]

    def _history(self, request: SimRequest, now_ns: int) -> Reply:
        stream, wanted = BY_FEED_ID.get(request.first("feedId")), RANGES.get(request.first("timeRange"))
        if stream is None or wanted is None:
            return _json({"error": "feedId or timeRange is not known"}, 400)
        return _json({"data": {wanted.name: {"nodes": self._candles.nodes(stream, wanted, now_ns)}}})


def _json(document: Any, status: int = 200) -> Reply:
    return replace(json_reply(document, status), headers=_HEADERS)


def simulated(seed: int) -> Chainlink:
    """Create the simulated venue whose data are determined by `seed`.

    The simulator discovers it by the name of this function.
    """
    return Chainlink(seed, prices_of(seed))
