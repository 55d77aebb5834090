"""Known mistakes of catalogues that train models, each as an export sees it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from marketarchive.items import Headline
from marketarchive.times import from_iso, utc
from marketarchive.venues.kalshi import queries as of_kalshi
from tests.master.markets import SECOND, START, market, resolved
from tests.research.catalogue_master import at, headline, put
from tests.research.test_training import YES_NO, price, prompts, rows
from tests.simulator import catalog as simulated
from tests.simulator.test_catalog import revision

DAY_S = 86_400


def test_an_expiration_a_week_after_the_close_is_no_resolution(tmp_path: Path) -> None:
    """KXBTCD-26AUG0207: closed on 08-02, determined an hour later, "expires" on 08-09."""
    week = utc(START + 7 * DAY_S * SECOND)
    said: dict[str, Any] = {
        "title": "Will it rain?",
        "outcomes": YES_NO,
        "end_at": week,
        "expected_end_at": week,
    }
    ended: dict[str, Any] = {
        "closed_at": utc(START + 3600 * SECOND),
        "determined_at": utc(START + 7200 * SECOND),
    }
    put(
        tmp_path,
        market(0, status="active", **said),
        price(60, "0.4"),
        market(8000, status="closed", **said, **ended),
        resolved(8000, payouts=("1", "0"), resolution_state="final"),
    )
    [row] = rows(tmp_path)
    assert row["resolved_at"] is None
    assert row["days_to_resolution"] == pytest.approx(2 / 24)
    [prompt] = prompts(tmp_path)
    assert prompt["cut"] == at(3600), "the market's close, whatever the schedule says"
    assert prompt["end_at"] == at(7 * DAY_S), "scheduled, which was known before"
    assert not {"expected_end_at", "closed_at", "determined_at"} & set(prompt)


def test_an_early_end_is_in_no_context(tmp_path: Path) -> None:
    """A market that ends a month early: prompts say what was scheduled when they were cut."""
    month, sooner = (utc(START + days * DAY_S * SECOND) for days in (30, 2))
    said: dict[str, Any] = {"title": "Will it rain?", "outcomes": YES_NO}
    put(
        tmp_path,
        market(0, status="active", end_at=month, **said),
        market(DAY_S, status="closed", end_at=sooner, closed_at=utc(START + DAY_S * SECOND), **said),
        resolved(DAY_S + 60, payouts=("1", "0"), resolution_state="final"),
    )
    [prompt] = prompts(tmp_path)
    assert (prompt["cut"], prompt["end_at"]) == (at(DAY_S), at(30 * DAY_S))


def test_candles_of_a_backfill_are_no_observed_prices() -> None:
    """A day's ends at 04 or 05 UTC, and nobody saw it then: nothing of it gets into the master."""
    venue, now = simulated.kalshi(), simulated.NOW_S
    start = now - 25 * DAY_S
    open_then_and_now = next(
        name
        for name, each in simulated.truth(venue).items()
        if from_iso(each["opens_at"]) < start * SECOND and revision(each)["state"] == "open"
    )
    query = of_kalshi.candles("X", open_then_and_now, start, now, 1440)
    assert json.loads(simulated.fetch(venue, query).payload)["candlesticks"]
    assert list(simulated.read(venue, query).items) == []


def test_a_result_between_yes_and_no_is_kept_with_its_kind_and_asks_nothing(tmp_path: Path) -> None:
    given = {"tied": ("0.5", "0.5"), "weather": ("0.24", "0.76"), "nobody": ("0", "0"), "plain": ("0", "1")}
    for name, payouts in given.items():
        put(
            tmp_path,
            market(0, market_id=name, title=name, outcomes=YES_NO, status="active"),
            price(10, "0.5", name),
            resolved(60, market_id=name, payouts=payouts, resolution_state="final"),
        )
    found = {row["market_id"]: (row["resolution"], row["resolution_kind"]) for row in rows(tmp_path)}
    assert found["plain"] == ("NO", "no")
    assert {name: result for name, (result, _) in found.items() if name != "plain"} == dict.fromkeys(
        ("tied", "weather", "nobody")
    )
    assert len({kind for name, (_, kind) in found.items() if name != "weather"}) == 3
    assert [prompt["market_id"] for prompt in prompts(tmp_path)] == ["plain"]


def test_a_headline_counts_from_our_capture_whatever_it_claims(tmp_path: Path) -> None:
    """Published before, captured after the cut: out. A page that claims a time of tomorrow: in."""

    def claimed(t: float, text: str, published: float) -> Headline:
        said = headline(t, text).model_dump() | {"published_at": utc(START + round(published * SECOND))}
        return Headline.model_validate(said)

    put(
        tmp_path,
        market(0, title="Will it rain?", outcomes=YES_NO, status="active"),
        claimed(40, "seen", 90),
        claimed(50, "backdated", 10),
        claimed(60, "revealing", 20),
        resolved(60, payouts=("1", "0"), resolution_state="final"),
    )
    assert [each["headline"] for each in json.loads(rows(tmp_path)[0]["news_headlines"])] == [
        "seen",
        "backdated",
    ]
    [early] = prompts(tmp_path, options={"cuts": (10 * SECOND,)})
    assert [each["headline"] for each in early["context"]["news"]] == ["seen"]


def test_rules_that_were_edited_are_those_of_the_cut(tmp_path: Path) -> None:
    said: dict[str, Any] = {"title": "Will it rain?", "outcomes": YES_NO, "status": "active"}
    put(
        tmp_path,
        market(0, description="Any rain.", **said),
        market(50, description="At least 1 mm.", **said),
        resolved(100, payouts=("1", "0"), resolution_state="final"),
        market(200, description="It rained: 3 mm.", **said | {"status": "closed"}),
    )
    cuts = {"cuts": (0, 60 * SECOND)}
    found = [(each["description"], each["description_sha256"]) for each in prompts(tmp_path, options=cuts)]
    assert found == [
        (rules, hashlib.sha256(rules.encode()).hexdigest()) for rules in ("Any rain.", "At least 1 mm.")
    ]
    assert rows(tmp_path)[0]["description"] == "It rained: 3 mm.", "of the table: as stated last"


def test_markets_of_an_event_are_told_apart_by_their_ids_in_any_order(tmp_path: Path) -> None:
    """The same event listed twice, its markets in another order; one of them is the catch-all."""
    names = ("ann", "bob", "other")
    for number, order in enumerate((names, names[::-1])):
        put(
            tmp_path,
            *(
                market(
                    number,
                    market_id=name,
                    title="Who wins?",
                    subtitle=name.title(),
                    outcomes=YES_NO,
                    event_id="7",
                    description="Who wins? Criteria: N/A",
                    status="active",
                    seq=100 * number + place + 1,
                )
                for place, name in enumerate(order)
            ),
        )
    put(
        tmp_path,
        *(resolved(60, market_id=name, payouts=("0", "1"), resolution_state="final") for name in names),
    )
    found = {row["market_id"]: (row["subtitle"], row["group"], row["reopened"]) for row in rows(tmp_path)}
    assert found == {name: (name.title(), "7", False) for name in names}
    assert {row["description"] for row in rows(tmp_path)} == {"Who wins? Criteria: N/A"}


def test_an_export_has_what_splits_and_checks_need(tmp_path: Path) -> None:
    """Beside start, end and resolution: event, group, when it closed, was determined, its state."""
    hours: dict[str, Any] = {
        name: utc(START + hour * 3600 * SECOND)
        for hour, name in enumerate(
            ("start_at", "closed_at", "determined_at", "resolved_at", "end_at", "expected_end_at")
        )
    }
    ends = {name: hours[name] for name in ("closed_at", "determined_at")}
    scheduled = {name: hours[name] for name in ("start_at", "end_at", "expected_end_at")}
    said: dict[str, Any] = {
        "title": "Rain?",
        "outcomes": YES_NO,
        "event_id": "7",
        "group": "g",
        "neg_risk": True,
    }
    put(
        tmp_path,
        market(-60, status="active", **said, **scheduled),
        market(4 * 3600, status="closed", **said, **scheduled, **ends),
        resolved(4 * 3600, payouts=("1", "0"), resolution_state="final", resolved_at=hours["resolved_at"]),
    )
    [row] = rows(tmp_path)
    assert {name: row[name] for name in hours} == hours
    assert (row["event_id"], row["group"], row["neg_risk"]) == ("7", "g", True)
    assert (row["resolution_state"], row["reopened"]) == ("final", False)
    assert row["days_to_resolution"] == pytest.approx((3 * 3600 + 60) / DAY_S)
