"""Long-running markets of a simulated platform: which exist, what their rows say, and how they end.

A platform has slots. In each slot one event follows another, so that about the same number of markets is open
at any moment. An event, its markets, their texts, prices and outcomes are a pure function of (seed, platform,
slot, generation) and time, where the generation counts the events of a slot; so any moment can be computed
without those before it.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, Literal

from marketarchive.exceptions import ConfigurationError
from marketarchive.simulator.catalog_texts import Texts, texts_of
from marketarchive.simulator.noise import bits, unit, wave
from marketarchive.times import SECOND, iso, utc

DAY_S = 86_400
HISTORY_S = 60 * DAY_S
"""Seconds after its end for which an event still appears in lists and can be requested by id."""
SLOTS_MAX = 1 << 15
"""Most slots (sequences of events). An event's slot is the second of its listing modulo this number."""
MOST = 50_000
"""Most markets that may be open at a moment."""
QUOTE_S = 60
"""Seconds between two moments at which prices change."""

_SPANS_D = (14, 21, 30, 45, 60, 60, 90, 120)
"""Possible days from one event to the next of the same slot; each slot has one of them."""

State = Literal["open", "closed", "proposed", "disputed", "final"]
"""State of a market. closed: ended without a result; disputed: its proposed or final result is contested."""

FATES = (
    "split",
    "void",
    "scalar",
    "reopened",
    "no_market_end",
    "no_event_end",
    "no_end",
    "early",
    "rules_edited",
    "title_edited",
    "end_moved",
    "overdue",
)
_FATE_ONE_IN = 24
"""Each unusual course (`FATES`, such as an early end) is taken by one in so many events, by chance."""


@dataclass(frozen=True, slots=True)
class Revision:
    """The state of a market from `at` until its next revision. Times are Unix seconds."""

    at: int
    state: State
    title: str
    rules: str
    end: int  # end as scheduled by this revision
    closed_at: int | None = None
    resolved_at: int | None = None
    payout: str | None = None  # dollars paid for a share of the first outcome; None: no result yet
    was_disputed: bool = False


@dataclass(frozen=True)
class Event:
    """One event, with what all its markets have in common. Times are Unix seconds."""

    seed: int
    platform: str
    slot: int
    generation: int
    size: int  # number of markets
    listed_at: int
    opens_at: int
    end: int  # end as first scheduled
    span_s: int
    fate: str
    texts: Texts
    reopens_final: bool

    @property
    def key(self) -> str:
        return f"{self.platform}/{self.slot}/{self.generation}"

    @cached_property
    def markets(self) -> tuple[Life, ...]:
        return tuple(Life(self, member) for member in range(self.size))

    @cached_property
    def closes_at(self) -> int:
        """Return when trading ends (Unix s); for an event that is reopened, when it ends first."""
        if self.fate == "early":
            return self.listed_at + 2 * (self.end - self.listed_at) // 5
        return self.end + (self.span_s // 25 if self.fate == "end_moved" else 0)

    @cached_property
    def over_at(self) -> int:
        """Return when the last revision of its markets happens (Unix s); nothing changes afterwards."""
        # all its markets change at the same times; only their payouts differ
        return self.markets[0].revisions[-1].at

    def payouts(self, *, first: bool = False) -> tuple[str | None, ...]:
        """Return for each market the dollars paid for a share of its first outcome, as text; None: no result.

        first: True = the payouts as stated before a dispute.
        """
        draw = bits(self.seed, "outcome", self.key)
        if self.fate == "void":
            return (None,) * self.size
        if self.fate == "split":
            return ("0.5",) * self.size
        if self.fate == "scalar":
            return tuple(f"{0.05 + 0.9 * unit(draw, member):.2f}" for member in range(self.size))
        shifted = draw + 1 if first and self.fate == "reopened" else draw
        if self.texts.kind == "ladder":
            reached = shifted % (self.size + 1)
            return tuple("1" if member < reached else "0" for member in range(self.size))
        if self.size == 1:
            return ("1" if shifted % 2 else "0",)
        return tuple("1" if member == shifted % self.size else "0" for member in range(self.size))


class Life:
    """One market of the catalogue from its listing on."""

    def __init__(self, event: Event, member: int) -> None:
        self.event = event
        self.member = member
        self.label = event.texts.labels[member]

    @cached_property
    def key(self) -> str:
        return f"{self.event.key}/{self.member}"

    @cached_property
    def revisions(self) -> tuple[Revision, ...]:
        """Return all states of the market in order of time; the first is that at its listing."""
        return tuple(_revisions(self))

    def at(self, second: int) -> Revision:
        """Return the market's state at a Unix second; before the listing, the state at the listing."""
        return self.revisions[max(bisect_right(self._times, second) - 1, 0)]

    @cached_property
    def _times(self) -> list[int]:
        return [each.at for each in self.revisions]

    # --- prices ------------------------------------------------------------------------------------------

    def chance(self, second: int) -> float:
        """Return the probability of the first outcome, as the market's price shows it, within [0.005, 0.995].

        It fluctuates, and approaches the next stated result as that comes near. second: Unix seconds.
        """
        second -= second % QUOTE_S
        seed, name = self.event.seed, self.key
        moved = 0.25 * wave(seed, name, 12, second) + 0.5 * wave(seed, name, 16, second)
        moved += 1.2 * wave(seed, name, 20, second)
        chance = 1 / (1 + math.exp(-(self._odds + moved)))
        stated_at, payout = self._next_stated(second)
        if payout is not None:
            late = 1 - (stated_at - second) / (0.3 * self.event.span_s)
            pull = 0.97 * min(max(late, 0.0), 1.0) ** 2
            chance += (payout - chance) * pull
        return min(max(chance, 0.005), 0.995)

    @cached_property
    def _odds(self) -> float:
        """Return the log odds of the first outcome at the listing."""
        drawn = 2.4 * (unit(self.event.seed, "odds", self.key) - 0.5)
        return drawn - (math.log(self.event.size) if self.event.texts.kind == "one_of" else 0.0)

    @cached_property
    def _stated(self) -> list[tuple[int, float | None]]:
        stated = [each for each in self.revisions if each.state == "proposed"]
        return [(each.at, None if each.payout is None else float(each.payout)) for each in stated]

    def _next_stated(self, second: int) -> tuple[int, float | None]:
        return next((each for each in self._stated if each[0] >= second), self._stated[-1])

    def volume(self, second: int) -> float:
        """Return the volume traded by a Unix second, in hundredths of a dollar or contract."""
        first, last = self.event.opens_at, self.revisions[-1].at
        second -= second % QUOTE_S
        done = min(max((second - first) / (last - first), 0.0), 1.0)
        scale: float = 10 ** (2 + 4.5 * unit(self.event.seed, "volume", self.key))
        share: float = done**1.4
        return round(scale * share, 2)

    def liquidity(self, second: int) -> float:
        """Return the dollars in orders near the price at a Unix second."""
        scale: float = 10 ** (2 + 3 * unit(self.event.seed, "liquidity", self.key))
        return round(scale * (1.5 + wave(self.event.seed, f"liquidity {self.key}", 13, second)), 2)

    # --- truth -------------------------------------------------------------------------------------------

    def days(self, start: int, end: int) -> range:
        """Return the UTC midnights (Unix s) in a range at which the market was listed and had not ended."""
        first = max(start, self.event.listed_at)
        return range(-(-first // DAY_S) * DAY_S, min(end, self.event.over_at - 1) + 1, DAY_S)

    def truth(self) -> dict[str, Any]:
        """Return the facts of the market that hold at any time, for the truth file.

        Prices are not among them.
        """
        event = self.event
        return {
            "platform": event.platform,
            "slot": event.slot,
            "generation": event.generation,
            "member": self.member,
            "label": self.label,
            "kind": event.texts.kind,
            "fate": event.fate,
            "category": event.texts.category,
            "event_title": event.texts.event_title,
            "listed_at": iso(event.listed_at * SECOND),
            "opens_at": iso(event.opens_at * SECOND),
            "revisions": [_written(each) for each in self.revisions],
        }


def _written(revision: Revision) -> dict[str, Any]:
    times = ("at", "end", "closed_at", "resolved_at")
    found = {name: getattr(revision, name) for name in times}
    return {
        **{name: None if at is None else iso(at * SECOND) for name, at in found.items()},
        **{name: getattr(revision, name) for name in ("state", "title", "rules", "payout", "was_disputed")},
    }


def _revisions(life: Life) -> Iterator[Revision]:
    event = life.event
    draw = bits(event.seed, "life", event.key)
    payout = event.payouts()[life.member]
    now = Revision(
        event.listed_at,
        "open",
        event.texts.questions[life.member],
        event.texts.rules[life.member],
        event.end,
    )
    yield now
    middle = event.listed_at + (event.closes_at - event.listed_at) // 2 + draw % 3600
    if event.fate == "rules_edited":
        day = utc(middle * SECOND)
        added = f"Clarification of {day:%B} {day.day}: only what is official counts."
        now = replace(now, at=middle, rules=f"{now.rules}\n\n{added}")
        yield now
    elif event.fate == "title_edited":
        now = replace(now, at=middle, title=f"{now.title.removesuffix('?')}, officially?")
        yield now
    elif event.fate == "end_moved":
        now = replace(now, at=middle, end=event.closes_at)
        yield now
    now = replace(now, at=event.closes_at, state="closed", closed_at=event.closes_at)
    yield now
    wait = event.span_s // 20 if event.fate == "overdue" else 300 + (draw >> 16) % 9000
    stated_at = event.closes_at + wait
    if event.fate == "reopened":
        said = event.payouts(first=True)[life.member]
        now = replace(now, at=stated_at, state="proposed", payout=said)
        yield now
        if event.reopens_final:
            now = replace(now, at=stated_at + 1800, state="final", resolved_at=stated_at + 1800)
            yield now
        else:
            now = replace(now, at=stated_at + 1200, state="disputed", was_disputed=True)
            yield now
        again = stated_at + event.span_s // 40
        now = Revision(again, "disputed", now.title, now.rules, now.end, was_disputed=True)
        if not event.reopens_final:
            now = replace(now, state="open", end=again + event.span_s // 40)
        yield now
        closes_at = again + event.span_s // 40
        now = replace(now, at=closes_at, state="closed", closed_at=closes_at)
        yield now
        stated_at = closes_at + 600
    now = replace(now, at=stated_at, state="proposed", payout=payout)
    yield now
    final_at = stated_at + 1800 + (draw >> 32) % 5400
    yield replace(now, at=final_at, state="final", resolved_at=final_at)


class Catalog:
    """All long-running markets of a platform."""

    def __init__(
        self,
        seed: int,
        platform: str,
        markets: int,
        *,
        reopens_final: bool = False,
        has_matches: bool = False,
    ) -> None:
        """Create a catalogue in which about `markets` markets are open at any time.

        reopens_final: True = a final result may be disputed, False = only a proposed one; has_matches: True =
        some markets have two named sides instead of yes and no. Raises ConfigurationError for too many
        markets.
        """
        if not 0 <= markets <= MOST:
            raise ConfigurationError(f"{markets} markets of a catalogue are not between 0 and {MOST}")
        self._seed = seed
        self._platform = platform
        self._reopens_final = reopens_final
        self._has_matches = has_matches
        self._sizes = _sizes(seed, platform, markets)
        self.event = lru_cache(maxsize=1 << 17)(self._event)
        self._listing = lru_cache(maxsize=4)(self._list)

    def events(self, second: int) -> list[Event]:
        """Return the events listed by `second` (Unix s), in order of listing.

        Those that ended more than HISTORY_S before it are left out.
        """
        return [each for each in self._listing(second // 3600)[0] if each.listed_at <= second]

    def state_key(self, second: int) -> tuple[int, int]:
        """Return a key that is equal for two seconds between which no market was listed or revised."""
        hour = second // 3600
        return hour, bisect_right(self._listing(hour)[1], second)

    def _list(self, hour: int) -> tuple[list[Event], list[int]]:
        """Return the events of an hour in order of listing, and the seconds in it at which one is revised.

        hour: Unix seconds divided by 3600.
        """
        low, high = hour * 3600 - HISTORY_S, hour * 3600 + 3600
        found: list[Event] = []
        for slot in range(len(self._sizes)):
            span_s, phase = self._grid(slot)
            last = (high - phase) // span_s
            first = max((low - phase) // span_s - 1, 0)
            events = (self.event(slot, generation) for generation in range(first, last + 2))
            found += [each for each in events if each.listed_at < high and each.over_at > low]
        found.sort(key=lambda each: each.listed_at)
        lives = (each.markets[0] for each in found)  # all markets of an event change at the same times
        times = (revision.at for life in lives for revision in life.revisions)
        return found, sorted(at for at in times if hour * 3600 < at < high)

    def between(self, start: int, end: int) -> list[Event]:
        """Return the events that lists between two Unix seconds may contain, in order of their listing."""
        found = {each.key: each for each in self.events(start)}
        for at in (*range(start, end, HISTORY_S), end):
            found |= {each.key: each for each in self.events(at)}
        return list(found.values())

    def listed_at(self, second: int) -> Event | None:
        """Return the event that is listed at exactly this Unix second; None when none is."""
        slot = second % SLOTS_MAX
        if slot >= len(self._sizes):
            return None
        span_s, phase = self._grid(slot)
        generation = (second + SLOTS_MAX - 1 - phase) // span_s
        for each in (generation, generation - 1):
            if each >= 0 and self.event(slot, each).listed_at == second:
                return self.event(slot, each)
        return None

    def market(self, slot: int, generation: int, member: int) -> Life | None:
        """Return a market; None when there is none.

        slot: number of its sequence of events; generation: number of its event in the slot; member: number of
        the market in its event; all are counted from 0.
        """
        if not (0 <= slot < len(self._sizes) and 0 <= member < self._sizes[slot] and generation >= 0):
            return None
        return self.event(slot, generation).markets[member]

    def _grid(self, slot: int) -> tuple[int, int]:
        draw = bits(self._seed, "slot", self._platform, slot)
        span_s = _SPANS_D[draw % len(_SPANS_D)] * DAY_S
        return span_s, (draw >> 8) % span_s

    def _event(self, slot: int, generation: int) -> Event:
        span_s, phase = self._grid(slot)
        begins = phase + generation * span_s
        listed_at = begins - (begins - slot) % SLOTS_MAX
        draw = bits(self._seed, "event", self._platform, slot, generation)
        size = self._sizes[slot]
        lasts_s = int((0.55 + 0.3 * unit(draw)) * span_s)
        end = (listed_at + lasts_s) // 3600 * 3600
        place = (draw >> 8) % _FATE_ONE_IN
        fate = FATES[place] if place < len(FATES) else "plain"
        texts = texts_of(slot, size, end, draw >> 16, has_matches=self._has_matches)
        if fate in ("split", "scalar") and size > 1:
            fate = "plain"  # its markets would not pay one dollar together
        opens_at = listed_at + 900 + (draw >> 24) % 2700
        return Event(
            self._seed,
            self._platform,
            slot,
            generation,
            size,
            listed_at,
            opens_at,
            end,
            span_s,
            fate,
            texts,
            self._reopens_final,
        )


def _sizes(seed: int, platform: str, markets: int) -> tuple[int, ...]:
    """Return, for each slot (a sequence of events), the number of markets that each of its events has.

    About OPEN_SHARE of the markets of all slots are open; the others have ended, or are not listed yet.
    """
    left = math.ceil(markets / OPEN_SHARE)
    found: list[int] = []
    while left > 0:
        draw = bits(seed, "size", platform, len(found))
        size = min(1 if draw % 5 < 2 else 2 + (draw >> 8) % 7, left)
        found.append(size)
        left -= size
    return tuple(found)


OPEN_SHARE = 0.69
"""Share of the markets of all slots that is open at a moment, 0 to 1 (measured over many moments)."""
