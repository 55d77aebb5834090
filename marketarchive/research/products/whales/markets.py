"""Markets of the catalogue, reduced to what the join and the wallets' win rates need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from marketarchive.research.products.whales.alerts import Side, WhaleAlert
from marketarchive.venues.kalshi.titles import stated_title

if TYPE_CHECKING:
    import pandas as pd

TEXTS = ("platform", "market_id", "title", "subtitle", "resolution")
TIMES = (
    "start_at",
    "end_at",
    "closed_at",
    "determined_at",
    "resolved_at",
    "resolution_seen_at",
    "reopened_at",
)


@dataclass(frozen=True, slots=True)
class TradedMarket:
    """A market and the span in which it was traded, `start` <= time < `end` (ns); None: not known."""

    platform: str
    market_id: str
    titles: tuple[str, ...]  # the full title, and the venue's own where that is shorter
    subtitle: str | None
    outcomes: tuple[str, ...]
    start: int | None
    end: int | None
    winner: Side | None  # YES: its first outcome won, NO: its second; None: undecided
    decided_at: int | None  # when the winner was public, ns

    def is_open(self, at: int) -> bool:
        """Return whether the market was traded at `at` (ns)."""
        return (self.start is None or self.start <= at) and (self.end is None or at < self.end)

    def side(self, alert: WhaleAlert) -> Side | None:
        """Return the side that an alert's trader took; None where it cannot be derived.

        The action names the side, or buys or sells an outcome: buying the first of two outcomes is YES, the
        second NO.
        """
        if alert.action == "YES" or alert.action == "NO":
            return cast("Side", alert.action)
        if alert.action not in ("BUY", "SELL") or alert.outcome is None:
            return None
        label = alert.outcome.casefold()
        labels = [each.casefold() for each in self.outcomes] or ["yes", "no"]
        if len(labels) != 2 or label not in labels:
            return None
        is_first = label == labels[0]
        return "YES" if is_first == (alert.action == "BUY") else "NO"


def markets_of(catalogue: pd.DataFrame) -> list[TradedMarket]:
    """Return the markets of a frame of `Archive.catalog()`, in its order.

    Trading ended at the first of `closed_at`, `determined_at` and `resolved_at`, or without them at the
    scheduled end. A result that was ever withdrawn decides nothing.
    """
    catalogue = catalogue.rename(columns={"venue": "platform"})
    columns: dict[str, Sequence[Any]] = {name: _texts(catalogue[name]) for name in TEXTS}
    columns |= {name: _times(catalogue[name]) for name in TIMES}
    columns["outcomes"] = catalogue["outcomes"].tolist()
    return [_market(dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]


def _market(row: dict[str, Any]) -> TradedMarket:
    ended = [row[name] for name in ("closed_at", "determined_at", "resolved_at") if row[name] is not None]
    is_decided = row["resolution"] is not None and row["reopened_at"] is None
    stated = stated_title(row["title"], row["subtitle"])
    return TradedMarket(
        row["platform"],
        row["market_id"],
        tuple(dict.fromkeys(title for title in (row["title"], stated) if title)),
        row["subtitle"],
        tuple(row["outcomes"]) if isinstance(row["outcomes"], list | tuple) else (),
        row["start_at"],
        min(ended, default=row["end_at"]),
        row["resolution"] if is_decided else None,
        row["resolved_at"] or row["resolution_seen_at"] if is_decided else None,
    )


def _texts(column: pd.Series[Any]) -> list[str | None]:
    return [value if isinstance(value, str) else None for value in column]


def _times(column: pd.Series[Any]) -> list[int | None]:
    """Return a column of times in ns, None for null."""
    import pandas as pd

    stamps = pd.to_datetime(column, utc=True).dt.as_unit("ns")
    return [None if isnull else value for value, isnull in zip(_ns(stamps), stamps.isna(), strict=True)]


def _ns(stamps: pd.Series[Any]) -> Iterator[int]:
    yield from stamps.astype("int64").tolist()
