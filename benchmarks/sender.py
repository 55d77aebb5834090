"""A WebSocket server that only sends, by hand and from frames made before, as a process on the last core."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random

from benchmarks.ending import end_with_parent
from benchmarks.raw_write import make_price_change

CLOSE = b"\x88\x02\x03\xe8"  # code 1000
ACCEPT_KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
ANSWER_S = 0.2
"""Seconds that the other side has to answer a close; then the connection is cut."""

Talk = Callable[[socket.socket], None]
"""Sends what is to be sent on a connection, but for the close frame."""


def price_changes(count: int) -> list[bytes]:
    """Different messages of the market socket, about 600 bytes each."""
    random = Random(7)
    tokens = [str(random.getrandbits(256)) for _ in range(8)]
    return [make_price_change(random, tokens[n % 8]) for n in range(count)]


def framed(payload: bytes) -> bytes:
    """A text message in one frame."""
    size = len(payload)
    if size < 126:
        return b"\x81%c%b" % (size, payload)
    if size < 2**16:
        return b"\x81\x7e%b%b" % (struct.pack("!H", size), payload)
    return b"\x81\x7f%b%b" % (struct.pack("!Q", size), payload)


def at_full_speed(payloads: Sequence[bytes], times: int = 1) -> Talk:
    """`payloads` again and again, as fast as they are taken."""
    block = b"".join(map(framed, payloads))

    def talk(connection: socket.socket) -> None:
        for _ in range(times):
            connection.sendall(block)

    return talk


def at_random_times(payloads: Sequence[bytes], per_s: float) -> Talk:
    """Each once, `per_s` in a second on average, independent of one another."""
    frames = list(map(framed, payloads))

    def talk(connection: socket.socket) -> None:
        random, due = Random(11), time.monotonic()
        for frame in frames:
            due += random.expovariate(per_s)
            time.sleep(max(0.0, due - time.monotonic()))
            connection.sendall(frame)

    return talk


@contextmanager
def sender(talk: Talk) -> Iterator[int]:
    """The port of a process that talks to each that shakes hands and then sends anything, and closes.

    It keeps to the last core; this process, and what it starts meanwhile, to the first.
    """
    cores = os.sched_getaffinity(0)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        parent, child = os.getpid(), os.fork()
        if child == 0:
            try:
                end_with_parent(parent)
                os.sched_setaffinity(0, {max(cores)})
                _serve(listening, talk)
            finally:
                os._exit(1)
        os.sched_setaffinity(0, {min(cores)})
        try:
            yield port
        finally:
            os.kill(child, signal.SIGTERM)
            os.waitpid(child, 0)
            os.sched_setaffinity(0, cores)


def _serve(listening: socket.socket, talk: Talk) -> None:
    while True:
        connection, _ = listening.accept()
        with connection, contextlib.suppress(ConnectionError, TimeoutError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            request = b""
            while b"\r\n\r\n" not in request:
                request += connection.recv(4096)
            key = next(
                value.strip()
                for name, _, value in (line.partition(b":") for line in request.split(b"\r\n"))
                if name.lower() == b"sec-websocket-key"
            )
            accept = base64.b64encode(hashlib.sha1(key + ACCEPT_KEY).digest())
            connection.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept
            )
            connection.recv(64)
            talk(connection)
            connection.sendall(CLOSE)
            connection.settimeout(ANSWER_S)
            while connection.recv(4096):  # heartbeats, and the answer to the close
                pass
