"""A recording of an exchange's socket, made of what its simulated session sends, without any socket."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marketarchive.items import BookState, Connection, Frames, Gap
from marketarchive.scope import Scope
from marketarchive.simulator.sockets import SimSession
from marketarchive.times import SECOND
from marketarchive.venues.market_messages import WireFormat
from tests.archive.writing import NOON, HandClock, writer

DELAY = 20_000_000
"""From the exchange to us, ns."""


@dataclass
class ExchangeDay:
    """Lines of one run of a venue's feed; seconds are counted from noon."""

    venue: str
    wire: WireFormat
    connect: Callable[[int], SimSession]
    items: list[Any] = field(default_factory=list)
    sessions: dict[str, SimSession] = field(default_factory=dict)
    seq: int = 0
    feed: str = "spot"

    def _next(self) -> int:
        self.seq += 1
        return self.seq

    def open(self, name: str, markets: Sequence[str], at: float) -> None:
        now = NOON + int(at * SECOND)
        session = self.sessions[name] = self.connect(now)
        self.line(name, "opened", now, markets)
        for text in self.wire.subscribe(markets):
            for frame in session.received(text, now).frames:
                self.frame(name, frame.payload, frame.ns)

    def send(self, name: str, start: float, end: float, *, lost: int | None = None) -> None:
        """Send what is due of a connection; `lost`: the place of a frame with a book that is not archived."""
        books = 0
        for frame in self.sessions[name].due(NOON + int(start * SECOND), NOON + int(end * SECOND)):
            books += frame.kind == "book"
            if frame.kind != "book" or books != lost:
                self.frame(name, frame.payload, frame.ns)

    def frame(self, name: str, payload: bytes, ns: int) -> None:
        self.items.append(Frames(self.venue, self.feed, name, ((ns + DELAY, self._next(), payload),)))

    def close(self, name: str, at: float) -> None:
        self.line(name, "closed", NOON + int(at * SECOND), None)

    def state(self, name: str, market: str, payload: bytes, at: float) -> None:
        now = NOON + int(at * SECOND)
        self.items.append(BookState(self.venue, self.feed, now, name, market, self.seq, payload))

    def gap(self, start: float, end: float, markets: Sequence[str]) -> None:
        first, last = NOON + int(start * SECOND), NOON + int(end * SECOND)
        scope = Scope(self.venue, self.feed, tuple(markets), kind="market")
        self.items.append(
            Gap(self.venue, self.feed, last, self._next(), first, last, scope, "sequence", "unknown")
        )

    def line(self, name: str, event: Any, now: int, markets: Sequence[str] | None) -> None:
        keys = None if markets is None else tuple(markets)
        url = "wss://exchange.example"
        self.items.append(
            Connection(
                self.venue, self.feed, now, self._next(), name, event, url, keys=keys, subscribe=("{}",)
            )
        )

    def write(self, root: Path) -> str:
        """Write it with the real writer; return the run's id."""
        with writer(root, HandClock()) as made:
            run = made.open_run(f"{self.venue}_{self.feed}", self.venue, [self.feed], {}, {})
            for item in self.items:
                if not isinstance(item, BookState):
                    run.next_seq(self.venue, self.feed)
                run.write(item)
            run.close("finished", {}).result()
        return run.run
