"""The join: an alert has the market that it is of, or none."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.research.products.whales.alerts import WhaleAlert
from marketarchive.research.products.whales.joining import join_alerts
from marketarchive.research.products.whales.markets import markets_of
from marketarchive.research.products.whales.titles import key, misspellings
from tests.properties import examples
from tests.research.whales.catalogues import NOW, alert, catalogue

DAY = pd.Timedelta(days=1)
HIGHEST = "Will the highest temperature in New York be 65° or above on November 22, 2026?"


def matched(found: pd.DataFrame, **changed: Any) -> tuple[str | None, str]:
    """The market of one alert with its kind, or None with the reason."""
    joined = join_alerts([alert(**changed)], markets_of(found))
    for match in joined.matches:
        return match.market.market_id, match.kind
    return None, joined.unmatched[0].reason


def test_the_id_goes_before_the_title() -> None:
    found = catalogue({"market_id": "a", "title": "Will it rain?"}, {"market_id": "b", "title": "Snow?"})
    assert matched(found, market_id="b", title="Will it rain?") == ("b", "id")
    assert matched(found, market_id="c", title="Will it rain?") == ("a", "title")
    assert matched(found, market_id="b", title=None) == ("b", "id")
    assert matched(found, market_id="c", title=None) == (None, "unknown")


def test_nothing_of_another_platform_is_taken() -> None:
    found = catalogue({"market_id": "a", "title": "Will it rain?", "platform": "kalshi"})
    assert matched(found) == (None, "unknown")
    assert matched(found, market_id="a") == (None, "unknown")
    assert matched(found, platform="kalshi") == ("a", "title")


@pytest.mark.parametrize(
    "title",
    [
        "will the highest temperature in NEW YORK be 65 or above on november 22 2026",
        "The highest temperature in New York will be 65° or above on November 22, 2026",
        "Will the highest temprature in New York be 65° or above on Novmeber 22, 2026?",
        "Will the highest temperature in New York be 65° or above on November 22?",
        "Will the highest temperature in New York be 65° or above on November 22, 2026, officially?",
    ],
)
def test_a_title_in_other_words(title: str) -> None:
    found = catalogue(
        {"market_id": "65", "title": HIGHEST},
        {"market_id": "70", "title": HIGHEST.replace("65", "70")},
        {"market_id": "23", "title": HIGHEST.replace("22,", "23,")},
    )
    assert matched(found, title=title)[0] == "65"


@pytest.mark.parametrize(
    "title",
    [
        HIGHEST.replace("65", "75"),
        HIGHEST.replace("65", "-65"),
        HIGHEST.replace("22,", "24,"),
        HIGHEST.replace("above", "below"),
        HIGHEST.replace("New", "Old"),
        HIGHEST.replace("highest", "lowest"),
        HIGHEST.replace("be 65", "not be 65"),
        "Bitcoin?",
        "",
    ],
)
def test_a_sibling_that_the_catalogue_lacks_is_not_the_one_it_has(title: str) -> None:
    assert matched(catalogue({"market_id": "65", "title": HIGHEST}), title=title) == (None, "unknown")


def test_of_a_series_with_one_title_the_market_of_that_time_is_taken() -> None:
    found = catalogue(
        *(
            {"market_id": str(day), "title": "Bitcoin Up or Down", "start_at": NOW + day * DAY}
            | {"end_at": NOW + (day + 1) * DAY}
            for day in range(3)
        )
    )
    for hours, expected in ((0, "0"), (23.99, "0"), (24, "1"), (60, "2")):
        assert matched(found, hours=hours, title="Bitcoin Up or Down") == (expected, "title")
        assert matched(found, hours=hours, title="Bitcion Up or Down") == (expected, "fuzzy")
    for hours in (-0.01, 72):
        assert matched(found, hours=hours, title="Bitcoin Up or Down") == (None, "not_open")
        assert matched(found, hours=hours, title="Bitcion Up or Down") == (None, "unknown")


def test_trading_ends_when_the_venue_says_not_as_it_was_scheduled() -> None:
    early = catalogue({"market_id": "a", "title": "Will it rain?", "closed_at": NOW})
    assert matched(early, hours=-1) == ("a", "title")
    assert matched(early) == (None, "not_open")
    late = catalogue({"market_id": "a", "title": "Will it rain?", "closed_at": NOW + 3 * DAY})
    assert matched(late, hours=30) == ("a", "title")


def test_two_markets_of_one_title_are_told_apart_by_the_outcome_or_not_at_all() -> None:
    ladder = catalogue(
        *(
            {"platform": "kalshi", "market_id": f"T{step}", "outcomes": ["yes", "no"]}
            | {"title": f"Bitcoin price? (${step} or above)", "subtitle": f"${step} or above"}
            for step in (72_750, 73_000)
        )
    )
    for title in ("Bitcoin price?", "Bitcoin pricee"):
        given = {"platform": "kalshi", "title": title, "action": "YES"}
        assert matched(ladder, **given, outcome=None) == (None, "ambiguous")
        assert matched(ladder, **given, outcome="YES") == (None, "ambiguous")
        said = "Bitcoin (BTC) price ≥ $73,000 at expiry"
        assert matched(ladder, **given, outcome=said)[0] == "T73000"
    only = ladder.iloc[:1]
    assert matched(only, platform="kalshi", title="Bitcoin price?", outcome=None) == ("T72750", "title")


def test_every_alert_has_its_place_and_the_share_without_a_market_is_reported() -> None:
    alerts = [alert(1), alert(2, title="Unheard of"), alert(3, market_id="a"), alert(4, hours=99)]
    joined = join_alerts(alerts, markets_of(catalogue({"market_id": "a", "title": "Will it rain?"})))
    assert [each.alert.row for each in joined.matches] == [1, 3]
    assert [(each.alert.row, each.reason) for each in joined.unmatched] == [(2, "unknown"), (4, "not_open")]
    assert joined.unmatched_share == 0.5
    assert joined.counts == {"title": 1, "id": 1, "unknown": 1, "not_open": 1}
    assert join_alerts([], []).unmatched_share is None


def test_the_threshold_is_of_titles_that_are_not_equal() -> None:
    markets = markets_of(catalogue({"market_id": "a", "title": HIGHEST}))
    shorter = alert(title=HIGHEST.replace("on November 22, 2026", ""))
    (strict,) = join_alerts([shorter], markets, 90.0).unmatched
    (loose,) = join_alerts([shorter], markets, 70.0).matches
    assert strict.reason == "unknown"
    assert 70 <= loose.score < 90
    assert join_alerts([alert(title=HIGHEST)], markets, 100.0).matches[0].score == 100


TITLES = [
    "Will Adams win by May 3?",
    "Will Baker win by May 3?",
    "Will Adams win by May 4?",
    "Adams wins May 3",
]
TITLES += ["Will Adams win by May 3, officially?", "Will Adamss win by May 3?", "Rain?", ""]
alerts_of_any = st.lists(
    st.builds(
        alert,
        st.just(1),
        st.sampled_from([-50, -24, -1, 0, 1, 23, 24, 50]),
        title=st.sampled_from([*TITLES, None]),
        market_id=st.sampled_from([None, "m0", "m1", "no such"]),
        platform=st.sampled_from(["polymarket", "kalshi", "other"]),
    ),
    max_size=8,
)


@given(alerts=alerts_of_any, titles=st.lists(st.sampled_from(TITLES), max_size=5), data=st.data())
@examples(60)
def test_what_becomes_of_an_alert_depends_on_no_other(
    alerts: list[WhaleAlert], titles: list[str], data: st.DataObject
) -> None:
    markets = markets_of(
        catalogue(
            *(
                {"market_id": f"m{place}", "title": title}
                | {"platform": data.draw(st.sampled_from(["polymarket", "kalshi"]))}
                | {"start_at": NOW - data.draw(st.integers(0, 2)) * DAY}
                for place, title in enumerate(titles)
            )
        )
    )
    together = join_alerts(alerts, markets)
    alone = [join_alerts([each], markets) for each in alerts]
    assert list(together.matches) == [match for each in alone for match in each.matches]
    assert list(together.unmatched) == [one for each in alone for one in each.unmatched]
    for match in together.matches:
        assert match.market.platform == match.alert.platform
        assert match.kind == "id" or match.market.is_open(match.alert.at)


@given(one=st.text(), other=st.text())
@examples(200)
def test_asking_the_same_goes_both_ways(one: str, other: str) -> None:
    assert misspellings(key(one), key(one)) == 0
    assert (misspellings(key(one), key(other)) is None) == (misspellings(key(other), key(one)) is None)


def test_a_longer_title_of_the_same_words_goes_before_a_sibling_one_letter_away() -> None:
    found = catalogue(
        {"market_id": "sibling", "title": "Who will be elected mayor of Bababava?"},
        {"market_id": "true", "title": "Who will be elected mayor of Bababaza, as of today?"},
    )
    assert matched(found, title="WHO WILL BE ELECTED MAYOR OF BABABAZA") == ("true", "fuzzy")
