"""A probe of a made-up venue, as short as one can be: what it asks, expects and leaves out."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from marketarchive.collecting.probing.probe import probes
from marketarchive.collecting.probing.probe_report import documented_limits
from marketarchive.exceptions import ParseError
from marketarchive.venues.endpoint import Endpoint, Limit, Query
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.probing import (
    Capture,
    Check,
    Exchange,
    Findings,
    Listen,
    NotRequestedError,
    Probe,
    kinds_by,
)

NOW = 1_795_255_300_000_000_000
WEIGHT = Limit("swapmeet/rest", 1200, 60.0, "weights")
BOOK = Endpoint("book", "https://api.swapmeet.example/book", WEIGHT)
TICKER = Endpoint("ticker", "https://api.swapmeet.example/ticker", WEIGHT)
SOCKET = Endpoint("socket", "wss://swapmeet.example/ws", Limit("swapmeet/ws", 300, 300.0, "connections"))


def parse(received: Received) -> Parsed:
    try:
        rows = json.loads(received.payload)
    except ValueError as error:
        raise ParseError("Row", "not JSON") from error
    return Parsed(
        books=[row for row in rows if "bid" in row],
        errors=[ParseError("Row", f"no bid in {row}") for row in rows if "bid" not in row],
    )


def ticker_of_the_first(findings: Findings) -> Query:
    for parsed in findings.passed("book"):
        return Query(TICKER, {"symbol": parsed.books[0]["symbol"]})
    raise NotRequestedError("no symbol")


PROBE = Probe(
    checks=(
        Check("book", "book", Query(BOOK)),
        Check("ticker", "ticker", ticker_of_the_first),
        Check("socket", "stream", Listen(SOCKET, ("subscribe",), seconds=5)),
        Check("socket_again", "stream", "socket"),
    ),
    limits_source="https://docs.swapmeet.example/limits",
)

GOOD = b'[{"symbol": "BTC", "bid": 1}]'


def probe(answers: Mapping[str, bytes], messages: tuple[bytes, ...] = (b"{}",)) -> Findings:
    """Ask it; an endpoint without an answer gives none."""
    findings = Findings(PROBE, "swapmeet", parse, NOW)
    questions = findings.requests()
    try:
        question = next(questions)
        while True:
            payload = answers.get(question.endpoint.name)
            error = None if payload is not None else "no answer"
            if isinstance(question, Listen):
                received = [(NOW + seq, seq, message) for seq, message in enumerate(messages, 2)]
                sent = Capture(
                    Query(SOCKET),
                    NOW,
                    101,
                    error=error,
                    listen=question,
                    messages=received,
                    ended_at=NOW + 10**9,
                    is_closed_by_us=True,
                )
                question = questions.send(sent)
            else:
                question = questions.send(Exchange(question, NOW, 200, payload or b"", error=error))
    except StopIteration:
        return findings


def evidence(findings: Findings) -> dict[str, tuple[bool, str]]:
    return {result.name: (result.passed, result.evidence) for result in findings.results}


def test_rows_without_errors_and_messages_pass() -> None:
    findings = probe({"book": GOOD, "ticker": GOOD, "socket": b""})
    socket = (True, "1 messages, 2 bytes in 1.0 s: other 1; closed by us")
    assert evidence(findings) == {
        "book": (True, "books 1"),
        "ticker": (True, "books 1"),
        "socket": socket,
        "socket_again": socket,
    }
    assert findings.exchanges["ticker"].query.params == {"symbol": "BTC"}
    assert (findings.not_requested, findings.missing) == ({}, [])
    assert len(findings.captures) == 1


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"[]", "the answer has no rows"),
        (b'[{"symbol": "BTC"}]', "no bid in"),
        (b"<html>", "not JSON"),
    ],
)
def test_what_does_not_parse_or_is_empty_fails_and_what_hangs_on_it_is_not_asked(
    payload: bytes, why: str
) -> None:
    findings = probe({"book": payload, "socket": b""})
    passed, said = evidence(findings)["book"]
    assert not passed
    assert why in said
    assert findings.not_requested == {"ticker": "no symbol"}


def test_a_silent_socket_fails_and_one_that_did_not_open_is_judged_once() -> None:
    silent = probe({"book": GOOD, "ticker": GOOD, "socket": b""}, messages=())
    assert evidence(silent)["socket"] == (False, "no message within 5 s")
    unopened = probe({"book": GOOD, "ticker": GOOD})
    assert evidence(unopened)["socket"] == (False, "no answer")
    assert unopened.not_requested == {"socket_again": "the socket did not open"}


def test_limits_are_reported_in_the_venues_own_units() -> None:
    limits = documented_limits(PROBE, probe({"book": GOOD, "ticker": GOOD, "socket": b""}).results)
    assert limits == {
        "documented": [
            {"name": "swapmeet/rest", "amount": 1200, "window_s": 60.0, "unit": "weights"},
            {"name": "swapmeet/ws", "amount": 300, "window_s": 300.0, "unit": "connections"},
        ],
        "documented_per_10s": {"swapmeet/rest": 200.0, "swapmeet/ws": 10.0},
    }


def test_checks_are_named_once_and_hang_on_earlier_ones() -> None:
    for probe_of in probes().values():
        names = [check.name for check in probe_of.checks]
        assert len(set(names)) == len(names)
        for number, check in enumerate(probe_of.checks):
            if isinstance(check.question, str):
                assert check.question in names[:number]


def test_kinds_of_messages_are_named_by_their_keys() -> None:
    kinds = kinds_by("channel", "type")
    assert kinds(b'{"channel": "ticker", "type": "update"}') == ["ticker update"]
    assert kinds(b'[{"type": "ack"}, 5]') == ["ack", "other"]
    assert kinds(b"PONG") == ["PONG"]
    assert kinds(b"") == ["empty"]
    assert kinds(b"[" * 5000) == ["other"]
