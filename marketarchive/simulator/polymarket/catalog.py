"""Long-running markets of the simulated catalogue in Polymarket's terms: ids, slugs, events and states.

A market of the catalogue changes over time: its text, whether it is closed, what it pays. `CatalogMarkets`
returns it in its state at a moment, as a `SimMarket` like all other markets.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable

from marketarchive.simulator.catalog import Catalog, Event, Life, Revision
from marketarchive.simulator.noise import bits
from marketarchive.simulator.polymarket.markets import Group, SimMarket
from marketarchive.simulator.polymarket.rounds import EPOCH, FIRST_NUMBER, PER_SECOND, Ids

EVENT_AFTER = 500_000
"""Difference between the number of an event and that of its first market."""

_FIRST_PLACE = PER_SECOND // 2
_MARK = 1  # the byte of an id that is 0 in ids of rounds
_CONDITION, _FIRST, _SECOND = range(3)
_TAG_IDS = {"Politics": "2", "Sports": "1", "Economy": "100328", "Tech": "1401", "Weather": "84"}
_SLUG = re.compile(r"[a-z0-9-]*?-(\d+)-(\d+)(?:-(\d+))?")
_HIDDEN = {
    "no_market_end": frozenset({"market"}),
    "no_event_end": frozenset({"event"}),
    "no_end": frozenset({"market", "event"}),
}


def catalog_of(seed: int, markets: int) -> Catalog:
    """Return the catalogue of a seed. Raises ConfigurationError for too many `markets`."""
    return Catalog(seed, "polymarket", markets, reopens_final=True, has_matches=True)


class CatalogMarkets:
    """Source of the catalogue's markets, by list and by any of their names."""

    def __init__(self, seed: int, markets: int, ids: Ids) -> None:
        self.catalog = catalog_of(seed, markets)
        self._ids = ids
        self._made: dict[tuple[str, int], SimMarket] = {}
        self._newest: tuple[tuple[int, int] | None, list[SimMarket]] = None, []
        self._groups: dict[str, Group] = {}

    def listed(self, second: int) -> list[SimMarket]:
        """Return the markets that are listed at a Unix second, in their state then, by rising number."""
        key = self.catalog.state_key(second)
        if self._newest[0] != key:
            events = self.catalog.events(second)
            self._newest = key, [self.as_of(life, second) for each in events for life in each.markets]
        return self._newest[1]

    def as_of(self, life: Life, second: int) -> SimMarket:
        """Return a market in its state at a Unix second."""
        revision = life.at(second)
        key = (life.key, revision.at)
        if (made := self._made.get(key)) is None:
            made = self._made[key] = self._make(life, revision)
        return made

    def siblings(self, market: SimMarket, second: int) -> list[SimMarket]:
        """Return all markets of the event of `market`, itself included, in their state at a Unix second."""
        lives: Iterable[Life] = () if market.life is None else market.life.event.markets
        return [self.as_of(each, second) for each in lives]

    # --- names -------------------------------------------------------------------------------------------
    # each of them returns the market in its final state

    def by_number(self, number: int) -> SimMarket | None:
        seconds, place = divmod(number - FIRST_NUMBER, PER_SECOND)
        event = self.catalog.listed_at(EPOCH + seconds) if seconds >= 0 else None
        member = place - _FIRST_PLACE
        if event is None or not 0 <= member < event.size:
            return None
        return self._final(event.markets[member])

    def by_id(self, raw: bytes) -> tuple[SimMarket, int] | None:
        """Return (market, role) for the bytes of an id; the role is 0 for a condition, 1 and 2 for tokens.

        None for an id that is not of the catalogue.
        """
        packed = self._ids.unseal(raw)
        if packed is None or packed[3] != _MARK:
            return None
        role, member, _, _, slot, generation = struct.unpack(">BBBBHH", packed)
        life = self.catalog.market(slot, generation, member)
        return None if life is None else (self._final(life), role)

    def by_slug(self, slug: str) -> SimMarket | None:
        """Return the market with a slug, or the first market of the event with it; None without one."""
        if (found := _SLUG.fullmatch(slug)) is None:
            return None
        life = self.catalog.market(int(found[1]), int(found[2]), int(found[3] or 0))
        if life is None:
            return None
        market = self._final(life)
        return market if slug in (market.slug, market.group.slug) else None

    def _final(self, life: Life) -> SimMarket:
        return self.as_of(life, life.revisions[-1].at)

    # --- making ------------------------------------------------------------------------------------------

    def _make(self, life: Life, now: Revision) -> SimMarket:
        event = life.event
        draw = bits(event.seed, "uma", life.key)
        is_closed = now.state == "final"
        payouts = None if now.payout is None or not is_closed else _both(now.payout)
        place = f"{event.slot}-{event.generation}-{life.member}"
        return SimMarket(
            kind="other",
            number=_number(event, life.member),
            group=self._group(event),
            slug=f"{_slug(event.texts.questions[life.member])}-{place}",
            question=now.title,
            description=now.rules,
            condition_id=f"0x{self._id(_CONDITION, life).hex()}",
            tokens=(
                str(int.from_bytes(self._id(_FIRST, life))),
                str(int.from_bytes(self._id(_SECOND, life))),
            ),
            listed_at=event.listed_at,
            end=now.end,
            outcomes=event.texts.sides,
            closed_at=now.resolved_at if is_closed else None,
            payouts=payouts,
            neg_risk=_is_neg_risk(event),
            life=life,
            hides_end=_HIDDEN.get(event.fate, frozenset()),
            uma_end=None if now.closed_at is None else now.closed_at + draw % 7200 - 3600,
            uma_statuses=_statuses(now),
            label=life.label if event.size > 1 else "",
        )

    def _id(self, role: int, life: Life) -> bytes:
        event = life.event
        packed = struct.pack(">BBBBHH", role, life.member, 0, _MARK, event.slot, event.generation)
        return self._ids.seal(packed)

    def _group(self, event: Event) -> Group:
        if (found := self._groups.get(event.key)) is None:
            category = event.texts.category
            found = self._groups[event.key] = Group(
                number=_number(event, 0) + EVENT_AFTER,
                slug=f"{_slug(event.texts.event_title)}-{event.slot}-{event.generation}",
                title=event.texts.event_title,
                tags=(("100", "All"), (_TAG_IDS.get(category, "900"), category)),
                neg_risk=_is_neg_risk(event),
            )
        return found


def _number(event: Event, member: int) -> int:
    return FIRST_NUMBER + (event.listed_at - EPOCH) * PER_SECOND + _FIRST_PLACE + member


def _is_neg_risk(event: Event) -> bool:
    return event.texts.kind == "one_of"


def _statuses(now: Revision) -> tuple[str, ...]:
    before = ("proposed", "disputed") if now.was_disputed else ()
    return (*before, "proposed") if now.state in ("proposed", "final") else before


def _both(payout: str) -> tuple[str, str]:
    return payout, f"{1 - float(payout):g}"


def _slug(text: str) -> str:
    return "-".join("".join(each if each.isalnum() else " " for each in text.lower()).split())
