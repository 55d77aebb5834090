"""Simulated archive of Drift: its data server in the final state, and the files of its bucket."""

from __future__ import annotations

import csv
import gzip
import io

from marketarchive.simulator.messages import Bucket, Reply, SimRequest, json_reply
from marketarchive.simulator.rest_venue import SimRestVenue
from marketarchive.simulator.velocity import Funding, day_page, not_found, paged
from marketarchive.times import SECOND, from_iso
from marketarchive.venues.drift.endpoints import BUCKET, SERVER

ENDED = from_iso("2026-04-01T19:00:00Z") // SECOND
_HOSTS = [base.removeprefix("https://") for base in (SERVER, BUCKET)]
_FIRST_FILE, _LAST_FILE = "2022-11-04", "2025-01-08"
_NO_FILE = Reply(
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code></Error>', 404, "application/xml"
)
_REFUSAL = json_reply({"success": False, "error": "Too many requests"}, 429)


class Drift(SimRestVenue):
    """The simulated archive: its answers depend only on seed, request and simulated time."""

    hosts = frozenset(_HOSTS)

    def __init__(self, seed: int) -> None:
        self.funding = Funding(seed, "drift")
        self.world = self.funding.world

    def answer(self, request: SimRequest, now_ns: int) -> Reply:
        del now_ns
        parts = request.path.strip("/").split("/")
        match parts:
            case ["program", _, "market", symbol, "fundingRateRecords", _, day] if request.host == _HOSTS[1]:
                return self._file(symbol, f"{day[:4]}-{day[4:6]}-{day[6:]}")
            case ["market", symbol, "fundingRates", year, month, day] if symbol in self.funding.assets:
                return self._day(symbol, f"{year}-{month}-{day}", request)
        return _NO_FILE if request.host == _HOSTS[1] else not_found(request)

    def limit(self, request: SimRequest) -> Bucket:
        return Bucket(f"drift/{request.host}", 5.0, 300.0, 1, _REFUSAL)

    def _file(self, symbol: str, day: str) -> Reply:
        """Answer the request for a file of the bucket: gzipped CSV of a contract's day, oldest row first."""
        if symbol not in self.funding.assets or not _FIRST_FILE <= day <= _LAST_FILE:
            return _NO_FILE
        first = from_iso(day) // SECOND
        text = io.StringIO()
        rows = self.funding.records(symbol, first, first + 86_399)[::-1]
        columns = [name for name in rows[0] if name != "symbol"]
        writer = csv.DictWriter(text, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
        return Reply(gzip.compress(text.getvalue().encode(), mtime=0), content_type="text/csv")

    def _day(self, symbol: str, day: str, request: SimRequest) -> Reply:
        """Answer the request for a contract's day on the data server.

        The last day ends with the exchange, but contains one later record, from its final settlement.
        """
        if day <= _LAST_FILE or day > "2026-04-01":
            return json_reply({"success": True, "meta": {"nextPage": None}, "records": []})
        if day < "2026-04-01":
            return day_page(self.funding, symbol, day, request, ENDED)
        first = from_iso(day) // SECOND
        found = self.funding.records(symbol, first, ENDED)
        return paged([{**found[0], "ts": first + 86_400 + 30}, *found], request)


def simulated(seed: int) -> Drift:
    """Create the simulated archive whose data are determined by `seed`.

    The simulator discovers it by the name of this function.
    """
    return Drift(seed)
