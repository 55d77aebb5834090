"""Rows of the stream against the simulated books at their ticks."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from marketarchive.simulator.polymarket import Polymarket
from marketarchive.times import SECOND, from_iso
from tests.e2e.harness import Output
from tests.e2e.stream_truth import SEED

Row = dict[str, Any]


def tick_of(row: Row) -> int:
    """Its tick, Unix seconds."""
    return from_iso(row["timestamp"]) // SECOND


class Truth:
    """Which prices a row may have: those that stood at its tick (of a poll: until its answer), or so shortly
    before it that word of the change was still on its way.
    """

    def __init__(self, late_s: float) -> None:
        self.venue = Polymarket(SEED)
        self.late_ms = int(late_s * 1000)

    def agrees(self, row: Row, tokens: tuple[str, str]) -> bool:
        found = self.venue.world.by_token(tokens[0])
        assert found is not None
        tick_ms = tick_of(row) * 1000
        first, last = tick_ms - self.late_ms, tick_ms
        if row["source"] == "books":
            last = from_iso(row["received_at"]) // 1_000_000
        tops = [self.venue.books.top_at(found[0], first)]
        for second in range(first // 1000, last // 1000 + 1):
            steps = self.venue.books.steps(found[0], second)
            tops += [step.top for step in steps if first < step.ms <= last]
        ups = {(_price(top.bid, top.ticks), _price(top.ask, top.ticks)) for top in tops}
        downs = {(None if ask is None else 1 - ask, None if bid is None else 1 - bid) for bid, ask in ups}
        return _prices(row, "up") in ups and _prices(row, "down") in downs


def _price(ticks: int | None, per_dollar: int) -> Decimal | None:
    return None if ticks is None else Decimal(ticks) / per_dollar


def _prices(row: Row, side: str) -> tuple[Decimal | None, Decimal | None]:
    bid, ask = (row[f"{side}_{kind}"] for kind in ("bid", "ask"))
    return (None if bid is None else Decimal(str(bid)), None if ask is None else Decimal(str(ask)))


def wrong(out: Path, rows: list[Row], late_s: float) -> list[Row]:
    """Return the observed rows whose prices were not those of the book."""
    truth = Truth(late_s)
    [manifest] = Output(out).manifests()
    tracked = manifest["summary"]["markets"]["tracked"]
    tokens = {slug: (known["tokens"]["Up"], known["tokens"]["Down"]) for slug, known in tracked.items()}
    return [row for row in rows if row["is_observed"] and not truth.agrees(row, tokens[row["market_id"]])]
