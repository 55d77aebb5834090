"""What stands at the end of a collection, from given figures."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from marketarchive.collecting.together.listener import Share, Total
from marketarchive.collecting.together.summary import (
    FeedSummary,
    Summary,
    print_summary,
    summary_lines,
)

OUT = Path("/data/a folder that has a rather long name/so that it is longer than any terminal is wide/out")
STREAM = FeedSummary(
    "polymarket_stream",
    2,
    0,
    1_234_567,
    8_100_000,
    Counter(stall=3, disconnect=1),
    {"stream"},
    Share(890, 900),
)
OUTCOMES = FeedSummary("polymarket_resolutions", 1, unsealed=1)
FIGURES = "2 runs, 1,234,567 messages, observed 890 of 900 s (98.8 %), 8.1 MB compressed"
SUMMARY = Summary(
    "1 h 2 min, ended by SIGINT, exit code 0",
    [STREAM, OUTCOMES],
    [Total("BTC 5m", 3, Share(890, 900)), Total("BTC 15m", 0, Share())],
    9_000_000,
    OUT,
    OUT / "logs" / "collect-x.log",
    [("next, check every file", f"scrapy verify -s 'OUTPUT_DIR={OUT}'")],
)


def printed(width: int, summary: Summary = SUMMARY) -> list[str]:
    console = Console(width=width)
    with console.capture() as captured:
        print_summary(summary, console)
    return captured.get().splitlines()


def test_all_of_it_as_lines() -> None:
    assert list(summary_lines(SUMMARY)) == [
        "Collected 1 h 2 min, ended by SIGINT, exit code 0",
        f"polymarket_stream: {FIGURES}, gaps: disconnect 1, stall 3",
        "polymarket_resolutions: 1 run, 1 not sealed, 0 messages, 0 bytes compressed, gaps: none",
        "BTC 5m: 3 rounds, observed 890 of 900 s (98.8 %)",
        "BTC 15m: 0 rounds, observed 0 of 0 s (-)",
        f"9.0 MB written to {OUT}",
        f"log lines in {OUT}/logs/collect-x.log",
        f"next, check every file: scrapy verify -s 'OUTPUT_DIR={OUT}'",
    ]


@pytest.mark.parametrize("width", [110, 90])
def test_as_tables_that_fit_and_commands_that_can_be_copied(width: int) -> None:
    lines = printed(width)
    [stream] = [line for line in lines if line.startswith("polymarket_stream")]
    for cell in ("2", "1,234,567", "8.1 MB", "890 of 900 s (98.8 %)"):
        assert cell in stream
    assert "gaps of polymarket_stream: disconnect 1, stall 3" in lines
    assert "1 (1 not sealed)" in next(line for line in lines if line.startswith("polymarket_resolutions"))
    assert any(line.split() == ["BTC", "5m", "3", "890", "of", "900", "s", "(98.8", "%)"] for line in lines)
    assert f"next, check every file: scrapy verify -s 'OUTPUT_DIR={OUT}'" in lines
    assert f"9.0 MB written to {OUT}" in lines
    assert all(len(line) <= width for line in lines if str(OUT) not in line)


def test_a_terminal_of_80_columns_gets_tables() -> None:
    lines = printed(80, replace(SUMMARY, feeds=[STREAM]))
    assert any(line.split()[:3] == ["feed", "runs", "messages"] for line in lines if line)


@pytest.mark.parametrize("width", [70, 40])
def test_a_narrow_terminal_gets_the_lines_wrapped_between_words(width: int) -> None:
    lines = printed(width)
    assert " ".join(line.strip() for line in lines) == " ".join(summary_lines(SUMMARY))
    assert all(len(line) <= width for line in lines if str(OUT) not in line)
    assert f"next, check every file: scrapy verify -s 'OUTPUT_DIR={OUT}'" in lines


def test_that_nothing_is_missing_is_said() -> None:
    assert "no gaps" in printed(110, replace(SUMMARY, feeds=[OUTCOMES]))
