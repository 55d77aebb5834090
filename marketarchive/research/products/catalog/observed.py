"""Headlines and texts of markets as they were received over time, from the market master.

Times are microseconds UTC of our receipt.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from marketarchive.master.observation import Key
from marketarchive.master.queries import by_platform
from marketarchive.master.tables import market_changes, news_context
from marketarchive.times import MICROSECOND, from_iso

Identity = tuple[str, str]
"""(platform, market id)."""
ENDS = ("closed_at", "determined_at", "resolved_at")
"""Fields with times stated by the venue, at or after which a price is no forecast any more."""
RESULTS = ("resolution", "payouts", "result_kind", "resolution_state")
TEXTS = ("title", "description", "outcomes", "end_at")
"""Fields that a prompt shows as they were last stated before its cut."""
_OVER = ("closed", "resolved")


@dataclass(frozen=True, slots=True)
class SeenHeadline:
    """A headline with the time of its first capture."""

    at: int
    headline: str
    source: str | None
    url: str | None


@dataclass
class MarketHistory:
    """Headlines and stated texts of a market as they were received, each list by time (us)."""

    headlines: list[SeenHeadline] = field(default_factory=list)
    revisions: dict[str, list[tuple[int, str | None]]] = field(default_factory=dict)  # field -> (us, text)
    first_end: int | None = None

    def stated(self, name: str, cut: int) -> str | None:
        """Return the value of a field of TEXTS as last stated before `cut` (us); None if never stated."""
        before = [value for at, value in self.revisions.get(name, ()) if at < cut]
        return before[-1] if before else None


def observed(master: Connection, identities: Iterable[Identity]) -> Mapping[Identity, MarketHistory]:
    """Return the headlines received about each of some hundred markets; their revisions are left empty."""
    found = {identity: MarketHistory() for identity in identities}
    for platform, market_ids in by_platform(found):
        _read_headlines(master, platform, market_ids, found)
    return found


def read_revisions(
    master: Connection, history: Mapping[Identity, MarketHistory], as_of: int | None = None
) -> None:
    """Fill in `revisions` and `first_end` of each market from what was received up to `as_of` (us).

    as_of: None: all. `first_end` (us) is the earliest of all end times ever stated, also before a market was
    reopened, and of our receipt of any result or of the status closed.
    """
    table = market_changes.c
    columns = (table.market_id, table.field, table.new, table.observed_at, table.capture, table.id)
    for platform, market_ids in by_platform(history):
        query = select(*columns).where(
            table.platform == platform,
            table.market_id.in_(market_ids),
            table.field.in_((*TEXTS, *ENDS, *RESULTS, "status")),
        )
        if as_of is not None:
            query = query.where(table.observed_at <= as_of)
        rows = [(Key.of(at, capture), place, *said) for *said, at, capture, place in master.execute(query)]
        for key, _, market_id, name, new in sorted(rows, key=lambda row: row[:2]):
            of = history[platform, market_id]
            if name in TEXTS:
                of.revisions.setdefault(name, []).append((key.observed_at, new))
            elif new is not None and (name != "status" or new in _OVER):
                ended = (
                    min(key.observed_at, from_iso(new) // MICROSECOND) if name in ENDS else key.observed_at
                )
                of.first_end = ended if of.first_end is None else min(of.first_end, ended)


def _read_headlines(
    master: Connection, platform: str, market_ids: Collection[str], found: dict[Identity, MarketHistory]
) -> None:
    table = news_context.c
    query = (
        select(table.market_id, table.captured_at, table.headline, table.source, table.url)
        .where(table.platform == platform, table.market_id.in_(market_ids))
        .order_by(table.captured_at, table.url, table.headline)
    )
    for market_id, *headline in master.execute(query):
        found[platform, market_id].headlines.append(SeenHeadline(*headline))
