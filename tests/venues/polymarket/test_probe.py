"""The probe's questions and judgements, asked of the simulated venue without a server."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest

from marketarchive.venues.endpoint import Query
from marketarchive.venues.polymarket.probe import PROBE
from marketarchive.venues.probing import Check, Exchange, Findings
from tests.simulator.asking import NOW, ask

Change = Callable[[bytes], bytes]


def answer(query: Query, change: Change | None = None) -> Exchange:
    parts = urlsplit(query.url)
    reply = ask(parts.netloc, parts.path, dict(query.params), query.body)
    body = reply.body if change is None else change(reply.body)
    failed = reply.status != 200 and reply.status not in query.endpoint.final
    return Exchange(
        query, NOW, reply.status, body, {}, 1.0, 1, error=f"status {reply.status}" if failed else None
    )


def probe(changes: Mapping[str, Change] | None = None) -> Findings:
    """`changes` are made to the answers of these endpoints."""
    findings = Findings()
    questions = PROBE.questions(findings, NOW)
    try:
        query = next(questions)
        while True:
            query = questions.send(answer(query, (changes or {}).get(query.endpoint.name)))
    except StopIteration:
        return findings


def check(findings: Findings, name: str) -> Check:
    [found] = [each for each in findings.checks if each.name == name]
    return found


def edited(edit: Callable[[Any], Any]) -> Change:
    def change(body: bytes) -> bytes:
        document = json.loads(body)
        edit(document)
        return json.dumps(document).encode()

    return change


def test_every_endpoint_is_asked_once_or_a_few_times_and_all_agree() -> None:
    findings = probe()
    assert [(each.name, each.evidence) for each in findings.failed] == []
    assert findings.not_asked == {}
    assert findings.missing == []
    asked = [each.exchange.query.endpoint.name for each in findings.checks]
    assert len(asked) == 15
    assert set(asked) == {
        "clob_time",
        "gamma_series",
        "gamma_events_keyset",
        "gamma_markets_keyset",
        "gamma_market_by_slug",
        "clob_books",
        "clob_book",
        "data_resolutions",
        "data_trades",
    }
    assert {each.topic for each in findings.checks} == set(PROBE.how)
    assert findings.live_book is not None
    assert "verified by recipe 2025-12" in findings.live_book
    assert all(0 <= age < 120 for age in findings.book_ages_s)


def test_a_hash_that_does_not_come_out_is_named_but_the_book_lives() -> None:
    wrong = edited(lambda book: book.update(hash="0" * 40))
    wrongs = edited(lambda books: [book.update(hash="0" * 40) for book in books])
    findings = probe({"clob_book": wrong, "clob_books": wrongs})
    assert "does not come out by any known recipe" in check(findings, "clob_book").evidence
    assert findings.missing == []
    assert "not verified" in (findings.live_book or "")


def test_a_hash_that_cannot_be_one_is_no_live_book() -> None:
    wrong = edited(lambda book: book.update(hash="none"))
    wrongs = edited(lambda books: [book.update(hash="none") for book in books])
    findings = probe({"clob_book": wrong, "clob_books": wrongs})
    assert findings.missing == ["live book with a sound hash"]
    assert findings.active_market is not None


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
    assert set(findings.not_asked) == {
        "gamma_events_keyset_next",
        "gamma_market_by_slug",
        "clob_books",
        "clob_book",
        "data_resolutions",
    }
    assert check(findings, "data_trades").passed  # asked without a condition


@pytest.mark.parametrize(
    ("endpoint", "change", "name", "evidence"),
    [
        ("clob_time", lambda _: b"soon", "clob_time", "is not a number of seconds"),
        ("clob_time", lambda body: str(int(body) - 90).encode(), "clob_time", "differ by -90 s"),
        ("gamma_series", lambda _: b"[]", "gamma_series", "no series of BTC rounds"),
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
            "books of tokens that were not asked for",
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
            "a trade lacks side",
        ),
        (
            "data_trades",
            edited(lambda page: [row.update(timestamp="now") for row in page["data"]]),
            "data_trades",
            "is not seconds",
        ),
    ],
)
def test_what_spiders_could_not_rely_on_fails_its_check(
    endpoint: str, change: Change, name: str, evidence: str
) -> None:
    found = check(probe({endpoint: change}), name)
    assert not found.passed
    assert evidence in found.evidence


def test_an_unknown_slug_that_is_found_is_a_failure() -> None:
    findings = Findings()
    questions = PROBE.questions(findings, NOW)
    query = next(questions)
    while "does-not-exist" not in query.url:
        query = questions.send(answer(query))
    questions.send(Exchange(query, NOW, 200, b"{}"))
    assert check(findings, "gamma_market_unknown").evidence == "status 200, not 404"
