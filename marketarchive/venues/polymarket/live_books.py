"""Books of the market channel, built from snapshots and deltas.

Each delta is verified by the hash sent with it.

The hash of a delta is that of the token's whole book after it, at the event's timestamp. It also covers
values that the socket does not send. The last trade price is found by trying all possible ones; the tick size
is carried over, and tried when that fails; the minimum order size and the neg_risk flag come from a REST
book.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Literal, TypeAlias

import msgspec

from marketarchive.items import Verdict
from marketarchive.venues.book import BookSide
from marketarchive.venues.polymarket import clob
from marketarchive.venues.polymarket.clob import ClobBook
from marketarchive.venues.polymarket.market_channel import (
    TOKENS_PER_CONNECTION,
    BestBidAsk,
    BookEvent,
    Event,
    LastTrade,
    PriceChange,
    PriceChanges,
    TickSizeChange,
    decode,
)
from marketarchive.venues.resync import DeltaBuffer

TICKS = ("0.01", "0.001", "0.1", "0.005", "0.0025", "0.0001")
"""Tick sizes of the venue, the most likely first; 0.005 and 0.0025 exist since 2026-07-02 (docs,
changelog)."""
KEPT_CHANGES = 256
"""Newest deltas that are kept for each token, to recognise repeated ones and to replay them on a REST
snapshot."""
SEARCHES = 4
"""Failures of a book in a row after which unsent values are searched for only at every 32nd check."""

_Outcome: TypeAlias = tuple[Verdict, bool]  # verdict, is_stale
_Search: TypeAlias = Literal["", "trades", "all"]
_NO_BASE: _Outcome = ("unchecked", False)
_STALE: _Outcome = ("unchecked", True)
_PROVEN: _Outcome = ("ok", False)

_GRID = tuple(f'"{thousandth / 1000:.3f}"}}'.encode() for thousandth in range(1001))
_NEVER_TRADED = b'""}'
_BIDS, _ASKS = b'","hash":"","bids":[', b'],"asks":['


class AppliedEvent(msgspec.Struct, frozen=True, gc=False):
    """The result of applying one event, or one element of its list, to the books.

    verdict: `unchecked` without a snapshot of the token, for a stale delta, or when no check was requested;
    `not_available` for events that carry no hash.
    """

    event: Event
    token: str | None  # None: the event is not about one token
    index: int  # place of the event in its frame, from 1
    position: int  # place in the event's list, from 1; else 1
    verdict: Verdict
    is_stale: bool  # True: not newer than the book, or a repeat; it was not applied
    # of a snapshot: time (ms) and hash of the book after newer deltas were replayed on it
    reached: tuple[int, str] | None = None


class _Market:
    """The last trade prices reported in one market, newest first.

    They enter the hashes of both its tokens.
    """

    __slots__ = ("trades",)

    def __init__(self) -> None:
        self.trades: tuple[bytes, ...] = ()

    def found(self, trade: bytes) -> None:
        """Move `trade`, the text that ends the JSON of a book, to the front of the known prices."""
        if self.trades[:1] != (trade,):
            self.trades = (trade, *(each for each in self.trades if each != trade))[:6]

    def traded(self, price: str) -> None:
        """Record a trade at `price`, of either token."""
        for text in (f"{1 - float(price):.3f}", price, f"{float(price):.3f}"):
            self.found(f'"{text}"}}'.encode())


def _side(levels: Iterable[clob.Level], *, is_bid: bool) -> BookSide:
    pairs = ((level.price, level.size) for level in levels)
    return BookSide(pairs, is_bid=is_bid, text=_level, separator=b",")


def _agrees(side: BookSide, best: str | None, nothing: str) -> bool:
    """Return whether the best price sent with a delta is the best price of the side.

    Always True if None was sent.

    "" and `nothing` mean an empty side.
    """
    if best is None:
        return True
    if not side.keys:
        return best in ("", nothing)
    return best != "" and side.is_best(best)


def _level(price: str, size: str) -> bytes:
    return f'{{"price":"{price}","size":"{size}"}}'.encode()


def _refused(event: PriceChanges, index: int) -> Iterator[AppliedEvent]:
    for position, change in enumerate(event.price_changes, 1):
        yield AppliedEvent(event, change.token, index, position, "failed", is_stale=False)


def _is_due(failures: int) -> bool:
    """Return whether to search for unsent values after so many failures in a row.

    A search takes some 10 ms, so it is not made at every failure.
    """
    return failures < SEARCHES or failures % 32 == 0


class ProvenBook:
    """The current book of one token, with the verification of its last delta."""

    __slots__ = (
        "_announced",
        "_asks",
        "_base_ms",
        "_bids",
        "_failed_books",
        "_failures",
        "_head",
        "_kept",
        "_market",
        "_min_order_size",
        "_neg_risk",
        "_tail",
        "_tick_size",
        "_trade",
        "hash",
        "market",
        "timestamp_ms",
        "token",
        "verdict",
    )

    def __init__(self, book: ClobBook, market: _Market, *, verify: bool = True) -> None:
        self.market = book.market
        self.token = book.token
        self.verdict: Verdict = "unchecked"  # of the last check
        self._market = market
        self._min_order_size: str | None = None
        self._tick_size: str | None = None
        self._announced: str | None = None  # tick size to be used from the next delta on
        self._neg_risk: bool | None = None
        self._trade: bytes | None = None
        self._failures = 0  # failed deltas in a row
        self._failed_books = 0
        self._kept = DeltaBuffer[PriceChange](KEPT_CHANGES)  # newest deltas since the snapshot
        market_text, token_text = map(msgspec.json.encode, (book.market, book.token))
        self._head = b'{"market":%b,"asset_id":%b,"timestamp":"' % (market_text, token_text)
        self.load(book, verify=verify)

    # ---- properties ----------------------------------------------------------------------------------------

    @property
    def base_ms(self) -> int:
        """Return the venue's time of the snapshot on which the present deltas were applied, ms."""
        return self._base_ms

    @property
    def best_bid(self) -> Decimal | None:
        return self._bids.best

    @property
    def best_ask(self) -> Decimal | None:
        return self._asks.best

    @property
    def tick_size(self) -> str | None:
        """Return the tick size in dollars; None while it was neither sent nor found."""
        return self._announced or self._tick_size

    @property
    def last_trade_price(self) -> str | None:
        """Return the last trade price sent or found; "" = never traded, None = not known."""
        return None if self._trade is None else msgspec.json.decode(self._trade[:-1], type=str)

    @property
    def is_crossed(self) -> bool:
        """Return whether the best bid is at or above the best ask, which happens only after a missed delta.

        `parse_book` refuses such a book.
        """
        return bool(self._bids.keys and self._asks.keys) and -self._asks.keys[-1] <= self._bids.keys[-1]

    def payload(self) -> bytes:
        """Return the book in the JSON of /book, with the hash of its last delta.

        Unknown values are those of crypto rounds.
        """
        return self._text(msgspec.json.encode(self.hash)) + self._tail + (self._trade or _NEVER_TRADED)

    # ---- changes -------------------------------------------------------------------------------------------

    def load(self, book: ClobBook, *, verify: bool = True) -> Verdict:
        """Replace the book by a newer snapshot and return its verification.

        Values that the snapshot lacks keep their present ones.
        """
        self.timestamp_ms = self._base_ms = book.timestamp_ms
        self.hash = book.hash
        self._bids = _side(book.bids, is_bid=True)
        self._asks = _side(book.asks, is_bid=False)
        self._kept.clear()
        if book.min_order_size is not None:
            self._min_order_size = book.min_order_size
        if book.neg_risk is not None:
            self._neg_risk = book.neg_risk
        if book.last_trade_price is not None:
            self._trade = msgspec.json.encode(book.last_trade_price) + b"}"
        tick_size = book.tick_size or self._announced or self._tick_size
        self._announced, self._tick_size = None, tick_size
        self._tail = self._tail_of(tick_size, self._neg_risk)
        if not book.hash:
            self.verdict = "not_available"
        elif not verify:
            self.verdict = "unchecked"
        elif self._proves(book.hash, search="all" if _is_due(self._failed_books) else ""):
            self.verdict = "ok"
        else:  # perhaps by an older recipe, or in an order of its own
            self.verdict = clob.verify_book(book)[0] if _is_due(self._failed_books) else "failed"
        self._failed_books = self._failed_books + 1 if self.verdict == "failed" else 0
        if self.verdict != "failed":
            self._failures = 0
        return self.verdict

    def replay(self, book: ClobBook) -> Verdict | None:
        """Load a snapshot older than the last delta, replay the deltas after it, and return the verification.

        Returns None, with the book unchanged, if deltas after the snapshot may be unknown.
        """
        kept = self._kept.copy()
        is_newer = book.timestamp_ms > self._base_ms or (
            book.timestamp_ms == self._base_ms
            and self.verdict == "failed"  # else either may be the later one
        )
        if not is_newer or not kept.covers(book.timestamp_ms):
            return None
        self.load(book)
        return self.replay_deltas(kept)

    def replay_deltas(self, kept: DeltaBuffer[PriceChange]) -> Verdict:
        """Replay the deltas of `kept` that are newer than the snapshot, and return the verification.

        kept: deltas that were received before the snapshot.
        """
        deltas = list(kept)
        held = [place for place, (_, change) in enumerate(deltas) if change.hash and change.hash == self.hash]
        start = held[-1] + 1 if held else 0
        for (at, _), group in groupby(deltas[start:], lambda each: (each[0], each[1].hash)):
            if at >= self._base_ms:
                self.change([change for _, change in group], at, verify=False)
        if self._kept:
            self._failures = 0
            self._judge(self._kept.last, verify=True)
        return self.verdict

    def announce_tick_size(self, tick_size: str) -> None:
        """Use a new tick size from the next delta on; the hash of the last delta was made without it."""
        self._announced = tick_size

    def change_one(self, change: PriceChange, at: int, *, verify: bool) -> _Outcome:
        """Apply one delta and return (verdict, is_stale). at: its venue time, ms.

        Does the same as `change` for a single delta, which is the usual case, but faster.
        """
        if at <= self.timestamp_ms or self._announced is not None:
            return self.change((change,), at, verify=verify)[0]
        self.timestamp_ms = at
        self._apply(change, at)
        # usually only levels have changed: then one hash proves everything
        if verify and self._is_known and self._hash_as_known() == change.hash:
            self.verdict, self._failures = "ok", 0
            return _PROVEN
        return self._judge(change, verify=verify), False

    def change(self, changes: Sequence[PriceChange], at: int, *, verify: bool) -> list[_Outcome]:
        """Apply the deltas of this token in one event and return (verdict, is_stale) of each.

        at: venue's time of the event, ms. Several deltas of one event may carry the hash after each of them,
        or the hash after the last of them.
        """
        if at <= self.timestamp_ms:
            was_taken = any(self._kept.has(at, change) for change in changes)
            is_known = was_taken or at == self._base_ms
            if at < self._base_ms or (is_known and at < self.timestamp_ms):
                return [_STALE] * len(changes)
            if is_known:
                return self._change_if_proven(changes, at)
        self.timestamp_ms = at
        if self._announced is not None:
            self._tick_size, self._announced = self._announced, None
            self._tail = self._tail_of(self._tick_size, self._neg_risk)
        last = changes[-1]
        verdicts: list[Verdict | None] = []
        for change in changes:
            self._apply(change, at)
            waits = change is not last and change.hash == last.hash
            verdicts.append(None if waits else self._judge(change, verify=verify, is_last=change is last))
        return [(verdict or self.verdict, False) for verdict in verdicts]

    def _change_if_proven(self, changes: Sequence[PriceChange], at: int) -> list[_Outcome]:
        """Apply deltas only if their hash then matches; otherwise leave the book unchanged, they are stale.

        The snapshot may contain them already, or they may be repeats. (Within a millisecond a level may also
        return to its former size; the hash is then the same.)
        """
        expected = changes[-1].hash
        saved = self._bids, self._asks, self.timestamp_ms, self.hash, self._kept.copy()
        if expected and expected != self.hash:
            self._bids, self._asks = self._bids.copy(), self._asks.copy()
            self.timestamp_ms = at
            for change in changes:
                self._apply(change, at)
            is_known = self.verdict == "ok" and self._announced is None
            if self._proves(expected, search="trades" if is_known else "all"):
                self.verdict, self._failures = "ok", 0
                return [("ok", False)] * len(changes)
        self._bids, self._asks, self.timestamp_ms, self.hash, self._kept = saved
        return [_STALE] * len(changes)

    def _apply(self, change: PriceChange, at: int) -> None:
        (self._bids if change.side == "BUY" else self._asks).set(change.price, change.size)
        self.hash = change.hash
        self._kept.add(at, change)

    # ---- verification --------------------------------------------------------------------------------------

    def _judge(self, change: PriceChange, *, verify: bool, is_last: bool = True) -> Verdict:
        """Verify the book by what was sent with its last delta, and return the verdict.

        A matching hash proves the whole book. Best prices that differ from those sent show an error even
        without a hash, and make a search for unsent values useless. is_last: the delta is the last of its
        event, so best prices can be compared.
        """
        has_top = not is_last or (
            _agrees(self._bids, change.best_bid, "0") and _agrees(self._asks, change.best_ask, "1")
        )
        if verify and change.hash:
            search: _Search = "all" if has_top and _is_due(self._failures) else ""
            self.verdict = "ok" if self._proves(change.hash, search=search) else "failed"
        elif not has_top:
            self.verdict = "failed"
        else:
            self.verdict = "unchecked" if change.hash else "not_available"
        self._failures = self._failures + 1 if self.verdict == "failed" else 0
        return self.verdict

    def _proves(self, expected: str, *, search: _Search) -> bool:
        """Return whether some values of what was not sent give the book the hash `expected`.

        The values that do are kept. search: which of the unsent values to try.
        """
        if self._trade is not None and self._hash_as_known() == expected:
            if not self._is_known:
                self._keep_defaults()
            return True
        text = self._text(b'""')
        try:
            target = bytes.fromhex(expected)
        except ValueError:
            return False
        common = hashlib.sha1(text, usedforsecurity=False)
        for tick_size, neg_risk, tail in self._tails(search=search == "all"):
            head = common.copy()
            head.update(tail)
            for trade in self._trades() if search else self._market.trades:
                whole = head.copy()
                whole.update(trade)
                if whole.digest() == target:
                    self._trade, self._tail = trade, tail
                    self._tick_size, self._neg_risk = tick_size, neg_risk
                    self._keep_defaults()
                    self._market.found(trade)
                    return True
        return False

    @property
    def _is_known(self) -> bool:
        """Return whether all values are known that the hash covers and the socket does not send."""
        return self._trade is not None and self._tick_size is not None and self._neg_risk is not None

    def _hash_as_known(self) -> str:
        """Return the hash of the book with the known values. Requires a known last trade price."""
        assert self._trade is not None
        at = b"%d" % self.timestamp_ms
        bids, asks = self._bids.text(), self._asks.text()
        text = b"".join((self._head, at, _BIDS, bids, _ASKS, asks, self._tail, self._trade))
        return hashlib.sha1(text, usedforsecurity=False).hexdigest()

    def _keep_defaults(self) -> None:
        """Keep the assumed default values, which a matching hash has just proven."""
        if self._tick_size is None:
            self._tick_size = str(clob.DEFAULTS["tick_size"])
        if self._neg_risk is None:
            self._neg_risk = bool(clob.DEFAULTS["neg_risk"])

    def _text(self, hash_: bytes) -> bytes:
        """Return the book's JSON from its beginning to its last level. hash_: the JSON text for its hash."""
        head = b'%b%d","hash":' % (self._head, self.timestamp_ms)
        return b"".join((head, hash_, b',"bids":[', self._bids.text(), _ASKS, self._asks.text()))

    def _tail_of(self, tick_size: str | None, neg_risk: bool | None) -> bytes:
        """Return the book's JSON between its last level and the last trade price, with the given values."""
        defaults = clob.DEFAULTS
        values = (
            defaults["min_order_size"] if self._min_order_size is None else self._min_order_size,
            defaults["tick_size"] if tick_size is None else tick_size,
            defaults["neg_risk"] if neg_risk is None else neg_risk,
        )
        texts = tuple(map(msgspec.json.encode, values))
        return b'],"min_order_size":%b,"tick_size":%b,"neg_risk":%b,"last_trade_price":' % texts

    def _tails(self, *, search: bool) -> Iterator[tuple[str | None, bool | None, bytes]]:
        """Yield possible values of tick size and neg_risk, which may not be sent, the present ones first.

        The third item is the book's JSON with them between the last level and the last trade price. search:
        True = yield all other possible values too.
        """
        yield self._tick_size, self._neg_risk, self._tail
        if search:
            for neg_risk in (False, True) if self._neg_risk is None else (self._neg_risk,):
                for tick_size in TICKS:
                    tail = self._tail_of(tick_size, neg_risk)
                    if tail != self._tail:
                        yield tick_size, neg_risk, tail

    def _trades(self) -> Iterator[bytes]:
        """Yield the JSON text of every possible last trade price.

        Reported prices come first, then all others, nearest to the last one first.
        """
        yield from self._market.trades
        yield _NEVER_TRADED
        try:
            centre = min(max(round(1000 * float(self.last_trade_price or 0.5)), 0), 1000)
        except (ValueError, OverflowError):
            centre = 500
        yield _GRID[centre]
        for distance in range(1, 1001):
            if centre >= distance:
                yield _GRID[centre - distance]
            if centre + distance <= 1000:
                yield _GRID[centre + distance]


class ChannelBooks:
    """The books of one connection to the market channel.

    It knows no clock and sends nothing. A lost delta fails the token's next verification and each later one,
    until the level that it set is set again or a snapshot arrives. If the very next delta sets that level, it
    is `ok`, because the book is right again. Deltas in the wrong order fail likewise. A repeated delta
    (within KEPT_CHANGES) is skipped as stale. A delta with the millisecond of the snapshot is applied only if
    its hash then matches.
    """

    def __init__(self) -> None:
        self.books: dict[str, ProvenBook] = {}
        self._markets: dict[str, _Market] = {}
        self._early: dict[str, DeltaBuffer[PriceChange]] = {}  # token without a book -> its deltas so far

    def apply(
        self, payload: bytes, *, verify: bool = True, latest_ms: int | None = None
    ) -> list[AppliedEvent]:
        """Apply one frame and return the results in order.

        There is one result for each book, each element of price_changes and each other event. verify: True =
        compute every hash, False = compare only the best prices sent with deltas. What is dated after
        `latest_ms` (venue's time) is not applied: a snapshot of the future would make all later events look
        old. Raises ParseError; nothing is applied then.
        """
        taken: list[AppliedEvent] = []
        latest = math.inf if latest_ms is None else latest_ms
        for index, event in enumerate(decode(payload), 1):
            if isinstance(event, PriceChanges):
                at = event.timestamp_ms
                if at > latest:
                    taken += _refused(event, index)
                else:
                    self._change(event, at, index, taken, verify=verify)
            elif isinstance(event, BookEvent):
                book = event.book
                if book.timestamp_ms > latest:
                    taken.append(AppliedEvent(event, book.token, index, 1, "failed", is_stale=False))
                    continue
                verdict = self._base(book, verify=verify, is_next=True)
                is_stale = verdict is None
                held = self.books.get(book.token)
                reached = None if held is None else (held.timestamp_ms, held.hash)
                taken.append(
                    AppliedEvent(event, book.token, index, 1, verdict or "unchecked", is_stale, reached)
                )
            else:
                taken.append(
                    AppliedEvent(event, self._note(event), index, 1, "not_available", is_stale=False)
                )
        return taken

    def load_snapshot(self, book: ClobBook) -> Verdict:
        """Load a snapshot that was not received on this connection, such as a REST snapshot.

        Newer deltas are replayed on it. It is ignored, with the verdict `not_available`, when it is older
        than a verified book, or when deltas after it may be unknown.
        """
        return self._base(book, verify=True, is_next=False) or "not_available"

    def drop(self, tokens: Iterable[str]) -> None:
        """Drop the books of `tokens`."""
        for token in tokens:
            self.books.pop(token, None)
            self._early.pop(token, None)
        markets = {book.market for book in self.books.values()}
        for market in self._markets.keys() - markets:
            del self._markets[market]

    def _base(self, book: ClobBook, *, verify: bool, is_next: bool) -> Verdict | None:
        """Load a snapshot and return its verification; None when it is not applied.

        is_next: True = it came on this connection, in order; False = from another source.
        """
        held = self.books.get(book.token)
        if held is None or held.market != book.market:
            early = self._early.get(book.token) or DeltaBuffer[PriceChange](KEPT_CHANGES)
            if is_next:  # the snapshot contains the deltas of its own millisecond
                early = early.after(book.timestamp_ms)
            if not early.covers(book.timestamp_ms):
                return None
            held = self.books[book.token] = ProvenBook(book, self._market(book.market), verify=verify)
            self._early.pop(book.token, None)
            return held.replay_deltas(early) if early else held.verdict
        if book.timestamp_ms > held.timestamp_ms or (
            book.timestamp_ms == held.timestamp_ms and (is_next or book.hash == held.hash)
        ):
            return held.load(book, verify=verify)
        return None if held.verdict == "ok" else held.replay(book)

    def _change(
        self, event: PriceChanges, at: int, index: int, taken: list[AppliedEvent], *, verify: bool
    ) -> None:
        changes = event.price_changes
        places = {change.token: place for place, change in enumerate(changes)}
        if len(places) == len(changes):
            books = self.books
            for position, change in enumerate(changes, 1):
                held = books.get(change.token)
                if held is None:
                    self._wait((change,), at)
                    outcome = _NO_BASE
                else:
                    outcome = held.change_one(change, at, verify=verify)
                taken.append(AppliedEvent(event, change.token, index, position, *outcome))
            return
        found: dict[int, _Outcome] = {}
        for token in places:
            places_of = [place for place, change in enumerate(changes) if change.token == token]
            mine = [changes[place] for place in places_of]
            held = self.books.get(token)
            if held is None:
                self._wait(mine, at)
                outcomes = [_NO_BASE] * len(mine)
            else:
                outcomes = held.change(mine, at, verify=verify)
            found.update(zip(places_of, outcomes, strict=True))
        for place, change in enumerate(changes):
            taken.append(AppliedEvent(event, change.token, index, place + 1, *found[place]))

    def _wait(self, changes: Sequence[PriceChange], at: int) -> None:
        """Keep deltas of a token without a book, for a snapshot that arrives later but was made before them.

        at: their venue time, ms.
        """
        early = self._early.get(changes[0].token)
        if early is None:
            if len(self._early) == TOKENS_PER_CONNECTION:  # the venue sends more tokens than were subscribed
                del self._early[next(iter(self._early))]
            early = self._early[changes[0].token] = DeltaBuffer[PriceChange](KEPT_CHANGES)
        for change in changes:
            early.add(at, change)

    def _note(self, event: Event) -> str | None:
        """Record a trade price or tick size for later hashes; return the token that the event is about.

        None for an event about no single token.
        """
        if isinstance(event, LastTrade):
            self._market(event.market).traded(event.price)
            return event.token
        if isinstance(event, TickSizeChange):
            held = self.books.get(event.token)
            if held is not None:
                held.announce_tick_size(event.new_tick_size)
            return event.token
        return event.token if isinstance(event, BestBidAsk) else None

    def _market(self, market: str) -> _Market:
        found = self._markets.get(market)
        if found is None:
            found = self._markets[market] = _Market()
        return found
