"""Connection of a probe to a socket: limited and archived like a stream's, closed after enough messages."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable

from marketarchive.clock import sleep
from marketarchive.collecting.limits import backoff
from marketarchive.collecting.receipt import KEPT_HEADERS
from marketarchive.collecting.spider import ArchiveSpider
from marketarchive.collecting.streams.websocket import HandshakeFailure, Message, WebSocket
from marketarchive.items import Cause, Connection, ConnectionEvent, Frames, GapReason, Response
from marketarchive.scope import Scope
from marketarchive.times import from_seconds
from marketarchive.venues.answers import REFUSED_STATUSES, retry_after
from marketarchive.venues.endpoint import Query
from marketarchive.venues.probing import Capture, Listen


async def listen_to(spider: ArchiveSpider, listen: Listen, name: str, wait_s: float) -> Capture:
    """Open a connection, send the texts of `listen`, and receive; return the messages, or why there are none.

    name: of the connection, in raw; wait_s: longest wait for the request limit, s. The connection is closed
    when the check has enough messages, or its time is over.
    """
    return await _Recorder(spider, listen, name).record(wait_s)


class _Recorder:
    """Recorder of one connection of a probe; each message is archived before it is kept."""

    def __init__(self, spider: ArchiveSpider, listen: Listen, name: str) -> None:
        self._spider = spider
        self._run = spider.run
        self._listen = listen
        self._query = Query(listen.endpoint)
        self._url = spider.run.process.route(listen.endpoint.url)
        self._name = name
        self._messages: list[Message] = []
        self._kinds: Counter[str] = Counter()  # of the messages
        self._is_done = asyncio.Event()  # nothing more is waited for
        self._opened_at = 0
        self._seq = 0
        self._requested_at = 0

    async def record(self, wait_s: float) -> Capture:
        run, clock, endpoint = self._run, self._run.clock, self._listen.endpoint
        self._requested_at = clock.now_ns()
        deadline = clock.mono_ns() + from_seconds(wait_s)
        answer = await run.process.limiter.acquire(endpoint, run.stop, deadline)
        if run.stop.is_set():
            return self._failed("not sent: the run is stopping")
        if answer != "granted":
            self._give_up(answer, "venue", "not sent")
            return self._failed(f"not sent ({answer})")
        started = clock.mono_ns()
        run.stats.inc_value("requests/count")
        run.stats.inc_value(f"requests/{self._spider.venue}/{endpoint.name}")
        socket = await WebSocket.connect(
            self._url,
            self._spider.settings.get("USER_AGENT"),
            self,
            clock,
            run.archive.seqs(self._spider.venue, self._spider.feed),
            self._listen.headers(clock.now_ns()),
        )
        latency_ms = round((clock.mono_ns() - started) / 1e6, 3)
        if isinstance(socket, HandshakeFailure):
            return self._refused(socket, latency_ms)
        await self._follow(socket)
        ending = socket.ending
        assert ending is not None
        self._write("closed", code=ending.code, reason=ending.reason)
        run.stats.inc_value(f"stream/closes/{ending.code}")
        if not ending.is_ours:
            reported = f"close code {ending.code} {ending.reason}".strip()
            self._give_up("disconnect", "venue" if ending.code != 1006 else "unknown", reported)
        return Capture(
            self._query,
            self._opened_at,
            101,
            latency_ms=latency_ms,
            seq=self._seq,
            listen=self._listen,
            messages=self._messages,
            ended_at=clock.now_ns(),
            close_code=ending.code,
            close_reason=ending.reason,
            is_closed_by_us=ending.is_ours,
        )

    async def _follow(self, socket: WebSocket) -> None:
        """Receive until there are enough messages, the time is over, or one side closes the connection."""
        waits = [
            asyncio.ensure_future(self._is_done.wait()),
            asyncio.ensure_future(socket.ended.wait()),
            asyncio.ensure_future(sleep(self._run.clock, self._listen.seconds, self._run.stop)),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            if not socket.ended.is_set():
                await socket.close()

    # ---- what the connection calls ---------------------------------------------------------------------

    def opened(self, socket: WebSocket) -> None:
        self._run.stats.inc_value("stream/connections")
        self._opened_at = self._run.clock.now_ns()
        for text in self._listen.texts:
            socket.send(text)
        self._seq = self._write("opened", self._listen.texts)

    def received(self, batch: list[Message]) -> None:
        spider, stats = self._spider, self._run.stats
        spider.put(Frames(spider.venue, spider.feed, self._name, tuple(batch)))
        self._messages += batch
        self._kinds.update(kind for _, _, payload in batch for kind in self._listen.kinds(payload))
        stats.inc_value(f"frames/{spider.feed}", len(batch))
        stats.inc_value(f"frames/good/{spider.feed}", len(batch))
        if self._listen.is_enough(self._kinds) or not self._run.process.writer.has_room:
            self._is_done.set()

    # ---- lines -----------------------------------------------------------------------------------------

    def _write(
        self,
        event: ConnectionEvent,
        texts: Iterable[str] = (),
        code: int | None = None,
        reason: str | None = None,
    ) -> int:
        """Write a `connection` line; return its `seq`."""
        spider, run = self._spider, self._run
        seq = run.next_seq(spider.feed)
        now = run.clock.now_ns()
        spider.put(
            Connection(
                spider.venue, spider.feed, now, seq, self._name, event, self._url, tuple(texts), code, reason
            )
        )
        return seq

    def _refused(self, refusal: HandshakeFailure, latency_ms: float) -> Capture:
        """Archive the HTTP response that came instead of a connection, and record why as a gap."""
        spider, run, status = self._spider, self._run, refusal.status
        now, seq = run.clock.now_ns(), None
        run.stats.inc_value("stream/refusals")
        if status is not None or refusal.body:
            seq = run.next_seq(spider.feed)
            kept = {name: refusal.headers[name] for name in KEPT_HEADERS if name in refusal.headers}
            spider.put(
                Response(
                    spider.venue,
                    spider.feed,
                    now,
                    seq,
                    "GET",
                    self._url,
                    {},
                    status or 0,
                    kept,
                    latency_ms,
                    refusal.body,
                    flags=refusal.flags,
                )
            )
        reason: GapReason = refusal.reason
        limiter, endpoint = run.process.limiter, self._listen.endpoint
        if status in REFUSED_STATUSES:
            reason = "blocked"
            limiter.blocked(endpoint)
        elif status == 429:
            reason = "rate_limited"
            requested = retry_after(refusal.headers.get("retry-after"), now)
            limiter.back_off(endpoint, backoff(1) if requested is None else requested)
        self._give_up(reason, "unknown" if status is None else "venue", refusal.detail)
        return Capture(
            self._query,
            now,
            status,
            refusal.body,
            refusal.headers,
            None if status is None else latency_ms,
            seq,
            f"no connection ({reason}): {refusal.detail}",
            listen=self._listen,
        )

    def _failed(self, error: str) -> Capture:
        return Capture(self._query, self._run.clock.now_ns(), error=error, listen=self._listen)

    def _give_up(self, reason: GapReason, cause: Cause, detail: str) -> None:
        spider, run = self._spider, self._run
        run.stats.inc_value(f"requests/failed/{spider.feed}")
        endpoint = self._listen.endpoint.name
        scope = Scope(spider.venue, spider.feed, connection=self._name, endpoint=endpoint)
        spider.put(run.gap(reason, cause, self._requested_at, run.clock.now_ns(), scope, detail=detail))
