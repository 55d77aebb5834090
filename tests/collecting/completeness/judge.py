"""Judges a run of the model: what was missed and said to be complete, or the other way round."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from marketarchive.times import MILLISECOND
from tests.collecting.completeness.venue_model import START, Fault, Item, World

FOREVER = 10**9
TOLERANCE = 2_000
"""A gap may begin so long before its cause, ms."""
BACK_OFF = 30_000
RECOVERY = BACK_OFF + 16_000
"""ms after the last fault by which all is covered again."""
IN_FLIGHT = 3_500
"""A statement that a connection has not reported so long before the end is one of its last words, ms."""
HARMLESS = ("double", "lag")


class Judge:
    """The truth of a run against its gap lines."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.exempt: Counter[str] = Counter()
        self.gaps = {key: newest_gaps(world, key) for key in world.keys}
        self.missing = {key: self._missing(key) for key in world.keys}

    def problems(self) -> list[str]:
        """Return what is wrong, in words; items of an undetectable class are counted in `exempt`."""
        found: list[str] = []
        for key in self.world.keys:
            found += self._lost(key) + self._without_cause(key) + self._not_resumed(key)
            found += self._without_rows(key)
        return found + self._rows()

    def in_gap(self, key: str, at: int) -> bool:
        return any(start <= at <= end for start, end in self.gaps[key])

    def lost(self, key: str) -> list[Item]:
        """Return the missing items of a key that lie in no gap."""
        return [item for item in self.missing[key] if not self.in_gap(key, item.at)]

    def _missing(self, key: str) -> list[Item]:
        world = self.world
        first = world.first_received.get(key, FOREVER)
        start = first if first <= 10_000 else 0
        return [
            item
            for item in world.items[key] + world.trades[key]
            if start + abs(world.skew) < item.made <= world.ended[key] - 700
            and id(item) not in world.received[key]
        ]

    def _lost(self, key: str) -> list[str]:
        found = []
        for item in self.lost(key):
            if kind := self._undetectable(key, item):
                self.exempt[kind] += 1
            else:
                found.append(f"lost: {key} at {item.at}, gaps {self.gaps[key]}")
        return found

    def _undetectable(self, key: str, item: Item) -> str:
        world = self.world
        if item.trade:
            return "" if world.is_noticed(item) else "trade"
        if self.in_gap(key, item.made) or 1_000 < item.at - item.made <= 5_000:
            return "dated ahead"
        tail = (14_000 if world.proof in ("hash", "none") else 10_000) + 1_500
        if item.made >= world.ended[key] - tail:
            return "tail"
        if world.proof == "none" and self._is_lost_while_open(item.made):
            return "no proof"
        if world.proof == "hash" and self._is_overwritten(key, item):
            return "overwritten"
        shed = [fault for fault in world.faults if fault.kind == "shed"]
        if world.proof == "hash" and any(f.start - 3_000 <= item.made <= f.end + 10_000 for f in shed):
            return "skipped"  # the book that REST gives afterwards holds it
        return ""

    def _is_lost_while_open(self, at: int) -> bool:
        faults = self.world.faults
        closed = any(f.kind == "close" and f.start <= at <= f.start + 6_000 for f in faults)
        return not closed or any(f.kind == "drop" and f.start - 1_000 <= at for f in faults)

    def _is_overwritten(self, key: str, item: Item) -> bool:
        """Return whether the next message that arrived leads to its state without the missing ones, too."""
        items, received = self.world.items[key], self.world.applied[key]
        place = items.index(item)
        earlier = next((n for n in range(place - 1, -1, -1) if id(items[n]) in received), None)
        later = next((each for each in items[place + 1 :] if id(each) in received), None)
        if earlier is None or later is None:
            return False
        if later.is_snapshot:
            return True
        # a REST snapshot may have given any state from the earlier one on
        return any(same({**each.book, **later.change}, later.book) for each in items[earlier:place])

    def _without_cause(self, key: str) -> list[str]:
        world = self.world
        causes = [(f.start, f.end) for f in world.faults if f.kind not in HARMLESS] + world.happened
        found = []
        for start, end in self.gaps[key]:
            if any(start <= item.at <= end for item in self.missing[key]):
                continue
            until = min(end, world.length)
            if until >= world.ended[key] - IN_FLIGHT:
                continue  # what is pending at the end is settled as if its deadline had come
            nexts = [i.made for each in world.keys for i in world.items[each] if i.made > until]
            # what proves the key is sent with the next event of any key
            begun = min(nexts, default=FOREVER) + TOLERANCE
            if not any(start <= b + BACK_OFF + 12_000 and a <= begun for a, b in causes):
                found.append(f"no cause: {key} from {start} to {end}")
        return found

    def _not_resumed(self, key: str) -> list[str]:
        world = self.world
        if any(item.at > item.made + 5_000 for item in world.items[key]):
            return []  # dated ahead: out until its next event
        if world.rates[key] > 60_000 and world.proof != "hash":
            return []
        overs = [_over(f) for f in world.faults] + [end for _, end in world.happened]
        last = max(overs, default=0) + RECOVERY
        return [
            f"not resumed: {key} from {start} to {end}, last fault over at {last - RECOVERY}"
            for start, end in self.gaps[key]
            if min(end, world.length) - max(start, last) > 1_500 and world.ended[key] == world.length
            if not any(item.trade and start <= item.at <= end for item in self.missing[key])
        ]

    def _without_rows(self, key: str) -> list[str]:
        """Return where a key that is proven, and in no gap, has no rows for long."""
        world, without = self.world, 0
        overs = [_over(f) for f in world.faults] + [end for _, end in world.happened]
        last = max(overs, default=0) + RECOVERY
        for name, tick, row in world.rows:
            if name == key and tick > last:
                is_complete = (key, tick) in world.proven and not self.in_gap(key, tick)
                without = without + 1 if row is None and is_complete else 0
                if without > 8:
                    return [f"no rows: {key} until {tick}, gaps {self.gaps[key]}"]
        return []

    def _rows(self) -> list[str]:
        return [
            f"row: {key} at {tick}: {row} is not the state"
            for key, tick, row in self.world.rows
            if row is not None and not self._is_true(key, tick, row.value, is_strong=row.is_strong)
        ]

    def _is_true(self, key: str, tick: int, book: dict[str, int], *, is_strong: bool) -> bool:
        world = self.world
        dated = [item for item in world.items[key] if item.at <= tick]
        made = [item for item in world.items[key] if item.made <= tick]
        true = [max(dated, key=lambda item: item.at)] if dated else []
        ahead = [f for f in world.faults if f.kind == "ahead" and f.start <= tick]
        if ahead and made:
            true.append(made[-1])
        if not true or any(same(item.book, book) for item in true):
            return True
        if any(f.arg <= 15_000 and tick <= f.end + f.arg + 6_000 for f in ahead):
            return True  # by whose clock?
        applied = world.applied[key]
        lost = [item for item in world.items[key] if item.at <= tick and id(item) not in applied]
        if not is_strong:
            return bool(lost) or self.in_gap(key, tick)
        if not lost:
            return False
        return world.proof == "none" or any(self._is_overwritten(key, item) for item in lost[-6:])


def newest_gaps(world: World, key: str) -> list[tuple[int, int]]:
    """Return the gaps of a key by their newest lines, ms, without those that turned out void."""
    newest: dict[str, tuple[int, int]] = {}
    for line in world.lines:
        if key in line.keys:
            start = (line.from_ns - START.wall) // MILLISECOND
            end = FOREVER if line.to_ns is None else -((START.wall - line.to_ns) // MILLISECOND)
            newest[line.id] = start, end
            if line.to_ns == line.from_ns:
                newest[line.id] = 0, -1
    return [(start, end) for start, end in newest.values() if end >= start]


def same(one: dict[str, int], other: dict[str, int]) -> bool:
    """Return whether two books are the same; a level without size is none."""
    return {k: v for k, v in one.items() if v} == {k: v for k, v in other.items() if v}


def _over(fault: Fault) -> int:
    return fault.end + (min(fault.arg, 20_000) if fault.kind in ("ahead", "delay") else 0)


def judged(worlds: Iterable[World]) -> list[str]:
    """Run each world and return all that is wrong."""
    return [problem for world in worlds for problem in Judge(world.run()).problems()]
