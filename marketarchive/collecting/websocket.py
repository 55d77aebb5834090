"""One WebSocket connection: every message stamped in the read loop, handed over in batches.

picows, because it was the fastest of the libraries measured (benchmarks/sockets.py), reads without a task
switch per message, and lets the reader pause. What it leaves to its user is done here: answering a close,
putting fragments together, aborting an attempt that was given up.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from picows import (
    WSCloseCode,
    WSFrame,
    WSHandshakeError,
    WSListener,
    WSMsgType,
    WSProtocolError,
    WSTransport,
    ws_connect,
)

from marketarchive.clock import Clock

BATCH = 256
"""Messages handed over at once at most."""
BATCH_S = 0.05
"""Seconds (wall) that a message waits for others at most."""
CONNECT_S = 10.0
"""Seconds (wall) until a connection has to stand."""
CLOSE_S = 1.0
"""Seconds (wall) that a close is waited for."""
MESSAGE_MAX = 64 * 2**20
"""Bytes; a first dump of many books can be megabytes."""
RECEIVE_BUFFER = 256 * 2**10
"""Bytes that the kernel holds; so much is read at once, or still arrives after a pause, at most."""

Message = tuple[int, int, bytes]
"""(received_at ns, seq, payload)."""

_TEXT, _BINARY, _CONTINUATION, _CLOSE = (
    WSMsgType.TEXT,
    WSMsgType.BINARY,
    WSMsgType.CONTINUATION,
    WSMsgType.CLOSE,
)
_CONTROL_MAX = 125  # bytes of a control frame at most (RFC 6455, section 5.5)

_picows_logger = logging.getLogger(f"{__name__}.picows")
_picows_logger.setLevel(logging.WARNING)  # it would tell of every connection; we do that


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a connection did not come about; status, headers (lower case) and body where HTTP was spoken."""

    reason: Literal["dns", "tls", "stall", "disconnect"]
    detail: str
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a connection ended; code 1006 = without a close message."""

    code: int
    reason: str
    is_ours: bool  # we asked for it


class Owner(Protocol):
    """Whom a connection tells what happens, in the event loop."""

    def opened(self, socket: WebSocket) -> None:
        """The moment it stands, before anything is read: the place to subscribe."""

    def received(self, batch: list[Message]) -> None:
        """Messages, at least one."""


class WebSocket(WSListener):
    """Open it with `connect`; it stays open until `ended` is set."""

    def __init__(self, owner: Owner, clock: Clock, seqs: Iterator[int]) -> None:
        """`seqs` counts the messages of a feed."""
        self.ended = asyncio.Event()
        self.ending: Ending | None = None
        self.last_at: int | None = None  # wall ns at which the newest message arrived, whatever it said
        self._now = clock.now_ns
        self._seqs = seqs
        self._owner = owner
        self._batch: list[Message] = []
        self._pieces: list[bytes] = []  # of a fragmented message
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._transport: WSTransport | None = None
        self._ending: asyncio.Task[None] | None = None
        self._is_ours = False
        self._is_given_up = False  # before it stood
        self.is_paused = False

    @classmethod
    async def connect(
        cls, url: str, user_agent: str, owner: Owner, clock: Clock, seqs: Iterator[int]
    ) -> WebSocket | Refusal:
        """An open connection, or why there is none. Certificates are verified, redirects not followed."""
        attempt: list[WebSocket] = []

        def listener() -> WebSocket:
            attempt.append(cls(owner, clock, seqs))
            return attempt[-1]

        try:
            async with asyncio.timeout(CONNECT_S):
                await ws_connect(
                    listener,
                    url,
                    extra_headers={"User-Agent": user_agent},
                    max_frame_size=MESSAGE_MAX,
                    max_redirects=0,
                    websocket_handshake_timeout=None,
                    logger_name=_picows_logger,
                )
        except WSHandshakeError as error:
            return _refused(error)
        except socket.gaierror as error:
            return Refusal("dns", error.strerror or str(error))
        except ssl.SSLError as error:
            return Refusal("tls", str(error))
        except TimeoutError:
            return Refusal("stall", f"no connection within {CONNECT_S:g} s")
        except OSError as error:
            return Refusal("disconnect", error.strerror or str(error))
        finally:
            standing = [each for each in attempt if each.stands_or_is_given_up()]
        return standing[-1] if standing else Refusal("disconnect", "closed during the handshake")

    def stands_or_is_given_up(self) -> bool:
        """Called when an attempt has ended: what comes about later is aborted."""
        self._is_given_up = self._transport is None
        return not self._is_given_up

    # ---- what owners use -------------------------------------------------------------------------------

    def send(self, text: str) -> None:
        """Send a text message; nothing happens when the connection has ended."""
        if self._transport is not None and not self._transport.is_disconnected:
            self._transport.send(_TEXT, text.encode())

    def flush(self) -> None:
        """Hand over what has arrived."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._batch:
            batch, self._batch = self._batch, []
            self._owner.received(batch)

    def pause(self, is_paused: bool) -> None:
        """Stop or go on reading; meanwhile messages wait at the venue's side."""
        if is_paused != self.is_paused and self._transport is not None and not self.ended.is_set():
            self.is_paused = is_paused
            transport = self._transport.underlying_transport
            if is_paused:
                transport.pause_reading()
            else:
                transport.resume_reading()

    async def close(self) -> None:
        """End it: politely, and after CLOSE_S anyway. All that arrived is handed over."""
        self._is_ours = True
        if self._transport is None or self.ended.is_set():
            return
        self.pause(False)
        self._transport.send_close(WSCloseCode.OK)
        try:
            async with asyncio.timeout(CLOSE_S):
                await self.ended.wait()
        except TimeoutError:
            self.abort()
            await self.ended.wait()

    def abort(self) -> None:
        """End it at once, for a peer that does not answer any more."""
        self._is_ours = True
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    # ---- what picows calls -----------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        if self._is_given_up:
            transport.disconnect(graceful=False)
            return
        kernel = transport.underlying_transport.get_extra_info("socket")
        kernel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._transport = transport
        self._ending = self._loop.create_task(self._until_ended(transport))
        self._owner.opened(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        payload = frame.get_payload_as_bytes()
        if len(payload) > _CONTROL_MAX and frame.fin and not self._pieces:
            self._received(payload)  # nearly all; asking for the type would cost as much as all else here
            return
        kind = frame.msg_type
        if kind is _CLOSE:
            if not transport.is_close_frame_sent:
                transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        elif kind is _TEXT or kind is _BINARY or kind is _CONTINUATION:
            if frame.fin and not self._pieces:
                self._received(payload)
                return
            self._pieces.append(payload)
            if sum(map(len, self._pieces)) > MESSAGE_MAX:
                raise WSProtocolError(WSCloseCode.MESSAGE_TOO_BIG, f"over {MESSAGE_MAX} bytes in fragments")
            if frame.fin:
                self._reassemble()

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002  (picows calls it so)
        if self._pieces:
            self._reassemble()  # cut, but it was received
        self.flush()

    async def _until_ended(self, transport: WSTransport) -> None:
        fault = ""
        try:
            await transport.wait_disconnected()
        except Exception as error:  # a message against the protocol, or a fault of ours
            fault = f"{type(error).__name__}: {error}"
        handshake = transport.close_handshake
        told = None if handshake is None else handshake.recv
        code = 1006 if told is None else told.code.value or 1005  # 1005: a close message without a code
        self.ending = Ending(code, fault or (told.reason if told else "") or "", self._is_ours)
        self.ended.set()

    def _reassemble(self) -> None:
        whole, self._pieces = b"".join(self._pieces), []
        self._received(whole)

    def _received(self, payload: bytes) -> None:
        self.last_at = at = self._now()
        batch = self._batch
        batch.append((at, next(self._seqs), payload))
        if len(batch) >= BATCH:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(BATCH_S, self.flush)


def _refused(error: WSHandshakeError) -> Refusal:
    response = error.response
    if response is None:
        return Refusal("disconnect", f"no WebSocket handshake: {error}", body=error.raw_header or b"")
    headers = {name.lower(): value for name, value in response.headers.items()}
    status = int(response.status)
    return Refusal("disconnect", f"status {status}", status, headers, error.raw_body or b"")
