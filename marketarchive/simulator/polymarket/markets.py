"""A simulated market: the facts about it that do not change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from marketarchive.simulator.catalog import Life

Kind = Literal["round", "other"]


@dataclass(frozen=True)
class Group:
    """The event that a market belongs to."""

    number: int
    slug: str
    title: str
    tags: tuple[tuple[str, str], ...]  # (id, label)
    series_slug: str | None = None
    series_id: str | None = None
    series_title: str | None = None
    neg_risk: bool = False


@dataclass(frozen=True)
class SimMarket:
    """One simulated market: ids, slug and window. Times are Unix seconds."""

    kind: Kind
    number: int  # Gamma's id of the market; rises with the time of listing
    group: Group
    slug: str
    question: str
    description: str
    condition_id: str
    tokens: tuple[str, str]
    listed_at: int
    end: int
    outcomes: tuple[str, ...] | None = ("Yes", "No")
    start: int | None = None  # start of the window, or of a game
    closed_at: int | None = None  # None: not within the time of this world
    payouts: tuple[str, ...] | None = None  # of a closed market that is no round; None: no result
    shown_prices: tuple[str, ...] | None = None  # outcomePrices after the close, if they are no payouts
    version: Literal["v1", "v2"] | None = "v1"
    neg_risk: bool = False
    accepts_after_close: bool = False
    resolution_source: str = ""
    # for rounds
    asset: str | None = None
    duration: str | None = None
    twap_s: int | None = None  # seconds over which the settling price is averaged; None: spot
    # for other markets
    chance: float = 0.5
    # for markets of the catalogue: their text and state may change, and these are those of one moment
    life: Life | None = None
    hides_end: frozenset[str] = frozenset()  # rows ("market", "event") that omit endDate
    uma_end: int | None = None  # umaEndDate, if it is not the time of the close
    uma_statuses: tuple[str, ...] = ()
    label: str = ""  # within its event

    @property
    def is_of_binance(self) -> bool:
        """Return whether prices of Binance settle the market."""
        return "binance.com" in self.resolution_source

    def is_listed(self, second: int) -> bool:
        return self.listed_at <= second

    def is_closed(self, second: int) -> bool:
        return self.closed_at is not None and self.closed_at <= second
