"""Labels of Kalshi's rounds: what each kind of evidence gives, and what is not graded."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from marketarchive.research.labels.ground_truth import ground_truth, read_labels
from marketarchive.research.labels.label import Label
from marketarchive.simulator.kalshi import Kalshi
from marketarchive.simulator.kalshi.rounds import ODDITIES
from marketarchive.times import SECOND
from tests.archive.writing import NOON
from tests.e2e.harness import command
from tests.research.kalshi.recording import (
    START,
    answered,
    index_frame,
    minute,
    row,
    simulated,
    streamed,
    without,
)

FLAT = ["84000.00"] * 60


def labelled(root: Path, *rows: dict[str, Any], **given: Any) -> list[Label]:
    answered(root, *rows)
    return ground_truth(root, **given).labels


def test_published_means_restate_a_round(tmp_path: Path) -> None:
    [found] = labelled(tmp_path, row())
    assert (found.platform, found.market_id, found.asset) == ("kalshi", "KXBTC15M-26NOV210715-15", "BTC")
    assert (found.start_ns, found.end_ns) == (NOON, NOON + 900 * SECOND)
    assert (found.strike, found.settlement) == (Decimal(84000), Decimal("84000.01"))
    assert (found.verdict, found.computed_outcome, found.resolved_outcome) == ("restated", "yes", "yes")
    assert (found.outcome_match, found.flag) == (None, None)
    assert (found.strike_source, found.settlement_source) == (
        "kalshi floor_strike",
        "kalshi expiration_value",
    )
    assert found.strike_received_at_ns == NOON + 3600 * SECOND  # when it was told, not when it was valid
    assert found.rule == "cf benchmarks brti mean 60s"
    assert "no 60 archived values of BRTI before 2026-11-21T12:00:00Z (window start)" in found.reason
    assert read_labels(tmp_path) == [found]


def test_values_of_the_index_reproduce_a_round_or_differ(tmp_path: Path) -> None:
    streamed(tmp_path, [*minute(START, FLAT), *minute(START + 900, [*FLAT[1:], "84000.61"])])
    [found] = labelled(tmp_path, row())
    assert (found.verdict, found.outcome_match, found.reason) == ("reproduced", True, "")
    # 84000 and 0.61 / 60 = 0.0101...
    assert (found.strike, found.settlement) == (Decimal(84000), Decimal("84000.01"))
    assert found.settlement_source == "kalshi cfbenchmarks_value BRTI"
    assert found.settlement_received_at_ns == NOON + 900 * SECOND + 80_000_000
    answered(tmp_path, row(result="no", settlement_value_dollars="0"), at=4000)
    [found] = ground_truth(tmp_path).labels
    assert (found.verdict, found.outcome_match, found.flag) == ("differs", False, "contradicted")
    assert found.reason == "computed yes, resolved no"


def test_a_value_that_is_missing_proves_nothing_but_the_venues_own_mean_of_sixty_does(tmp_path: Path) -> None:
    whole = [*minute(START, FLAT), *minute(START + 900, FLAT)]
    streamed(tmp_path, [frame for n, frame in enumerate(whole) if n not in (7, 70)])
    [found] = labelled(tmp_path, row())
    assert (found.verdict, found.strike_kind, found.settlement_kind) == ("restated", "stated", "stated")
    closes = [
        (close * SECOND, index_frame("84000.00", close * 1000, closing=("84000.0000", 60)))
        for close in (START, START + 900)
    ]
    other = tmp_path / "other"
    other.mkdir()
    streamed(other, closes)
    [found] = labelled(other, row(expiration_value="84000.00"))
    assert (found.verdict, found.settlement) == ("reproduced", Decimal(84000))


def test_the_value_at_the_close_counts_and_the_one_at_the_beginning_does_not(tmp_path: Path) -> None:
    """(close - 60 s, close]: a jump in the very second of the close tells both definitions apart."""
    jump = [*FLAT[1:], "84060.00"]
    before = [((START + 840) * SECOND, minute(START + 840, [*FLAT[1:], "99999.00"])[-1][1])]
    streamed(tmp_path, [*minute(START, FLAT), *before, *minute(START + 900, jump)])
    [found] = labelled(tmp_path, row(expiration_value="84001.00"))
    assert (found.verdict, found.settlement) == ("reproduced", Decimal(84001))


def test_a_mean_half_way_hangs_on_a_rounding_that_no_source_tells(tmp_path: Path) -> None:
    half = [*FLAT[:30], *["84000.01"] * 30]  # 84000.005
    streamed(tmp_path, [*minute(START, ["84000.01"] * 60), *minute(START + 900, half)])
    [found] = labelled(tmp_path, row())
    assert found.verdict == "not_provable"
    assert "end 84000.010000000000000000 or 84000.000000000000000000" in found.reason


@pytest.mark.parametrize(
    ("said", "verdict", "flag", "reason"),
    [
        ({"custom_strike": None}, "not_provable", "no_rounding", "round_digits is absent"),
        ({"custom_strike": {}}, "not_provable", "no_rounding", "round_digits is absent"),
        ({"strike_type": "greater"}, "not_provable", "other_strike", "strike_type is 'greater'"),
        ({"floor_strike": 7.0}, "not_provable", "implausible_strike", "100.0 % off its own expiration_value"),
        (
            {"floor_strike": None, "result": "no", "settlement_value_dollars": "0"},
            "not_provable", "no_strike", "no strike was ever stated",
        ),
        (
            {"result": "scalar", "settlement_value_dollars": "0.5000"},
            "not_provable", "scalar", "the result is scalar: a contract of YES is paid 0.5",
        ),
        ({"result": ""}, "not_provable", "void", "it ended without yes or no: result ''"),
        ({"result": "void"}, "not_provable", "void", "it ended without yes or no: result 'void'"),
        (
            {"status": "closed", "result": "", "expiration_value": ""},
            "not_provable", None, "no official outcome (closed)",
        ),
        (
            {"status": "determined"},
            "restated", None, "no final outcome: yes is only proposed (determined)",
        ),
        (
            {"result": "no", "settlement_value_dollars": "0"},
            "restated", "contradicted", "the result no differs from its own values, which give yes",
        ),
        (
            {"settlement_value_dollars": "0"},
            "restated", "contradicted", "the result yes differs from its own payout, 0",
        ),
        ({"rules_primary": "", "rules_secondary": None}, "restated", None, "the venue's own statement"),
        ({"expiration_value": "n/a"}, "not_provable", None, "no 60 archived values of BRTI"),
    ],
)  # fmt: skip
def test_each_oddity_has_its_verdict(
    tmp_path: Path, said: dict[str, Any], verdict: str, flag: str | None, reason: str
) -> None:
    [found] = labelled(tmp_path, row(**said))
    assert (found.verdict, found.flag, found.outcome_match) == (verdict, flag, None)
    assert reason in found.reason
    if found.flag == "implausible_strike":
        assert (found.strike, found.stated_strike, found.computed_outcome) == (
            Decimal(7),
            Decimal(7),
            None,
        )  # kept


def test_a_strike_that_was_told_later_than_the_round_began_is_the_strike(tmp_path: Path) -> None:
    answered(tmp_path, without(row(status="active", result=""), "floor_strike", "custom_strike"), at=1)
    [found] = ground_truth(tmp_path).labels
    assert (found.verdict, found.flag) == ("not_provable", None)
    answered(tmp_path, row(status="active", result="", expiration_value=""), at=30)
    [found] = labelled(tmp_path, row())
    assert (found.verdict, found.strike_received_at_ns) == ("restated", NOON + 30 * SECOND)


def test_a_series_without_an_index_proxy_is_labelled_too(tmp_path: Path) -> None:
    doge = row(
        ticker="KXDOGE15M-26NOV210715-15", floor_strike=0.1204, expiration_value="0.1203", result="no",
        settlement_value_dollars="0", custom_strike={"round_digits": 4}, rules_primary=None,
    )  # fmt: skip
    [found] = labelled(tmp_path, doge)
    assert (found.asset, found.verdict, found.computed_outcome) == ("DOGE", "restated", "no")
    assert (found.rule, found.rule_by) == ("cf benchmarks dogeusd_rti mean 60s", "series")


def test_simulated_rounds_are_labelled_as_they_truly_ended(tmp_path: Path) -> None:
    """One of each oddity that the venue is known for, and some without any."""
    venue = Kalshi(1)
    every = list(venue.rounds.between(START, START + 72 * 3600))
    rounds = list({each.oddity: each for each in every}.values())
    rounds += [each for each in every if each.oddity is None][:4]
    assert {each.oddity for each in rounds} == {None, *ODDITIES}
    simulated(tmp_path, venue, rounds)
    found = {each.market_id: each for each in ground_truth(tmp_path).labels}
    assert found.keys() == {each.ticker for each in rounds}
    for each in rounds:
        made = found[each.ticker]
        if each.oddity in (None, "late_strike"):
            assert (made.verdict, made.flag) == ("restated", None)
            assert (made.strike, made.settlement) == (each.true_strike, each.final)
            assert made.computed_outcome == made.resolved_outcome == each.result
        else:
            verdict, flag = {
                "no_strike": ("not_provable", "no_strike"),
                "implausible_strike": ("not_provable", "implausible_strike"),
                "never_settled": ("not_provable", None),
                "scalar": ("not_provable", "scalar"),
                "differs": ("restated", "contradicted"),
            }[each.oddity]
            assert (made.verdict, made.flag) == (verdict, flag), each


def test_the_command_says_how_it_ended(tmp_path: Path) -> None:
    answered(tmp_path, row(), row(1, result="scalar", settlement_value_dollars="0.24"))
    done = command("ground-truth", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "restated" in done.stdout
    assert done.stdout.endswith("reproduced 0, differ 0, not provable 2\n")
    [first, second] = json.loads((tmp_path / "research" / "market_master.json").read_text())
    assert (first["platform"], first["strike_K"], first["settlement_price"]) == ("kalshi", 84000, 84000.01)
    assert second["flag"] == "scalar"
