"""What `scrapy collect` shows, from given figures."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from rich.console import Console

from marketarchive.collecting.together.look import StatusSnapshot, line, table
from marketarchive.plans.updown.market_rows import COLUMNS, MarketRow, MarketRows

BTC = MarketRow("BTC", "5m", "10:05-10:10", 65, 0.99999, Decimal("0.51"), Decimal("0.53"), 1.25, 2)
UNKNOWN = MarketRow("BTC", "15m", "", None, None, None, None, None, 2)
PARTS = (MarketRows((BTC, UNKNOWN)),)
LOOK = StatusSnapshot("2026-11-20 10:08:55Z", PARTS, 8.0, 95.4, 1_500_000, 2_000_000_000, "12 rows", 1, ())


LATE = replace(BTC, asset="ETH", since="10:07:03")


def shown(look: StatusSnapshot, width: int = 110) -> list[str]:
    console = Console(width=width)
    with console.capture() as captured:
        console.print(table(look, width))
    return captured.get().splitlines()


def test_a_row_says_what_is_known_and_a_share_is_never_rounded_up() -> None:
    text = shown(LOOK)
    [row] = [each for each in text if "10:05-10:10" in each]
    assert row.split() == [
        "BTC",
        "5m",
        "10:05-10:10",
        "1:05",
        "99.9",
        "%",
        "0.51",
        "0.53",
        "0.02",
        "1.2",
        "s",
        "2",
    ]
    [other] = [each for each in text if "15m" in each]
    assert other.split() == ["15m", "-", "-", "-", "-", "-", "-"], "an asset is named once"
    assert "8.0 rows/s, 95 frames/s, written 1.5 MB, free 2.0 GB, master 12 rows, other gaps 1" in text[-1]
    assert text[-2] == "observed: of the round's seconds so far"


def test_a_share_since_the_round_was_joined_says_so() -> None:
    text = shown(replace(LOOK, parts=(MarketRows((BTC, LATE)),)))
    early, late = (each for each in text if "10:05-10:10" in each)
    assert "99.9 %" in early
    assert "99.9 %*" not in early
    assert "99.9 %*" in late
    assert text[-2] == "observed: of the round's seconds so far, * since joined at 10:07:03"
    assert "observed 99.9 % since 10:07:03 up 0.51/0.53" in line(replace(LOOK, parts=(MarketRows((LATE,)),)))


@pytest.mark.parametrize(
    ("width", "dropped"),
    [
        (110, set()),
        (80, set()),
        (60, {"spread", "chainlink"}),
        (40, {"spread", "chainlink", "up bid", "ask", "gaps"}),
        (34, {"spread", "chainlink", "up bid", "ask", "gaps", "left"}),
    ],
)
def test_a_narrow_terminal_has_fewer_columns_and_nothing_is_torn(width: int, dropped: set[str]) -> None:
    parts = (MarketRows((BTC, UNKNOWN, LATE)),)
    waiting = replace(LOOK, parts=parts, waiting=("polymarket_stream",), stopping="SIGINT")
    text = shown(waiting, width)
    assert max(map(len, text)) <= width
    assert "…" not in "".join(text)
    head = next(each for each in text if "asset" in each)
    assert [name for name in COLUMNS if name in head] == [name for name in COLUMNS if name not in dropped]
    assert sum("10:05-10:10" in each for each in text) == 2, "a row is one line"
    whole = " ".join(text)
    for part in (*waiting.sum_up()[:6], "since joined at 10:07:03", "STOPPING (SIGINT)"):
        assert part in whole, part


def test_the_same_as_one_line() -> None:
    text = line(replace(LOOK, waiting=("polymarket_trades",)))
    assert "\n" not in text
    assert text.startswith("2026-11-20 10:08:55Z: 8.0 rows/s")
    assert "WAITING TO START AGAIN: polymarket_trades" in text
    assert (
        "BTC 5m 10:05-10:10 left 1:05 observed 99.9 % up 0.51/0.53 spread 0.02 chainlink 1.2 s gaps 2" in text
    )
    assert "BTC 15m - left - observed - up -/- spread - chainlink - gaps 2" in text


def test_cents_have_both_digits_and_finer_prices_all_of_theirs() -> None:
    rows = (replace(BTC, bid=Decimal("0.4"), ask=Decimal(1)), replace(BTC, bid=Decimal("0.906"), ask=None))
    cents, finer = (
        each.split() for each in shown(replace(LOOK, parts=(MarketRows(rows),))) if "10:05-10:10" in each
    )
    assert cents[6:9] == ["0.40", "1.00", "0.60"]
    assert finer[5:] == ["0.906", "-", "-"]
