"""Chainlink's pages: which page is which, what their JSON says, exactly, and what is refused."""

from __future__ import annotations

import contextlib
import json
import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.exceptions import ParseError
from marketarchive.times import SECOND, from_iso
from marketarchive.venues.chainlink.endpoints import (
    API,
    HISTORY,
    LIVE,
    STREAMS,
    TIMESCALE,
    page_named_by,
    page_of,
)
from marketarchive.venues.chainlink.labels import Labels, read_labels
from marketarchive.venues.chainlink.reports import PriceReport, parse_answer, parse_document
from marketarchive.venues.chainlink.venue import parse
from marketarchive.venues.messages import Received

AT = "2026-05-08T19:53:19.123679+00:00"


def live(*nodes: Any) -> bytes:
    return json.dumps({"data": {"allStreamValuesGenerics": {"nodes": list(nodes)}}}).encode()


def node(name: str, value: str, at: str = AT) -> dict[str, str]:
    return {"attributeName": name, "valueNumeric": value, "validAfterTs": at}


def test_pages_by_slug_alias_and_resolution_source() -> None:
    spot, twap = page_of("btc-usd-cexprice-streams"), page_of("eth-usd-twap-60s-streams")
    assert spot is not None
    assert twap is not None
    assert page_of("btc-usd") == spot
    assert (spot.asset, spot.kind, spot.source, spot.instrument) == (
        "BTC",
        "spot",
        "page",
        "chainlink:btc-usd",
    )
    assert (twap.source, twap.instrument) == ("page_twap60", "chainlink:eth-usd-twap-60s")
    assert page_of(twap.slug) == twap
    assert spot.feed_id is not None
    assert twap.feed_id is None
    assert page_named_by("https://data.chain.link/streams/eth-usd-twap-60s-streams") == twap
    assert page_named_by("https://data.chain.link/streams/btc-usd/") == spot
    for other in (
        "https://www.binance.com/en/trade/BTC_USDT",
        "https://data.chain.link/feeds/btc-usd",
        "",
        "x",
    ):
        assert page_named_by(other) is None
    assert page_of("aapl-usd-equity-streams") is None


@given(
    st.lists(st.integers(0, 10**9), min_size=1, max_size=30, unique=True), st.randoms(use_true_random=False)
)
def test_reports_are_grouped_by_time_whatever_the_order(times: list[int], random: random.Random) -> None:
    nodes = []
    for at in times:
        text = f"2026-05-08T19:{at // 10**8 % 60:02d}:{at // 10**6 % 60:02d}.{at % 10**6:06d}+00:00"
        for name, plus in (("benchmark", 1), ("bid", 0), ("ask", 2)):
            nodes.append(node(name, f"{80000 + plus}.{from_iso(text) // 1000 % 10**15:015d}", text))
    random.shuffle(nodes)
    answer = parse_answer(LIVE, live(*nodes))
    assert not answer.errors
    assert len(answer.reports) == len({one["validAfterTs"] for one in nodes})
    assert list(answer.reports) == sorted(answer.reports, key=lambda report: report.observed_ns)
    for report in answer.reports:
        digits = f".{report.observed_ns // 1000 % 10**15:015d}"
        assert report == PriceReport(
            report.observed_ns,
            Decimal("80001" + digits),
            Decimal("80000" + digits),
            Decimal("80002" + digits),
        )


def test_both_endpoints_give_dollars_and_neither_is_taken_for_the_other() -> None:
    [current] = parse_answer(LIVE, live(node("benchmark", "68282.6768542496"))).reports
    assert current == PriceReport(from_iso(AT), Decimal("68282.6768542496"))
    old = {"validFromTimestamp": "2026-02-27T13:15:05+00:00", "price": "66030000000000000000001"}
    body = json.dumps({"data": {"liveStreamReports": {"nodes": [old]}}}).encode()
    [before] = parse_answer(TIMESCALE, body).reports
    assert before.mid == Decimal("66030.000000000000000001")
    assert before.observed_ns % SECOND == 0
    swapped = parse_answer(LIVE, live(node("benchmark", "66030000000000000000001")))
    assert not swapped.reports
    assert len(swapped.errors) == 1
    old["price"] = "66030.25"
    swapped = parse_answer(TIMESCALE, json.dumps({"data": {"liveStreamReports": {"nodes": [old]}}}).encode())
    assert not swapped.reports
    assert len(swapped.errors) == 1


def test_a_bad_row_spoils_nothing_else() -> None:
    good = node("benchmark", "1.50")
    bad = [node("bid", "NaN"), node("bid", "-1"), node("ask", "0"), node("ask", "1", "soon"), 3, {}, None]
    answer = parse_answer(LIVE, live(good, *bad, node("volume", "7")))
    assert answer.reports == (PriceReport(from_iso(AT), Decimal("1.50")),)
    assert len(answer.errors) == 6  # rows without an attribute of ours are none of ours
    twice = parse_answer(LIVE, live(good, good, node("benchmark", "1.51")))
    assert twice.reports == answer.reports
    assert len(twice.errors) == 1


def test_numbers_keep_their_digits() -> None:
    body = live(node("bid", "X")).replace(b'"X"', b"0.00200000")
    assert str(parse_answer(LIVE, body).reports[0].bid) == "0.00200000"


def test_parts_asked_for_one_by_one_make_one_report() -> None:
    [mid] = parse_answer(LIVE, live(node("benchmark", "2"))).reports
    [bid] = parse_answer(LIVE, live(node("bid", "1"))).reports
    assert mid.with_parts_of(bid) == PriceReport(from_iso(AT), Decimal(2), Decimal(1))


@pytest.mark.parametrize("payload", [b"", b"{}", b"[]", b"<html>", b"\xff", b'{"data":null}', b"[" * 100_000])
def test_what_is_no_answer_is_refused(payload: bytes) -> None:
    for url in (LIVE, TIMESCALE):
        with pytest.raises(ParseError):
            parse_answer(url, payload)


@given(st.binary())
def test_any_bytes_are_read_or_refused(payload: bytes) -> None:
    parse_document(payload)
    read_labels(payload.decode("latin-1"))
    with contextlib.suppress(ParseError):
        parse_answer(LIVE, payload)


def test_what_a_document_says_of_itself() -> None:
    data = {"props": {"pageProps": {"streamData": {"streamMetadata": {"feedId": "0x0003"}}}}}
    html = f'<html><script id="__NEXT_DATA__" type="application/json" crossorigin>{json.dumps(data)}</script>'
    assert parse_document(html.encode()).feed_id == "0x0003"
    assert not parse_document(html.encode()).is_checkpoint
    assert parse_document(b"<title>Vercel Security Checkpoint</title>").is_checkpoint
    for html in (
        "",
        "<script id=__NEXT_DATA__>{}</script>",
        '<script id="__NEXT_DATA__">{"props":3}</script>',
    ):
        assert parse_document(html.encode()).feed_id is None


def test_labels_and_nothing_but_labels() -> None:
    text = "BTC / USD $12.00 Mid-price$91,363.17Bid price$91,361.05Ask price $91,365.2 24h $4"
    assert read_labels(text) == Labels(Decimal("91363.17"), Decimal("91361.05"), Decimal("91365.2"))
    assert read_labels("Mid-price: $0.0812") == Labels(Decimal("0.0812"), None, None)
    for other in ("$91,363.17", "price $5", "Mid-price -", "Mid-price $1,23", "Bid price $1"):
        assert read_labels(other) is None


def test_another_feed_is_never_taken_for_a_pages_own() -> None:
    spot, twap = page_of("btc-usd"), page_of("btc-usd-twap-60s-streams")
    assert spot is not None
    assert twap is not None
    assert spot.feed_id is not None
    assert spot.is_requested(f"feedId={spot.feed_id}&abiIndex=0", None)
    testnet_eth = "0x000359843a543ee2fe414dc14c7e7920ef10f4372990b79d6361cdc0dd1ba782"
    assert not spot.is_requested(f"feedId={testnet_eth}", None)
    assert not spot.is_requested(f"feedId={testnet_eth}", testnet_eth)  # not even if the document says so
    assert twap.is_requested("feedId=0x0003aa", None)
    assert twap.is_requested("feedId=0x0003aa", "0x0003aa")
    assert not twap.is_requested("feedId=0x0003bb", "0x0003aa")


def test_a_venue_like_every_other() -> None:
    def received(url: str, payload: bytes) -> Received:
        return Received("chainlink", "pages", url, {}, None, 200, payload, 1, 1)

    assert parse(received(LIVE, live(node("bid", "2"), node("ask", "x")))).keys
    assert len(parse(received(LIVE, live(node("bid", "2"), node("ask", "x")))).errors) == 1
    assert not parse(received(f"{STREAMS}/btc-usd", b"<html>")).errors
    assert not parse(received(HISTORY, b"{}")).keys
    with pytest.raises(ParseError):
        parse(received("https://example.com", b"{}"))
    with pytest.raises(ParseError):
        parse(received(LIVE, b"{}"))
    assert API.startswith("https://")
