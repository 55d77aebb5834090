"""Sockets: frames a second that a bare loop gets from picows, against the fastest library.

picows (a listener), its own `picows.websockets`, websockets and aiohttp receive in turn the same text frames
of about 600 bytes from another process on another core, each as an expert sets it up: no compression, no
decoding of text, no pings of its own. Each payload is copied to bytes and counted; none may be missing at
the sender's close frame. A loop that only empties the socket, `plain_socket_mb_per_s`, tells that the sender
is not what is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import statistics
import time
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

import aiohttp
import picows
import picows.websockets
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedOK

from benchmarks.result import Result
from benchmarks.sender import CLOSE, at_full_speed, framed, price_changes, sender

GOAL = 0.9
CHOSEN = "picows"
BLOCK = 1_000  # different frames, sent again and again
BLOCKS = 1_000
FRAMES = BLOCK * BLOCKS
ROUNDS = 5
CLOSE_TYPE = picows.WSMsgType.CLOSE
MAX_CONTROL_BYTES = 125  # RFC 6455, 5.5


class Count(NamedTuple):
    """What a loop received until the sender's close frame, and when it asked for it and had it."""

    frames: int
    payload_bytes: int
    requested_s: float
    done_s: float


class Taken(NamedTuple):
    """What a run of a library took: seconds, and of them CPU seconds of the receiver, its set-up included."""

    wall: float
    cpu: float


def run() -> Result:
    payloads = price_changes(BLOCK)
    payload_bytes = sum(map(len, payloads)) * BLOCKS
    sent_bytes = sum(map(len, map(framed, payloads))) * BLOCKS + len(CLOSE)
    with sender(at_full_speed(payloads, BLOCKS)) as port:
        plain = statistics.median(_plain_socket(port, sent_bytes) for _ in range(ROUNDS))
        taken = _in_turns(f"ws://127.0.0.1:{port}/", payload_bytes)
    rates = {name: FRAMES / statistics.median(one.wall for one in runs) for name, runs in taken.items()}
    fastest = max(rates, key=lambda name: rates[name])
    return Result(
        name="sockets",
        value=rates[CHOSEN],
        unit="frames/s",
        baseline=rates[fastest],
        ratio=statistics.median(
            base.wall / own.wall for base, own in zip(taken[fastest], taken[CHOSEN], strict=True)
        ),
        goal=GOAL,
        packages=("picows", "aiofastnet", "websockets", "aiohttp"),
        more={
            "fastest": fastest,
            "frames_per_s": {name: round(rate) for name, rate in rates.items()},
            "cpu_us_per_frame": {
                name: round(statistics.median(one.cpu for one in runs) / FRAMES * 1e6, 2)
                for name, runs in taken.items()
            },
            "bytes_per_frame": round(payload_bytes / FRAMES),
            "payload_mb_per_s": round(payload_bytes / FRAMES * rates[CHOSEN] / 1e6),
            "plain_socket_mb_per_s": round(sent_bytes / plain / 1e6),
        },
    )


async def _picows(url: str) -> Count:
    class Listener(picows.WSListener):
        frames = size = 0

        def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
            payload = frame.get_payload_as_bytes()
            if len(payload) <= MAX_CONTROL_BYTES and frame.msg_type is CLOSE_TYPE:  # msg_type costs 0.1 us
                transport.send_close(picows.WSCloseCode.OK)
                transport.disconnect()
                return
            self.frames += 1
            self.size += len(payload)

    transport, listener = await picows.ws_connect(Listener, url)
    requested = time.perf_counter()
    transport.send(picows.WSMsgType.TEXT, b"go")
    await transport.wait_disconnected()
    assert isinstance(listener, Listener)
    return Count(listener.frames, listener.size, requested, time.perf_counter())


async def _picows_websockets(url: str) -> Count:
    frames = size = 0
    async with picows.websockets.connect(
        url, compression=None, ping_interval=None, max_queue=1024, proxy=None
    ) as connection:
        requested = time.perf_counter()
        await connection.send("go")
        with contextlib.suppress(picows.websockets.ConnectionClosedOK):
            while True:
                payload = await connection.recv(decode=False)
                frames += 1
                size += len(payload)
        return Count(frames, size, requested, time.perf_counter())


async def _websockets(url: str) -> Count:
    frames = size = 0
    async with connect(url, compression=None, ping_interval=None, max_queue=1024, proxy=None) as connection:
        requested = time.perf_counter()
        await connection.send("go")
        with contextlib.suppress(ConnectionClosedOK):
            while True:
                payload = await connection.recv(decode=False)
                frames += 1
                size += len(payload)
        return Count(frames, size, requested, time.perf_counter())


async def _aiohttp(url: str) -> Count:
    frames = size = 0
    async with aiohttp.ClientSession() as session, session.ws_connect(url, decode_text=False) as connection:
        requested = time.perf_counter()
        await connection.send_str("go")
        async for message in connection:
            frames += 1
            size += len(message.data)
        return Count(frames, size, requested, time.perf_counter())


LIBRARIES: dict[str, Callable[[str], Coroutine[Any, Any, Count]]] = {
    "picows": _picows,
    "picows.websockets": _picows_websockets,
    "websockets": _websockets,
    "aiohttp": _aiohttp,
}


def _in_turns(url: str, payload_bytes: int) -> dict[str, list[Taken]]:
    """Libraries alternate, so that a machine that slows down meanwhile does so for all."""
    taken: dict[str, list[Taken]] = {name: [] for name in LIBRARIES}
    gc.collect()
    gc.freeze()
    for _ in range(ROUNDS):
        for name, receive in LIBRARIES.items():
            cpu = time.process_time()
            count = asyncio.run(receive(url))
            cpu = time.process_time() - cpu
            assert (count.frames, count.payload_bytes) == (FRAMES, payload_bytes), (name, count)
            taken[name].append(Taken(count.done_s - count.requested_s, cpu))
    gc.unfreeze()
    return taken


def _plain_socket(port: int, size: int) -> float:
    """Seconds to read `size` bytes and look at nothing."""
    buffer = bytearray(2**18)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nSec-WebSocket-Key: a\r\n\r\n")
        connection.recv_into(buffer)
        started = time.perf_counter()
        connection.sendall(b"go")
        while size > 0:
            count = connection.recv_into(buffer)
            assert count, "the sender ended early"
            size -= count
        assert size == 0
        return time.perf_counter() - started
