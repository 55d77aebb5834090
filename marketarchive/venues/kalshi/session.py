"""One connection to Kalshi: which subscription of it has which id, and what its frames say."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from marketarchive.exceptions import ParseError
from marketarchive.items import Verdict
from marketarchive.venues.book import BookSide
from marketarchive.venues.channel import Update
from marketarchive.venues.exchange_books import MarketBook, level_of
from marketarchive.venues.exchange_session import BookTop, ExchangeSession
from marketarchive.venues.kalshi import socket
from marketarchive.venues.kalshi.socket import BOOK, INDEX, OF_MARKETS, TERMINAL, WIRE, RefusedError


class KalshiTop(BookTop, frozen=True, gc=False):
    """Best prices of YES and their sizes; None of an empty side."""

    bid_size: Decimal | None = None
    ask_size: Decimal | None = None


class KalshiSession(ExchangeSession):
    """Keys are tickers, and indices as `socket.key_of_index` has them."""

    def __init__(self) -> None:
        super().__init__(WIRE)
        self._sids: dict[str, int] = {}  # by channel
        self._command = 0  # the newest one's id
        self._keys_of: dict[int, list[str]] = {}  # command that subscribes -> its keys

    # ---- texts -----------------------------------------------------------------------------------------

    def subscribe(self, keys: Sequence[str], *, is_first: bool) -> list[str]:  # noqa: ARG002  (no difference)
        self._keys.update(keys)
        texts = socket.subscribe(keys, self._command + 1)
        for part in (socket.markets_of(keys), [key for key in keys if key not in socket.markets_of(keys)]):
            if part:
                self._command += 1
                self._keys_of[self._command] = part
        return texts

    def unsubscribe(self, keys: Sequence[str]) -> list[str]:
        self._keys.difference_update(keys)
        markets, indices = socket.markets_of(keys), socket.indices_of(keys)
        sids = [self._sids[channel] for channel in OF_MARKETS if channel in self._sids]
        texts = [socket.delete_markets(sid, markets, self._next()) for sid in sids if markets]
        if indices and INDEX in self._sids:
            texts.append(socket.delete_indices(self._sids[INDEX], indices, self._next()))
        return texts

    def resync(self, keys: Sequence[str]) -> list[str]:
        """Request the books of markets; what is held of them goes on, the subscription does."""
        markets = socket.markets_of(keys)
        if not markets or BOOK not in self._sids:
            return []
        return [socket.get_snapshot(self._sids[BOOK], markets, self._next())]

    def _next(self) -> int:
        self._command += 1
        return self._command

    # ---- what comes ------------------------------------------------------------------------------------

    def apply(self, received_at: int, seq: int, payload: bytes, *, latest: int, verify: bool) -> list[Update]:
        if (made := socket.subscribed(payload)) is not None:
            self._sids[made.channel] = made.sid
        try:
            return super().apply(received_at, seq, payload, latest=latest, verify=verify)
        except RefusedError as refusal:
            return self._refused(refusal)

    def _refused(self, refusal: RefusedError) -> list[Update]:
        """Return what a refusal means: a refused index ends, all else may be subscribed another time."""
        damage = Update("", "damage", refusal.at, value=refusal)
        if refusal.code in TERMINAL:
            return [Update("", "renew", refusal.at), damage]
        keys = self._keys_of.get(refusal.command or 0, [])
        if socket.indices_of(keys):
            return [Update(key, "end", refusal.at, detail=str(refusal)) for key in keys]
        return [damage]

    def concerned(self, payload: bytes) -> Sequence[str] | None:
        """Return the keys of a command that was refused; those that ask for nothing new concern none."""
        try:
            WIRE.decode(payload, 0)
        except RefusedError as refusal:
            if refusal.code in TERMINAL or refusal.command is None:
                return None
            return self._keys_of.get(refusal.command, [])
        except ParseError:
            pass
        return super().concerned(payload)

    def top(self, book: MarketBook, received_at: int, seq: int, verdict: Verdict) -> KalshiTop:
        return KalshiTop(
            received_at, seq, book.best_bid, book.best_ask, verdict, _size(book.bids), _size(book.asks)
        )


def _size(side: BookSide) -> Decimal | None:
    """Return the size at the best price."""
    return Decimal(level_of(side.levels[-1])[1].decode()) if side.levels else None
