"""What the archive of Drift says, and where it is asked."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from typing import Any

import pytest

from marketarchive.exceptions import ArgumentError, ParseError
from marketarchive.times import from_iso, to_ms
from marketarchive.venues.answers import Answered
from marketarchive.venues.drift import endpoints, queries
from marketarchive.venues.drift.answers import judge
from marketarchive.venues.drift.rows import parse
from marketarchive.venues.endpoint import Endpoint, Query
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.perps import Range, Series
from marketarchive.venues.symbols import symbols
from tests.spiders_under_test import spiders

NOW = from_iso("2026-11-20T10:01:00Z")
BTC = Series("BTC", symbols("drift")["BTC"], "funding")
HEADER = "ts,txSig,fundingRate,fundingRateLong,fundingRateShort,oraclePriceTwap,markPriceTwap"
LINE = "1717203605,x,1.750000000,1.750000000,0.875000000,70000.000000,70042.000000"


def requested(day: str) -> Query:
    at = to_ms(from_iso(day))
    return queries.funding_day(BTC, Range(at, at + 10**9))


def read(query: Query, payload: bytes) -> Parsed:
    return parse(Received.answer("drift", "perps", query, 200, payload, NOW, 1))


def test_until_2025_01_08_files_are_asked_for_then_days() -> None:
    file, day = requested("2025-01-08T23:00Z"), requested("2025-01-09")
    assert file.url.startswith("https://drift-historical-data-v2.s3.eu-west-1.amazonaws.com/program/dRifty")
    assert file.url.endswith("/market/BTC-PERP/fundingRateRecords/2025/20250108")
    assert day.url == "https://data.drift.trade/market/BTC-PERP/fundingRates/2025/01/09"


@pytest.mark.parametrize("packed", [True, False])
def test_a_file_is_csv_packed_or_not(*, packed: bool) -> None:
    text = f"{HEADER}\n{LINE}\n".encode()
    [row] = read(requested("2024-06-01"), gzip.compress(text) if packed else text).statements
    assert (row.market, row.asset, row.event_time) == ("BTC-PERP", "BTC", 1717203605 * 10**9)
    assert (row.rate, row.rate_short) == (Decimal("0.000025"), Decimal("0.0000125"))  # 1.75 / 70,000
    assert (row.mark_price, row.index_price) == (70042, 70000)


def test_a_file_of_whole_numbers_is_left_out() -> None:
    line = "1717203605,x,1750000000,1750000000,1750000000,70000000000,70042000000"
    found = read(requested("2024-06-01"), f"{HEADER}\n{line}\n".encode())
    assert found.statements == []
    assert len(found.errors) == 1
    assert len(found.keys) == 1


def test_a_file_that_is_broken_is_no_answer() -> None:
    for broken in (gzip.compress(b"x" * 999)[:20], b"ts\n" + b"1" * 200_000):
        with pytest.raises(ParseError):
            read(requested("2024-06-01"), broken)


def record(ts: int) -> dict[str, Any]:
    return {
        "ts": ts, "symbol": "BTC-PERP", "fundingRateLong": "1.75", "fundingRateShort": "1.75",
        "oraclePriceTwap": "70000.0", "markPriceTwap": "70042.0",
    }  # fmt: skip


def test_nothing_is_taken_after_the_end_and_it_is_counted() -> None:
    last, after = (from_iso(at) // 10**9 for at in ("2026-04-01T18:00:10Z", "2026-04-02T00:00:30Z"))
    document = {"success": True, "meta": {"nextPage": None}, "records": [record(after), record(last)]}
    found = read(requested("2026-04-01"), json.dumps(document).encode())
    assert [row.event_time for row in found.statements] == [last * 10**9]
    assert "had ended" in str(found.errors[0])


def test_a_day_that_is_not_there_is_not_served() -> None:
    xml = b"<Error><Code>NoSuchKey</Code></Error>"
    route = b'{"message":"Route GET:/x not found","statusCode":404}'
    for query, body in ((requested("2022-01-01"), xml), (requested("2026-01-01"), route)):
        failure = judge(Answered(query, 404, {}, body, NOW))
        assert failure is not None
        assert (failure.reason, failure.retryable) == ("not_served", False)
    assert judge(Answered(requested("2026-01-01"), 200, {}, b'{"success":true}', NOW)) is None


def test_nothing_reads_another_route() -> None:
    other = Endpoint("x", "https://data.drift.trade/stats/markets", endpoints.OF_SERVER)
    with pytest.raises(ParseError):
        read(Query(other), b"{}")


def test_it_has_no_present() -> None:
    with pytest.raises(ArgumentError, match="ended on 2026-04-01"):
        spiders()["drift_perps"].check_arguments({"interval": "1m"})
