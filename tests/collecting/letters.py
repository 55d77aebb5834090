"""A channel without proof: keys are letters, a message is the letters that have sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from marketarchive.collecting.arguments import DURATION
from marketarchive.collecting.streams.stream import StreamSpider
from marketarchive.exceptions import ParseError
from marketarchive.venues.channel import Channel, Update
from marketarchive.venues.polymarket.sockets import MARKET_CHANNEL


class LetterSession:
    """Knows no books."""

    def subscribe(self, keys: Sequence[str], *, is_first: bool) -> list[str]:
        return ["".join(sorted(keys))]

    def unsubscribe(self, keys: Sequence[str]) -> list[str]:
        return []

    def resync(self, keys: Sequence[str]) -> list[str]:
        return []

    def apply(self, received_at: int, seq: int, payload: bytes, **_: Any) -> list[Update]:
        if payload == b"?":
            raise ParseError("Letter", "no letter")
        return [Update(letter, "snapshot", received_at, value=letter) for letter in payload.decode()]

    def concerned(self, payload: bytes) -> Sequence[str] | None:
        return None

    def load(self, received_at: int, seq: int, snapshot: Any) -> Update | None:
        return None

    def drop(self, keys: Iterable[str]) -> None:
        pass

    def states(self) -> Iterator[tuple[str, bytes]]:
        return iter(())


class Letters(StreamSpider):
    """Its peer is `url`."""

    name = "letters"
    venue = "polymarket"
    feed = "stream"
    feeds = ("stream",)
    accepts = (DURATION,)
    channel = Channel(MARKET_CHANNEL, "none", "topic", 10, expects_pong=False)
    url = ""

    @property
    def socket_url(self) -> str:
        return self.url

    def new_session(self) -> LetterSession:
        return LetterSession()
