"""Bound on the age of a polled state, when a cache may have answered instead of the venue.

Public answers had `Cache-Control: public, max-age=15` (clients' observations, August 2026): polls within 15 s
may get the same cached copy, whose age the header `Age` states.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from marketarchive.times import to_seconds
from marketarchive.venues.kalshi.quotes import AgeSource


class State(Protocol):
    """The state of a market in an answer, such as its quotes; two equal states compare equal."""

    @property
    def ticker(self) -> str: ...


class Freshness:
    """Memory of each market's newest state and when it was first received."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[State, int]] = {}

    def age(self, state: State, at_ns: int, headers: Mapping[str, str]) -> tuple[float, AgeSource]:
        """Return an upper bound of a state's age in seconds, and where the bound comes from.

        state: as in the answer; at_ns: receipt, ns on a clock that never steps; headers: of the answer, names
        in lower case. A cache states the age of its copy in `Age`. Without that header an unchanged state may
        be a copy, so its age is counted from its first receipt.
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
