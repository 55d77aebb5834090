"""Session of one connection to an exchange, for any wire format: what each frame says of each market."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.items import Verdict
from marketarchive.venues.channel import Update
from marketarchive.venues.exchange_books import Applied, ExchangeBooks, MarketBook
from marketarchive.venues.market_messages import (
    BookMessage,
    IndexMessage,
    MarketMessage,
    SubscriptionError,
    TradeMessage,
    WireFormat,
)


class BookTop(msgspec.Struct, frozen=True, gc=False):
    """The best prices of a market after one message."""

    received_at: int  # receipt of the message, ns since the Unix epoch
    seq: int
    best_bid: Decimal | None
    best_ask: Decimal | None
    verdict: Verdict


class ExchangeSession:
    """State of one connection to an exchange: subscriptions and books."""

    def __init__(self, wire: WireFormat) -> None:
        self.books = ExchangeBooks(wire)
        self._wire = wire
        self._keys: set[str] = set()

    # ---- texts to send -------------------------------------------------------------------------------------

    def subscribe(self, keys: Sequence[str], *, is_first: bool) -> list[str]:  # noqa: ARG002  (no difference)
        self._keys.update(keys)
        return self._wire.subscribe(keys)

    def unsubscribe(self, keys: Sequence[str]) -> list[str]:
        self._keys.difference_update(keys)
        self.books.forget_others(self._keys)
        return self._wire.unsubscribe(keys)

    def resync(self, keys: Sequence[str]) -> list[str]:
        self.books.restart(keys)
        return self._wire.resync(keys)

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
        try:
            taken = self.books.apply(payload, now, verify=verify, latest=latest)
        except SubscriptionError as refusal:
            counted = [
                update for each in refusal.taken for update in self._updates(each, now, received_at, seq)
            ]
            return [*counted, *self._refused(refusal, payload, now, seq)]
        return [update for each in taken for update in self._updates(each, now, received_at, seq)]

    def _refused(self, refusal: SubscriptionError, payload: bytes, now: int, seq: int) -> list[Update]:
        """Return what a refusal means for the keys that it concerns; now: its receipt, axis ns."""
        return dropped(self.concerned(payload) or self.markets(), refusal, now, seq)

    def _updates(self, one: Applied, now: int, received_at: int, seq: int) -> Iterator[Update]:
        message = one.message
        if one.is_renewal:
            yield Update("", "renew", now)
        elif message is not None:
            yield self._update(one, message, received_at, seq)
        elif self.books.carries_states(one.sequence):
            at = one.at or now
            before, group = one.before, one.sequence
            yield Update("", "mark", at, one.verdict, base=before, detail=one.detail, group=group)
        # trades are missing, and the frame's number does not tell of which market
        elif one.verdict == "failed":
            for key in self.markets():
                at, group = one.at or now, self.books.sequence_of(key)
                yield Update(key, "trade", at, "failed", base=one.before, detail=one.detail, group=group)

    def markets(self) -> list[str]:
        """Return the subscribed keys that are markets, sorted."""
        return sorted(self._keys)

    def _update(self, one: Applied, message: MarketMessage, received_at: int, seq: int) -> Update:
        sequence = self.books.sequence_of(message.market)
        if isinstance(message, BookMessage):
            return self._of_book(one, message, received_at, seq)
        if isinstance(message, IndexMessage):
            at, state = message.at, message.value
            return Update(
                message.market,
                "snapshot",
                at,
                one.verdict,
                state,
                is_known=one.is_known,
                value=message,
                group=sequence,
            )
        if isinstance(message, TradeMessage):
            # without a book there is nothing for a trade to prove; a missing trade is reported all the same
            says_nothing = message.is_backfill or message.market not in self.books.books
            is_known = one.is_known or (says_nothing and one.verdict != "failed")
            return Update(
                message.market,
                "trade",
                message.at,
                _proof_of(one, message, sequence),
                base=one.before,
                is_known=is_known,
                value=message,
                detail=one.detail,
                group=sequence,
            )
        return Update(message.market, "mark", message.at, one.verdict, value=message, group=sequence)

    def _of_book(self, one: Applied, message: BookMessage, received_at: int, seq: int) -> Update:
        held = self.books.books.get(message.market)
        sequence = self.books.sequence_of(message.market)
        if one.is_confirmed:  # the snapshot changed nothing: it only proves that no message is missing
            return Update(message.market, "mark", message.at, one.verdict, group=sequence)
        return Update(
            message.market,
            "snapshot" if message.is_snapshot else "delta",
            one.at or message.at,
            one.verdict,
            message.state if message.checksum is None else str(message.checksum),
            held.base_at if held is not None else 0,
            one.is_known,
            None if held is None or one.is_known else self.top(held, received_at, seq, one.verdict),
            one.detail,
            # a failure of one market's own numbers says nothing of the numbers that markets share
            group=message.market if message.last is not None or one.verdict == "failed" else sequence,
        )

    def top(self, book: MarketBook, received_at: int, seq: int, verdict: Verdict) -> BookTop:
        """Return the best prices of a book for rows.

        received_at: receipt of its newest message, wall clock, ns; seq: number of that message in the
        archive.
        """
        return BookTop(received_at, seq, book.best_bid, book.best_ask, verdict)

    def concerned(self, payload: bytes) -> Sequence[str] | None:
        named = [key for key in self._keys if re.search(rb'["_]%b\b' % re.escape(key.encode()), payload)]
        return named or None

    # ---- books -----------------------------------------------------------------------------------------

    def load(self, received_at: int, seq: int, snapshot: BookMessage) -> Update | None:
        if not self.books.load(snapshot):
            return None
        held = self.books.books[snapshot.market]
        value = self.top(held, received_at, seq, "unchecked")
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


def dropped(keys: Iterable[str], refusal: ParseError, at: int, seq: int) -> list[Update]:
    """Return the updates of a frame by which the venue refuses or ends subscriptions of `keys`.

    at: the frame's time, ns since the Unix epoch; seq: its number in the archive.
    """
    detail = f"seq {seq}: {refusal}"[:200]
    return [
        *(Update(key, "dropped", at, detail=detail) for key in keys),
        Update("", "damage", at, value=refusal),
    ]


def _proof_of(one: Applied, trade: TradeMessage, sequence: str) -> Verdict:
    """Return what a trade proves about the book of its market.

    Only the number of its frame proves something, not the trade's own number. sequence: the one that numbers
    the market's book; the number of another sequence proves nothing about that book.
    """
    is_of_book = trade.number is None and one.sequence == sequence
    if one.verdict == "failed" or (one.verdict == "ok" and is_of_book):
        return one.verdict
    return "unchecked"
