"""What connections told of best prices, kept while a row may still ask how they stood at its tick."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import NamedTuple

from marketarchive.items import Verdict


class Top(NamedTuple):
    """Best prices of a token after one message."""

    received_at: int  # wall ns
    seq: int
    changed_ms: int  # of the book, by the venue's clock
    best_bid: Decimal | None
    best_ask: Decimal | None
    verdict: Verdict


class _State(NamedTuple):
    at: int
    order: int  # of the calls
    top: Top | None  # None: not known from `at` on


@dataclass(slots=True)
class _Told:
    """By one connection. Of all that lies between two ticks only the newest is kept."""

    states: dict[str, dict[int, _State]] = field(default_factory=dict)  # by token and number of the next tick
    heard: dict[int, int] = field(
        default_factory=dict
    )  # number of the next tick -> wall ns of the first data
    ended_at: int | None = None


class LiveTops:
    """Asked at ticks (multiples of `step` ns) for what stood there by time of receipt, in whatever order it
    was told. Knows no clock: times are wall ns.
    """

    def __init__(self, step: int) -> None:
        self._step = step
        self._of: dict[str, _Told] = {}  # by connection
        self._lost: dict[str, dict[int, int | None]] = {}  # token -> {from: to}; None = still
        self._orders = count()

    # ---- what is told ----------------------------------------------------------------------------------

    def heard(self, connection: str, at: int) -> None:
        """Data came on `connection`, about whatever: what was sent before has come too."""
        heard, number = self._told(connection).heard, self._number(at)
        heard[number] = min(at, heard.get(number, at))

    def told(self, connection: str, token: str, top: Top) -> None:
        self._set(connection, token, top.received_at, top)

    def blind(self, connection: str, at: int) -> None:
        """From `at` on nothing is known by `connection`, until it is told again token by token."""
        for token in self._told(connection).states:
            self._set(connection, token, at, None)

    def ended(self, connection: str, at: int) -> None:
        self.blind(connection, at)
        self._told(connection).ended_at = at

    def lost(self, token: str, since: int, until: int | None) -> None:
        """A gap was recorded, or its end."""
        self._lost.setdefault(token, {})[since] = until

    # ---- what stood ------------------------------------------------------------------------------------

    def at(self, token: str, tick: int, proof_ns: int) -> Top | None:
        """The newest that came up to `tick`, if no gap covers it, and the connection that told it went on
        to send data within `proof_ns` after it: then nothing sent before `tick` was still to come.
        """
        if any(
            since <= tick and (until is None or tick < until)
            for since, until in self._lost.get(token, {}).items()
        ):
            return None
        found = [
            state.top
            for told in self._of.values()
            if (state := self._state(told, token, tick)) is not None and self._went_on(told, tick, proof_ns)
            if state.top is not None
        ]
        return max(found, key=lambda top: (top.changed_ms, top.received_at), default=None)

    def forget(self, before: int) -> None:
        """No tick before `before` is asked for any more."""
        for connection, told in list(self._of.items()):
            if told.ended_at is not None and told.ended_at < before:
                del self._of[connection]
                continue
            first = self._number(before)
            told.heard = {number: at for number, at in told.heard.items() if number >= first}
            for states in told.states.values():
                if len(states) > 1:
                    keep = max((number for number in states if number <= first), default=first)
                    for number in [number for number in states if number < keep]:
                        del states[number]
        for token, spells in list(self._lost.items()):
            for since in [since for since, until in spells.items() if until is not None and until <= before]:
                del spells[since]
            if not spells:
                del self._lost[token]

    def drop(self, token: str) -> None:
        """`token` is not asked for any more."""
        self._lost.pop(token, None)
        for told in self._of.values():
            told.states.pop(token, None)

    def restart(self, now: int) -> None:
        """The clock was set and shows `now`: what stood last stands since then, gaps that last go on."""
        for told in self._of.values():
            told.heard.clear()
            if told.ended_at is not None:
                told.ended_at = min(told.ended_at, now)
            for token, states in told.states.items():
                newest = max(states.values(), key=lambda state: state.order)
                at = min(newest.at, now)
                told.states[token] = {self._number(at): newest._replace(at=at)}
        self._lost = {
            token: {min([now, *still]): None}
            for token, spells in self._lost.items()
            if (still := [since for since, until in spells.items() if until is None])
        }

    # ---- inside ----------------------------------------------------------------------------------------

    def _told(self, connection: str) -> _Told:
        return self._of.get(connection) or self._of.setdefault(connection, _Told())

    def _number(self, at: int) -> int:
        """Of the first tick at or after `at`."""
        return -(-at // self._step)

    def _set(self, connection: str, token: str, at: int, top: Top | None) -> None:
        states, number = self._told(connection).states.setdefault(token, {}), self._number(at)
        before = states.get(number)
        if before is None or before.at <= at:
            states[number] = _State(at, next(self._orders), top)

    def _state(self, told: _Told, token: str, tick: int) -> _State | None:
        states, wanted = told.states.get(token), tick // self._step
        if not states:
            return None
        number = max((number for number in states if number <= wanted), default=None)
        return None if number is None else states[number]

    def _went_on(self, told: _Told, tick: int, proof_ns: int) -> bool:
        last, first = tick + proof_ns, tick // self._step + 1
        return any(number >= first and at <= last for number, at in told.heard.items())


def newest(tops: Iterable[Top]) -> Top | None:
    """Which came last."""
    return max(tops, key=lambda top: (top.received_at, top.seq), default=None)
