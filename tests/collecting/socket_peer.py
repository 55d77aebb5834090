"""A WebSocket peer of which every byte is chosen by the test: what no server library would send."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


def frame(kind: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """As a server sends it (RFC 6455, section 5.2)."""
    first = bytes([0x80 * fin | kind])
    size = len(payload)
    if size < 126:
        return first + bytes([size]) + payload
    if size < 2**16:
        return first + b"\x7e" + size.to_bytes(2) + payload
    return first + b"\x7f" + size.to_bytes(8) + payload


def close(code: int, reason: str = "") -> bytes:
    return frame(CLOSE, code.to_bytes(2) + reason.encode())


@dataclass
class Peer:
    """One client that has connected."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def request(self) -> dict[str, str]:
        """The client's headers, names in lower case."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}

    async def accept(self, *frames: bytes) -> dict[str, str]:
        """Answer the handshake, with `frames` in the same segment; the client's headers."""
        headers = await self.request()
        key = headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        answer = base64.b64encode(hashlib.sha1(key.encode()).digest())
        upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        await self.send(upgrade + b"Sec-WebSocket-Accept: " + answer + b"\r\n\r\n" + b"".join(frames))
        return headers

    async def send(self, *frames: bytes) -> None:
        self.writer.write(b"".join(frames))
        await self.writer.drain()

    async def frame(self) -> tuple[int, bytes]:
        """(kind, payload) of the client's next frame, which has to be masked and small."""
        first, second = await self.reader.readexactly(2)
        assert first & 0x80
        assert second & 0x80
        size = second & 0x7F
        assert size < 126
        mask = await self.reader.readexactly(4)
        masked = await self.reader.readexactly(size)
        return first & 0xF, bytes(byte ^ mask[place % 4] for place, byte in enumerate(masked))

    async def cut(self) -> None:
        """The connection is gone, without a word: RST."""
        self.writer.transport.abort()

    async def gone(self) -> bytes:
        """All that the client still sends until it has left."""
        try:
            return await self.reader.read()
        except ConnectionError:
            return b""


@asynccontextmanager
async def peer(
    behave: Callable[[Peer], Awaitable[object]], tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """The URL of a server whose every connection is treated by `behave`, and cut when the block is left."""
    treating: list[asyncio.Task[object]] = []

    async def treat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> object:
        try:
            return await behave(Peer(reader, writer))
        finally:
            writer.transport.abort()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        treating.append(asyncio.ensure_future(treat(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"{'ws' if tls is None else 'wss'}://127.0.0.1:{port}/ws/market"
    finally:
        server.close()
        for task in treating:
            task.cancel()
        for treated in await asyncio.gather(*treating, return_exceptions=True):
            if isinstance(treated, Exception) and not isinstance(treated, ConnectionError):
                raise treated
