"""Age of the state in an answer, where a cache may stand in between.

Public answers had `Cache-Control: public, max-age=15` (clients' observations, August 2026): a poll within 15
s may get the same copy again, whose age the header `Age` states.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from marketarchive.times import to_seconds
from marketarchive.venues.kalshi.quotes import AgeSource


class State(Protocol):
    """The state of a market as an answer gives it; equal states compare equal."""

    @property
    def ticker(self) -> str: ...


class Freshness:
    """Remembers since when each market's state is as it is."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[State, int]] = {}

    def age(self, state: State, at_ns: int, headers: Mapping[str, str]) -> tuple[float, AgeSource]:
        """Return (greatest age that a state may have, in seconds; source of that bound).

        at_ns: its receipt, on a clock that no step moves. A cache states the age of its copy. Without a
        statement a state that is as it was may be quiet or a copy: it is as old as its first receipt.
        """
        held = self._since.get(state.ticker)
        if held is None or held[0] != state:
            held = self._since[state.ticker] = (state, at_ns)
        stated = headers.get("age", "").strip()
        if stated.isascii() and stated.isdigit():
            return float(stated), "header"
        if held[1] == at_ns:
            return 0.0, "new"
        return to_seconds(at_ns - held[1]), "unchanged"
