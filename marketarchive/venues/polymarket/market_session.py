"""Session of one connection to Polymarket's market channel: what each frame says of each token."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

import msgspec

from marketarchive.items import Verdict
from marketarchive.times import from_ms, to_ms
from marketarchive.venues.channel import Update
from marketarchive.venues.polymarket import market_channel
from marketarchive.venues.polymarket.clob import ClobBook
from marketarchive.venues.polymarket.live_books import AppliedEvent, ChannelBooks
from marketarchive.venues.polymarket.market_channel import (
    BookEvent,
    Event,
    MarketResolved,
    PriceChanges,
    UnreadableEvent,
)

_NAMED = re.compile(rb'"(?:asset_id|market)" ?: ?"([^"]+)')


class Top(msgspec.Struct, frozen=True, gc=False):
    """The best prices of a token after one message."""

    received_at: int  # receipt of the message, ns since the Unix epoch
    seq: int
    changed_ms: int  # venue's time of the book's last change, ms
    best_bid: Decimal | None
    best_ask: Decimal | None
    verdict: Verdict


class MarketSession:
    """State of one connection to the market channel: subscriptions and books."""

    def __init__(self) -> None:
        self.books = ChannelBooks()
        self._market_of: dict[str, str] = {}  # token -> condition id, as frames state it
        self._keys: set[str] = set()

    # ---- texts to send -------------------------------------------------------------------------------------

    def subscribe(self, keys: Sequence[str], *, is_first: bool) -> list[str]:
        self._keys.update(keys)
        return [market_channel.subscribe(keys) if is_first else market_channel.subscribe_more(keys)]

    def unsubscribe(self, keys: Sequence[str]) -> list[str]:
        self._keys.difference_update(keys)
        return [market_channel.unsubscribe(keys)] if keys else []

    def resync(self, keys: Sequence[str]) -> list[str]:  # noqa: ARG002  (the channel has no such request)
        return []

    # ---- received frames -----------------------------------------------------------------------------------

    def apply(
        self,
        received_at: int,
        seq: int,
        payload: bytes,
        *,
        latest: int,
        verify: bool,
        now: int | None = None,
    ) -> list[Update]:
        now = received_at if now is None else now
        updates: list[Update] = []
        for one in self.books.apply(payload, verify=verify, latest_ms=to_ms(latest)):
            event, token = one.event, one.token
            if token is None:
                updates += self._of_none(now, event)
            elif token not in self._keys:
                continue
            elif isinstance(event, PriceChanges):
                updates.append(self._of_change(received_at, seq, one, event, token))
            elif isinstance(event, BookEvent):
                updates.append(self._of_snapshot(received_at, seq, one, event, token))
            else:
                at = from_ms(getattr(event, "timestamp_ms", 0)) or now
                updates.append(Update(token, "mark", at))
        return updates

    def _of_none(self, now: int, event: Event) -> list[Update]:
        """Return what an event that is not about one token says of the subscribed tokens.

        now: receipt, axis ns.
        """
        if isinstance(event, UnreadableEvent):
            return [Update("", "damage", now, value=event.error)]
        if isinstance(event, MarketResolved):  # sent to every connection, whatever it subscribed to
            at = from_ms(event.timestamp_ms)
            return [Update(token, "end", at) for token in self._keys.intersection(event.assets_ids)]
        return []

    def _of_change(
        self, received_at: int, seq: int, one: AppliedEvent, event: PriceChanges, token: str
    ) -> Update:
        ms = event.timestamp_ms
        at, verdict, state = from_ms(ms), one.verdict, event.price_changes[one.position - 1].hash
        held = self.books.books.get(token)
        if held is None:
            return Update(token, "delta", at, verdict, state)
        base_ms = held.base_ms
        if one.is_stale:
            return Update(token, "delta", at, "unchecked", state, is_known=ms >= base_ms)
        value = Top(received_at, seq, held.timestamp_ms, held.best_bid, held.best_ask, verdict)
        detail = f"the hash {state} of a delta does not match" if verdict == "failed" else ""
        return Update(token, "delta", at, verdict, state, from_ms(base_ms), False, value, detail)

    def _of_snapshot(
        self, received_at: int, seq: int, one: AppliedEvent, event: BookEvent, token: str
    ) -> Update:
        book = event.book
        at, verdict, state = from_ms(book.timestamp_ms), one.verdict, book.hash
        self._market_of[token] = book.market
        held = self.books.books.get(token)
        if one.is_stale:
            return Update(token, "mark", at)
        if held is None:
            return Update(token, "snapshot", at, verdict, state, detail="dated ahead")
        # the book is later than the snapshot if deltas had been received before it
        if one.reached is not None:
            at, state = from_ms(one.reached[0]), one.reached[1]
        value = Top(received_at, seq, held.timestamp_ms, held.best_bid, held.best_ask, verdict)
        detail = f"the hash {state} of a snapshot does not match" if verdict == "failed" else ""
        return Update(token, "snapshot", at, verdict, state, from_ms(held.base_ms), False, value, detail)

    def concerned(self, payload: bytes) -> Sequence[str] | None:
        named = tuple({match.decode("utf-8", "replace") for match in _NAMED.findall(payload)})
        if not named:
            return None
        market_of = self._market_of
        return [
            token
            for token in self._keys
            if token.startswith(named) or market_of.get(token, "").startswith(named)
        ]

    # ---- books -----------------------------------------------------------------------------------------

    def load(self, received_at: int, seq: int, snapshot: ClobBook) -> Update | None:
        verdict = self.books.load_snapshot(snapshot)
        held = self.books.books.get(snapshot.token)
        if held is None or verdict == "not_available":
            return None
        is_proven = verdict == "ok" and held.timestamp_ms > snapshot.timestamp_ms
        integrity: Verdict = verdict if is_proven or verdict == "failed" else "unchecked"
        at = from_ms(held.timestamp_ms)
        value = Top(received_at, seq, held.timestamp_ms, held.best_bid, held.best_ask, verdict)
        base = from_ms(snapshot.timestamp_ms)
        return Update(snapshot.token, "snapshot", at, integrity, held.hash, base=base, value=value)

    def drop(self, keys: Iterable[str]) -> None:
        self.books.drop(keys)

    def states(self) -> Iterator[tuple[str, bytes]]:
        for token, book in self.books.books.items():
            if token in self._keys:
                yield token, book.payload()
