"""Session of one connection to Kalshi: ids of its subscriptions, and what its frames say of each key.

The lifecycle of markets is a key of its own, which may be quiet for minutes. It is then proven by the order
of the connection: by a verified frame of another subscription, or, when all are quiet, by a requested list of
the subscriptions. A lifecycle frame that was lost nevertheless shows by the number of the next one, as a gap
since the frame before. After a silence, or once frames of any subscription are missing, lifecycle frames may
be missing too: then the order proves nothing until the next of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

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
)
from marketarchive.venues.market_messages import MarketEvent

_AHEAD = from_seconds(CHANNEL.ahead_s)
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
        self._ordered_at = 0  # time (ns) up to which the order of the connection has proven the lifecycle
        self._is_ordered = True  # the order proves: nothing can be missing since the last lifecycle frame
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

    def apply(self, received_at: int, seq: int, payload: bytes, *, latest: int, verify: bool) -> list[Update]:
        replied = socket.subscriptions(payload)
        self._sids.update((each.channel, each.sid) for each in replied)
        try:
            updates = super().apply(received_at, seq, payload, latest=latest, verify=verify)
        except RefusedError as refusal:
            return self._refused(refusal, seq)
        now = latest - _AHEAD  # the wall clock may step
        self._judge_order(updates, now)
        if self._is_ordered and LIFECYCLE in self._keys and LIFECYCLE in self._sids:
            updates += self._ordered(updates, latest)
            if any(each.channel == LIFECYCLE for each in replied):
                updates.append(Update(LIFECYCLE, "snapshot", now, "ok", group=self._lifecycle))
        return updates

    def _judge_order(self, updates: Sequence[Update], now: int) -> None:
        """Note whether the order of the connection proves the lifecycle after a frame with these updates."""
        was_silent = self._taken_at > 0 and now - self._taken_at > _PATIENCE
        if any(update.key == LIFECYCLE for update in updates):
            self._is_ordered = True  # its number has shown what is missing
        elif was_silent or any(update.integrity == "failed" for update in updates):
            self._is_ordered = False
        self._taken_at = now

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

    def _updates(self, one: Applied, received_at: int, seq: int) -> Iterator[Update]:
        """Yield what one applied message says of each key.

        A lifecycle event belongs to the key `LIFECYCLE`, whatever market it is about.
        """
        event = one.message
        if isinstance(event, MarketEvent):
            known, group = one.is_known, self._lifecycle
            yield Update(LIFECYCLE, "trade", event.at, one.verdict, is_known=known, value=event, group=group)
        elif event is None and one.verdict == "failed" and one.sequence == self._lifecycle:
            at = one.at or received_at
            yield Update(
                LIFECYCLE, "trade", at, "failed", base=one.before, detail=one.detail, group=one.sequence
            )
        else:
            yield from super()._updates(one, received_at, seq)

    def _refused(self, refusal: RefusedError, seq: int) -> list[Update]:
        """Return what an error frame means for the keys whose subscription it refuses or ends.

        Indices and the lifecycle end where the refusal is final. All others are dropped: their gap stays
        open until another connection has them.
        """
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
