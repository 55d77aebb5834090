"""Names of tokens where manifests only count the markets: raw has them, and the master."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from marketarchive.collecting.run import NAMED_MARKETS, stated_markets
from marketarchive.items import Response
from marketarchive.research.names import known
from marketarchive.times import SECOND, from_iso
from marketarchive.venues.polymarket.endpoints import MARKETS_KEYSET
from tests.archive import museum
from tests.archive.test_compact import joining
from tests.archive.writing import NOON, open_run, writer


def row(number: int) -> dict[str, Any]:
    """A round as Gamma lists it."""
    return {
        "id": str(number),
        "conditionId": f"0x{number:064x}",
        "slug": f"some-market-{number}",
        "question": f"Number {number}?",
        "outcomes": '["Yes", "No"]',
        "clobTokenIds": json.dumps([str(2 * number), str(2 * number + 1)]),
        "endDate": "2026-11-22T00:00:00Z",
        "active": True,
        "closed": False,
    }


def record(root: Path, summary: dict[str, Any]) -> None:
    """A run that was told of three markets, one of them on a page that was cut."""
    with writer(root) as made:
        run = open_run(made, "polymarket_markets")
        for numbers, flags in (((1, 2), ()), ((3,), ("timeout",))):
            payload = json.dumps({"markets": [row(number) for number in numbers]}).encode()
            seq = run.next_seq("polymarket", "markets")
            run.write(
                Response(
                    "polymarket",
                    "markets",
                    NOON + seq * SECOND,
                    seq,
                    "GET",
                    MARKETS_KEYSET,
                    {},
                    200,
                    {},
                    1.0,
                    payload,
                    flags=flags,
                )
            )
        run.flush().result(10)
        run.close("finished", summary).result(10)


NAMES = {
    "2": ("some-market-1", "Yes"),
    "3": ("some-market-1", "No"),
    "4": ("some-market-2", "Yes"),
    "5": ("some-market-2", "No"),
}


def test_markets_that_a_manifest_only_counts_are_read_in_raw(tmp_path: Path) -> None:
    record(tmp_path, {"markets": {"count": 2}})
    for _ in range(2):  # the second time from what was kept of the segment
        found = known(tmp_path)
        assert found.tokens == NAMES
        assert found.markets.facts("some-market-1").end_ns == from_iso("2026-11-22T00:00:00Z")


def test_segments_that_were_joined_name_their_markets_too(tmp_path: Path) -> None:
    for _ in range(2):
        record(tmp_path, {"markets": {"count": 2}})
    assert joining(tmp_path, remove=True).removed == 2
    assert known(tmp_path).tokens == NAMES


def test_a_manifest_that_names_its_markets_is_enough(tmp_path: Path) -> None:
    record(tmp_path, {"markets": {"count": 1, "tracked": {"a": {"tokens": {"Up": "7"}}}}})
    assert known(tmp_path).tokens == {"7": ("a", "Up")}
    assert not (tmp_path / "research").exists()


def test_a_damaged_segment_is_no_reason_to_know_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record(tmp_path, {"markets": {"count": 2}})
    [path] = tmp_path.glob("raw/**/*.gz")
    museum.flip(path, 800)
    assert known(tmp_path).tokens == {}
    assert "is not the file that the ledger describes" in caplog.text


def test_a_manifest_names_few_markets_and_counts_many() -> None:
    markets = {str(n): {"tokens": {"Up": str(n)}} for n in range(NAMED_MARKETS)}
    assert stated_markets(markets) == {"count": NAMED_MARKETS, "tracked": markets}
    assert stated_markets(markets | {"one more": {}}) == {"count": NAMED_MARKETS + 1}
