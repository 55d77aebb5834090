"""What a collection says of itself at its end."""

from __future__ import annotations

import shlex

import pytest

from marketarchive.collecting.together.collection import weigh
from marketarchive.plans.updown.plan import OUTCOMES_SINCE, PLAN, outcomes_command
from marketarchive.spiders.polymarket_resolutions import PolymarketResolutions

PAGES = "chainlink_streams"


def outcome(code_of: dict[str, int]) -> int:
    return max(weigh(code_of, {PAGES}).values())


@pytest.mark.parametrize(
    ("stream", "pages", "outcomes", "code"),
    [
        (0, 0, 0, 0),
        (0, 4, 0, 0),  # pages may be refused: all else is there
        (0, 1, 0, 1),
        (0, 3, 0, 3),
        (4, 0, 0, 1),  # of this feed nothing was collected though due; others were let in
        (4, 4, 0, 1),
        (3, 4, 1, 3),
        (4, 4, 4, 4),  # nobody was
    ],
)
def test_a_refusal_counts_as_what_it_means_for_the_whole(
    stream: int, pages: int, outcomes: int, code: int
) -> None:
    assert outcome({"polymarket_stream": stream, PAGES: pages, "polymarket_resolutions": outcomes}) == code


def test_without_pages_all_that_is_left_counts() -> None:
    assert outcome({"polymarket_stream": 4, "polymarket_reference": 4}) == 4
    assert outcome({"polymarket_stream": 0, "polymarket_reference": 4}) == 1


def test_the_command_that_fetches_outcomes_is_one_that_its_spider_takes() -> None:
    given = {"assets": "BTC,ETH", "durations": "5m,15m"}
    words = shlex.split(outcomes_command(PLAN.arguments(given)))
    assert words[words.index("crawl") + 1] == "polymarket_resolutions"
    arguments = [words[at + 1] for at, word in enumerate(words) if word == "-a"]
    expected = {"assets": "BTC,ETH", "durations": "5m,15m", "since": OUTCOMES_SINCE}
    assert arguments == [f"{name}={value}" for name, value in expected.items()]
    assert PolymarketResolutions.check_arguments(expected).assets == ("BTC", "ETH")
