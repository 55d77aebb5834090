"""What `scrapy collect` shows, from given figures."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from rich.console import Console

from marketarchive.collecting.together.live_view import Lane, Look, line, table

BTC = Lane("BTC", "5m", "10:05-10:10", 65, 0.99999, Decimal("0.51"), Decimal("0.53"), 1.25, 2)
UNKNOWN = Lane("BTC", "15m", "", None, None, None, None, None, 2)
LOOK = Look("2026-11-20 10:08:55Z", (BTC, UNKNOWN), 8.0, 95.4, 1_500_000, 2_000_000_000, "12 rows", 1, ())


def shown(look: Look) -> list[str]:
    console = Console(width=110)
    with console.capture() as captured:
        console.print(table(look))
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
    lanes = (replace(BTC, bid=Decimal("0.4"), ask=Decimal(1)), replace(BTC, bid=Decimal("0.906"), ask=None))
    cents, finer = (each.split() for each in shown(replace(LOOK, lanes=lanes)) if "10:05-10:10" in each)
    assert cents[6:9] == ["0.40", "1.00", "0.60"]
    assert finer[5:] == ["0.906", "-", "-"]
