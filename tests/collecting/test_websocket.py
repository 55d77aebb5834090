"""One connection against real servers: whatever a peer does, what arrived is handed over and the end told."""

from __future__ import annotations

import asyncio
import datetime
import itertools
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiohttp import WSMsgType, web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.clock import RealClock
from marketarchive.collecting.streams import websocket
from marketarchive.collecting.streams.websocket import CloseInfo, HandshakeFailure, Message, WebSocket
from tests.collecting.socket_peer import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Peer,
    close,
    frame,
    peer,
)
from tests.properties import examples

AGENT = "marketarchive tests"


class Listener:
    """Keeps what it is told."""

    def __init__(self, *texts: str) -> None:
        self.texts = texts
        self.sockets: list[WebSocket] = []
        self.batches: list[list[Message]] = []
        self._came = asyncio.Event()

    def opened(self, socket: WebSocket) -> None:
        self.sockets.append(socket)
        for text in self.texts:
            socket.send(text)

    def received(self, batch: list[Message]) -> None:
        self.batches.append(batch)
        self._came.set()

    @property
    def messages(self) -> list[Message]:
        return [message for batch in self.batches for message in batch]

    @property
    def payloads(self) -> list[bytes]:
        return [payload for _, _, payload in self.messages]

    async def has(self, count: int) -> None:
        """Wait for as many messages."""
        async with asyncio.timeout(20):
            while len(self.messages) < count:
                self._came.clear()
                await self._came.wait()


async def attempt(
    url: str, listener: Listener, seqs: Iterator[int] | None = None
) -> WebSocket | HandshakeFailure:
    return await WebSocket.connect(url, AGENT, listener, RealClock(), seqs or itertools.count(1))


async def opened(url: str, listener: Listener, seqs: Iterator[int] | None = None) -> WebSocket:
    socket = await attempt(url, listener, seqs)
    assert isinstance(socket, WebSocket), socket
    return socket


async def refused(url: str) -> HandshakeFailure:
    listener = Listener()
    refusal = await attempt(url, listener)
    assert isinstance(refusal, HandshakeFailure)
    assert listener.sockets == []
    return refusal


async def ending(socket: WebSocket, within: float = 20) -> CloseInfo:
    async with asyncio.timeout(within):
        await socket.ended.wait()
    assert socket.ending is not None
    return socket.ending


# ---- what is sent is received, once, in order --------------------------------------------------------------


@asynccontextmanager
async def aiohttp_server(handler: Callable[[web.Request], object]) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_get("/{path:.*}", handler)  # type: ignore[arg-type]  # each returns what it must
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    [(_, port)] = runner.addresses
    try:
        yield f"ws://127.0.0.1:{port}/"
    finally:
        await runner.cleanup()


async def test_with_a_servers_library_text_and_binary_both_ways() -> None:
    heard: list[str] = []

    async def handler(request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse()
        await response.prepare(request)
        heard.append(request.headers["User-Agent"])
        heard.append((await response.receive()).data)
        await response.send_str("grüße")
        await response.send_bytes(bytes(range(256)))
        await response.send_str("")
        async for message in response:
            assert message.type is WSMsgType.TEXT
            heard.append(message.data)
            await response.send_str("PONG")
        return response

    listener = Listener("subscribe")
    async with aiohttp_server(handler) as url:
        socket = await opened(url, listener)
        socket.send("PING")
        await listener.has(4)
        await socket.close()
    assert heard == [AGENT, "subscribe", "PING"]
    assert listener.payloads == ["grüße".encode(), bytes(range(256)), b"", b"PONG"]
    assert listener.sockets == [socket]
    assert socket.ending == CloseInfo(1000, "", is_ours=True)


@pytest.mark.parametrize("count", [1, 5, 2000])
async def test_frames_in_the_segment_of_the_handshake_are_received(count: int) -> None:
    sent = [b'{"number":%d}' % number for number in range(count)]

    async def behave(client: Peer) -> None:
        await client.accept(*(frame(TEXT, each) for each in sent), close(1000))
        await client.gone()

    listener = Listener()
    async with peer(behave) as url:
        await ending(await opened(url, listener))
    assert listener.payloads == sent


async def test_every_message_has_a_time_and_the_next_number() -> None:
    async def behave(client: Peer) -> None:
        await client.accept()
        await client.frame()
        for number in range(1000):
            await client.send(frame(TEXT, str(number).encode()), frame(PING, b"?"))
        await client.send(close(1000))
        await client.gone()

    listener, seqs = Listener(), itertools.count(7)
    before = RealClock().now_ns()
    async with peer(behave) as url:
        socket = await opened(url, listener, seqs)
        assert next(seqs) == 7  # as a connection line would take it
        socket.send("subscribe")
        await ending(socket)
    times = [at for at, _, _ in listener.messages]
    assert [seq for _, seq, _ in listener.messages] == list(range(8, 1008))
    assert listener.payloads == [str(number).encode() for number in range(1000)]
    assert times == sorted(times)
    assert before <= times[0] <= times[-1] <= RealClock().now_ns()
    assert socket.last_at == times[-1]
    assert max(map(len, listener.batches)) <= websocket.BATCH


async def test_a_message_waits_for_others_only_a_moment() -> None:
    async def behave(client: Peer) -> None:
        await client.accept(frame(TEXT, b"alone"))
        await client.gone()

    listener = Listener()
    async with peer(behave) as url:
        socket = await opened(url, listener)
        await listener.has(1)
        handed_over = RealClock().now_ns()
        assert handed_over - listener.messages[0][0] < (websocket.BATCH_S + 2) * 1e9
        await socket.close()


async def test_fragments_with_a_ping_between_are_one_message() -> None:
    answers: list[tuple[int, bytes]] = []

    async def behave(client: Peer) -> None:
        await client.accept(frame(TEXT, b"a" * 200, fin=False), frame(PING, b"there?"))
        answers.append(await client.frame())
        await client.send(frame(CONTINUATION, b"", fin=False), frame(CONTINUATION, b"b" * 200, fin=False))
        await client.send(frame(PONG), frame(CONTINUATION, b"c"), frame(BINARY, b"next"), close(1000))
        await client.gone()

    listener = Listener()
    async with peer(behave) as url:
        await ending(await opened(url, listener))
    assert answers == [(PONG, b"there?")]
    assert listener.payloads == [b"a" * 200 + b"b" * 200 + b"c", b"next"]


@given(
    messages=st.lists(st.lists(st.binary(max_size=300), min_size=1, max_size=4), max_size=8),
    cuts=st.lists(st.integers(1, 400), max_size=6),
)
@examples(40)
def test_however_messages_are_cut_into_frames_and_segments(
    messages: list[list[bytes]], cuts: list[int]
) -> None:
    """Each message is a list of fragments; `cuts` are the sizes of the first segments."""
    stream = b"".join(
        frame(TEXT if not place else CONTINUATION, piece, fin=place == len(pieces) - 1)
        for pieces in messages
        for place, piece in enumerate(pieces)
    )

    async def behave(client: Peer) -> None:
        await client.accept()
        left = stream + close(1000)
        for size in cuts:
            await client.send(left[:size])
            left = left[size:]
            await asyncio.sleep(0)
        await client.send(left)
        await client.gone()

    async def run() -> list[bytes]:
        listener = Listener()
        async with peer(behave) as url:
            await ending(await opened(url, listener))
        return listener.payloads

    assert asyncio.run(run()) == [b"".join(pieces) for pieces in messages]


async def test_a_large_message_comes_whole() -> None:
    large = bytes(range(256)) * 20_000  # 5 MB, as a first dump of many books

    async def behave(client: Peer) -> None:
        await client.accept(frame(TEXT, large))
        await client.send(close(1000))
        await client.gone()

    listener = Listener()
    async with peer(behave) as url:
        await ending(await opened(url, listener))
    assert listener.payloads == [large]


@pytest.mark.parametrize(
    "sent",
    [
        [frame(TEXT, b"x" * 2000)],
        [frame(TEXT, b"x" * 800, fin=False), frame(CONTINUATION, b"x" * 800)],
        [frame(TEXT, b"x" * 800, fin=False), *[frame(CONTINUATION, b"x", fin=False)] * 300],
    ],
    ids=["frame", "two fragments", "many fragments"],
)
async def test_a_message_without_measure_ends_the_connection(
    sent: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "MESSAGE_MAX", 1000)
    told: list[tuple[int, bytes]] = []

    async def behave(client: Peer) -> None:
        await client.accept(frame(TEXT, b"before"), *sent)
        told.append(await client.frame())
        await client.gone()

    listener = Listener()
    async with peer(behave) as url:
        end = await ending(await opened(url, listener))
    assert (end.code, end.is_ours) == (1006, False)
    assert "1000" in end.reason
    assert listener.payloads[0] == b"before"
    assert [kind for kind, _ in told] == [CLOSE]
    assert told[0][1][:2] == (1009).to_bytes(2)


# ---- ends ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (1000, "all subscribed assets resolved"),
        (1001, ""),
        (1011, "internal error"),
        (1013, "slow consumer: send buffer full"),
        (4001, "said for the first time"),
        (3000, ""),
    ],
)
async def test_a_close_is_answered_and_told_with_its_code_and_reason(code: int, reason: str) -> None:
    answers: list[tuple[int, bytes]] = []

    async def behave(client: Peer) -> None:
        await client.accept(frame(TEXT, b"last"), close(code, reason))
        answers.append(await client.frame())
        await client.gone()

    listener = Listener()
    async with peer(behave) as url:
        assert await ending(await opened(url, listener)) == CloseInfo(code, reason, is_ours=False)
    assert listener.payloads == [b"last"]
    assert answers == [(CLOSE, code.to_bytes(2) + reason.encode())]


async def test_a_close_without_a_code_is_1005() -> None:
    async def behave(client: Peer) -> None:
        await client.accept(frame(TEXT, b"last"), frame(CLOSE))
        assert (await client.frame())[0] == CLOSE
        await client.gone()

    listener = Listener()
    async with peer(behave) as url:
        assert await ending(await opened(url, listener)) == CloseInfo(1005, "", is_ours=False)
    assert listener.payloads == [b"last"]


@pytest.mark.parametrize(
    "sent", [close(1006), close(999), frame(CLOSE, b"\x03"), frame(CLOSE, b"\x03\xe8\xff")]
)
async def test_a_close_that_is_none_ends_the_connection_all_the_same(sent: bytes) -> None:
    async def behave(client: Peer) -> None:
        await client.accept(frame(TEXT, b"last"), sent)
        await client.gone()

    listener = Listener()
    async with peer(behave) as url:
        assert (await ending(await opened(url, listener))).code in (1006, 999)
    assert listener.payloads == [b"last"]


@pytest.mark.parametrize("sent", [b"\x83\x00", frame(PING, b"", fin=False), b"\x81\x80abcd"])
async def test_bytes_against_the_protocol_end_it_and_what_came_before_is_kept(sent: bytes) -> None:
    async def behave(client: Peer) -> None:
        await client.accept(frame(TEXT, b"last"), sent)
        await client.gone()

    listener = Listener()
    async with peer(behave) as url:
        end = await ending(await opened(url, listener))
    assert end.code == 1006
    assert "WSProtocolError" in end.reason
    assert listener.payloads == [b"last"]


@pytest.mark.parametrize("is_reset", [True, False])
async def test_a_cut_is_1006_and_an_unfinished_message_is_kept(*, is_reset: bool) -> None:
    async def behave(client: Peer) -> None:
        await client.accept()
        await client.send(
            frame(TEXT, b"whole"), frame(TEXT, b"half of", fin=False), frame(CONTINUATION, b" it", fin=False)
        )
        await client.frame()  # all of it has arrived
        if is_reset:
            await client.cut()

    listener = Listener()
    async with peer(behave) as url:
        socket = await opened(url, listener)
        await listener.has(1)
        socket.send("arrived")
        assert await ending(socket) == CloseInfo(1006, "", is_ours=False)
    assert listener.payloads == [b"whole", b"half of it"]


async def test_a_half_open_connection_is_ended_by_us() -> None:
    """No byte comes and none is acknowledged by the peer's program; only we can end it."""

    async def behave(client: Peer) -> None:
        await client.accept(frame(TEXT, b"last"))
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport
        await asyncio.Event().wait()

    listener = Listener()
    async with peer(behave) as url:
        socket = await opened(url, listener)
        await listener.has(1)
        for _ in range(100):
            socket.send("PING" * 1000)
        assert not socket.ended.is_set()
        socket.abort()
        assert await ending(socket, within=1) == CloseInfo(1006, "", is_ours=True)
    assert listener.payloads == [b"last"]


async def test_a_close_that_is_not_answered_is_over_after_a_moment() -> None:
    heard: list[tuple[int, bytes]] = []

    async def behave(client: Peer) -> None:
        await client.accept(frame(TEXT, b"1"))
        heard.append(await client.frame())
        await client.send(frame(TEXT, b"2"))  # it was on its way
        await asyncio.Event().wait()

    listener = Listener()
    async with peer(behave) as url:
        socket = await opened(url, listener)
        await listener.has(1)
        async with asyncio.timeout(websocket.CLOSE_S + 2):
            await socket.close()
    assert socket.ending == CloseInfo(1006, "", is_ours=True)
    assert heard == [(CLOSE, (1000).to_bytes(2))]
    assert listener.payloads == [b"1", b"2"]


async def test_after_the_end_nothing_is_sent_and_nothing_breaks() -> None:
    async def behave(client: Peer) -> None:
        await client.accept(close(1001))
        await client.gone()

    async with peer(behave) as url:
        socket = await opened(url, Listener())
        end = await ending(socket)
        socket.send("PING")
        socket.pause(True)
        socket.flush()
        await socket.close()
        socket.abort()
    assert not socket.is_paused
    assert socket.ending == end


# ---- reading pauses ---------------------------------------------------------------------------------------


async def test_a_pause_loses_nothing_and_little_still_arrives() -> None:
    size, count = 1000, 20_000  # 20 MB
    written = 0

    async def behave(client: Peer) -> None:
        nonlocal written
        await client.accept()
        for number in range(count):
            await client.send(frame(BINARY, number.to_bytes(size)))
            written += 1
        await client.send(close(1000))
        await client.gone()

    class Pausing(Listener):
        def received(self, batch: list[Message]) -> None:
            super().received(batch)
            if len(self.batches) == 1:
                self.sockets[0].pause(True)

    listener = Pausing()
    async with peer(behave) as url:
        socket = await opened(url, listener)
        await listener.has(1)
        assert socket.is_paused
        before = -1
        while before != written:  # until the peer cannot send any more
            before = written
            await asyncio.sleep(0.05)
        assert written < count
        assert len(listener.messages) * size <= 2 * websocket.RECEIVE_BUFFER + websocket.BATCH * size
        assert not socket.ended.is_set()
        socket.pause(False)
        assert await ending(socket) == CloseInfo(1000, "", is_ours=False)
    assert listener.payloads == [number.to_bytes(size) for number in range(count)]


async def test_a_close_while_paused_hands_over_what_waits() -> None:
    async def behave(client: Peer) -> None:
        await client.accept()
        await client.frame()
        await client.send(*(frame(TEXT, b"%d" % number) for number in range(100)))
        assert await client.frame() == (CLOSE, (1000).to_bytes(2))
        await client.send(close(1000))
        await client.gone()

    listener = Listener()
    async with peer(behave) as url:
        socket = await opened(url, listener)
        socket.pause(True)
        socket.send("go on")
        await socket.close()
    assert listener.payloads == [b"%d" % number for number in range(100)]
    assert socket.ending == CloseInfo(1000, "", is_ours=True)


# ---- no connection -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        ("403 Forbidden", {"Server": "cloudflare"}, b"<html>Just a moment...</html>"),
        ("429 Too Many Requests", {"Retry-After": "17"}, b"slow down"),
        ("200 OK", {}, b"hello"),
        ("301 Moved Permanently", {"Location": "ws://127.0.0.1:9/"}, b""),
        ("521 Web Server Is Down", {"CF-Ray": "1-LHR"}, b"origin"),
        ("404", {}, b""),
    ],
)
async def test_an_answer_that_is_no_handshake_is_told_as_it_came(
    status: str, headers: dict[str, str], body: bytes
) -> None:
    async def behave(client: Peer) -> None:
        await client.request()
        given = {**headers, "Content-Length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        await client.send(f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body)
        await client.gone()

    async with peer(behave) as url:
        refusal = await refused(url)
    assert refusal.reason == "disconnect"
    assert refusal.status == int(status[:3])
    assert refusal.detail == f"status {status[:3]}"
    assert refusal.body == body
    assert {name.lower(): value for name, value in headers.items()}.items() <= refusal.headers.items()
    assert refusal.flags == ()


async def test_a_body_of_which_only_the_beginning_came_says_so() -> None:
    async def behave(client: Peer) -> None:
        await client.request()
        await client.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 1000\r\n\r\n<html>")
        await client.gone()

    async with peer(behave) as url:
        refusal = await refused(url)
    assert (refusal.status, refusal.body, refusal.flags) == (403, b"<html>", ("dataloss",))


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\nrest", b"SSH-2.0-OpenSSH_9.2\r\n\r\nrest"),
        (b"HTTP/1.0 503 Busy\r\nX: 1\r\n\r\nrest", b"rest"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", b""),
        (b"\xff" * 70_000, None),
        (b"", b""),
        (b"HTTP/1.1 200 O", b""),
    ],
    ids=["ssh", "HTTP/1.0", "no key", "endless head", "nothing", "half a head"],
)
async def test_what_is_no_answer_is_a_refusal_too(answer: bytes, body: bytes | None) -> None:
    async def behave(client: Peer) -> None:
        await client.request()
        await client.send(answer)

    async with peer(behave) as url:
        refusal = await refused(url)
    assert refusal.reason == "disconnect"
    assert body is None or refusal.body == body


async def test_nobody_there() -> None:
    async with peer(Peer.request) as url:
        pass
    refusal = await refused(url)
    assert refusal.reason == "disconnect"
    assert refusal.detail
    assert refusal.status is None


async def test_a_host_that_is_not_found() -> None:
    refusal = await refused("wss://marketarchive.invalid/ws")
    assert refusal.reason == "dns"
    assert refusal.detail


def certificate(folder: Path) -> ssl.SSLContext:
    """A server's side, with a certificate that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    async with peer(Peer.accept, certificate(tmp_path)) as url:
        refusal = await refused(url)
    assert refusal.reason == "tls"
    assert "self-signed" in refusal.detail.replace("self signed", "self-signed")


async def test_over_tls_a_peer_that_says_close_and_stays_is_left_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))  # OpenSSL's own: vouched for

    async def behave(client: Peer) -> None:
        await client.accept(frame(TEXT, b"last" * 100), close(1012, "restart"))
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # so it never ends TLS either
        await asyncio.Event().wait()

    listener = Listener()
    async with peer(behave, tls) as url:
        socket = await opened(url, listener)
        assert await ending(socket, within=websocket.CLOSE_S + 3) == CloseInfo(1012, "restart", is_ours=False)
    assert listener.payloads == [b"last" * 100]


async def test_a_handshake_that_is_never_answered_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "CONNECT_S", 0.2)
    left = asyncio.Event()

    async def behave(client: Peer) -> None:
        await client.request()
        await client.gone()
        left.set()

    async with peer(behave) as url:
        refusal = await refused(url)
        assert refusal == HandshakeFailure("stall", "no connection within 0.2 s")
        async with asyncio.timeout(5):
            await left.wait()  # nothing of it stays open


@pytest.mark.parametrize("is_cancelled", [True, False])
async def test_a_handshake_answered_after_it_was_given_up_opens_nothing(
    monkeypatch: pytest.MonkeyPatch, *, is_cancelled: bool
) -> None:
    monkeypatch.setattr(websocket, "CONNECT_S", 0.3)
    requested, given_up, left = asyncio.Event(), asyncio.Event(), asyncio.Event()
    said: list[bytes] = []

    async def behave(client: Peer) -> None:
        reading = client.reader
        requested.set()
        await given_up.wait()
        try:
            await client.accept(frame(TEXT, b"too late"))
            said.append(await reading.read())
        except ConnectionError:  # the client's kernel may answer for a socket that is closed already
            said.append(b"")
        left.set()

    listener = Listener("subscribe")
    async with peer(behave) as url:
        trying = asyncio.ensure_future(attempt(url, listener))
        await requested.wait()
        if is_cancelled:
            trying.cancel()
            with pytest.raises(asyncio.CancelledError):
                await trying
        else:
            assert isinstance(await trying, HandshakeFailure)
        given_up.set()
        async with asyncio.timeout(5):
            await left.wait()
    assert said == [b""]
    assert listener.sockets == []
    assert listener.batches == []
