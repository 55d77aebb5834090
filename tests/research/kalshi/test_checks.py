"""The checks of Kalshi's rounds in the validation report."""

from __future__ import annotations

import json
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from marketarchive.research.labels.label import Label
from marketarchive.research.products.kalshi_rounds.checks import chain, results
from tests.e2e.harness import command
from tests.research.kalshi.recording import answered, row

CENTS = st.integers(1, 10**8).map(lambda cents: Decimal(cents) / 100)


def label(n: int, strike: Decimal | None, settlement: Decimal | None, **said: Any) -> Label:
    given: dict[str, Any] = {
        "market_id": f"R{n}", "condition_id": f"R{n}", "asset": "BTC", "duration": "15m", "start_ns": n,
        "end_ns": n + 1, "strike": strike, "settlement": settlement, "strike_e18": None,
        "settlement_e18": None, "resolved_outcome": "yes", "computed_outcome": "yes", "outcome_match": None,
        "strike_source": None, "settlement_source": None, "strike_received_at_ns": None, "rule": "r",
        "verdict": "restated", "reason": "", "stated_strike": strike, "stated_settlement": settlement,
        "platform": "kalshi",
    }  # fmt: skip
    return Label(**(given | said))


@given(st.lists(CENTS, min_size=2, max_size=30), st.data())
def test_the_chain_breaks_where_one_value_is_another(values: list[Decimal], data: st.DataObject) -> None:
    rounds = [label(n, *pair) for n, pair in enumerate(pairwise(values))]
    whole = chain(rounds)
    assert whole.state == ("pass" if len(rounds) > 1 else "nothing to check")
    assert whole.figures["compared"] == len(rounds) - 1
    if len(rounds) > 1:
        place = data.draw(st.integers(1, len(rounds) - 1))
        wrong = rounds[place].stated_strike
        assert wrong is not None
        rounds[place] = label(place, wrong + Decimal("0.01"), rounds[place].stated_settlement)
        broken = chain(rounds)
        assert (broken.state, broken.figures["broken"]) == ("fail", 1)
        assert [each["market_id"] for each in broken.offenders] == [f"R{place}"]


def test_only_neighbours_of_a_series_are_compared() -> None:
    found = chain(
        [
            label(0, Decimal(1), Decimal(2)),
            label(2, Decimal(3), Decimal(4)),
            label(1, Decimal(5), Decimal(6), asset="ETH"),
            label(3, None, Decimal(5)),
        ]
    )
    assert (found.state, found.figures["compared"]) == ("nothing to check", 0)


def test_a_strike_that_is_known_to_be_wrong_is_a_warning() -> None:
    before, wrong = label(0, Decimal(1), Decimal(2)), label(1, Decimal(7), None, flag="implausible_strike")
    found = chain([before, wrong])
    assert (found.state, found.figures["of them implausible strikes"]) == ("warn", 1)
    assert found.offenders[0]["floor_strike"] == "7"
    assert chain([before, wrong, label(2, Decimal(3), None), label(1, None, Decimal(4))]).state == "fail"


def test_contradictions_warn_and_what_is_not_graded_is_named() -> None:
    fine, bad = label(0, Decimal(1), Decimal(2)), label(1, Decimal(2), Decimal(3), flag="contradicted")
    odd = label(2, None, None, flag="scalar", computed_outcome=None, reason="the result is scalar")
    assert results([fine]).state == "pass"
    found = results([fine, bad, odd])
    assert (found.state, found.figures) == ("warn", {"compared": 2, "contradicted": 1, "scalar": 1})
    assert found.notes == ["R2: the result is scalar"]
    assert results([odd]).state == "nothing to check"


def test_the_report_has_them(tmp_path: Path) -> None:
    answered(tmp_path, row(), row(1, floor_strike=84000.01, expiration_value="84100.00"))
    done = command("validate", tmp_path, "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    states = {each["name"]: each["state"] for each in document["checks"]}
    assert (states["kalshi_chain"], states["kalshi_results"]) == ("pass", "pass")
    assert states["outcomes"] == states["coverage"] == "nothing to check"
    assert document["looked_at"]["rounds"] == 2
    assert document["not_looked_at"] == []
    answered(tmp_path, row(2, floor_strike=84100.02, result="no"), at=5000)
    done = command("validate", tmp_path, "--json")
    assert done.returncode == 1
    failed = [each["name"] for each in json.loads(done.stdout)["checks"] if each["state"] == "fail"]
    assert failed == ["kalshi_chain"]
