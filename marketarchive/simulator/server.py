"""The simulator's HTTP and WebSocket server: routes and sockets of venues, limits, faults, encoding, truth.

Besides the venues it serves `/_clock` (simulated time, and the path of its page in memory), `/_seconds` (a
socket that sends each simulated second to pages in a browser), `/_status` (numbers of requests, and pace),
`/_faults` (GET lists the injected faults, POST replaces them) and `/_truth/markets`.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from email.utils import formatdate
from pathlib import Path
from urllib.parse import parse_qsl

from aiohttp import web

from marketarchive.archive.codec import compressor, finished
from marketarchive.clock import sleep_until
from marketarchive.exceptions import ConfigurationError
from marketarchive.simulated_time import FollowedEventLoop, SimulatedClock
from marketarchive.simulator.changes import change
from marketarchive.simulator.connections import ServedConnection
from marketarchive.simulator.faults import ON_ACCEPT, ON_UPGRADE, Fault, read_faults
from marketarchive.simulator.limits import Limits
from marketarchive.simulator.messages import (
    Bucket,
    CatalogVenue,
    Reply,
    SimRequest,
    SimulatedVenue,
    json_reply,
)
from marketarchive.simulator.pace import HIGHEST, Pace, PageTurn
from marketarchive.simulator.truth import Truth
from marketarchive.time_page import FOREVER_NS, TimePage
from marketarchive.times import SECOND, from_seconds, to_ms, to_seconds

_LIBRARY_DEFAULT = re.compile(r"^(Python-urllib/|Python/|python-requests/|$)")
_PAGE_OF = re.compile(r"https?://[^/]+/([^/?#]+)")  # the host in a Referer
_BLOCKED = Reply(b"error code: 1010", 403, "text/plain; charset=UTF-8")


@dataclass(frozen=True)
class Options:
    """Options of `scrapy simulate`."""

    port: int = 8900
    speed: float = 1.0  # highest speed, simulated seconds per second
    is_paced: bool = True  # True: time waits for participants that are late
    start_ns: int | None = None  # start of simulated time, ns since the Unix epoch; None: now
    faults: tuple[Fault, ...] = ()
    truth: Path | None = None


class Server:
    """The simulator's server: it serves venues at `/HOST/PATH` on a simulated clock."""

    def __init__(self, venues: list[SimulatedVenue], options: Options) -> None:
        self._truth = None if options.truth is None else _truth(options.truth)
        self.start_ns = time.time_ns() if options.start_ns is None else options.start_ns
        limit, lease_ns = (
            (min(options.speed, HIGHEST), 0) if options.is_paced else (options.speed, FOREVER_NS)
        )
        self.page = TimePage.create(self.start_ns, limit, lease_ns)
        self.clock = SimulatedClock(self.page)
        self._is_paced = options.is_paced
        self._pace = Pace(self.page, self.clock.join())
        self._venues = {host: venue for venue in venues for host in venue.hosts}
        self._all = venues
        self._port = options.port
        self._faults = list(options.faults)
        self._limits = Limits()
        self._requests = 0
        self._connections = 0
        self._open: set[ServedConnection] = set()
        self._watching: set[web.WebSocketResponse] = set()  # sockets of pages in a browser

    async def run(self, ready: Callable[[str], None]) -> None:
        """Serve until SIGTERM or SIGINT. ready: called with the base URL once requests are accepted."""
        app = web.Application(client_max_size=2**20)
        app.router.add_get("/_clock", self._get_clock)
        app.router.add_get("/_seconds", self._send_seconds)
        app.router.add_get("/_status", self._get_status)
        app.router.add_get("/_truth/markets", self._get_markets)
        app.router.add_get("/_faults", self._get_faults)
        app.router.add_post("/_faults", self._post_faults)
        app.router.add_route("*", "/{host}", self._serve)
        app.router.add_route("*", "/{host}/{path:.*}", self._serve)
        app.on_shutdown.append(self._stop_connections)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await self._listen(runner)
            ready(f"http://127.0.0.1:{runner.addresses[0][1]}")
            await self._until_stopped()
        finally:
            await runner.cleanup()
            if self._truth is not None:
                now_ns = self.clock.now_ns()
                self._truth.close(now_ns, self._markets(), self._catalog(), self._pace_reached())
            self.clock.leave()
            self.page.remove()

    async def _listen(self, runner: web.AppRunner) -> None:
        try:
            await web.TCPSite(runner, "127.0.0.1", self._port).start()
        except OSError as error:
            raise ConfigurationError(
                f"--port {self._port} cannot be listened on: {error.strerror}; choose another, or 0 for any"
            ) from error

    async def _until_stopped(self) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        if not self._is_paced:
            await stop.wait()
            return
        pacing = asyncio.create_task(self._pace.keep())
        waiting = asyncio.create_task(stop.wait())
        await asyncio.wait({pacing, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if pacing.done():
            pacing.result()  # raises if the task failed
        pacing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await pacing

    # --- the simulator's own routes ----------------------------------------------------------------------

    async def _get_clock(self, incoming: web.Request) -> web.Response:
        """Answer with the path of the time page and the current relation of simulated to monotonic time."""
        del incoming
        anchor = self.page.anchor()
        reported = {"page": str(self.page.path), "monotonic_ns": anchor.monotonic_ns}
        reported |= {"simulated_ns": anchor.simulated_ns, "speed": anchor.speed, "speed_limit": anchor.limit}
        return _plain(json_reply(reported))

    async def _send_seconds(self, incoming: web.Request) -> web.WebSocketResponse:
        """Send each simulated second (Unix ms) to a page in a browser until either side closes."""
        socket = web.WebSocketResponse(timeout=0.5)
        await socket.prepare(incoming)
        turn = PageTurn()
        self._pace.pages.add(turn)
        sending = asyncio.create_task(self._send_turns(socket, turn))
        self._watching.add(socket)
        try:
            async for _ in socket:
                turn.ended()
        finally:
            sending.cancel()
            self._watching.discard(socket)
            self._pace.pages.discard(turn)
        return socket

    async def _send_turns(self, socket: web.WebSocketResponse, turn: PageTurn) -> None:
        # the present second at once, then each one that begins
        second = self.clock.now_ns() // SECOND * SECOND
        while not socket.closed:
            await sleep_until(self.clock, second)
            if turn.reported_ns is None:
                turn.reported_ns = self.clock.now_ns()
            with contextlib.suppress(ConnectionError):
                await socket.send_str(str(to_ms(second)))
            second = (self.clock.now_ns() // SECOND + 1) * SECOND

    async def _get_status(self, incoming: web.Request) -> web.Response:
        del incoming
        counts = {"requests": self._requests, "connections": len(self._open)}
        return _plain(json_reply({**counts, **self._pace_reached()}))

    def _pace_reached(self) -> dict[str, float]:
        """Return the speed of simulated time that was reached, and the speed that was wanted."""
        return {
            "speed_limit": self.page.limit,
            "mean_speed": round(self.page.mean_speed(), 3),
            "held_s": round(to_seconds(self._pace.held_ns), 3),
        }

    async def _get_markets(self, incoming: web.Request) -> web.Response:
        del incoming
        return _plain(json_reply(self._markets()))

    async def _get_faults(self, incoming: web.Request) -> web.Response:
        del incoming
        listed = [
            {"kind": fault.kind, "route": fault.route, "seen": fault.seen, "hits": fault.hits}
            for fault in self._faults
        ]
        return _plain(json_reply(listed))

    async def _post_faults(self, incoming: web.Request) -> web.Response:
        try:
            self._faults = read_faults(await incoming.read(), "POST /_faults")
        except ConfigurationError as error:
            return _plain(json_reply({"error": str(error)}, 400))
        return _plain(json_reply({"faults": len(self._faults)}))

    def _markets(self) -> list[dict[str, object]]:
        now = self.clock.now_ns()
        return [market for venue in self._all for market in venue.truth(self.start_ns, now)]

    def _catalog(self) -> Iterator[dict[str, object]]:
        now = self.clock.now_ns()
        for venue in self._all:
            if isinstance(venue, CatalogVenue):
                yield from venue.catalog_truth(self.start_ns, now)

    # --- the venues' routes ------------------------------------------------------------------------------

    async def _serve(self, incoming: web.Request) -> web.StreamResponse:
        self._requests += 1
        host, path = self._place(incoming)
        request = SimRequest(
            method=incoming.method,
            host=host,
            path=path,
            query=tuple(parse_qsl(incoming.rel_url.raw_query_string, keep_blank_values=True)),
            body=await incoming.read(),
            headers={name.lower(): value for name, value in incoming.headers.items()},
        )
        is_upgrade = incoming.headers.get("Upgrade", "").lower() == "websocket"
        now = shown = self.clock.now_ns()
        elapsed_s = to_seconds(now - self.start_ns)
        route = _route(request)
        hit = [
            each
            for each in self._faults
            if (each.kind in ON_UPGRADE if is_upgrade else not each.is_for_sockets)
            and each.is_due(request.method, route, elapsed_s, incoming.rel_url.raw_query_string)
        ]
        if is_upgrade and {each.kind for each in hit} <= ON_ACCEPT:
            return await self._connect(incoming, request, hit)
        for fault in hit:
            if fault.kind == "clock_step":
                shown += from_seconds(fault.options["seconds"])
            if fault.is_of_venue:
                fault.since_ns = now if fault.since_ns is None else fault.since_ns
        ordered = {each.kind: {**each.options, "since_ns": each.since_ns} for each in hit if each.is_of_venue}
        request = replace(request, faults=ordered)
        reply = self._answer(request, incoming, now, shown)
        cursor = request.first("after_cursor") or request.first("next_cursor")
        for fault in hit:
            reply = change(reply, fault, cursor, request.host)
        return await self._send(incoming, request, reply, hit, now, shown)

    def _place(self, incoming: web.Request) -> tuple[str, str]:
        """Return the venue's host and the path of a request.

        A request without a host belongs to the host of the page that made it.
        """
        host, path = incoming.match_info["host"], "/" + incoming.match_info.get("path", "")
        page = _PAGE_OF.match(incoming.headers.get("Referer", ""))
        if host in self._venues or page is None or page[1] not in self._venues:
            return host, path
        return page[1], incoming.path

    async def _connect(
        self, incoming: web.Request, request: SimRequest, hit: list[Fault]
    ) -> web.StreamResponse:
        """Open a socket and serve it until it is closed. hit: faults that hit the request."""
        for fault in hit:
            if fault.kind == "latency":
                await asyncio.sleep(fault.options["seconds"])
        venue = self._venues.get(request.host)
        number = self._connections + 1
        session = None if venue is None else venue.connect(request, number, self.clock.now_ns())
        if isinstance(session, Reply):
            now = self.clock.now_ns()
            return await self._send(incoming, request, session, hit, now, now)
        if session is None or incoming.transport is None:
            return _plain(json_reply({"error": f"no socket at {_route(request)} is simulated"}, 404))
        self._connections = number
        socket = web.WebSocketResponse(autoclose=False, autoping=False, compress=False)
        await socket.prepare(incoming)
        connection = ServedConnection(
            number,
            f"wss://{_route(request)}",
            session,
            socket,
            incoming.transport,
            self.clock,
            lambda: self._faults,
            self._truth,
            hit,
        )
        self._open.add(connection)
        try:
            await connection.run()
        except ConnectionError:
            pass  # the client is gone
        finally:
            self._open.discard(connection)
        return socket

    async def _stop_connections(self, app: web.Application) -> None:
        del app
        for page in list(self._watching):
            await page.close(code=1001)
        connections = list(self._open)
        for connection in connections:
            connection.stop()
        for connection in connections:
            await connection.ended.wait()  # each ends within a bounded time

    def _answer(self, request: SimRequest, incoming: web.Request, now: int, shown: int) -> Reply:
        """Return the venue's response to a request.

        now: simulated wall clock, ns; shown: the venue's own clock, ns, which a fault may have moved.
        """
        venue = self._venues.get(request.host)
        if venue is None:
            return json_reply({"error": f"no venue {request.host} is simulated"}, 404)
        if _LIBRARY_DEFAULT.match(incoming.headers.get("User-Agent", "")):
            return _BLOCKED
        limit = venue.limit(request)
        if isinstance(limit, Bucket):
            return venue.answer(request, shown) if self._limits.take(limit, now) else limit.refusal
        if wait := self._limits.wait(*limit, now):
            return Reply(b"error code: 1015", 429, "text/plain; charset=UTF-8", {"Retry-After": str(wait)})
        return venue.answer(request, shown)

    async def _send(
        self, incoming: web.Request, request: SimRequest, reply: Reply, hit: list[Fault], now: int, shown: int
    ) -> web.StreamResponse:
        names = [fault.kind for fault in hit]
        on_the_way = {fault.kind: fault for fault in hit}
        if latency := on_the_way.get("latency"):
            await asyncio.sleep(latency.options["seconds"])
        dropped = on_the_way.get("drop")
        if "hang" in on_the_way or (dropped and dropped.options["at"] == "start"):
            self._note(now, request, None, None, names, whole=False)
            if dropped is None:
                await asyncio.Event().wait()  # until the client or the server gives up
            return _cut_off(incoming)
        headers = {
            "Date": formatdate(to_seconds(shown), usegmt=True),
            "Server": "cloudflare",
            **reply.headers,
        }
        body, is_whole = reply.body, True
        if "bad_gzip" in on_the_way:
            packed = _gzip(body)
            body, is_whole = packed[: len(packed) // 2] + b"\0" * 8, False
            headers["Content-Encoding"] = "gzip"
        elif "gzip" in incoming.headers.get("Accept-Encoding", "") and len(body) > 200:
            body = _gzip(body)
            headers["Content-Encoding"] = "gzip"
            headers["Vary"] = "Accept-Encoding"
        headers["Content-Type"] = reply.content_type
        truncated = on_the_way.get("truncate")
        if dropped or (truncated and truncated.options["how"] == "length"):
            self._note(now, request, reply.status, None, names, whole=False)
            return await _send_part(incoming, reply.status, headers, body, abort=dropped is not None)
        self._note(now, request, reply.status, reply.body if is_whole else None, names, whole=is_whole)
        return web.Response(status=reply.status, body=body, headers=headers)

    def _note(
        self,
        now: int,
        request: SimRequest,
        status: int | None,
        body: bytes | None,
        faults: list[str],
        *,
        whole: bool,
    ) -> None:
        if self._truth is not None:
            self._truth.served(now, request, status, body, faults, whole=whole)


def _truth(folder: Path) -> Truth:
    """Create the truth in a folder. Raises ConfigurationError when it cannot be written."""
    try:
        return Truth(folder)
    except OSError as error:
        raise ConfigurationError(
            f"--truth {folder} cannot be written to: {error.strerror}; name a folder of your own"
        ) from error


def _route(request: SimRequest) -> str:
    """Return HOST/PATH of a request; HOST alone for the root."""
    return f"{request.host}{request.path}".rstrip("/")


def _plain(reply: Reply) -> web.Response:
    return web.Response(status=reply.status, body=reply.body, headers={"Content-Type": reply.content_type})


def _gzip(body: bytes) -> bytes:
    """Compress a body at a fast level, without a time stamp in the header."""
    packer = compressor(level=1)
    return packer.compress(body) + finished(packer)


def _cut_off(incoming: web.Request) -> web.Response:
    if incoming.transport is not None:
        incoming.transport.abort()
    return web.Response()


async def _send_part(
    incoming: web.Request, status: int, headers: dict[str, str], body: bytes, *, abort: bool
) -> web.StreamResponse:
    """Send the first half of a body with the Content-Length of the whole, then end the connection.

    abort: True = reset the connection, False = close it.
    """
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = len(body)
    response.force_close()
    await response.prepare(incoming)
    await response.write(body[: len(body) // 2])
    if incoming.transport is not None:
        if abort:
            incoming.transport.abort()
        else:
            incoming.transport.close()
    return response


def serve(venues: list[SimulatedVenue], options: Options, ready: Callable[[str], None]) -> None:
    """Run the simulator's server until it is stopped.

    ready: called with the base URL once requests are accepted. Raises ConfigurationError.
    """
    if not 0 <= options.port <= 65535:
        raise ConfigurationError(f"--port {options.port} is not a port: 1 to 65535, or 0 for any free one")
    if not 0 < options.speed < math.inf:
        raise ConfigurationError(f"--speed {options.speed:g} is not a number above 0")
    with asyncio.Runner(loop_factory=FollowedEventLoop) as runner:
        runner.run(Server(venues, options).run(ready))
