from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from marketarchive.exceptions import ParseError
from marketarchive.items import Resolution
from marketarchive.venues.messages import Parsed
from marketarchive.venues.polymarket.endpoints import RESOLUTIONS
from tests.venues.polymarket.rows import CONDITION, parsed, resolution_row


def page(*rows: Any, **pagination: Any) -> Parsed:
    return parsed(RESOLUTIONS, {"data": list(rows), "pagination": {"has_more": False, **pagination}})


def only(result: Parsed) -> Resolution:
    assert result.errors == []
    (item,) = result.items
    assert isinstance(item, Resolution)
    return item


@pytest.mark.parametrize("when", ["2026-07-24T00:50:52Z", 1784854252, "1784854252"])
def test_a_resolution(when: Any) -> None:
    item = only(page(resolution_row(resolved_at=when)))
    assert (item.market_id, item.status, item.payouts) == (CONDITION, "resolved", ("1", "0"))
    assert item.resolution is None  # no labels here
    assert item.resolution_state == "final"
    assert item.resolved_at == datetime(2026, 7, 24, 0, 50, 52, tzinfo=UTC)
    assert item.resolution_source == "polymarket data-api v2/resolutions CHAINLINK reported"


@pytest.mark.parametrize(
    ("payouts", "status", "expected"),
    [
        ([500_000, 500_000], "resolved", ("0.5", "0.5")),
        (["0", "1000000"], "resolved", ("0", "1")),
        ([333_333, 333_333, 333_333], "resolved", ("0.333333", "0.333333", "0.333333")),
        (None, "closed", None),
        ([], "closed", None),
        ([0, 0], "closed", None),
    ],
)
def test_payouts_are_dollars_per_share(payouts: Any, status: str, expected: tuple[str, ...] | None) -> None:
    item = only(page(resolution_row(payouts=payouts)))
    assert (item.status, item.payouts) == (status, expected)


def test_what_is_not_resolved_yet_is_no_item() -> None:
    result = page(resolution_row(status="proposed"))
    assert (result.items, result.errors, result.keys) == ([], [], [CONDITION])


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"condition_id": None}, "condition_id"),
        ({"status": None}, "status"),
        ({"status": 5}, "status"),
        ({"payouts": [1_000_001, 0]}, "payouts"),
        ({"payouts": [-1, 1_000_000]}, "payouts"),
        ({"payouts": [1_000_000, 1_000_000]}, "payouts"),
        ({"payouts": "all"}, "payouts"),
        ({"resolved_at": "yesterday"}, "resolved_at"),
        ({"resolved_at": 10**30}, "resolved_at"),
    ],
)
def test_a_bad_row_is_one_error_and_spoils_no_other(changes: dict[str, Any], field: str) -> None:
    result = page(resolution_row(**changes), 5, resolution_row())
    assert result.errors[0].fields == (field,)
    assert len(result.errors) == 2
    assert len(result.items) == 1


def test_the_cursor_counts_only_while_there_is_more() -> None:
    assert page(has_more=True, next_cursor="c").next_cursor == "c"
    assert page(has_more=False, next_cursor="c").next_cursor is None
    assert parsed(RESOLUTIONS, {"data": []}).next_cursor is None


def test_another_document_is_refused() -> None:
    with pytest.raises(ParseError):
        parsed(RESOLUTIONS, [])
