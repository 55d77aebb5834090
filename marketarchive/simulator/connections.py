"""One WebSocket connection: sends the frames of its session when they are due, and applies injected faults.

One task sends all its frames. A client that does not read fills a bounded buffer and is closed with code
1013; the server waits neither for it nor, because of it, delays other connections.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from aiohttp import WSMsgType, web

from marketarchive.simulated_time import SimulatedClock
from marketarchive.simulator.faults import ON_ACCEPT, Fault, kinds
from marketarchive.simulator.sockets import ABNORMAL, Frame, SimSession
from marketarchive.simulator.truth import Truth
from marketarchive.times import SECOND, from_seconds, to_ms, to_seconds

SEND_BUFFER = 4 * 2**20
SLOW_CONSUMER = (1013, "slow consumer: send buffer full")
GOING_AWAY = (1001, "")
_CLOSE_S = 3.0  # wall seconds for a client to read the rest and answer the close
_STOP_S = 0.5
_IN_A_ROW = 64  # frames sent before other tasks get their turn

_SNAPSHOTS = frozenset({"books", "backfill"})
_NO_DATA = frozenset({"pong", "error", "nothing"})
_GLOBAL = frozenset({"new_market", "market_resolved"})
_LEFT_OUT = frozenset({"ws_mute", "ws_no_snapshot", "ws_topic_gone", "ws_drop"})
_ZEROS = b'"hash":"' + b"0" * 40 + b'"'


@dataclass(frozen=True)
class CloseReason:
    """The close of a connection; `by` is client or server."""

    code: int
    reason: str
    by: str


class ServedConnection:
    """The server's end of one open socket; `number` counts the connections of a run from 1."""

    def __init__(
        self,
        number: int,
        url: str,
        session: SimSession,
        socket: web.WebSocketResponse,
        transport: asyncio.WriteTransport,
        clock: SimulatedClock,
        faults: Callable[[], Sequence[Fault]],
        truth: Truth | None,
        accepted: Sequence[Fault] = (),
    ) -> None:
        """Prepare to serve a connection.

        url: address at the real venue; faults: returns the faults injected at present, a new list whenever
        they change; truth: None = record nothing; accepted: faults that hit the request which opened the
        socket.
        """
        self._number = number
        self._url = url
        self._route = url.removeprefix("wss://")
        self._session = session
        self._socket = socket
        self._transport = transport
        self._clock = clock
        self._faults = faults
        self._ordered: Sequence[Fault] = ()
        self._fitting: Sequence[Fault] = ()
        self._start_ns = clock.page.start.wall
        self._truth = truth
        self._inbox: deque[str] = deque()
        self._wake = asyncio.Event()
        self._ending: CloseReason | None = None
        self._cursor = self._horizon = clock.now_ns()
        self._pending: deque[Frame] = deque()
        self._held: list[tuple[Frame, bytes, list[str]]] = []  # held back by ws_reorder
        self._late: list[tuple[int, Frame, bytes, list[str]]] = []  # (due at ns, ...), delayed by ws_late
        self._stall: tuple[Fault, int | None] | None = None  # (fault, until ns; None: for ever)
        self._is_half_open = False
        self.ended = asyncio.Event()
        for fault in accepted:
            self._accept(fault)
        transport.set_write_buffer_limits(high=2 * SEND_BUFFER)  # sending never waits for the client

    def stop(self) -> None:
        """Close the connection with code 1001, because the server stops."""
        self._end(*GOING_AWAY, "server")

    async def run(self) -> None:
        """Serve the connection until one side closes it."""
        self._note_event("opened", **({"connection_id": self._session.name} if self._session.name else {}))
        reading = asyncio.create_task(self._read())
        try:
            ending = await self._push()
            reading.cancel()
            await asyncio.wait({reading})
            await self._close(ending)
        except (ConnectionError, asyncio.CancelledError):
            self._end(ABNORMAL, "", "client")
            raise
        finally:
            reading.cancel()
            left = [(frame, payload, faults) for _, frame, payload, faults in self._late]
            for frame, payload, faults in self._held + left:
                self._note(frame, payload, None, faults)
            if (ended := self._ending) is not None:
                more = {"code": ended.code, "reason": ended.reason, "by": ended.by}
                self._note_event("closed", **more, sent_until_ns=self._cursor)
            self.ended.set()

    def _end(self, code: int, reason: str, by: str) -> None:
        self._ending = self._ending or CloseReason(code, reason, by)
        self._wake.set()

    async def _close(self, ending: CloseReason) -> None:
        if ending.code == ABNORMAL:
            if self._is_half_open:
                await asyncio.sleep(_CLOSE_S)  # the client waits for an answer in vain
            self._transport.abort()
            return
        if not self._is_half_open:
            await self._flush()
        patience = _STOP_S if ending == CloseReason(*GOING_AWAY, "server") else _CLOSE_S
        try:
            async with asyncio.timeout(patience):
                await self._socket.close(code=ending.code, message=ending.reason.encode())
        except TimeoutError:
            pass
        finally:
            self._transport.abort()  # otherwise unread data would delay the end

    # --- texts from the client -----------------------------------------------------------------------------

    async def _read(self) -> None:
        try:
            await self._listen()
        except ConnectionError:
            self._end(ABNORMAL, "", "client")

    async def _listen(self) -> None:
        while True:
            message = await self._socket.receive()
            if self._is_half_open:
                if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
                    self._end(ABNORMAL, "", "client")
                    return
            elif message.type is WSMsgType.TEXT:
                self._inbox.append(message.data)
                self._wake.set()
            elif message.type is WSMsgType.PING:
                await self._socket.pong(message.data)
            elif message.type is WSMsgType.CLOSE:
                self._end(message.data or 1000, message.extra or "", "client")
                return
            elif message.type not in (WSMsgType.BINARY, WSMsgType.PONG):
                self._end(ABNORMAL, "", "client")
                return

    async def _receive_text(self, text: str) -> None:
        reported = self._session.received(text, self._cursor)
        if reported.event and reported.event != "ping":
            self._note_event(reported.event, text=text)
        for frame in reported.frames:
            await self._send(frame)
        if reported.event and reported.event != "ping":  # the frames that follow may carry other numbers now
            self._pending = deque(self._session.due(self._cursor, self._horizon))

    # --- frames to the client ------------------------------------------------------------------------------

    async def _push(self) -> CloseReason:
        while True:
            self._wake.clear()
            await self._advance(self._clock.now_ns())
            while self._inbox and self._ending is None and not self._is_half_open:
                await self._receive_text(self._inbox.popleft())
            over = None if self._is_half_open else self._session.end(self._cursor)
            if over is not None:
                self._end(*over, "server")
            if self._truth is not None:
                self._truth.flush()
            if self._ending is not None:
                return self._ending
            due = self._pending[0].ns if self._pending else self._horizon
            await self._wait(min(due, self._late[0][0]) if self._late else due)

    async def _advance(self, now_ns: int) -> None:
        """Send every frame that is due up to `now_ns` (simulated wall clock, ns)."""
        sent = 0
        while self._cursor < now_ns and self._ending is None:
            if self._horizon <= self._cursor:
                self._horizon = (self._cursor // SECOND + 1) * SECOND
                self._pending = deque(self._session.due(self._cursor, self._horizon))
            until = min(now_ns, self._horizon)
            while self._pending and self._pending[0].ns <= until and self._ending is None:
                frame = self._pending.popleft()
                await self._send_late(frame.ns)
                await self._send(frame)
                sent += 1
                if sent % _IN_A_ROW == 0:
                    await asyncio.sleep(0)
            await self._send_late(until)
            self._cursor = until

    async def _wait(self, until_ns: int) -> None:
        """Wait until a simulated moment (ns), or until a text arrives or the connection is to end."""
        now_ns = self._clock.now_ns()
        if until_ns <= now_ns and self._cursor < now_ns:
            await asyncio.sleep(0)
            return
        # time has not moved on; it may stand still until this event loop is idle
        left = max(0, until_ns - now_ns)
        timer = asyncio.get_running_loop().call_later(self._clock.wait_s(left), self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()

    async def _send(self, frame: Frame) -> None:
        if self._is_half_open:
            self._note(frame, frame.payload, None, ["ws_half_open"])
            return
        if frame.kind != "pong" and (why := self._is_silent(frame)):
            self._note(frame, frame.payload, None, [why])
            return
        elapsed_s = to_seconds(frame.ns - self._start_ns)
        hit = [
            fault
            for fault in self._possible()
            if fault.is_on(elapsed_s) and self._concerns(fault, frame) and fault.strikes()
        ]
        names = [fault.kind for fault in hit]
        if self._is_broken_by(hit, frame) or not _LEFT_OUT.isdisjoint(names):
            self._note(frame, frame.payload, None, names)
            return
        payload = frame.payload
        if "ws_wrong_hash" in names:
            payload = re.sub(rb'"hash":"[0-9a-f]{40}"', _ZEROS, payload, count=1)
        if "ws_truncate" in names:
            payload = payload[: len(payload) * 2 // 3]
        for fault in hit:
            if fault.kind == "ws_dated_ahead":
                payload = self._session.dated_ahead(frame, from_seconds(fault.options["seconds"]))
            elif fault.kind == "ws_late":
                at = frame.ns + from_seconds(fault.options["seconds"])
                self._late.append((at, frame, payload, names))
                self._late.sort(key=lambda each: each[0])
                return
        for fault in hit:
            if text := kinds()[fault.kind].text:
                await self._write(replace(frame, kind="nothing", payload=text), None, [fault.kind])
        if "ws_unknown_event" in names:
            await self._write(_surprise(frame), None, ["ws_unknown_event"])
        if "ws_reorder" in names:
            self._held.append((frame, payload, names))
            return
        await self._write(frame, payload, names)
        if "ws_duplicate" in names:
            await self._write(frame, payload, names)
        if frame.kind not in _NO_DATA:
            await self._flush()

    async def _flush(self) -> None:
        """Send the frames that ws_reorder held back; called after the frame that was to overtake them."""
        held, self._held = self._held, []
        for frame, payload, names in held:
            await self._write(frame, payload, names)

    async def _send_late(self, now_ns: int) -> None:
        """Send the frames delayed until `now_ns`.

        While the connection is silent, only record them as not sent.
        """
        while self._late and self._late[0][0] <= now_ns and self._ending is None:
            _, frame, payload, names = self._late.pop(0)
            if why := "ws_half_open" if self._is_half_open else self._is_silent(frame):
                self._note(frame, payload, None, [*names, why])
            else:
                await self._write(frame, payload, names)

    async def _write(self, frame: Frame, payload: bytes | None, faults: list[str]) -> None:
        payload = frame.payload if payload is None else payload
        if self._transport.get_write_buffer_size() > SEND_BUFFER:
            self._note(frame, payload, None, [*faults, "slow_consumer"])
            self._end(*SLOW_CONSUMER, "server")
            return
        self._note(frame, payload, self._clock.now_ns(), faults)
        await self._socket.send_frame(payload, WSMsgType.TEXT)

    # --- faults ------------------------------------------------------------------------------------------

    def _accept(self, fault: Fault) -> None:
        """Apply a fault that concerns the connection as a whole."""
        if fault.kind == "ws_accept_close":
            self._end(fault.options["code"], fault.options["reason"], "server")
        elif fault.kind == "ws_accept_silent":
            seconds = fault.options["seconds"]
            self._stall = fault, None if seconds is None else self._cursor + from_seconds(seconds)

    def _is_silent(self, frame: Frame) -> str:
        """Return what keeps a frame from being sent at its time: the kind of a fault, or `no_ping`.

        "" if nothing does.
        """
        if self._stall is not None:
            fault, until_ns = self._stall
            if fault in self._faults() and (until_ns is None or frame.ns < until_ns):
                return fault.kind
            self._stall = None
        return "no_ping" if self._session.is_deaf(frame.ns) else ""

    def _possible(self) -> Sequence[Fault]:
        """Return the injected faults that can hit frames of this connection.

        Recomputed only when faults change.
        """
        ordered = self._faults()
        if ordered is not self._ordered:
            self._ordered = ordered
            self._fitting = [
                each
                for each in ordered
                if each.is_for_sockets and each.kind not in ON_ACCEPT and each.fits("GET", self._route)
            ]
        return self._fitting

    def _concerns(self, fault: Fault, frame: Frame) -> bool:
        """Return whether `fault` could hit a frame of this kind, market or topic."""
        if frame.kind in _NO_DATA:
            return False
        options = fault.options
        match fault.kind:
            case "ws_no_snapshot":
                return frame.kind in _SNAPSHOTS
            case "ws_wrong_hash":
                return frame.kind == "price_change"
            case "ws_topic_gone":
                return frame.topic is not None and frame.topic == str(options["topic"])
            case "ws_mute":
                names = {*frame.markets, frame.symbol} - {None}
                if frame.kind in _GLOBAL or frame.kind == "books" or len(names) != 1:
                    return False
                [name] = names
                if options["market"] is not None:
                    return name == str(options["market"])
                return self._session.place(str(name)) == int(options["index"])
        return options.get("event", frame.kind) in {None, frame.kind}

    def _is_broken_by(self, hit: list[Fault], frame: Frame) -> bool:
        """Apply the faults that silence or close the connection at this frame; return whether there was one.

        hit: the faults that hit the frame.
        """
        for fault in hit:
            if fault.kind == "ws_half_open":
                self._is_half_open = True
            elif fault.kind == "ws_close":
                self._end(fault.options["code"], fault.options["reason"], "server")
            elif fault.kind == "ws_stall":
                seconds, until_ns = fault.options["seconds"], None
                if seconds is not None:
                    until_ns = frame.ns + from_seconds(seconds)
                elif fault.to_s is not None:
                    until_ns = self._start_ns + from_seconds(fault.to_s)
                self._stall = fault, until_ns
        return any(fault.kind in ("ws_half_open", "ws_close", "ws_stall") for fault in hit)

    # --- truth -------------------------------------------------------------------------------------------

    def _note(self, frame: Frame, payload: bytes, sent_ns: int | None, faults: list[str]) -> None:
        if self._truth is not None:
            self._truth.frame(frame, self._number, self._url, payload, sent_ns, faults)

    def _note_event(self, event: str, **more: object) -> None:
        if self._truth is not None:
            self._truth.connection(self._clock.now_ns(), self._number, self._url, event, **more)


def _surprise(frame: Frame) -> Frame:
    """Return an event of an unknown type, due at the time of `frame`."""
    ms = to_ms(frame.ns)
    if frame.topic is None:
        text = f'{{"event_type":"surprise","timestamp":"{ms}"}}'
    else:
        text = f'{{"payload":{{}},"timestamp":{ms},"topic":"surprise","type":"update"}}'
    return replace(frame, kind="surprise", payload=text.encode())
