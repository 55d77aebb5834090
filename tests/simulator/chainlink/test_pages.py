"""The pages, their script and the endpoint that it asks."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import pytest

from marketarchive.simulator.chainlink import CARRIED_S
from marketarchive.simulator.chainlink.script import SCRIPT
from marketarchive.simulator.chainlink.streams import BY_SLUG, STREAMS
from marketarchive.simulator.messages import SimRequest
from marketarchive.times import SECOND, from_iso
from tests.simulator.chainlink.requesting import (
    HISTORY,
    LIVE,
    SPOT,
    TWAP,
    fetch,
    live,
    live_query,
    newest,
    pages,
)
from tests.simulator.requesting import NOW, SECONDS, json_of, venue

SLUGS = [
    f"{asset}-usd{ending}"
    for asset in ("btc", "eth", "sol", "xrp")
    for ending in ("", "-cexprice-streams", "-twap-30s-streams", "-twap-60s-streams")
]


def page(slug: str, faults: Any = None) -> str:
    reply = fetch(f"/streams/{slug}", faults=faults)
    assert (reply.status, reply.content_type) == (200, "text/html; charset=utf-8")
    return reply.body.decode()


def carried(html: str, name: str) -> Any:
    found = re.search(rf'<script id="{name}"[^>]*>(.*?)</script>', html)
    assert found is not None
    return json.loads(found[1])


# --- pages -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slug", SLUGS)
def test_every_asset_has_its_pages(slug: str) -> None:
    html = page(slug)
    data = carried(html, "__NEXT_DATA__")["props"]["pageProps"]["streamData"]
    stream = BY_SLUG[slug]
    assert data["extraConfig"]["slug"] == (slug if slug.endswith("streams") else f"{slug}-cexprice-streams")
    assert data["streamMetadata"]["feedId"] == data["extraConfig"]["feedId"] == stream.feed_id
    assert data["streamMetadata"]["pair"] == [slug[:3].upper(), "USD"]
    assert html.split("<title>")[1].startswith(f"{slug[:3].upper()} / USD")
    text = re.sub(r"<script.*?</script>|<[^>]*>", "", html.split("<body>")[1], flags=re.DOTALL)
    assert [text.count(label) for label in ("Mid-price", "Bid price", "Ask price")] == [2, 1, 1]
    assert "$" not in text  # no price before the script has asked for one


def test_feed_ids_and_addresses_lead_to_one_stream_each() -> None:
    assert sorted(BY_SLUG) == sorted(SLUGS)
    assert len({stream.feed_id for stream in STREAMS}) == len(STREAMS) == 12
    assert all(re.fullmatch(r"0x0003[0-9a-f]{60}", stream.feed_id) for stream in STREAMS)
    named = {market.resolution_source for market in venue().world.listed(SECONDS)}
    pages_named = {source.rsplit("/", 1)[1] for source in named if "data.chain.link" in source}
    assert pages_named
    assert pages_named <= set(BY_SLUG)


@pytest.mark.parametrize(
    "path",
    ["/", "/streams", "/streams/doge-usd", "/api/nothing", "/api/query-timescale"],
)
def test_what_is_not_there(path: str) -> None:
    reply = fetch(path, {"query": "LIVE_STREAM_REPORTS_QUERY", "variables": '{"feedId":"0x0003"}'})
    assert (reply.status, reply.content_type[:9]) == (404, "text/html")


def test_only_reading_is_allowed_and_nothing_else_is_there() -> None:
    assert pages().answer(SimRequest("POST", "data.chain.link", LIVE), NOW).status == 405
    assert pages().connect(SimRequest("GET", "data.chain.link", "/"), 1, NOW) is None
    assert pages().truth(0, NOW) == []


def test_the_script_asks_what_is_served_and_writes_where_the_page_has_room() -> None:
    html = page(SPOT)
    (source,) = re.findall(r'<script src="([^"]*)"', html)
    reply = fetch(source)
    assert (reply.status, reply.body.decode()) == (200, SCRIPT)
    assert reply.content_type.startswith("application/javascript")
    (path,) = re.findall(r'"(/api/[^?"]*)\?', SCRIPT)
    query = dict(re.findall(r"[?&]([A-Za-z]+)=([a-z0-9]*)", SCRIPT)) | {"feedId": BY_SLUG[SPOT].feed_id}
    assert fetch(path, query).status == 200
    assert set(re.findall(r'data-value="([a-z]+)"', html)) == {"benchmark", "bid", "ask", "time"}
    for opening, closing in ("()", "{}", "[]"):
        assert SCRIPT.count(opening) == SCRIPT.count(closing)


# --- the endpoint ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("slug", [SPOT, TWAP, "xrp-usd"])
def test_nodes_are_the_reports_of_the_last_minute(slug: str) -> None:
    nodes = live(slug)
    reports = pages().reports.published(BY_SLUG[slug], NOW, 60)
    true = {
        (name, report.observed_at.isoformat(), value) for report in reports for name, value in report.values
    }
    told = {
        (node["attributeName"], node["validAfterTs"], int(Decimal(node["valueNumeric"]) * 10**18))
        for node in nodes
    }
    assert told == true
    assert len(nodes) == 3 * len(reports)
    assert 50 <= len(reports) <= 60
    assert 2.5 * SECOND < NOW - from_iso(newest(nodes)) < 5.5 * SECOND


def test_ticks_of_the_twap_page_are_those_of_the_rule() -> None:
    market = next(each for each in venue().world.listed(SECONDS) if each.twap_s and each.asset == "BTC")
    assert market.start is not None
    slug = market.resolution_source.rsplit("/", 1)[1]
    nodes = live(slug, (market.start + 10) * SECOND, attributeName="benchmark")
    (tick,) = [node for node in nodes if from_iso(node["validAfterTs"]) == market.start * SECOND]
    assert int(Decimal(tick["valueNumeric"]) * 10**18) == venue().world.strike(market)


def test_nodes_stand_in_no_order_and_can_be_narrowed() -> None:
    nodes = live(SPOT)
    stamps = [node["validAfterTs"] for node in nodes]
    assert stamps not in (sorted(stamps), sorted(stamps, reverse=True))
    narrowed = live(SPOT, attributeName="bid")
    assert narrowed == [node for node in nodes if node["attributeName"] == "bid"]
    assert live(SPOT, attributeName="price") == []


@pytest.mark.parametrize(
    ("path", "query"),
    [
        (LIVE, {}),
        (LIVE, {"feedId": "0x00", "queryWindow": "1m"}),
        (LIVE, live_query(SPOT) | {"queryWindow": "1y"}),
        (HISTORY, {"feedId": BY_SLUG[SPOT].feed_id, "timeRange": "1Y"}),
        (HISTORY, {"timeRange": "1D"}),
    ],
)
def test_questions_without_an_answer(path: str, query: dict[str, str]) -> None:
    assert fetch(path, query).status == 400


# --- history ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time_range", "name", "bucket_s", "count"),
    [
        ("1D", "allStreamValuesGeneric1Minutes", 60, 1440),
        ("1W", "allStreamValuesGeneric1Hours", 3600, 168),
        ("1M", "allStreamValuesGeneric1Days", 86_400, 30),
    ],
)
@pytest.mark.parametrize("slug", ["eth-usd", "eth-usd-twap-30s-streams"])
def test_candles(time_range: str, name: str, bucket_s: int, count: int, slug: str) -> None:
    stream = BY_SLUG[slug]
    answer = json_of(fetch(HISTORY, {"feedId": stream.feed_id, "abiIndex": "0", "timeRange": time_range}))
    nodes = answer["data"][name]["nodes"]
    assert len(nodes) == 3 * count
    times = [from_iso(node["bucket"]) // SECOND for node in nodes if node["attributeName"] == "benchmark"]
    assert times == list(range(times[0], times[0] - count * bucket_s, -bucket_s))
    assert times[0] == SECONDS // bucket_s * bucket_s - bucket_s
    for node in nodes[:6]:
        begin = from_iso(node["bucket"])
        found = re.findall(r'(open|high|low|close):\(ts:"([^"]*)",val:([0-9.]*)\)', node["candlestick"])
        parts = {part: (from_iso(at.replace(" ", "T") + ":00"), Decimal(value)) for part, at, value in found}
        assert parts["low"][1] <= min(parts["open"][1], parts["close"][1])
        assert parts["high"][1] >= max(parts["open"][1], parts["close"][1])
        inside = list(pages().reports.observed(stream, begin, begin + 5 * SECOND))
        assert parts["open"][0] == inside[0].observed_us * 1000
        values = dict(inside[0].values)
        assert int(parts["open"][1] * 10**18) == values[node["attributeName"]]
        last = list(
            pages().reports.observed(stream, begin + (bucket_s - 5) * SECOND, begin + bucket_s * SECOND)
        )
        assert parts["close"][0] == last[-1].observed_us * 1000


# --- faults ----------------------------------------------------------------------------------------------


def test_a_page_that_lags_tells_what_it_told_before() -> None:
    faults = {"page_lag": {"seconds": 20.0, "since_ns": NOW}}
    assert live(SPOT, NOW, faults) == live(SPOT, NOW - 20 * SECOND)


def test_a_stale_page_repeats_what_it_told_when_that_began() -> None:
    faults = {"page_stale": {"since_ns": NOW}}
    first = live(SPOT, NOW, faults)
    assert first == live(SPOT, NOW)
    assert live(SPOT, NOW + 100 * SECOND, faults) == first


def test_a_page_without_an_endpoint_carries_its_reports() -> None:
    html = page(SPOT, {"page_no_json": {}})
    rows = carried(html, "stream-reports")
    assert carried(html, "__NEXT_DATA__")  # it is as every page otherwise
    assert rows[0][0] < 0 < rows[1000 * CARRIED_S // 1056 // 2][0] < rows[-1][0]
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    known = [row for row in rows if row[0] <= 0][-1]
    nodes = live(SPOT)
    last = [node for node in nodes if node["validAfterTs"] == newest(nodes)]
    values = {node["attributeName"]: node["valueNumeric"] for node in last}
    assert known[1:] == [newest(nodes), values["benchmark"], values["bid"], values["ask"]]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"page_crash": {"how": "loop", "after_s": 2.5}}, "for (;;) {} }, 2500)"),
        ({"page_crash": {"how": "blank", "after_s": 5}}, "location.href = 'about:blank'; }, 5000)"),
        ({"page_crash": {"how": "throw", "after_s": 0}}, "window.fetch = function"),
        ({"page_leak": {"mb_per_s": 2.0}}, "new Uint8Array(2097152)"),
    ],
)
def test_pages_that_break(fault: dict[str, Any], expected: str) -> None:
    assert expected in page(SPOT, fault)
    assert expected not in page(SPOT)
