"""Completeness by hand: single messages at given times, ms after the start; connections open at once."""

from __future__ import annotations

import itertools
from typing import Any

from marketarchive.clock import Instant
from marketarchive.collecting.reconnect import ReconnectPolicy
from marketarchive.collecting.streams import completeness as real
from marketarchive.collecting.streams import effects as fx
from marketarchive.collecting.streams.axis import Outage
from marketarchive.items import Verdict
from marketarchive.times import MILLISECOND
from marketarchive.venues.channel import Channel, Proof, Statement, Update
from tests.collecting.completeness.venue_model import ENDPOINT, START, ns

DISCONNECT = Outage("disconnect", "venue", "1006")


class Script:
    """Two keys, `k0` and `k1`, on connections `c1`, `c2`, ...; REST answers only what the script says."""

    def __init__(
        self,
        proof: Proof,
        module: Any = real,
        *,
        snapshots: bool = True,
        renew_s: float | None = None,
        resyncs: bool | None = None,
    ) -> None:
        """snapshots: the first connection brings both keys' snapshots, dated 0. resyncs: snapshots can be
        requested on the connection, and REST has none; by default so on a numbered channel.
        """
        resyncs = proof == "sequence" if resyncs is None else resyncs
        channel = Channel(
            ENDPOINT,
            proof,
            "key",
            2,
            has_statements=proof in ("hash", "none") and not resyncs,
            has_resync=resyncs,
            renew_s=renew_s,
        )
        names, ids = itertools.count(1), itertools.count(1)
        self._proof = proof
        self.now = 0
        self.lines: list[fx.WriteGap] = []
        self.connections: list[str] = []  # that are open, oldest first
        self._effects: list[fx.Effect] = []
        self.live = module.Completeness(
            channel,
            ReconnectPolicy(lambda: 0.0),
            Instant(ns(0), START.mono),
            new_gap_id=lambda: f"g{next(ids)}",
            new_connection=lambda: f"c{next(names)}",
            random=lambda: 0.0,
        )
        self.live.subscribe(["k0", "k1"], self.mono)
        self._carry_out()
        if snapshots:
            self.snapshot("k0", 0, "first")
            self.snapshot("k1", 0, "first")

    @property
    def mono(self) -> int:
        return START.mono + self.now * MILLISECOND

    def run(self, until: int, *, chatter: str | None = None, confirmed: str | None = None) -> None:
        """Tick to `until`; chatter: a key with a message each second, confirmed: one that REST confirms."""
        while self.now < until:
            self.now = min(until, self.now + 100)
            if self.now % 1_000 == 0:
                if chatter is not None:
                    self.delta(chatter, self.now, f"s{self.now}")
                if confirmed is not None:
                    self.stated(confirmed, 0, "first")
            self.live.tick(self.mono)
            self._carry_out()

    def stop(self, *, after: int = 0) -> None:
        self.now += after
        self.live.stop(self.mono)
        self._carry_out()

    def closed(self, connection: str) -> None:
        """Let the venue close a connection, with code 1006."""
        self.connections.remove(connection)
        self.live.closed(connection, DISCONNECT, self.mono)

    def apply(self, update: Update, connection: str = "c1") -> None:
        self.live.apply(connection, self.mono, [update])
        self._carry_out()

    def snapshot(self, key: str, at: int, state: str, connection: str = "c1") -> None:
        self.now = max(self.now, min(at, self.now + 1_000))
        verdict: Verdict = "not_available" if self._proof in ("none", "cadence") else "ok"
        self.apply(
            Update(key, "snapshot", ns(at), verdict, self._named(state), ns(at), value=state), connection
        )

    def delta(
        self,
        key: str,
        at: int,
        state: str,
        *,
        integrity: Verdict = "ok",
        base: int = 0,
        is_known: bool = False,
        connection: str = "c1",
    ) -> None:
        self.now = max(self.now, at)
        update = Update(key, "delta", ns(at), integrity, self._named(state), ns(base), is_known, state)
        self.apply(update, connection)

    def stated(self, key: str, at: int, state: str, *, age: int = 0) -> None:
        """Give a state over REST, requested `age` ms ago."""
        self.live.stated([Statement(key, ns(at), state)], self.mono - age * MILLISECOND, self.mono)
        self._carry_out()

    def loaded(
        self, key: str, at: int, state: str, *, integrity: Verdict, base: int, connection: str = "c1"
    ) -> None:
        self.now = max(self.now, at)
        update = Update(key, "snapshot", ns(at), integrity, state, ns(base), value=state)
        self.live.loaded(connection, update, self.mono)
        self._carry_out()

    def gaps(self, key: str) -> list[tuple[int, int | None]]:
        """Return the gaps of a key by their newest lines, without void ones."""
        newest = {line.id: (line.from_ns, line.to_ns) for line in self.lines if key in line.keys}
        return [(ms(a), None if b is None else ms(b)) for a, b in newest.values() if a != b]

    def watermark(self, key: str) -> int:
        return ms(self.live.watermark(key))

    @property
    def requested(self) -> list[fx.RequestResync]:
        """Return the requests for new snapshots on a connection."""
        return [effect for effect in self._effects if isinstance(effect, fx.RequestResync)]

    def did(self, kind: type[Any]) -> int:
        """Return how many effects of a kind there were."""
        return sum(isinstance(effect, kind) for effect in self._effects)

    def _named(self, state: str) -> str:
        return "" if self._proof in ("sequence", "cadence") else state

    def _carry_out(self) -> None:
        for effect in self.live.effects():
            self._effects.append(effect)
            if isinstance(effect, fx.WriteGap):
                self.lines.append(effect)
            elif isinstance(effect, fx.OpenConnection):
                self.connections.append(effect.connection)
                self.live.connected(effect.connection, self.mono)
                self._carry_out()
            elif isinstance(effect, fx.CloseConnection):
                self.connections.remove(effect.connection)


def ms(at: int) -> int:
    return (at - START.wall) // MILLISECOND
