"""The exchange's side of a connection: what was subscribed, and the frames that follow from it.

A venue says how its frames look; numbers and times are the same for all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from marketarchive.simulator.sockets import Frame, SocketReply
from marketarchive.simulator.spot_world import SpotWorld, Step
from marketarchive.times import SECOND, from_iso, iso

_ISO = re.compile(rb'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)"')


class SpotSession:
    """Subclass it: `received` and `frames`, and `beats` where the venue sends some."""

    name = ""

    def __init__(self, world: SpotWorld, now_ns: int) -> None:
        self.world = world
        self.channels: dict[tuple[str, str], int] = {}  # (channel, symbol) -> since when, ns
        self.opened_ns = now_ns
        self._places: dict[str, int] = {}
        self._numbers: list[tuple[int, int]] = []  # (ns, number) of the frames that were given lately

    # ---- what a venue writes -----------------------------------------------------------------------------

    def received(self, text: str, now_ns: int) -> SocketReply:
        """Take a text of the client."""
        raise NotImplementedError

    def frames(self, symbol: str, step: Step) -> Iterable[tuple[str, Frame]]:
        """Return the frames of a step, each with its channel, as if all channels were subscribed."""
        raise NotImplementedError

    def beats(self, second: int) -> Iterable[Frame]:  # noqa: ARG002
        """Return the frames that concern no market, such as heartbeats, from `second` to the next one."""
        return ()

    def numbered(self, frame: Frame, number: int) -> Frame:  # noqa: ARG002
        """Return `frame` with its `number` on this connection, where the venue numbers its frames."""
        return frame

    def later(self, payload: bytes, ns: int) -> bytes:
        """Return a payload with its times moved; by default those in ISO form."""
        return _ISO.sub(lambda found: b'"%b"' % _moved(found[1], ns), payload)

    # ---- what is the same --------------------------------------------------------------------------------

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
        """Return `frames` with the numbers that follow those sent by `now_ns`.

        Frames queued for later are dropped.
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
