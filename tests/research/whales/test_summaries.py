"""The columns of whale alerts: of each market, what was written before the cut and before its end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.research.products.whales.alerts import WhaleAlert
from marketarchive.research.products.whales.joining import join_alerts
from marketarchive.research.products.whales.markets import markets_of
from marketarchive.research.products.whales.records import known_rates
from marketarchive.research.products.whales.whales import COLUMNS, WhaleSummary, summary, whale_columns
from marketarchive.times import SECOND, from_iso, iso
from tests.properties import examples
from tests.research.whales.catalogues import NOW, alert, catalogue, ns
from tests.research.whales.files import make

HOUR = pd.Timedelta(hours=1)
RAIN = {"market_id": "rain", "title": "Will it rain?", "end_at": NOW + 10 * HOUR}


def summaries(
    found: pd.DataFrame, alerts: list[WhaleAlert], cut: int | None = None
) -> dict[str, WhaleSummary]:
    """Return market id -> what its alerts say."""
    markets = markets_of(found)
    joined = join_alerts(alerts, markets)
    rates = known_rates(joined.matches, least=1)
    return {
        each.market_id: summary([match for match in joined.matches if match.market is each], cut, rates)
        for each in markets
    }


def of_rain(*alerts: WhaleAlert, cut: int | None = None, **changed: Any) -> WhaleSummary:
    return summaries(catalogue(RAIN | changed), list(alerts), cut)["rain"]


def test_nothing_was_reported() -> None:
    assert of_rain() == WhaleSummary([], 0, "NEUTRAL", None, None, None)


@pytest.mark.parametrize(
    ("action", "outcome", "side"),
    [
        ("BUY", "Yes", "YES"),
        ("BUY", "no", "NO"),
        ("SELL", "Yes", "NO"),
        ("SELL", "No", "YES"),
        ("YES", "Rain in New York", "YES"),
        ("NO", "Rain in New York", "NO"),
        ("BUY", "Maybe", "NEUTRAL"),
        ("BUY", None, "NEUTRAL"),
        ("HOLD", "Yes", "NEUTRAL"),
    ],
)
def test_the_side_of_an_alert(action: str, outcome: str | None, side: str) -> None:
    found = of_rain(alert(action=action, outcome=outcome))
    assert (found.whale_count, found.whale_net_direction) == (1, side)
    assert found.whale_alerts[0]["side"] == (None if side == "NEUTRAL" else side)


def test_a_market_with_other_labels_has_its_first_as_yes() -> None:
    for outcome, side in (("Hawks", "YES"), ("Bears", "NO"), ("Yes", "NEUTRAL")):
        found = of_rain(alert(outcome=outcome), outcomes=["Hawks", "Bears"])
        assert found.whale_net_direction == side
    assert of_rain(alert(outcome="A"), outcomes=["A", "B", "C"]).whale_net_direction == "NEUTRAL"
    assert of_rain(alert(), outcomes=None).whale_net_direction == "YES"


def test_dollars_decide_not_numbers_and_what_has_no_side_is_in_neither() -> None:
    small = [alert(n, value=100.0) for n in range(1, 4)]
    assert of_rain(*small, alert(4, value=301.0, outcome="No")).whale_net_direction == "NO"
    assert of_rain(*small, alert(4, value=299.0, outcome="No")).whale_net_direction == "YES"
    assert of_rain(*small, alert(4, value=300.0, outcome="No")).whale_net_direction == "NEUTRAL"
    found = of_rain(*small, alert(4, value=9000.0, outcome="?"))
    assert (found.whale_net_direction, found.whale_count, found.whale_max_value) == ("YES", 4, 9000.0)


def test_tenths_of_dollars_that_cancel_are_neutral() -> None:
    tenths = [alert(1, value=0.1), alert(2, value=0.2), alert(3, value=0.3, outcome="No")]
    assert of_rain(*tenths).whale_net_direction == "NEUTRAL"


def test_an_alert_counts_from_when_it_was_written() -> None:
    late = alert(hours=1, known_at=ns(3))
    assert of_rain(late, cut=ns(3)).whale_count == 0
    assert of_rain(late, cut=ns(3) + 1).whale_count == 1
    assert of_rain(alert(hours=9.5, known_at=ns(10))).whale_count == 0  # the market was over


def test_a_stated_rate_of_wins_goes_before_a_computed_one() -> None:
    found = of_rain(alert(1, win_rate=0.5), alert(2, win_rate=0.75), alert(3))
    assert (found.whale_avg_win_rate, found.whale_win_rate_source) == (0.625, "stated")


DECIDED = {"title": "Will it snow?", "resolution": "YES", "resolved_at": NOW + 2 * HOUR}


def test_a_rate_is_computed_of_what_was_decided_by_then() -> None:
    found = catalogue(RAIN, {"market_id": "snow"} | DECIDED)
    wins = [alert(n, n / 10, title="Will it snow?", wallet="w") for n in (1, 2)]
    loss = alert(3, 0.3, title="Will it snow?", wallet="w", outcome="No")
    other = alert(4, 0.4, title="Will it snow?", wallet="x")
    for hours, rate in ((1.99, None), (2, 2 / 3)):
        rain = summaries(found, [*wins, loss, other, alert(5, hours, wallet="w")])["rain"]
        assert rain.whale_avg_win_rate == rate
        assert rain.whale_win_rate_source == (None if rate is None else "computed")
    unknown = summaries(found, [*wins, loss, alert(5, 3, wallet=None)])["rain"]
    assert unknown.whale_avg_win_rate is None


def test_too_few_decided_alerts_make_no_rate() -> None:
    markets = markets_of(catalogue(RAIN, {"market_id": "snow"} | DECIDED))
    snow = [alert(n, n / 10, title="Will it snow?", wallet="w") for n in range(1, 6)]
    for count, expected in ((4, {}), (5, {9: 1.0})):
        joined = join_alerts([*snow[:count], alert(9, 3, wallet="w")], markets)
        assert known_rates(joined.matches) == expected


def test_a_result_that_was_withdrawn_decides_nothing() -> None:
    found = catalogue(RAIN, {"market_id": "snow", "reopened_at": NOW + 5 * HOUR} | DECIDED)
    alerts = [alert(1, 0.1, title="Will it snow?", wallet="w"), alert(2, 6, wallet="w")]
    assert summaries(found, alerts)["rain"].whale_avg_win_rate is None


# ---- nothing later changes anything ----------------------------------------------------------------------

MARKETS = (
    {"market_id": "a", "title": "Will it rain?", "end_at": NOW + 10 * HOUR},
    {"market_id": "b", "title": "Will it snow?", "end_at": NOW + 30 * HOUR, "closed_at": NOW + 6 * HOUR}
    | {"resolution": "YES", "resolved_at": NOW + 7 * HOUR},
    {"market_id": "c", "title": "Will it hail?", "end_at": None},
)
drawn = st.tuples(
    st.integers(-5, 15),  # hours after NOW
    st.integers(0, 4),  # hours until it is written
    st.sampled_from(["Will it rain?", "Will it snow?", "Will it hail?", "Will it hial?", "Else"]),
    st.sampled_from([None, "a", "b"]),
    st.sampled_from(["Yes", "No", "?"]),
    st.sampled_from([None, "v", "w"]),
    st.sampled_from([None, 0.25, 1.0]),
    st.integers(1, 1000),
)


def made(rows: list[Any], first: int) -> list[WhaleAlert]:
    return [
        alert(
            first + place,
            hours,
            known_at=ns(hours + late),
            title=title,
            market_id=market_id,
            outcome=outcome,
            wallet=wallet,
            win_rate=rate,
            value=float(value),
        )
        for place, (hours, late, title, market_id, outcome, wallet, rate, value) in enumerate(rows)
    ]


@given(rows=st.lists(drawn, max_size=12), cut_h=st.integers(-6, 20))
@examples(60)
def test_no_alert_from_the_cut_or_the_markets_end_on_changes_anything(rows: list[Any], cut_h: int) -> None:
    found = catalogue(*MARKETS)
    alerts = made(rows, 1)
    full = summaries(found, alerts, ns(cut_h))
    for market in markets_of(found):
        limit = ns(cut_h) if market.end is None else min(ns(cut_h), market.end)
        before = [each for each in alerts if each.known_at < limit]
        assert summaries(found, before, ns(cut_h))[market.market_id] == full[market.market_id]
        assert all(from_iso(each["known_at"]) < limit for each in full[market.market_id].whale_alerts)


# ---- of files --------------------------------------------------------------------------------------------


def put(path: Path, *alerts: WhaleAlert) -> Path:
    """A file of alerts, whose times are whole seconds."""
    return make(
        path,
        *(
            {"id": each.row, "platform": each.platform.capitalize(), "action": each.action}
            | {"value": each.value, "market_title": each.title, "outcome": each.outcome}
            | {"market_id": each.market_id, "timestamp": iso(each.at), "created_at": each.known_at // SECOND}
            for each in alerts
        ),
    )


def test_the_columns_of_an_export(tmp_path: Path) -> None:
    found = catalogue(RAIN, {"market_id": "early", "title": "Earlier", "end_at": NOW - 2 * HOUR}, DECIDED)
    found.index = pd.Index([7, 3, 5])
    other = {"market_id": "k", "title": "Will it rain?", "platform": "kalshi"}
    found = pd.concat([found, catalogue(other).set_axis([9])])
    path = put(tmp_path / "w.db", alert(1, -1), alert(2, 1, value=5.0, outcome="No"), alert(3, title="Else"))
    made = whale_columns(path, found)
    assert tuple(made.frame.columns) == COLUMNS
    assert made.frame.index.tolist() == [7, 3, 5, 9]
    assert made.frame["whale_count"].tolist()[:3:2] == [2, 0]
    assert made.frame.loc[7, "whale_net_direction"] == "YES"
    assert made.frame.loc[7, "whale_max_value"] == 1000
    listed = made.frame["whale_alerts"].tolist()[0]
    assert [each["side"] for each in listed] == ["YES", "NO"]
    json.dumps(listed, allow_nan=False)
    # before the first alert, and of a platform that the file knows nothing of, nobody watched
    assert made.frame.loc[[3, 9]].isna().all(axis=None)
    assert (made.unmatched["row"].tolist(), made.unmatched["reason"].tolist()) == ([3], ["unknown"])
    assert (made.counts, made.unmatched_share) == ({"title": 2, "unknown": 1}, 1 / 3)


def test_a_cut_for_all_or_one_each(tmp_path: Path) -> None:
    found = catalogue(RAIN, {"market_id": "snow", "title": "Will it snow?"})
    snow = [alert(row + 5, row, title="Will it snow?") for row in range(4)]
    path = put(tmp_path / "w.db", *(alert(row + 1, row) for row in range(4)), *snow)
    assert whale_columns(path, found, NOW + 2 * HOUR).frame["whale_count"].tolist() == [2, 2]
    each = pd.Series([NOW + HOUR, pd.NaT], index=found.index)
    assert whale_columns(path, found, each).frame["whale_count"].tolist() == [1, 4]
    assert whale_columns(path, found, NOW).frame.isna().all(axis=None)


def test_without_a_file_all_is_null() -> None:
    made = whale_columns(None, catalogue(RAIN))
    assert made.frame.isna().all(axis=None)
    assert (len(made.frame), len(made.unmatched), made.unmatched_share) == (1, 0, None)


def test_an_empty_catalogue_and_an_empty_file(tmp_path: Path) -> None:
    empty = put(tmp_path / "empty.db")
    assert whale_columns(empty, catalogue(RAIN)).frame.isna().all(axis=None)
    some = whale_columns(put(tmp_path / "some.db", alert()), catalogue())
    assert (len(some.frame), len(some.unmatched)) == (0, 1)
