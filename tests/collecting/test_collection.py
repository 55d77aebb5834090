"""What a collection says of itself at its end."""

from __future__ import annotations

import pytest

from marketarchive.collecting.together.collection import PAGES, outcome


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
