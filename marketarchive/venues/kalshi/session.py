"""Session of one connection to Kalshi: ids of its subscriptions, and what its frames say of each key.

The lifecycle of markets is a key of its own, which may be quiet for minutes. Its own consecutive numbers
prove it. Since the newest of them it is also proven by the order of the connection: by verified frames of
other subscriptions, or, when all are quiet, by a requested list of the subscriptions. That holds while no
loss is known on the connection. A silence, or missing frames of any subscription, withdraw it: from the last
good frame before them, or the newest lifecycle frame, whichever is later, nothing is proven until the next
lifecycle frame shows by its number whether any is missing. Where none came before it on the connection, it
cannot show that, and the time is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.items import Verdict
from marketarchive.times import SECOND, from_seconds
from marketarchive.venues.book import BookSide
from marketarchive.venues.channel import Update
from marketarchive.venues.exchange_books import Applied, MarketBook, level_of
from marketarchive.venues.exchange_session import BookTop, ExchangeSession, dropped
from marketarchive.venues.kalshi import socket
from marketarchive.venues.kalshi.lifecycle import LIFECYCLE
from marketarchive.venues.kalshi.socket import (
    BOOK,
    CHANNEL,
    FINAL,
    INDEX,
    OF_MARKETS,
    TERMINAL,
    WIRE,
    RefusedError,
    SubscriptionReply,
)
from marketarchive.venues.market_messages import MarketEvent, SubscriptionError

_PATIENCE = from_seconds(CHANNEL.patience_s)


class KalshiTop(BookTop, frozen=True, gc=False):
    """The best prices of YES with their sizes; None for an empty side."""

    bid_size: Decimal | None = None
    ask_size: Decimal | None = None


class KalshiSession(ExchangeSession):
    """State of one connection to Kalshi.

    Its keys are tickers of markets, indices in the form of `socket.key_of_index`, and `LIFECYCLE`.
    """

    def __init__(self) -> None:
        super().__init__(WIRE)
        self._sids: dict[str, int] = {}  # channel -> id of its subscription
        self._command = 0  # id of the newest command
        self._ordered_at = 0  # time (ns) of the newest frame by whose order the lifecycle was proven
        self._begun_at = 0  # time (ns) at which the subscription of the lifecycle began
        self._event_at = 0  # time (ns) of the newest lifecycle frame; 0: none came
        # time (ns) since which lifecycle frames may be missing; None: the order of the connection proves them
        self._unproven_from: int | None = None
        self._newest_at = 0  # newest time (ns) that the venue stated
        self._taken_at = 0  # axis time (ns) of the newest frame
        self._keys_of: dict[int, list[str]] = {}  # id of a command that subscribes -> the keys it subscribes

    # ---- texts to send -------------------------------------------------------------------------------------

    def subscribe(self, keys: Sequence[str], *, is_first: bool) -> list[str]:  # noqa: ARG002  (no difference)
        self._keys.update(keys)
        texts = socket.subscribe(keys, self._command + 1)
        for part in socket.by_channels(keys):
            self._keys_of[self._next()] = part
        return texts

    def unsubscribe(self, keys: Sequence[str]) -> list[str]:
        self._keys.difference_update(keys)
        self.books.forget_others(self._keys)
        kept = ((command, [key for key in of if key in self._keys]) for command, of in self._keys_of.items())
        self._keys_of = {command: of for command, of in kept if of}
        markets, indices = socket.markets_of(keys), socket.indices_of(keys)
        sids = [self._sids[channel] for channel in OF_MARKETS if channel in self._sids]
        texts = [socket.delete_markets(sid, markets, self._next()) for sid in sids if markets]
        if indices and INDEX in self._sids:
            texts.append(socket.delete_indices(self._sids[INDEX], indices, self._next()))
        if LIFECYCLE in keys and (sid := self._sids.pop(LIFECYCLE, None)) is not None:
            texts.append(socket.unsubscribe(sid, self._next()))
        return texts

    def resync(self, keys: Sequence[str]) -> list[str]:
        """Return the texts to send to request books anew, and a list of subscriptions to prove the lifecycle.

        The books held stay in use, and subscriptions continue.
        """
        texts = []
        markets = socket.markets_of(keys)
        if markets and BOOK in self._sids:
            texts.append(socket.get_snapshot(self._sids[BOOK], markets, self._next()))
        if LIFECYCLE in keys and LIFECYCLE in self._sids:
            texts.append(socket.list_subscriptions(self._next()))
        return texts

    def markets(self) -> list[str]:
        return socket.markets_of(super().markets())

    def _next(self) -> int:
        self._command += 1
        return self._command

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
        reply = socket.subscription_reply(payload)
        first = [] if reply is None else self._begin(reply, now)
        updates = super().apply(received_at, seq, payload, latest=latest, verify=verify, now=now)
        newest = max((update.at for update in updates if update.at <= latest), default=0)
        if LIFECYCLE in self._keys:
            updates = self._judge_order(updates, now)
            if self._unproven_from is None and LIFECYCLE in self._sids:
                updates += self._ordered(updates, latest)
        self._taken_at, self._newest_at = now, max(self._newest_at, newest)
        return updates if reply is None else [*updates, *first, *self._stands(reply, seq, now)]

    # ---- subscriptions -------------------------------------------------------------------------------------

    def _begin(self, reply: SubscriptionReply, now: int) -> list[Update]:
        """Note the subscriptions that a reply names; return the first proof of a new one to the lifecycle."""
        new = {each.channel for each in reply.named if each.channel not in self._sids}
        self._sids.update((each.channel, each.sid) for each in reply.named)
        if LIFECYCLE not in new or LIFECYCLE not in self._keys:
            return []
        self._begun_at, self._event_at, self._unproven_from = reply.at or now, 0, None
        return [Update(LIFECYCLE, "snapshot", self._begun_at, "ok", group=self._lifecycle)]

    def _stands(self, reply: SubscriptionReply, seq: int, now: int) -> list[Update]:
        """Return what a reply says of subscriptions that began before it.

        Those that have ended unasked are dropped. A list proves the lifecycle up to when it was sent; where
        that is not stated, up to the newest message before it, and to its request.
        """
        sids = {each.sid for each in reply.named}
        gone = [
            channel
            for channel, sid in self._sids.items()
            if sid == reply.ended or (reply.is_list and sid not in sids)
        ]
        for channel in gone:
            del self._sids[channel]
        keys = dict.fromkeys(key for channel in gone for key in self._keys_on(channel))
        if keys:
            detail, at = f"seq {seq}: the venue has ended {', '.join(gone)}", reply.at or now
            return [Update("", "renew", at), *(Update(key, "dropped", at, detail=detail) for key in keys)]
        is_proof = reply.is_list and LIFECYCLE in self._sids and LIFECYCLE in self._keys
        if not is_proof or self._unproven_from is not None:
            return []
        # subscriptions are not ordered among themselves to the second
        at = max(self._begun_at, (reply.at or self._newest_at) - SECOND)
        return [Update(LIFECYCLE, "snapshot", at, "ok", group=self._lifecycle)]

    # ---- lifecycle -----------------------------------------------------------------------------------------

    def _judge_order(self, updates: list[Update], now: int) -> list[Update]:
        """Return the updates of a frame with what follows from them for the lifecycle."""
        if self._taken_at > 0 and now - self._taken_at > _PATIENCE:
            self._withdraw(self._newest_at)
        own = [
            each for each in updates if each.key == LIFECYCLE and each.kind == "trade" and not each.is_known
        ]
        if own:
            return [*self._judge_own(own), *(each for each in updates if each not in own)]
        lost = [update for update in updates if update.integrity == "failed"]
        if not lost:
            return updates
        start = self._withdraw(min(update.base for update in lost))
        if start >= now:
            return updates
        return [*updates, self._lost(start, now, lost[0].detail)]

    def _withdraw(self, before: int) -> int:
        """Let the order of the connection prove nothing after `before` (ns), of the last good frame.

        Returns the time since which lifecycle frames may be missing.
        """
        start = max(self._event_at or self._begun_at, before - SECOND)
        if self._unproven_from is not None:
            start = min(start, self._unproven_from)
        self._unproven_from = start
        return start

    def _judge_own(self, updates: list[Update]) -> list[Update]:
        """Return the updates of a lifecycle frame, whose number shows what is missing since the one before.

        The first of a connection shows nothing: after a loss the time before it is lost.
        """
        event = updates[-1]
        if event.integrity == "not_available":
            return updates
        if self._event_at and len(updates) == 1 and event.integrity == "ok":
            updates = [msgspec.structs.replace(event, base=self._event_at)]
        elif not self._event_at and self._unproven_from is not None and self._unproven_from < event.at:
            detail = "frames are missing, and none came before to count from"
            updates = [self._lost(self._unproven_from, event.at, detail), *updates]
        self._event_at, self._unproven_from = event.at, None
        return updates

    def _lost(self, start: int, end: int, detail: str) -> Update:
        return Update(LIFECYCLE, "trade", end, "failed", base=start, detail=detail, group=self._lifecycle)

    def _ordered(self, updates: Sequence[Update], latest: int) -> list[Update]:
        """Return a proof of the lifecycle by verified updates of other keys; empty when none is due.

        At most one a second is made.
        """
        for update in updates:
            is_good = update.integrity == "ok" and update.key != LIFECYCLE
            if is_good and self._ordered_at + SECOND <= update.at <= latest:
                self._ordered_at = update.at
                return [Update("", "mark", update.at, "ok", group=self._lifecycle)]
        return []

    @property
    def _lifecycle(self) -> str:
        """Return the name of the sequence that numbers the lifecycle frames; "" before the subscription."""
        return str(self._sids.get(LIFECYCLE, ""))

    def _updates(self, one: Applied, now: int, received_at: int, seq: int) -> Iterator[Update]:
        """Yield what one applied message says of each key.

        A lifecycle event belongs to the key `LIFECYCLE`, whatever market it is about.
        """
        event = one.message
        if isinstance(event, MarketEvent):
            known, group = one.is_known, self._lifecycle
            yield Update(LIFECYCLE, "trade", event.at, one.verdict, is_known=known, value=event, group=group)
        elif event is None and one.verdict == "failed" and one.sequence == self._lifecycle:
            at = one.at or now
            yield Update(
                LIFECYCLE, "trade", at, "failed", base=one.before, detail=one.detail, group=one.sequence
            )
        else:
            yield from super()._updates(one, now, received_at, seq)

    def _refused(self, refusal: SubscriptionError, payload: bytes, now: int, seq: int) -> list[Update]:
        """Return what an error frame means for the keys whose subscription it refuses or ends.

        Indices and the lifecycle end where the refusal is final. All others are dropped: their gap stays
        open until another connection has them.
        """
        if not isinstance(refusal, RefusedError):
            return super()._refused(refusal, payload, now, seq)
        keys = self._concerned_by(refusal)
        if refusal.code in FINAL and keys and not socket.markets_of(keys):
            return [Update(key, "end", refusal.at, detail=str(refusal)) for key in keys]
        updates = dropped(keys, refusal, refusal.at, seq)
        return [Update("", "renew", refusal.at), *updates] if refusal.code in TERMINAL else updates

    def _concerned_by(self, refusal: RefusedError) -> list[str]:
        """Return the keys whose subscription is refused or ended.

        A refused command that subscribes nothing concerns no key. A market lacks messages without any of its
        channels.
        """
        if refusal.code not in TERMINAL and refusal.command is not None:
            return self._keys_of.get(refusal.command, [])
        channel = next((name for name, sid in self._sids.items() if sid == refusal.sid), None)
        return sorted(self._keys) if channel is None else self._keys_on(channel)

    def _keys_on(self, channel: str) -> list[str]:
        keys = sorted(self._keys)
        of = {INDEX: [key for key in keys if socket.indices_of([key])], LIFECYCLE: [LIFECYCLE]}
        return [key for key in of.get(channel, socket.markets_of(keys)) if key in self._keys]

    def concerned(self, payload: bytes) -> Sequence[str] | None:
        """Return the keys that a damaged frame, a refused command or an ended subscription concerns.

        None: all of the connection.
        """
        try:
            WIRE.decode(payload, 0)
        except RefusedError as refusal:
            return self._concerned_by(refusal)
        except ParseError:
            pass
        if f'"{LIFECYCLE}"'.encode() in payload:
            return [LIFECYCLE]
        return super().concerned(payload)

    def top(self, book: MarketBook, received_at: int, seq: int, verdict: Verdict) -> KalshiTop:
        return KalshiTop(
            received_at, seq, book.best_bid, book.best_ask, verdict, _size(book.bids), _size(book.asks)
        )


def _size(side: BookSide) -> Decimal | None:
    """Return the size at the best price of a side; None when the side is empty."""
    return Decimal(level_of(side.levels[-1])[1].decode()) if side.levels else None
