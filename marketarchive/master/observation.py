"""Observations: what one message states about one market, with the time of its receipt. Pure: no database.

Observations are ordered by `Key`: time of receipt, then capture reference. So their order is total, and the
same in every process and in every rebuild.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from marketarchive.items import Headline, Market, PriceSnapshot, Resolution
from marketarchive.master.fields import BITS, DERIVED, FIELDS, PRICES, PRICES_BIT, encode, microseconds
from marketarchive.master.outcome import NOTHING, Outcome

MasterItem = Market | Resolution | PriceSnapshot | Headline
Prices = tuple[str | None, ...]  # canonical texts in the order of fields.PRICES


class Key(NamedTuple):
    """Sort key of an observation: receipt, then `origin` (run/venue/feed) and `seq` of its raw line."""

    observed_at: int  # microseconds since the epoch: as precise as the lines of the raw archive
    origin: str
    seq: int

    @property
    def capture(self) -> str:
        """Return the reference to the observed message's line in raw/: `run/venue/feed/seq`."""
        return f"{self.origin}/{self.seq}"

    @classmethod
    def of(cls, observed_at: int, capture: str) -> Key:
        origin, _, seq = capture.rpartition("/")
        return cls(observed_at, origin, int(seq))


@dataclass(frozen=True, slots=True)
class MarketObservation:
    """Statement of one message about a market; a field that is not in `values` is not stated, and is kept."""

    platform: str
    market_id: str
    key: Key
    values: Mapping[str, str | None]  # name in fields.FIELDS -> canonical text
    prices: Prices | None = None

    @property
    def mask(self) -> int:
        """Return the stated fields as a sum of bits (fields.BITS), as in `markets.recent`."""
        return sum(BITS[name] for name in self.values) | (PRICES_BIT if self.prices is not None else 0)


@dataclass(frozen=True, slots=True)
class HeadlineObservation:
    """A headline about a market as one answer stated it; its texts can be stored in every database."""

    platform: str
    market_id: str
    key: Key
    headline: str
    source: str | None
    url: str
    published_at: int | None  # microseconds since the epoch; a claim


Observation = MarketObservation | HeadlineObservation


def observe(item: MasterItem) -> Observation:
    """Convert an item to an observation; `item.run` must be the id of the run that received its message."""
    key = Key(item.received_at // 1000, f"{item.run}/{item.venue}/{item.feed}", item.seq)
    market_id = encode("text", item.market_id)
    if isinstance(item, Headline):
        return HeadlineObservation(
            item.platform,
            market_id,
            key,
            encode("text", item.headline),
            None if item.source is None else encode("text", item.source),
            encode("text", item.url),
            None if item.published_at is None else microseconds(item.published_at),
        )
    if isinstance(item, PriceSnapshot):
        prices = tuple(
            None if (price := getattr(item, name)) is None else encode("decimal", price) for name in PRICES
        )
        return MarketObservation(item.platform, market_id, key, {}, prices)
    values: dict[str, str | None] = {
        name: encode(kind, value)
        for name, kind in FIELDS.items()
        if name not in DERIVED and (value := getattr(item, name, None)) is not None
    }
    outcome = Outcome.of(item)
    if outcome != NOTHING:
        # whole, not field by field: payouts without a label end an older label (split, corrected result)
        values["reported_outcome" if isinstance(item, Resolution) else "listed_outcome"] = outcome.text
    return MarketObservation(item.platform, market_id, key, values)
