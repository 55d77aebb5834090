"""A venue, a network, REST and clocks, whole and in the open, and what `Completeness` makes of them.

Times of the model are milliseconds since its start; `Completeness` gets nanoseconds. What goes wrong is a
list of `Fault`; the truth is known, so that `judge.py` can say what was missed.
"""

from __future__ import annotations

import heapq
import itertools
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Literal, NamedTuple

from msgspec import structs

from marketarchive.clock import Instant
from marketarchive.collecting.reconnect import ReconnectPolicy
from marketarchive.collecting.streams import completeness as real
from marketarchive.collecting.streams import effects as fx
from marketarchive.collecting.streams.axis import Outage
from marketarchive.times import MILLISECOND
from marketarchive.venues.channel import Channel, Proof, Statement, Update
from marketarchive.venues.endpoint import Endpoint, Limit

STEP = 100
START = Instant(1_700_000_000_000 * MILLISECOND, 5_000_000 * MILLISECOND)
ENDPOINT = Endpoint("model", "wss://venue.example", Limit("model/all", 100))

DISCONNECTED = Outage("disconnect", "unknown", "closed")
REFUSED = Outage("dns", "unknown", "refused")
UNREADABLE = Outage("checksum", "unknown", "unreadable")

Book = dict[str, int]
FaultKind = Literal[
    "drop",  # one message is lost
    "stall",  # a connection opened before brings nothing any more
    "mute",  # one key is not sent
    "silent",  # new connections are accepted and bring nothing
    "close",
    "delay",
    "double",
    "damage",  # messages arrive unreadable
    "shed",  # messages arrive and are not looked at
    "down",  # REST fails at once
    "hang",  # REST fails after ten seconds
    "lag",  # REST gives states up to three seconds old
    "refuse",
    "ahead",  # the venue dates ahead by `arg` ms
    "paused",  # our process stands still
    "burst",  # trades come in threes, of one date
    "lost trade",  # one trade is lost: that after the next `arg` ones
    "books mute",  # of one key only trades are sent
]


class Fault(NamedTuple):
    """What goes wrong from `start` to `end`, ms after the start."""

    kind: FaultKind
    start: int
    end: int
    arg: int = 0


@dataclass(frozen=True)
class Item:
    """One event of the venue."""

    key: str
    at: int  # the venue's date
    made: int  # when it really was
    is_snapshot: bool
    change: Book
    book: Book  # after it
    state: str
    trade: int = 0  # number among the trades of its key, which leave the book as it is; 0: a new state


@dataclass(frozen=True)
class Message:
    """An item, or the state that it led to, on one connection."""

    item: Item
    is_snapshot: bool
    number: int = 0


def name_of(key: str, at: int, book: Book) -> str:
    """Return the hash of a state."""
    levels = sorted((level, size) for level, size in book.items() if size)
    return f"{zlib.crc32(repr((key, at, levels)).encode()):08x}"


def ns(at: int) -> int:
    """Return a time of the model on the axis."""
    return START.wall + at * MILLISECOND


class ModelSession:
    """The reference session: books, replay, hashes and numbers of one connection to the model's venue."""

    def __init__(self, proof: Proof) -> None:
        self._proof = proof
        self._books: dict[str, tuple[int, int, Book]] = {}  # key -> at, base, book
        self._waiting: dict[str, list[Item]] = {}
        self._known: dict[str, set[tuple[int, str]]] = {}
        self._number = 0
        self._trades: dict[str, Item] = {}  # key -> its newest trade

    def apply(self, message: Message) -> list[Update]:
        item = message.item
        if item.trade:
            return [self._trade(item)]
        if self._proof in ("none", "cadence"):
            state = item.state if self._proof == "none" else ""
            return [Update(item.key, "snapshot", ns(item.at), state=state, value=item.book)]
        before: list[Update] = []
        if self._proof == "sequence":
            if message.number <= self._number:
                return []
            if message.number != self._number + 1:
                self._books.clear()
                self._waiting.clear()
                before = [Update("", "mark", ns(item.at), "failed", detail="number missing")]
            self._number = message.number
        if message.is_snapshot:
            return before + self._snapshot(item)
        return [*before, self._delta(item)]

    def load(self, statement: Statement) -> Update | None:
        item: Item = statement.snapshot
        key = statement.key
        if key in self._books and item.at <= self._books[key][0]:
            return None
        replayed = self._start(item)
        if any(update.integrity == "failed" for update in replayed):
            return None
        at, base, book = self._books[key]
        state = replayed[-1].state if replayed else item.state
        verdict: Literal["ok", "unchecked"] = "ok" if replayed else "unchecked"
        return Update(key, "snapshot", ns(at), verdict, state, ns(base), value=book)

    def drop(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._books.pop(key, None)

    def restart(self, keys: Iterable[str]) -> None:
        """Drop the books of `keys`, because new snapshots are being requested."""
        self.drop(keys)

    def _trade(self, item: Item) -> Update:
        before = self._trades.get(item.key)
        if before is not None and item.trade <= before.trade:
            return Update(item.key, "trade", ns(item.at), "unchecked", is_known=True)
        self._trades[item.key] = item
        if before is not None and item.trade > before.trade + 1:
            return Update(
                item.key, "trade", ns(item.at), "failed", base=ns(before.at), detail="trades missing"
            )
        has_book = item.key in self._books or self._proof == "none"
        return Update(item.key, "trade", ns(item.at), "unchecked", is_known=not has_book)

    def _snapshot(self, item: Item) -> list[Update]:
        held = self._books.get(item.key)
        update = Update(
            item.key, "snapshot", ns(item.at), "ok", self._state(item), ns(item.at), value=item.book
        )
        if held is not None and item.at < held[0]:
            return [update]
        return [update, *self._start(item)]

    def _start(self, item: Item) -> list[Update]:
        """Start a book and replay what was waiting for it."""
        self._books[item.key] = (item.at, item.at, item.book)
        waiting = self._waiting.pop(item.key, [])
        return [self._replay(each) for each in waiting if each.at > item.at]

    def _delta(self, item: Item) -> Update:
        key, known = item.key, self._known.setdefault(item.key, set())
        if self._proof == "hash":
            if (item.at, item.state) in known:
                return Update(key, "delta", ns(item.at), "ok", item.state, is_known=True)
            known.add((item.at, item.state))
        return self._replay(item)

    def _replay(self, item: Item) -> Update:
        key = item.key
        update = Update(key, "delta", ns(item.at), "ok", self._state(item))
        if key not in self._books:
            self._waiting.setdefault(key, []).append(item)
            return structs.replace(update, integrity="unchecked")
        at, base, book = self._books[key]
        if item.at <= base:
            return structs.replace(update, is_known=True)
        book = {**book, **item.change}
        if self._proof == "hash" and (item.at < at or name_of(key, item.at, book) != item.state):
            del self._books[key]
            self._waiting.setdefault(key, []).append(item)
            return structs.replace(update, integrity="failed", detail="the hash does not match")
        self._books[key] = (item.at, base, book)
        return structs.replace(update, base=ns(base), value=book)

    def _state(self, item: Item) -> str:
        return item.state if self._proof == "hash" else ""


@dataclass
class Socket:
    """One connection as the venue and the network have it."""

    born: int
    is_silent: bool
    session: ModelSession
    keys: set[str] = field(default_factory=set)
    queue: list[tuple[int, Message | None]] = field(default_factory=list)
    newest: int = 0  # when the last message of the queue arrives
    number: int = 0
    trades: dict[str, list[int]] = field(default_factory=dict)  # numbers of those that were applied


class World:
    """Runs a `Completeness` against the model and keeps the truth."""

    def __init__(
        self,
        proof: Proof,
        rates: Sequence[int],
        faults: Sequence[Fault] = (),
        *,
        seed: int = 1,
        length: int = 60_000,
        skew: int = 0,
        renew_s: float | None = None,
        unsubscribe_at: int | None = None,
        trade_ms: int = 0,
        restarts: bool = False,
        module: Any = real,
    ) -> None:
        """rates: mean ms between events, per key; skew: our clock's error, ms; module: as `completeness`.

        trade_ms: mean ms between a key's trades, 0: there are none; restarts: a request of a snapshot on its
        connection drops the book held.
        """
        self.proof, self.faults, self.length = proof, list(faults), length
        self.skew, self.unsubscribe_at = skew, unsubscribe_at
        self.trade_ms = 0 if proof == "cadence" else trade_ms
        self.restarts = restarts
        self.random = Random(seed)
        self.channel = Channel(
            ENDPOINT,
            proof,
            key_kind="key",
            keys_per_connection=len(rates),
            has_statements=proof in ("hash", "none"),
            has_resync=proof == "sequence",
            renew_s=renew_s,
        )
        self.keys = [f"k{place}" for place in range(len(rates))]
        self.rates = dict(zip(self.keys, rates, strict=True))
        self.now = 0
        self.items: dict[str, list[Item]] = {key: [] for key in self.keys}
        self.trades: dict[str, list[Item]] = {key: [] for key in self.keys}
        self.carriers: dict[int, list[Socket]] = {}  # id of a trade -> connections that had its key then
        self.subscribed: list[int] = []
        self.received: dict[str, set[int]] = {key: set() for key in self.keys}  # id of each item
        self.applied: dict[str, set[int]] = {key: set() for key in self.keys}
        self.first_received: dict[str, int] = {}
        self.ended = dict.fromkeys(self.keys, length)
        self.lines: list[fx.WriteGap] = []
        self.rows: list[tuple[str, int, Any]] = []  # key, tick, row
        self.proven: set[tuple[str, int]] = set()  # key, tick: proven by the time of its row
        self.opened = 0
        self.requests = 0  # for snapshots on connections, in keys
        self.happened: list[tuple[int, int]] = []  # when single messages were lost or damaged
        self._sockets: dict[str, Socket] = {}
        self._jobs: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._jitter = {key: self.random.randrange(0, 400) for key in self.keys}
        self._used: set[Fault] = set()
        self._passed: Counter[Fault] = Counter()  # trades since the beginning of the fault
        random = Random(seed).random
        names, gap_ids = itertools.count(1), itertools.count(1)
        start = Instant(ns(skew), START.mono)
        self.live = module.Completeness(
            self.channel,
            ReconnectPolicy(random),
            start,
            new_gap_id=lambda: f"g{next(gap_ids)}",
            new_connection=lambda: f"c{next(names)}",
            random=random,
        )

    @property
    def mono(self) -> int:
        return START.mono + self.now * MILLISECOND

    def on(self, kind: FaultKind) -> Fault | None:
        return next((f for f in self.faults if f.kind == kind and f.start <= self.now < f.end), None)

    def later(self, at: int, job: Callable[[], None]) -> None:
        heapq.heappush(self._jobs, (at, next(self._order), job))

    # ---- the venue ---------------------------------------------------------------------------------------

    def make(self, key: str, *, is_first: bool = False) -> None:
        """Let something happen at the venue."""
        ahead = self.on("ahead")
        at = self.now + (ahead.arg if ahead else 0)
        earlier = self.items[key][-1].book if self.items[key] else {}
        change = {self.random.choice("123"): self.random.randrange(0, 4)}
        if self.proof in ("none", "cadence"):
            change = {level: self.random.randrange(0, 4) for level in "123"}
        book = {**earlier, **change}
        is_snapshot = is_first or self.proof in ("none", "cadence")
        is_snapshot = is_snapshot or (self.proof == "hash" and self.random.random() < 0.08)
        item = Item(key, at, self.now, is_snapshot, change, book, name_of(key, at, book))
        self.items[key].append(item)
        for name, socket in self._sockets.items():
            if key in socket.keys:
                self.later(
                    self.now + self._jitter[key],
                    lambda name=name: self.emit(name, Message(item, is_snapshot)),  # type: ignore[misc]
                )

    def trade(self, key: str) -> None:
        """Let a trade happen at the venue."""
        number, newest = len(self.trades[key]) + 1, self.items[key][-1]
        item = Item(key, self.now, self.now, False, {}, newest.book, "", number)
        self.trades[key].append(item)
        carriers = self.carriers[id(item)] = []
        for name, socket in self._sockets.items():
            if key in socket.keys:
                carriers.append(socket)
                self.later(
                    self.now + self._jitter[key],
                    lambda name=name: self.emit(name, Message(item, is_snapshot=False)),  # type: ignore[misc]
                )

    def is_noticed(self, trade: Item) -> bool:
        """Return whether the numbers of its only connection show that a trade is missing."""
        if len(carriers := self.carriers[id(trade)]) != 1:
            return False  # another connection is proven without it
        if any(trade.made <= at <= trade.made + 1_500 for at in self.subscribed):
            return False  # and one that was subscribed then is proven from a second before
        told = carriers[0].trades.get(trade.key, [])
        return any(n < trade.trade for n in told) and any(n > trade.trade for n in told)

    def state(self, key: str, at: int) -> Item:
        """Return the newest item of a key at `at`."""
        return [item for item in self.items[key] if item.made <= at][-1]

    def emit(self, name: str, message: Message) -> None:
        socket = self._sockets.get(name)
        if socket is None:
            return
        socket.number += not message.item.trade  # trades are numbered by key
        message = replace(message, number=socket.number)
        if self._is_lost(socket, message):
            return
        if self.on("damage"):
            self.happened.append((self.now, self.now + 1))
            self._send(socket, None)
            return
        self._send(socket, message)
        if self.on("double"):
            self._send(socket, message)

    def _is_lost(self, socket: Socket, message: Message) -> bool:
        stall, mute = self.on("stall"), self.on("mute")
        lost = socket.is_silent or (stall is not None and socket.born <= stall.start)
        lost |= mute is not None and self.keys[mute.arg % len(self.keys)] == message.item.key
        still = self.on("books mute")
        if still is not None and not message.item.trade:
            lost |= self.keys[still.arg % len(self.keys)] == message.item.key
        for fault in self.faults:
            if fault.start > self.now or fault in self._used:
                continue
            if fault.kind == "lost trade" and message.item.trade:
                self._passed[fault] += 1
            if fault.kind == "drop" or self._passed[fault] > fault.arg:
                self._used.add(fault)
                self.happened.append((self.now, self.now + 1))
                lost = True
        return lost

    def _send(self, socket: Socket, message: Message | None) -> None:
        delay = self.on("delay")
        arrival = self.now + self.random.randrange(20, 250) + (delay.arg if delay else 0)
        socket.newest = max(arrival, socket.newest)
        socket.queue.append((socket.newest, message))

    # ---- what the collector does -------------------------------------------------------------------------

    def carry_out(self) -> None:
        for effect in self.live.effects():
            self._do(effect)

    def _do(self, effect: fx.Effect) -> None:
        if isinstance(effect, fx.WriteGap):
            self.lines.append(effect)
        elif isinstance(effect, fx.OpenConnection):
            self.opened += 1
            self.later(self.now + 200, lambda: self._open(effect.connection))
        elif isinstance(effect, fx.CloseConnection):
            self._sockets.pop(effect.connection, None)
        elif isinstance(effect, fx.Subscribe):
            self.later(self.now + 100, lambda: self._subscribed(effect.connection, effect.keys))
        elif isinstance(effect, fx.Unsubscribe):
            if effect.connection in self._sockets:
                self._sockets[effect.connection].keys.difference_update(effect.keys)
        elif isinstance(effect, fx.RequestResync):
            self.requests += len(effect.keys)
            if self.restarts and effect.connection in self._sockets:
                self._sockets[effect.connection].session.restart(effect.keys)
            self.later(self.now + 100, lambda: self._snapshots(effect.connection, effect.keys))
        elif isinstance(effect, fx.RequestStatements):
            self._request(effect.keys)
        else:
            self._do_in_session(effect)

    def _do_in_session(self, effect: fx.LoadStatement | fx.DropBooks) -> None:
        socket = self._sockets.get(effect.connection)
        if socket is None:
            return
        if isinstance(effect, fx.DropBooks):
            socket.session.drop(effect.keys)
        elif (update := socket.session.load(effect.statement)) is not None:
            self.live.loaded(effect.connection, update, self.mono)

    def _open(self, name: str) -> None:
        if self.on("refuse"):
            self.live.refused(REFUSED, self.mono)
            return
        session = ModelSession(self.proof)
        self._sockets[name] = Socket(self.now, self.on("silent") is not None, session)
        self.live.connected(name, self.mono)

    def _subscribed(self, name: str, keys: Sequence[str]) -> None:
        if name in self._sockets:
            self.subscribed.append(self.now)
            self._sockets[name].keys.update(key for key in keys if self.ended[key] > self.now)
            self._snapshots(name, keys)

    def _snapshots(self, name: str, keys: Sequence[str]) -> None:
        for key in keys:
            if name in self._sockets and key in self._sockets[name].keys:
                self.emit(name, Message(self.state(key, self.now), is_snapshot=True))

    def _request(self, keys: Sequence[str]) -> None:
        mono = self.mono
        if self.on("down") or self.on("hang"):
            answer = self.now + (100 if self.on("down") else 10_000)
            self.later(answer, lambda: self.live.request_failed(keys, self.mono))
            return
        age = self.random.randrange(0, 3_000 if self.on("lag") else 300)
        items = [self.state(key, max(0, self.now - age)) for key in keys]
        statements = [Statement(item.key, ns(item.at), item.state, item) for item in items]
        answer = self.now + self.random.randrange(100, 900)
        self.later(answer, lambda: self.live.stated(statements, mono, self.mono))

    # ---- the run -----------------------------------------------------------------------------------------

    def run(self) -> World:
        for key in self.keys:
            self.make(key, is_first=True)
        self.live.subscribe(self.keys, self.mono)
        self.carry_out()
        while self.now < self.length:
            self.now += STEP
            self._make_all()
            while self._jobs and self._jobs[0][0] <= self.now and not self.on("paused"):
                heapq.heappop(self._jobs)[2]()
                self.carry_out()
            self._close_all()
            if not self.on("paused"):
                self._collect()
        self.live.stop(self.mono)
        self.carry_out()
        return self

    def _make_all(self) -> None:
        for key in self.keys:
            if self.proof == "cadence":
                is_due = self.now % 1_000 == 0
            else:
                is_due = self.random.random() < STEP / self.rates[key]
            if is_due:
                self.make(key)
            if self.trade_ms and self.random.random() < STEP / self.trade_ms:
                for _ in range(3 if self.on("burst") else 1):
                    self.trade(key)

    def _close_all(self) -> None:
        fault = self.on("close")
        if fault is not None and fault not in self._used and not self.on("paused"):
            self._used.add(fault)
            for name in list(self._sockets):
                del self._sockets[name]
                self.live.closed(name, DISCONNECTED, self.mono)
                self.carry_out()

    def _collect(self) -> None:
        self.live.tick(self.mono)
        self.carry_out()
        for name, socket in list(self._sockets.items()):
            while name in self._sockets and socket.queue and socket.queue[0][0] <= self.now:
                self._receive(name, socket, socket.queue.pop(0)[1])
                self.carry_out()
        if self.unsubscribe_at is not None and self.now == self.unsubscribe_at and len(self.keys) > 1:
            self.ended[self.keys[-1]] = self.now
            self.live.unsubscribe([self.keys[-1]], self.mono)
            self.carry_out()
        if self.now % 1_000 == 0:
            tick = self.now - 5_000
            self.rows += [(key, tick, self.live.row(key, ns(tick))) for key in self.live.keys]
            self.proven |= {(key, tick) for key in self.live.keys if self.live.watermark(key) > ns(tick)}
        if self.now % 10_000 == 0:
            self.live.forget(self.live.axis(self.mono) - 120_000 * MILLISECOND)

    def _receive(self, name: str, socket: Socket, message: Message | None) -> None:
        if message is None:
            self.live.failed(name, None, UNREADABLE, self.mono)
            return
        key = message.item.key
        self.received[key].add(id(message.item))
        self.first_received.setdefault(key, self.now)
        if self.on("shed"):
            self.live.skipped(name, self.mono)
        else:
            self.applied[key].add(id(message.item))
            if message.item.trade:
                socket.trades.setdefault(key, []).append(message.item.trade)
            self.live.apply(name, self.mono, socket.session.apply(message))
