"""What files of Binance's archive say, in which units, and which of them are not taken."""

from __future__ import annotations

import hashlib
from decimal import Decimal

import pytest

from marketarchive.exceptions import ParseError
from marketarchive.times import from_iso, to_ms
from marketarchive.venues.answers import Answered
from marketarchive.venues.binance import queries
from marketarchive.venues.binance.answers import judge
from marketarchive.venues.binance.rows import parse
from marketarchive.venues.binance.venue import VENUE
from marketarchive.venues.endpoint import Query
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.perps import Range, Series
from marketarchive.venues.symbols import symbols
from marketarchive.venues.table_rows import TableRow, UnreadableRow, single_rows
from tests.venues.perp_rows import singly
from tests.venues.test_perp_files import packed

NOW = from_iso("2026-11-20T10:01:00Z")
AT = to_ms(from_iso("2026-07-15T03:00:00Z"))
METRICS = (
    "create_time,symbol,sum_open_interest,sum_open_interest_value,count_toptrader_long_short_ratio,"
    "sum_toptrader_long_short_ratio,count_long_short_ratio,sum_taker_long_short_vol_ratio\n"
)
KEPT = "2026-07-15 00:00:00,BTCUSDT,85123.4560000000000000,7150370304.0000000000000000,1.1,1.2,1.3,1.4\n"


def series(asset: str, kind: str = "open_interest", step_s: int = 0) -> Series:
    return Series(asset, symbols("binance")[asset], kind, step_s)  # type: ignore[arg-type]


def file_of(checksum: Query, digest: str) -> Query:
    found = queries.next_page(checksum, Parsed(next_cursor=digest))
    assert found is not None
    return found


def received(query: Query, payload: bytes, seq: int = 1) -> Received:
    return Received.answer("binance", "perps", query, 200, payload, NOW, seq)


METRICS_DAY = queries.metrics_file(series("BTC"), Range(AT, AT))


def test_a_file_is_requested_after_its_checksum() -> None:
    url = "https://data.binance.vision/data/futures/um"
    assert METRICS_DAY.url == f"{url}/daily/metrics/BTCUSDT/BTCUSDT-metrics-2026-07-15.zip.CHECKSUM"
    digest = "ab" * 32
    parsed = parse(received(METRICS_DAY, f"{digest}  BTCUSDT-metrics-2026-07-15.zip\n".encode()))
    assert parsed.statements == []
    assert parsed.next_cursor == digest
    file = queries.next_page(METRICS_DAY, parsed)
    assert file is not None
    assert file.url + ".CHECKSUM" == METRICS_DAY.url
    assert file.params == {}
    assert queries.next_page(file, Parsed()) is None
    month = queries.funding_file(series("BTC", "funding"), Range(AT, AT))
    assert month.url == f"{url}/monthly/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2026-07.zip.CHECKSUM"
    marks = queries.candles_file(series("PEPE", "mark", 28_800), Range(AT, AT))
    folder = f"{url}/daily/markPriceKlines/1000PEPEUSDT/8h"
    assert marks.url == f"{folder}/1000PEPEUSDT-8h-2026-07-15.zip.CHECKSUM"


def test_a_file_that_is_not_that_of_its_checksum_is_a_failure() -> None:
    file = file_of(METRICS_DAY, hashlib.sha256(b"right").hexdigest())
    assert judge(Answered(file, 200, {}, b"right", NOW)) is None
    failure = judge(Answered(file, 200, {}, b"wrong", NOW))
    assert failure is not None
    assert (failure.reason, failure.cause, failure.retryable) == ("checksum", "venue", True)


def test_a_file_that_is_not_there_is_not_served() -> None:
    body = b"<Error><Code>NoSuchKey</Code></Error>"
    failure = judge(Answered(METRICS_DAY, 404, {}, body, NOW))
    assert failure is not None
    assert (failure.reason, failure.retryable) == ("not_served", False)


def test_open_interest_is_of_base_units_and_zero_is_unknown() -> None:
    text = (
        METRICS
        + KEPT
        + "".join(
            f"2026-07-15 00:{minute:02}:00,BTCUSDT,{amount},{value},,,,\n"
            for minute, amount, value in (
                (5, '""', '""'),
                (10, "0.0000000000000000", "0"),
                (15, "2.5", ""),
                (20, "nan", "1"),
            )
        )
    )
    found = parse(received(file_of(METRICS_DAY, ""), packed(text)))
    first, second = found.statements
    assert (first.amount, first.amount_quote) == (Decimal("85123.456"), Decimal(7150370304))
    assert first.event_time == from_iso("2026-07-15T00:00:00Z")
    assert (second.amount, second.amount_quote) == (Decimal("2.5"), None)
    assert len(found.errors) == 3
    assert len(found.keys) == 5


def test_a_contract_of_a_thousand_is_taken_apart() -> None:
    checksum = queries.metrics_file(series("PEPE"), Range(AT, AT))
    text = METRICS + "2026-07-15 00:00:00,1000PEPEUSDT,8312.5,59214.2,,,,\n"
    [row] = parse(received(file_of(checksum, ""), packed(text))).statements
    assert (row.asset, row.amount) == ("PEPE", Decimal(8_312_500))
    checksum = queries.candles_file(series("PEPE", "trade", 3600), Range(AT, AT))
    line = "1783900800000,0.0071234,0.0072,0.0071,0.0071,1000,1783904399999,7.1,9,0,0,0\n"
    [row] = singly(parse(received(file_of(checksum, ""), packed(line)))).statements
    assert (row.open, row.volume, row.volume_quote) == (Decimal("0.0000071234"), 1_000_000, Decimal("7.1"))
    assert (row.source, row.interval_s, row.is_closed) == ("trade", 3600, True)


def test_rates_say_their_interval() -> None:
    checksum = queries.funding_file(series("BTC", "funding"), Range(AT, AT))
    text = "calc_time,funding_interval_hours,last_funding_rate\n1780272000001,8,0.00005703\n1,x,y\n"
    found = parse(received(file_of(checksum, ""), packed(text)))
    [row] = found.statements
    assert (row.kind, row.rate, row.interval_s) == ("settled", Decimal("0.00005703"), 28_800)
    assert row.event_time == 1780272000001 * 10**6
    assert len(found.errors) == 1


def rows(*messages: Received) -> list[TableRow]:
    make = VENUE.feeds["perps"].rows
    assert make is not None
    maker = make()
    return [row for message in messages for row in single_rows(maker.rows(message))]


def test_rows_of_a_file_say_whether_it_was_verified() -> None:
    file = packed(METRICS + KEPT)
    digest = hashlib.sha256(file).hexdigest()
    query = file_of(METRICS_DAY, digest)
    [row] = rows(received(query, file))
    assert row.verified == "unchecked"  # type: ignore[union-attr]
    checksum = received(METRICS_DAY, f"{digest}  x.zip\n".encode())
    [row] = rows(checksum, received(query, file, 2))
    assert row.verified == "ok"  # type: ignore[union-attr]
    with pytest.raises(ParseError):
        rows(checksum, received(query, packed(METRICS), 2))


def test_rows_after_the_end_are_cut_and_counted() -> None:
    """A2ZUSDT was charged last on 2026-03-24; its day is all that the file of symbols says."""
    march = to_ms(from_iso("2026-03-20T00:00:00Z"))
    checksum = queries.funding_file(series("A2Z", "funding"), Range(march, march))
    moments = [to_ms(from_iso(f"2026-03-{day}T08:00:00Z")) + 3 for day in (23, 24, 25, 26)]
    text = "".join(f"{at},8,0.00000000\n" for at in moments)
    found = rows(received(file_of(checksum, ""), packed(text)))
    cut = [row for row in found if isinstance(row, UnreadableRow)]
    assert [row.event_time for row in found if not isinstance(row, UnreadableRow)] == [
        at * 10**6 for at in moments[:2]
    ]
    assert [(row.table, row.reason) for row in cut] == [("fundings", "after_end")] * 2
