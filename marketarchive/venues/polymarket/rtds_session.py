"""Session of one connection to RTDS: topics are subscribed, each symbol of a topic is proven by its seconds.

A key is a topic, or `topic:symbol` for a symbol that the topic has sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from marketarchive.times import from_ms
from marketarchive.venues.channel import Update
from marketarchive.venues.polymarket import rtds
from marketarchive.venues.polymarket.rtds import ReferencePoint


def key_of(point: ReferencePoint) -> str:
    """Return the key `topic:symbol` of a point."""
    return f"{point.topic}:{point.symbol}"


def is_topic(key: str) -> bool:
    """Return whether a key is a topic; only topics are subscribed, each by a text of its own."""
    return ":" not in key


class RtdsSession:
    """State of one connection to RTDS: its topics and the symbols seen in them."""

    def subscribe(self, keys: Sequence[str], *, is_first: bool) -> list[str]:  # noqa: ARG002  (no difference)
        """Return the texts to send to subscribe `keys`, one for each topic.

        If a text named several topics, one that no longer exists would silence the others.
        """
        return [rtds.subscribe([key]) for key in keys if is_topic(key)]

    def unsubscribe(self, keys: Sequence[str]) -> list[str]:  # noqa: ARG002  (the venue has no such text)
        return []

    def resync(self, keys: Sequence[str]) -> list[str]:  # noqa: ARG002  (nothing can be requested again)
        return []

    def apply(
        self,
        received_at: int,  # noqa: ARG002  (every message has a time of the venue)
        seq: int,  # noqa: ARG002
        payload: bytes,
        *,
        latest: int,  # noqa: ARG002  (an observation is no base of others)
        verify: bool,  # noqa: ARG002  (there is nothing to verify)
        now: int | None = None,  # noqa: ARG002
    ) -> list[Update]:
        updates: list[Update] = []
        for point in rtds.decode(payload):
            if point.is_backfill:  # a repeated point fills no gap
                continue
            at, observed = from_ms(point.published_ms), from_ms(point.observed_ms)
            updates.append(Update(point.topic, "snapshot", at, observed=observed))
            updates.append(Update(key_of(point), "snapshot", at, value=point, observed=observed))
        return updates

    def concerned(self, payload: bytes) -> Sequence[str] | None:  # noqa: ARG002
        """Return no keys: if a damaged message contained points, their seconds show up as missing."""
        return ()

    def load(self, received_at: int, seq: int, snapshot: Any) -> Update | None:  # noqa: ARG002
        return None

    def drop(self, keys: Iterable[str]) -> None:
        """Do nothing: RTDS has no books."""

    def states(self) -> Iterator[tuple[str, bytes]]:
        return iter(())
