"""Kalshi in a report: its rounds, its books, and nothing of it that is not there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from marketarchive.research.report.report import report
from tests.research.kalshi.recording import START, answered, minute, row, streamed
from tests.research.kalshi.test_coverage import polled
from tests.research.kalshi.test_labels import FLAT
from tests.research.kalshi.test_pairs import catalogue


def page(root: Path) -> str:
    return report(root).path.read_text()


def section(text: str, name: str) -> str:
    [found] = re.findall(rf'<section id="section-{name}">(.*?)</section>', text, re.DOTALL)
    return re.sub(r"<[^>]+>", " ", found)


def test_a_report_counts_verdicts_and_names_what_is_odd(tmp_path: Path) -> None:
    polled(tmp_path, *((n, "0.5100", None if n % 2 else "1") for n in range(6)))
    streamed(tmp_path, [*minute(START, FLAT), *minute(START + 900, [*FLAT[1:], "84000.61"])], feed="markets")
    odd: dict[str, Any] = {
        "result": "scalar",
        "settlement_value_dollars": "0.24",
        "ticker": "KXETH15M-26NOV210715-15",
    }
    answered(tmp_path, row(), row(**odd))
    text = page(tmp_path)
    told = section(text, "kalshi")
    assert "Flags: 1 scalar." in told
    assert "the result is scalar: a contract of YES is paid 0.24" in told
    assert "KXBTC15M-26NOV210715-15" not in told  # it is reproduced
    assert "outcomes of Kalshi reproduced; 0 restated" in text
    assert "of seconds of Kalshi" in text


def test_a_report_of_two_venues_has_the_rounds_of_both(tmp_path: Path) -> None:
    catalogue(tmp_path, START)
    answered(tmp_path, row())
    polled(tmp_path, (0, "0.5100", None))
    text = page(tmp_path)
    assert "KXBTC15M" not in section(text, "outcomes")
    assert "15m" in section(text, "outcomes")
    assert "1 restated by its published means" in text


def test_a_report_without_rounds_says_so(tmp_path: Path) -> None:
    polled(tmp_path, (0, "0.5100", None), (1, "0.5100", None))
    assert "No round of this time is known" in section(page(tmp_path), "kalshi")
