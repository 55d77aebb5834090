"""One WebSocket connection: each message gets its receipt in the read loop, and is handed over in a batch.

picows, because it was the fastest of the libraries measured (benchmarks/sockets.py), reads without a task
switch per message, and lets the reader pause. This module adds what picows leaves to its user: answering a
close, joining fragments, aborting an attempt that was given up, and ending a connection whose peer does not
answer.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Protocol

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

BATCH = 2048
"""Most messages that are handed over at once."""
BATCH_S = 0.05
"""Longest time (wall s) that a message waits for others before it is handed over."""
CONNECT_S = 10.0
"""Seconds (wall) within which a connection must be open."""
CLOSE_S = 1.0
"""Seconds (wall) to wait for the peer's part in a close."""
MESSAGE_MAX = 64 * 2**20
"""Most bytes of a message; a first snapshot of many books can have megabytes."""
RECEIVE_BUFFER = 256 * 2**10
"""Bytes of the kernel's receive buffer: at most so much is read at once, or still arrives after a pause."""

Message = tuple[int, int, bytes]
"""(receipt in wall ns, `seq`, payload)."""

_TEXT, _BINARY, _CONTINUATION, _CLOSE = (
    WSMsgType.TEXT,
    WSMsgType.BINARY,
    WSMsgType.CONTINUATION,
    WSMsgType.CLOSE,
)
_STATUS_LINE = re.compile(r"HTTP/\d\.\d ([1-9]\d\d)(?: |$)")
_CONTROL_MAX = 125  # bytes of a control frame at most (RFC 6455, section 5.5)

_picows_logger = logging.getLogger(f"{__name__}.picows")
_picows_logger.setLevel(logging.WARNING)  # it would tell of every connection; we do that


@dataclass(frozen=True, slots=True)
class HandshakeFailure:
    """Failed attempt to connect: why, and status, headers (lower case) and body where HTTP was spoken."""

    reason: Literal["dns", "tls", "stall", "disconnect"]
    detail: str
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    flags: tuple[str, ...] = ()  # dataloss: the body is cut; undecoded: it is still encoded


@dataclass(frozen=True, slots=True)
class CloseInfo:
    """Close of a connection: code, reason, and side; code 1006 means that there was no close message."""

    code: int
    reason: str
    is_ours: bool  # whether this side closed it


class Owner(Protocol):
    """Protocol of the object that receives a connection's events, in the event loop."""

    def opened(self, socket: WebSocket) -> None:
        """Handle that the connection is open, and nothing has been read yet: the time to subscribe."""

    def received(self, batch: list[Message]) -> None:
        """Handle a batch of messages, at least one."""


class WebSocket(WSListener):
    """Client side of one connection, made by `connect`; it is open until `ended` is set."""

    def __init__(self, owner: Owner, clock: Clock, seqs: Iterator[int]) -> None:
        """Start unconnected; seqs: yields the `seq` of each message."""
        self.ended = asyncio.Event()
        self.ending: CloseInfo | None = None
        self.last_at: int | None = None  # receipt of the newest message, wall ns
        self._now = clock.now_ns
        self._next_seq = seqs.__next__
        self._owner = owner
        self._batch: list[Message] = []
        self._pieces: list[bytes] = []  # of a fragmented message
        self._pieces_size = 0
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._transport: WSTransport | None = None
        self._ending: asyncio.Task[None] | None = None
        self._is_ours = False
        self.is_paused = False

    @classmethod
    async def connect(
        cls,
        url: str,
        user_agent: str,
        owner: Owner,
        clock: Clock,
        seqs: Iterator[int],
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> WebSocket | HandshakeFailure:
        """Open a connection and return it; where that fails, return why.

        headers: additional ones for the handshake. Certificates are verified, redirects are not followed.
        """
        attempts: list[WebSocket] = []
        is_over = False

        def listener() -> WSListener:
            if is_over:
                return _Unwanted()
            attempts.append(cls(owner, clock, seqs))
            return attempts[-1]

        more: dict[str, Any] = {"ssl_shutdown_timeout": CLOSE_S} if url.startswith("wss:") else {}
        refusal = HandshakeFailure("disconnect", "closed during the handshake")
        try:
            async with asyncio.timeout(CONNECT_S):
                await ws_connect(
                    listener,
                    url,
                    extra_headers={"User-Agent": user_agent, **headers},
                    max_frame_size=MESSAGE_MAX,
                    max_redirects=0,
                    websocket_handshake_timeout=CONNECT_S,  # it closes what we have left
                    logger_name=_picows_logger,
                    **more,
                )
        except WSHandshakeError as error:
            refusal = _refused(error)
        except socket.gaierror as error:
            refusal = HandshakeFailure("dns", error.strerror or str(error))
        except ssl.SSLError as error:
            refusal = HandshakeFailure("tls", str(error))
        except TimeoutError:
            refusal = HandshakeFailure("stall", f"no connection within {CONNECT_S:g} s")
        except OSError as error:
            refusal = HandshakeFailure("disconnect", error.strerror or str(error))
        except asyncio.CancelledError:
            for each in attempts:
                each.abort()
            raise
        finally:
            is_over = True
        return attempts[-1] if attempts else refusal

    # ---- what owners use -------------------------------------------------------------------------------

    def send(self, text: str) -> None:
        """Send a text message; do nothing when the connection has ended."""
        if self._transport is not None and not self._transport.is_disconnected:
            self._transport.send(_TEXT, text.encode())

    def flush(self) -> None:
        """Hand over the messages that have arrived, without waiting for more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._batch:
            batch, self._batch = self._batch, []
            self._owner.received(batch)

    def pause(self, is_paused: bool) -> None:
        """Pause or resume reading; while reading is paused, messages queue at the venue."""
        if is_paused != self.is_paused and self._transport is not None and not self.ended.is_set():
            self.is_paused = is_paused
            transport = self._transport.underlying_transport
            if is_paused:
                transport.pause_reading()
            else:
                transport.resume_reading()

    async def close(self) -> None:
        """Close the connection with a close message, or abort it after CLOSE_S.

        All that arrived is handed over.
        """
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
        """Close the connection at once, without a close message: its peer does not answer any more."""
        self._is_ours = True
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    # ---- what picows calls -----------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._ending = self._loop.create_task(self._until_ended(transport))
        kernel = transport.underlying_transport.get_extra_info("socket")
        kernel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._owner.opened(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        payload = frame.get_payload_as_bytes()
        if len(payload) > _CONTROL_MAX and frame.fin and not self._pieces:
            # nearly all: without asking for the type, or calling `_received`; each would cost as much as this
            self.last_at = at = self._now()
            batch = self._batch
            batch.append((at, self._next_seq(), payload))
            if self._timer is None or len(batch) >= BATCH:
                self._plan()
            return
        kind = frame.msg_type
        if kind is _CLOSE:
            if not transport.is_close_frame_sent:
                transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
            self._loop.call_later(CLOSE_S, transport.disconnect, False)
        elif kind is _TEXT or kind is _BINARY or kind is _CONTINUATION:
            if frame.fin and not self._pieces:
                self._received(payload)
                return
            self._pieces.append(payload)
            self._pieces_size += len(payload)
            if self._pieces_size > MESSAGE_MAX:
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
        reported = None if handshake is None else handshake.recv
        code = (
            1006 if reported is None else reported.code.value or 1005
        )  # 1005: a close message without a code
        self.ending = CloseInfo(code, fault or (reported.reason if reported else "") or "", self._is_ours)
        self.ended.set()

    def _reassemble(self) -> None:
        whole, self._pieces, self._pieces_size = b"".join(self._pieces), [], 0
        self._received(whole)

    def _received(self, payload: bytes) -> None:
        self.last_at = at = self._now()
        self._batch.append((at, self._next_seq(), payload))
        self._plan()

    def _plan(self) -> None:
        """Hand over the waiting messages now where they are BATCH, else after BATCH_S."""
        if len(self._batch) >= BATCH:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(BATCH_S, self.flush)


class _Unwanted(WSListener):
    """Listener of a connection that opened after the attempt was given up: it is closed at once."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        transport.disconnect(graceful=False)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Ignore the frame: nobody has subscribed to anything."""


def _refused(error: WSHandshakeError) -> HandshakeFailure:
    """Return the failure that a refused handshake is, parsed from its bytes.

    picows itself fails on statuses that it does not know, such as Cloudflare's 52x.
    """
    head, body = error.raw_header or b"", error.raw_body or b""
    first, *lines = head.decode("latin-1").split("\r\n")
    found = _STATUS_LINE.match(first)
    why = f"no WebSocket handshake: {error}"[:300]
    if found is None:
        return HandshakeFailure("disconnect", why, body=b"\r\n\r\n".join((head, body)) if body else head)
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    status = int(found[1])
    detail = why if status == 101 else f"status {status}"
    return HandshakeFailure("disconnect", detail, status, headers, body, _flags(headers, body))


def _flags(headers: Mapping[str, str], body: bytes) -> tuple[str, ...]:
    """Return the flags of a refusal's body, of which picows reads only what came with the headers."""
    length = headers.get("content-length", "")
    chunked = "transfer-encoding" in headers
    is_cut = not body.endswith(b"0\r\n\r\n") if chunked else length.isdigit() and int(length) > len(body)
    is_encoded = chunked or headers.get("content-encoding", "identity") != "identity"
    return ("dataloss",) * is_cut + ("undecoded",) * is_encoded
