"""Labels of archives made by hand: what is made again when, and what an input that is missing does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from marketarchive.archive.reader import ArchiveReader
from marketarchive.exceptions import ArchiveError
from marketarchive.research.labels.ground_truth import (
    ground_truth,
    label_markets,
    read_labels,
)
from marketarchive.times import SECOND, iso
from tests.archive.writing import NOON
from tests.e2e.harness import command
from tests.research.making import Answer, collect
from tests.research.streaming import Frame, Socket, record
from tests.venues.polymarket.rows import market_row, resolution_row

GAMMA = "https://gamma-api.polymarket.com"
DATA = "https://data-api.polymarket.com"
START = NOON // SECOND  # of the first round; TWAP of 60 s by then, unless the market says otherwise
STRIKE, SETTLEMENT = 65_000 * 10**18, 65_000 * 10**18 + 1


def round_row(n: int = 0, **changes: Any) -> dict[str, Any]:
    start = START + n * 300
    return market_row(
        conditionId="0x" + f"{n % 256:02x}" * 32,
        slug=f"btc-updown-5m-{start}",
        eventStartTime=iso(start * SECOND)[:19] + "Z",
        endDate=iso((start + 300) * SECOND)[:19] + "Z",
        **changes,
    )


def catalogue(root: Path, *rows: dict[str, Any], at: float = 0, feed: str = "markets") -> None:
    body = json.dumps({"markets": rows}).encode()
    collect(root, [Answer(body, at, "/markets/keyset", host=GAMMA)], feed=feed)


def tick(
    at: int, value: int, *, topic: str = "crypto_prices_chainlink", received: float | None = None
) -> Frame:
    observed_ms = (START + at) * 1000
    frame = {
        "topic": topic,
        "type": "update",
        "timestamp": observed_ms + 1300,
        "payload": {
            "symbol": "btc/usd",
            "timestamp": observed_ms,
            "value": value / 10**18,
            "full_accuracy_value": str(value),
        },
    }
    return Frame(json.dumps(frame).encode(), at + 1.5 if received is None else received)


def backfill(at: int, value: str, received: float) -> Frame:
    data = [{"timestamp": (START + at + n) * 1000, "value": "VALUE"} for n in (-1, 0)]
    frame = {
        "topic": "crypto_prices_chainlink",
        "type": "subscribe",
        "timestamp": (START + at + 30) * 1000,
        "payload": {"symbol": "btc/usd", "data": data},
    }
    return Frame(json.dumps(frame).replace('"VALUE"', value).encode(), received)


def prices(root: Path, frames: Sequence[Frame]) -> None:
    record(root, [Socket(text=""), *frames], feed="reference")


def test_a_label_has_the_sources_and_times_of_its_prices(tmp_path: Path) -> None:
    catalogue(tmp_path, round_row())
    prices(tmp_path, [backfill(0, "65000.0", 40.0), tick(300, SETTLEMENT)])
    catalogue(tmp_path, round_row(closed=True, outcomePrices='["1", "0"]'), at=400)
    [found] = ground_truth(tmp_path).labels
    assert (found.verdict, found.outcome_match, found.rule_by) == ("reproduced", True, "market")
    assert (found.strike_e18, found.settlement_e18) == (STRIKE, SETTLEMENT)
    assert found.strike_source == "polymarket/reference crypto_prices_chainlink btc/usd"
    assert found.strike_received_at_ns == NOON + 40 * SECOND  # what was repeated was known then, not before
    assert found.settlement_received_at_ns == NOON + int(301.5 * SECOND)
    assert read_labels(tmp_path) == [found] == label_markets(tmp_path)


def test_the_same_archive_is_not_labelled_twice_and_what_comes_later_is_taken_in(tmp_path: Path) -> None:
    catalogue(tmp_path, round_row(), round_row(1))
    prices(tmp_path, [tick(0, STRIKE), tick(300, SETTLEMENT), tick(600, STRIKE)])
    first = ground_truth(tmp_path)
    assert [label.verdict for label in first.labels] == ["not_provable", "not_provable"]
    assert [label.computed_outcome for label in first.labels] == ["Up", "Down"]
    assert first.manifest is not None
    manifest = json.loads((tmp_path / first.manifest).read_text())
    assert manifest["verdicts"]["not_provable"] == 2
    assert {one["path"] for one in manifest["outputs"]} == {
        "research/ground_truth.parquet",
        "research/market_master.json",
    }
    again = ground_truth(tmp_path)
    assert (again.manifest, again.made, again.labels) == (None, 0, first.labels)
    assert ground_truth(tmp_path, NOON, NOON + 60 * SECOND).manifest is None
    body = json.dumps({"data": [resolution_row(condition_id="0x" + "01" * 32, payouts=[0, 10**6])]})
    collect(tmp_path, [Answer(body.encode(), 700, "/v2/resolutions", host=DATA)], feed="resolutions")
    part = ground_truth(tmp_path, NOON, NOON + 200 * SECOND)
    assert part.labels == first.labels  # the other window was not asked for, and stays
    whole = ground_truth(tmp_path)
    assert [label.verdict for label in whole.labels] == ["not_provable", "reproduced"]
    assert whole.made == 1
    assert whole.labels[1].resolution_source == "polymarket data-api v2/resolutions CHAINLINK reported"
    assert command("verify", tmp_path).returncode == 0


def test_a_window_of_the_twap_needs_ticks_of_the_twap(tmp_path: Path) -> None:
    config = {"twapEnabled": True, "twapLookbackSeconds": 60}
    catalogue(
        tmp_path,
        round_row(cryptoMarketConfig=config, resolutionSource=None),
        round_row(1, resolutionSource=None),
        round_row(2, resolutionSource="https://example.com/prices"),
    )
    twap = "crypto_prices_twap_sixty"
    prices(
        tmp_path,
        [tick(at, STRIKE) for at in (0, 300, 600)] + [tick(at, STRIKE, topic=twap) for at in (0, 300)],
    )
    catalogue(
        tmp_path,
        *(round_row(n, closed=True, outcomePrices='["1", "0"]', resolutionSource=None) for n in range(3)),
        at=1000,
    )
    stated, dated, other = ground_truth(tmp_path).labels
    assert (stated.verdict, stated.rule, stated.rule_by) == ("reproduced", "chainlink twap 60s", "market")
    assert (dated.verdict, dated.rule, dated.rule_by) == ("not_provable", "chainlink twap 60s", "date")
    assert dated.reason == "no tick of chainlink:btc-usd-twap-60s at 2026-11-21T12:10:00Z (window end)"
    assert (other.verdict, other.instrument) == ("not_provable", None)
    assert "https://example.com/prices" in other.reason


def test_an_estimate_has_to_be_asked_for(tmp_path: Path) -> None:
    catalogue(tmp_path, round_row(resolutionSource=None))
    prices(tmp_path, [tick(at, STRIKE + at) for at in range(-60, 301)])
    assert ground_truth(tmp_path).labels[0].verdict == "not_provable"
    [found] = ground_truth(tmp_path, estimate=True).labels
    assert (found.verdict, found.computed_outcome, found.outcome_match) == ("estimated", "Up", None)
    assert found.strike_e18 == STRIKE - 30
    assert found.strike_source == "estimate: mean of 60 of 60 ticks of chainlink:btc-usd"
    assert found.error is not None


def test_labels_without_any_price_or_any_market(tmp_path: Path) -> None:
    assert ground_truth(tmp_path).labels == []
    assert not (tmp_path / "research" / "market_master.json").exists()
    catalogue(tmp_path, round_row(-1), round_row(5))  # the second has not begun when the archive ends
    [found] = ground_truth(tmp_path).labels
    assert (found.verdict, found.strike) == ("not_provable", None)
    assert found.reason.count("no tick of chainlink:btc-usd") == 2


def test_a_segment_that_is_not_what_was_sealed_is_named_and_what_was_read_of_it_is_kept(
    tmp_path: Path,
) -> None:
    catalogue(tmp_path, round_row())
    [entry] = ArchiveReader(tmp_path).segments("polymarket", "markets")
    path = tmp_path / entry["path"]
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    with pytest.raises(ArchiveError, match="is not the file that the ledger describes"):
        ground_truth(tmp_path)
    path.write_bytes(data)
    [found] = ground_truth(tmp_path).labels
    path.unlink()
    assert label_markets(tmp_path) == [found]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["more"], "takes no argument, got 'more'"),
        (["--since", "soon"], "--since"),
        (["--since", "2026-11-22", "--until", "2026-11-21"], "is not after --since"),
        (["--output", "here"], "--output needs --recording"),
        (["--recording", "nowhere"], "nowhere is not a recording"),
        (["--recording", "nowhere", "--estimate"], "leave out --since, --until and --estimate"),
    ],
)
def test_bad_input_is_told_in_one_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = command("ground-truth", tmp_path, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
