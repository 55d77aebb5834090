"""The probe's questions and judgements, asked of the simulated venue without a server."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from marketarchive.simulator.messages import SimRequest
from marketarchive.times import SECOND
from marketarchive.venues.endpoint import Query
from marketarchive.venues.polymarket.probe import PROBE
from marketarchive.venues.polymarket.rtds import TOPICS
from marketarchive.venues.polymarket.updown import DURATIONS
from marketarchive.venues.polymarket.venue import VENUE
from marketarchive.venues.probing import Capture, Exchange, Findings, Listen, Message, Result
from tests.simulator.requesting import NOW, fetch, venue

Change = Callable[[bytes], bytes]
NO_ROUNDS = {
    f"round_{asset}_{duration}": "no such series"
    for asset in ("doge", "bnb", "hype", "zec")
    for duration in DURATIONS
}
"""Of assets of which the simulated venue has none."""
MARKET_CHECKS = ("market_channel", "market_channel_books", "market_channel_ping", "market_channel_change")


def answer(query: Query, change: Change | None = None) -> Exchange:
    parts = urlsplit(query.url)
    reply = fetch(parts.netloc, parts.path, dict(query.params), query.body)
    body = reply.body if change is None else change(reply.body)
    failed = reply.status != 200 and reply.status not in query.endpoint.final
    return Exchange(
        query, NOW, reply.status, body, {}, 1.0, 1, error=f"status {reply.status}" if failed else None
    )


def receive(listen: Listen, change: Change | None = None) -> Capture:
    """A connection until enough has come; a message that `change` makes empty is lost."""
    parts = urlsplit(listen.endpoint.url)
    session = venue().connect(SimRequest("GET", parts.netloc, parts.path or "/", (), b""), 1, NOW)
    assert session is not None
    frames = [frame for text in listen.texts for frame in session.received(text, NOW).frames]
    frames += session.due(NOW, NOW + int(listen.seconds * SECOND))
    messages: list[Message] = []
    kinds: Counter[str] = Counter()
    for seq, frame in enumerate(frames, 2):
        payload = frame.payload if change is None else change(frame.payload)
        if payload or not frame.payload:
            messages.append((frame.ns, seq, payload))
            kinds.update(listen.kinds(payload))
            if listen.is_enough(kinds):
                break
    return Capture(
        Query(listen.endpoint),
        NOW,
        101,
        latency_ms=1.0,
        seq=1,
        listen=listen,
        messages=messages,
        ended_at=messages[-1][0] if messages else NOW,
        close_code=1000,
        is_closed_by_us=True,
    )


def unchanged(capture: Capture) -> Capture:
    return capture


def probe(
    changes: Mapping[str, Change] | None = None,
    connected: Callable[[Capture], Capture] = unchanged,
    answered: Callable[[Query, Change | None], Exchange] = answer,
    now: int = NOW,
) -> Findings:
    """`changes` are made to the answers of these endpoints, `connected` to what their sockets sent."""
    findings = Findings(PROBE, VENUE.name, VENUE.parse, now)
    questions = findings.requests()
    try:
        question = next(questions)
        while True:
            change = (changes or {}).get(question.endpoint.name)
            if isinstance(question, Listen):
                question = questions.send(connected(receive(question, change)))
            else:
                question = questions.send(answered(question, change))
    except StopIteration:
        return findings


def check(findings: Findings, name: str) -> Result:
    [found] = [each for each in findings.results if each.name == name]
    return found


def found(findings: Findings, key: str) -> str | None:
    [evidence] = [need.find(findings) for need in PROBE.needs if need.key == key]
    return evidence


def edited(edit: Callable[[Any], Any]) -> Change:
    def change(body: bytes) -> bytes:
        document = json.loads(body)
        edit(document)
        return json.dumps(document).encode()

    return change


def test_every_endpoint_is_asked_once_or_a_few_times_and_all_agree() -> None:
    findings = probe()
    assert [(each.name, each.evidence) for each in findings.failed] == []
    assert findings.not_requested == NO_ROUNDS
    assert findings.missing == []
    request = [each.exchange.query.endpoint.name for each in findings.results]
    assert len(request) == 28 + 1 + 4 * 5
    assert set(request) == {
        "clob_time",
        "gamma_series",
        "gamma_events_keyset",
        "gamma_markets_keyset",
        "gamma_market_by_slug",
        "clob_books",
        "clob_book",
        "clob_price_history",
        "clob_price_histories",
        "data_resolutions",
        "data_trades",
        "data_trades_v1",
        "market_channel",
        "rtds",
    }
    assert [each.listen.endpoint.name for each in findings.captures] == ["market_channel", "rtds"]
    assert {each.topic for each in findings.results} == set(PROBE.how)
    assert "verified by recipe 2025-12" in (found(findings, "live_book") or "")
    ages = PROBE.book_ages_s(findings)
    assert len(ages) > 20
    assert all(0 <= age < 120 for age in ages)


def test_the_round_under_way_is_found_for_every_asset_and_duration() -> None:
    findings = probe()
    rounds = {each.name: each.evidence for each in findings.results if each.topic == "rounds"}
    assert rounds.pop("gamma_series_of_all") == "keys 20, series 20"
    assert len(rounds) == 20
    assert rounds["round_btc_5m"].startswith("btc-updown-5m-1795255200, active, ends 2026-11-21T10:05:00Z")
    assert rounds["round_eth_15m"].startswith("eth-updown-15m-1795255200, active")
    assert rounds["round_btc_1h"].startswith("bitcoin-up-or-down-november-21-2026-5am-et, active")
    assert rounds["round_xrp_1d"].startswith("xrp-up-or-down-on-november-21-2026, active")


@pytest.mark.parametrize(
    ("endpoint", "change", "name", "evidence"),
    [
        (
            "gamma_market_by_slug",
            lambda body: body.replace(b"btc-updown-5m", b"x-updown-5m"),
            "round_btc_5m",
            "not that",
        ),
        ("gamma_events_keyset", lambda _: b'{"events":[]}', "round_sol_4h", "none of the 0 rounds"),
        (
            "gamma_events_keyset",
            lambda body: body.replace(b"ethereum-up-or-down", b"ethereum-rises"),
            "round_eth_1h",
            "is not what slugs of ETH 1h were like",
        ),
        ("gamma_series", lambda _: b"[]", "gamma_series_of_all", "the answer has no rows"),
    ],
)
def test_a_round_that_is_not_as_it_should_be_fails(
    endpoint: str, change: Change, name: str, evidence: str
) -> None:
    result = check(probe({endpoint: change}), name)
    assert not result.passed
    assert evidence in result.evidence


def test_a_slug_that_is_not_listed_fails() -> None:
    findings = probe(now=NOW + 400 * 86_400 * SECOND)
    assert check(findings, "round_btc_5m").evidence == "btc-updown-5m-1829815200 is not listed"
    assert not check(findings, "round_btc_4h").passed


def test_a_hash_that_does_not_come_out_is_named_but_the_book_lives() -> None:
    wrong = edited(lambda book: book.update(hash="0" * 40))
    wrongs = edited(lambda books: [book.update(hash="0" * 40) for book in books])
    findings = probe({"clob_book": wrong, "clob_books": wrongs})
    assert "does not match by any known recipe" in check(findings, "clob_book").evidence
    assert findings.missing == []
    assert "not verified" in (found(findings, "live_book") or "")


def test_a_hash_that_cannot_be_one_is_no_live_book() -> None:
    wrong = edited(lambda book: book.update(hash="none"))
    wrongs = edited(lambda books: [book.update(hash="none") for book in books])
    findings = probe({"clob_book": wrong, "clob_books": wrongs})
    assert findings.missing == ["live book with a sound hash"]
    assert found(findings, "active_market") is not None


def test_a_book_without_levels_is_no_live_book() -> None:
    empty = edited(lambda book: book.update(bids=[], asks=[]))
    empties = edited(lambda books: [book.update(bids=[], asks=[]) for book in books])
    assert probe({"clob_book": empty, "clob_books": empties}).missing == ["live book with a sound hash"]


def test_without_markets_nothing_depends_on_them_is_asked() -> None:
    findings = probe(
        {
            "gamma_events_keyset": lambda _: b'{"events":[]}',
            "gamma_markets_keyset": lambda _: b'{"markets":[]}',
        }
    )
    assert findings.missing == ["active market", "live book with a sound hash"]
    assert set(findings.not_requested) == {
        "gamma_events_keyset_next",
        "gamma_market_by_slug",
        "clob_books",
        "clob_book",
        "clob_book_2",
        "clob_book_3",
        "clob_price_history",
        "clob_price_histories",
        "data_resolutions",
        "data_trades_v1",
        *MARKET_CHECKS,
        *NO_ROUNDS,
    }
    assert check(findings, "rtds").passed
    assert check(findings, "data_trades").passed  # asked without a condition


@pytest.mark.parametrize(
    ("endpoint", "change", "name", "evidence"),
    [
        ("clob_time", lambda _: b"soon", "clob_time", "is not a number of seconds"),
        ("clob_time", lambda body: str(int(body) - 90).encode(), "clob_time", "differ by -90 s"),
        ("gamma_series", lambda _: b"[]", "gamma_series", "the answer has no rows"),
        ("gamma_series", lambda _: b"<html>", "gamma_series", "not JSON"),
        (
            "gamma_markets_keyset",
            edited(lambda page: [row.update(closed=True) for row in page["markets"]]),
            "gamma_markets_keyset",
            "closed=false brought 20 markets that are not open",
        ),
        (
            "gamma_markets_keyset",
            edited(lambda page: [row.update(closed=False) for row in page["markets"]]),
            "gamma_markets_keyset_closed",
            "closed=true brought",
        ),
        (
            "gamma_markets_keyset",
            edited(lambda page: [row.update(endDate="2024-01-01T00:00:00Z") for row in page["markets"]]),
            "gamma_markets_keyset_closed",
            "end_date_min brought",
        ),
        (
            "gamma_events_keyset",
            edited(lambda page: [event.update(id=str(n)) for n, event in enumerate(page["events"])]),
            "gamma_events_keyset_next",
            "20 of them again",
        ),
        (
            "gamma_market_by_slug",
            edited(lambda row: row.update(conditionId="0x" + "ab" * 32)),
            "gamma_market_by_slug",
            "has other ids here",
        ),
        (
            "clob_books",
            edited(lambda books: [book.update(asset_id="7") for book in books]),
            "clob_books",
            "books of tokens that were not requested",
        ),
        ("clob_books", lambda _: b"[]", "clob_books", "no book for any of 20 tokens"),
        ("clob_book", edited(lambda book: book.update(timestamp="1")), "clob_book", "is before"),
        ("clob_book", edited(lambda book: book.update(error="gone")), "clob_book_unknown", "404 says"),
        (
            "data_resolutions",
            edited(lambda page: [row.update(payouts=[500_000, 500_000]) for row in page["data"]]),
            "data_resolutions",
            "differ from Gamma's outcomePrices",
        ),
        ("data_trades_v1", lambda _: b'{"error":"gone"}', "data_trades_v1", "expected a bare array"),
        (
            "data_trades",
            edited(lambda page: page["data"].reverse()),
            "data_trades",
            "not newest first",
        ),
        (
            "data_trades",
            edited(lambda page: [row.pop("side") for row in page["data"]]),
            "data_trades",
            "side=None is missing",
        ),
        (
            "data_trades",
            edited(lambda page: [row.update(timestamp="now") for row in page["data"]]),
            "data_trades",
            "is not in seconds",
        ),
    ],
)
def test_what_spiders_could_not_rely_on_fails_its_check(
    endpoint: str, change: Change, name: str, evidence: str
) -> None:
    result = check(probe({endpoint: change}), name)
    assert not result.passed
    assert evidence in result.evidence


def test_an_unknown_slug_that_is_found_is_a_failure() -> None:
    def answered(query: Query, change: Change | None) -> Exchange:
        is_unknown = "does-not-exist" in query.url
        return Exchange(query, NOW, 200, b"{}") if is_unknown else answer(query, change)

    assert check(probe(answered=answered), "gamma_market_unknown").evidence == "status 200, not 404"


# ---- sockets ----------------------------------------------------------------------------------------------


def without(pattern: bytes) -> Change:
    """Messages in which `pattern` is are lost."""
    return lambda payload: b"" if re.search(pattern, payload) else payload


def with_zeros(kind: bytes) -> Change:
    """Messages of `kind` have a hash that cannot be right."""
    zeros = b'"hash":"%b"' % (b"0" * 40)

    def change(payload: bytes) -> bytes:
        return re.sub(rb'"hash":"[0-9a-f]{40}"', zeros, payload) if kind in payload else payload

    return change


@pytest.mark.parametrize(
    ("endpoint", "change", "name", "evidence"),
    [
        ("market_channel", with_zeros(b'"event_type":"book"'), "market_channel_books", "does not match"),
        ("market_channel", with_zeros(b"price_change"), "market_channel_change", "does not match"),
        ("market_channel", without(rb"^\["), "market_channel_books", "first books did not come within 10 s"),
        ("market_channel", without(rb"^PONG$"), "market_channel_ping", "not answered by PONG"),
        ("market_channel", lambda payload: payload[:-9] or payload, "market_channel_books", "not JSON"),
        *(("rtds", without(rb'"%b"' % topic.encode()), f"rtds_{topic}", "is absent") for topic in TOPICS),
        ("rtds", lambda _: b"[", "rtds_crypto_prices", "is absent"),
    ],
)
def test_a_socket_that_spiders_could_not_rely_on_fails_its_check(
    endpoint: str, change: Change, name: str, evidence: str
) -> None:
    findings = probe({endpoint: change})
    result = check(findings, name)
    assert not result.passed
    assert evidence in result.evidence
    assert findings.missing == []  # it does not depend on sockets
    assert check(findings, endpoint).passed  # it stood, and was ended by us


def test_a_market_without_a_change_is_quiet_and_no_failure() -> None:
    findings = probe({"market_channel": without(b"price_change")})
    result = check(findings, "market_channel_change")
    assert result.passed
    assert result.evidence == "no change within 10 s: the market was quiet"


def test_a_refused_socket_fails_one_check_and_skips_what_hangs_on_it() -> None:
    error = "no connection (blocked): status 403"
    findings = probe(
        connected=lambda capture: Capture(
            capture.query, NOW, 403, b"<html>", {"server": "x"}, 3.0, 9, error, listen=capture.listen
        )
    )
    assert [(each.name, each.evidence) for each in findings.failed] == [
        ("market_channel", error),
        ("rtds", error),
    ]
    assert set(findings.not_requested) == {
        *MARKET_CHECKS[1:],
        *(f"rtds_{topic}" for topic in TOPICS),
        *NO_ROUNDS,
    }
    assert check(findings, "rtds").exchange.payload == b"<html>"
    assert findings.missing == []


def test_a_socket_that_the_venue_closes_fails_with_its_code() -> None:
    findings = probe(
        connected=lambda capture: replace(
            capture, close_code=1013, close_reason="slow", is_closed_by_us=False
        )
    )
    assert check(findings, "market_channel").evidence == "closed by the venue, code 1013 slow"
    assert check(findings, "market_channel_books").passed  # what came counts
