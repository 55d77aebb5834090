"""A spot exchange's side of a connection: its subscriptions, and the frames that follow from them.

Subclasses write the frames in a venue's format; numbering and times are the same for all venues.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from marketarchive.simulator.sockets import Frame, SocketReply
from marketarchive.simulator.spot_world import SpotWorld, Step
from marketarchive.times import SECOND, from_iso, iso

_ISO = re.compile(rb'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)"')


class SpotSession:
    """Base class of a spot exchange's side of one connection.

    A subclass implements `received` and `frames`, and `beats` if its venue sends heartbeats.
    """

    name = ""

    def __init__(self, world: SpotWorld, now_ns: int) -> None:
        self.world = world
        self.channels: dict[tuple[str, str], int] = {}  # (channel, symbol) -> time of the subscription, ns
        self.opened_ns = now_ns
        self._places: dict[str, int] = {}
        self._numbers: list[tuple[int, int]] = []  # (ns, number) of recently numbered frames

    # ---- the venue's format --------------------------------------------------------------------------------

    def received(self, text: str, now_ns: int) -> SocketReply:
        """Apply a text of the client, and return its result. now_ns: simulated wall clock, ns."""
        raise NotImplementedError

    def frames(self, symbol: str, step: Step) -> Iterable[tuple[str, Frame]]:
        """Return the frames of a market's step, each with its channel, as if all channels were subscribed."""
        raise NotImplementedError

    def beats(self, second: int) -> Iterable[Frame]:  # noqa: ARG002
        """Return frames without a market, such as heartbeats, due from Unix second `second` to the next."""
        return ()

    def numbered(self, frame: Frame, number: int) -> Frame:  # noqa: ARG002
        """Return `frame` with its consecutive `number` on the connection, if the venue numbers frames."""
        return frame

    def later(self, payload: bytes, ns: int) -> bytes:
        """Return a payload with its times moved by `ns`; by default all times in ISO format are moved."""
        return _ISO.sub(lambda found: b'"%b"' % _moved(found[1], ns), payload)

    # ---- common to all venues ------------------------------------------------------------------------------

    def subscribe(self, channel: str, symbol: str, now_ns: int) -> None:
        self.channels[channel, symbol] = now_ns
        self._places.setdefault(symbol, len(self._places))

    def unsubscribe(self, channel: str, symbol: str) -> None:
        self.channels.pop((channel, symbol), None)

    def due(self, from_ns: int, to_ns: int) -> list[Frame]:
        found: list[Frame] = []
        symbols = dict.fromkeys(symbol for _, symbol in self.channels)
        for second in range(from_ns // SECOND, -(-to_ns // SECOND)):
            for symbol in symbols:
                for step in self.world.steps(symbol, second):
                    if from_ns < step.ns <= to_ns:
                        found += [
                            frame
                            for channel, frame in self.frames(symbol, step)
                            if (channel, symbol) in self.channels
                        ]
            found += [frame for frame in self.beats(second) if from_ns < frame.ns <= to_ns]
        found.sort(key=lambda frame: frame.ns)
        return self.counted(found, from_ns)

    def counted(self, frames: Sequence[Frame], now_ns: int) -> list[Frame]:
        """Return `frames` with consecutive numbers after those sent by `now_ns`.

        Numbers given to frames that were queued for later are taken back, because these frames are queued
        anew.
        """
        while self._numbers and self._numbers[-1][0] > now_ns:
            self._numbers.pop()
        number = self._numbers[-1][1] + 1 if self._numbers else 0
        self._numbers = self._numbers[-1:]
        found = []
        for each in frames:
            found.append(self.numbered(each, number))
            self._numbers.append((max(each.ns, now_ns), number))
            number += 1
        return found

    def end(self, now_ns: int) -> tuple[int, str] | None:
        del now_ns
        return None

    def is_deaf(self, now_ns: int) -> bool:
        del now_ns
        return False

    def dated_ahead(self, frame: Frame, ns: int) -> bytes:
        return self.later(frame.payload, ns)

    def place(self, market: str) -> int | None:
        return self._places.get(market)


def _moved(stamp: bytes, ns: int) -> bytes:
    return iso(from_iso(stamp.decode()) + ns).encode()
