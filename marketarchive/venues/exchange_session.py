"""An exchange's socket as a session, whatever its wire format: what each frame says of each market."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

import msgspec

from marketarchive.items import Verdict
from marketarchive.venues.channel import Update
from marketarchive.venues.exchange_books import ExchangeBooks, Taken
from marketarchive.venues.market_messages import BookMessage, TradeMessage, WireFormat


class BookTop(msgspec.Struct, frozen=True, gc=False):
    """Best prices of a market after one message."""

    received_at: int  # ns since the Unix epoch
    seq: int
    best_bid: Decimal | None
    best_ask: Decimal | None
    verdict: Verdict


class ExchangeSession:
    """The books of one connection."""

    def __init__(self, wire: WireFormat) -> None:
        self.books = ExchangeBooks(wire)
        self._wire = wire
        self._keys: set[str] = set()

    # ---- texts -----------------------------------------------------------------------------------------

    def subscribe(self, keys: Sequence[str], *, is_first: bool) -> list[str]:  # noqa: ARG002  (no difference)
        self._keys.update(keys)
        return self._wire.subscribe(keys)

    def unsubscribe(self, keys: Sequence[str]) -> list[str]:
        self._keys.difference_update(keys)
        return self._wire.unsubscribe(keys)

    def resync(self, keys: Sequence[str]) -> list[str]:
        self.books.restart(keys)
        return self._wire.resync(keys)

    # ---- what comes ------------------------------------------------------------------------------------

    def apply(self, received_at: int, seq: int, payload: bytes, *, latest: int, verify: bool) -> list[Update]:
        taken = self.books.take(payload, received_at, verify=verify, latest=latest)
        return [self._update(each, received_at, seq) for each in taken]

    def _update(self, one: Taken, received_at: int, seq: int) -> Update:
        message = one.message
        if one.is_renewal:
            return Update("", "renew", received_at)
        if message is None:
            return Update("", "mark", one.at or received_at, one.verdict, detail=one.detail)
        if isinstance(message, BookMessage):
            return self._of_book(one, message, received_at, seq)
        if isinstance(message, TradeMessage):
            # where there is no book a trade does not prove one; a missing trade is missing all the same
            says_nothing = message.is_backfill or message.market not in self.books.books
            is_known = one.is_known or (says_nothing and one.verdict != "failed")
            return Update(
                message.market,
                "trade",
                message.at,
                _proof_of(one, message),
                base=one.before,
                is_known=is_known,
                value=message,
                detail=one.detail,
            )
        return Update(message.market, "mark", message.at, one.verdict)

    def _of_book(self, one: Taken, message: BookMessage, received_at: int, seq: int) -> Update:
        held = self.books.books.get(message.market)
        is_whole = held is not None and not one.is_known
        return Update(
            message.market,
            "snapshot" if message.is_snapshot else "delta",
            one.at or message.at,
            one.verdict,
            message.state if message.checksum is None else str(message.checksum),
            held.base_at if held is not None else 0,
            one.is_known,
            BookTop(received_at, seq, held.best_bid, held.best_ask, one.verdict)
            if held is not None and is_whole
            else None,
            one.detail,
            # what fails by itself says nothing of the numbers that markets share
            group=message.market if message.last is not None or one.verdict == "failed" else "",
        )

    def concerned(self, payload: bytes) -> Sequence[str] | None:
        named = [key for key in self._keys if re.search(rb'["_]%b\b' % re.escape(key.encode()), payload)]
        return named or None

    # ---- books -----------------------------------------------------------------------------------------

    def load(self, received_at: int, seq: int, snapshot: BookMessage) -> Update | None:
        if not self.books.load(snapshot):
            return None
        held = self.books.books[snapshot.market]
        value = BookTop(received_at, seq, held.best_bid, held.best_ask, "unchecked")
        return Update(
            snapshot.market,
            "snapshot",
            snapshot.at,
            "unchecked",
            snapshot.state,
            base=snapshot.at,
            value=value,
        )

    def drop(self, keys: Iterable[str]) -> None:
        self.books.drop(keys)

    def states(self) -> Iterator[tuple[str, bytes]]:
        for market, payload in self.books.payloads():
            if market in self._keys:
                yield market, payload


def _proof_of(one: Taken, trade: TradeMessage) -> Verdict:
    """Return what a trade proves of its market: its own number says nothing of the book, a frame's does."""
    if one.verdict == "failed" or (one.verdict == "ok" and trade.number is None):
        return one.verdict
    return "unchecked"
