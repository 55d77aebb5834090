"""The probe of the stream pages, asked of the simulated host without a server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import pytest

from marketarchive.simulator.chainlink import Chainlink
from marketarchive.simulator.messages import Reply, SimRequest
from marketarchive.simulator.prices import Prices
from marketarchive.times import SECOND
from marketarchive.venues.chainlink.probe import PROBE
from marketarchive.venues.chainlink.venue import VENUE
from marketarchive.venues.endpoint import Query
from marketarchive.venues.probing import Exchange, Findings, Result

NOW = 1_795_255_300 * SECOND
CHECKPOINT = b"<html><title>Vercel Security Checkpoint</title></html>"


def probe(changes: Mapping[str, Callable[[Reply], Reply]] | None = None) -> tuple[Findings, int]:
    """`changes` are made to the answers of these endpoints; with how many requests were sent."""
    venue, findings, count = Chainlink(1, Prices(1)), Findings(PROBE, VENUE.name, VENUE.parse, NOW), 0
    questions = findings.requests()
    try:
        query = next(questions)
        while True:
            assert isinstance(query, Query)
            count += 1
            parts = urlsplit(query.url)
            reply = venue.answer(
                SimRequest("GET", parts.netloc, parts.path, tuple(query.params.items()), b""), NOW
            )
            if (change := (changes or {}).get(query.endpoint.name)) is not None:
                reply = change(reply)
            failed = reply.status != 200 and reply.status not in query.endpoint.final
            error = f"status {reply.status}" if failed else None
            query = questions.send(Exchange(query, NOW, reply.status, reply.body, error=error))
    except StopIteration:
        return findings, count


def check(findings: Findings, name: str) -> Result:
    [found] = [each for each in findings.results if each.name == name]
    return found


def test_a_page_and_its_json_are_looked_at_for_every_asset() -> None:
    findings, count = probe()
    for asset in ("btc", "eth", "sol", "xrp"):
        page, live = check(findings, f"page_{asset}"), check(findings, f"live_{asset}")
        assert page.passed, page.evidence
        assert f"{asset}-usd-cexprice-streams shows feed 0x000" in page.evidence
        assert "its prices need a browser" in page.evidence
        assert live.passed, live.evidence
        assert "observed" in live.evidence
    assert check(findings, "page_doge").evidence == "404: there is no such page"
    assert "live_zec" in findings.not_requested
    assert findings.missing == []
    assert count == len(findings.results)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (429, CHECKPOINT, "a checkpoint"),
        (200, CHECKPOINT, "a checkpoint"),
        (403, b"no", "refused"),
        (429, b"", "refused"),
    ],
)
@pytest.mark.parametrize("endpoint", ["page", "live"])
def test_a_host_that_does_not_want_us_is_left_alone_at_once(
    endpoint: str, status: int, body: bytes, said: str
) -> None:
    findings, count = probe({endpoint: lambda reply: Reply(body, status, "text/html", {})})
    [failed] = findings.failed
    assert failed.name == f"{endpoint}_btc"
    assert f"blocked: status {status}, {said}" in failed.evidence
    assert "the spider chainlink_streams" in failed.evidence
    assert count == (1 if endpoint == "page" else 2)
    assert "blocked" in findings.not_requested["page_eth"]
    assert "blocked" in findings.not_requested["live_xrp"]


def test_a_page_of_another_feed_and_an_empty_answer_fail() -> None:
    findings, _ = probe(
        {
            "page": lambda reply: Reply(
                reply.body.replace(b"0x00039d9e", b"0x00039d9f"), 200, "text/html", {}
            ),
            "live": lambda _: Reply(b'{"data":{"allStreamValuesGenerics":{"nodes":[]}}}', 200, "x/json", {}),
        }
    )
    assert "shows feed 0x00039d9f" in check(findings, "page_btc").evidence
    assert not check(findings, "page_btc").passed
    assert check(findings, "live_btc").evidence == "no report of the last minute"


def test_a_page_that_does_not_name_its_feed_fails() -> None:
    findings, _ = probe({"page": lambda _: Reply(b"<html></html>", 200, "text/html", {})})
    assert check(findings, "page_btc").evidence == "the page does not say which feed it shows"
