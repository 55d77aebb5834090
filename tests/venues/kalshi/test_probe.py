"""The probe's questions and judgements, asked of the simulated venue without a server."""

from __future__ import annotations

from typing import Any

from marketarchive.times import SECOND
from marketarchive.venues.endpoint import Query
from marketarchive.venues.kalshi.parse import parse
from marketarchive.venues.kalshi.probe import PROBE
from marketarchive.venues.probing import Exchange, Findings, Question
from tests.simulator.kalshi.requesting import AT, MAINTENANCE, fetch


def probed(at: int = AT, **faults: dict[str, Any]) -> Findings:
    """What a probe finds; faults: of every answer that they can hit, by kind."""
    findings = Findings(PROBE, "kalshi", parse, at * SECOND)
    requesting = findings.requests()
    question: Question = next(requesting)
    while True:
        assert isinstance(question, Query)
        reply = fetch(question, at, **faults)
        is_answer = reply.status == 200 or reply.status in question.endpoint.final
        error = None if is_answer else f"status {reply.status}"
        exchange = Exchange(
            question, at * SECOND, reply.status, reply.body, dict(reply.headers), 1.0, 1, error
        )
        try:
            question = requesting.send(exchange)
        except StopIteration:
            return findings


def test_everything_is_as_expected() -> None:
    findings = probed(kalshi_short_pages={"rows": 3})
    assert [(each.name, each.evidence) for each in findings.failed] == []
    assert findings.missing == []
    assert set(findings.not_requested) == {"socket"}
    assert "KALSHI_API_KEY_ID and KALSHI_PRIV_KEY_PATH are not set" in findings.not_requested["socket"]
    told = {each.name: each.evidence for each in findings.results}
    assert told["rounds"] == "KXBTC15M-26NOV210515-15 is open, as its ticker says"
    assert told["markets_next"].endswith("none of them a second time")


def test_a_cursor_that_is_not_understood_is_noticed() -> None:
    findings = probed(kalshi_short_pages={"rows": 3}, kalshi_first_page_again={})
    assert [each.name for each in findings.failed] == ["markets_next"]


def test_while_trading_rests_no_round_is_open() -> None:
    findings = probed(MAINTENANCE)
    assert "rounds" in {each.name for each in findings.failed}
    assert findings.missing == ["open market of KXBTC15M"]
    assert set(findings.not_requested) >= {"market", "orderbook", "orderbooks", "trades"}


def test_keys_for_everything() -> None:
    findings = probed(kalshi_needs_key={})
    assert {each.name for each in findings.results} == {each.name for each in findings.failed}
