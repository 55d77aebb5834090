"""Receipts: each answer's time and `seq`, taken when its last byte arrives, before other components act."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scrapy import Request, signals
from scrapy.exceptions import DownloadTimeoutError
from scrapy.http import Headers, Response

from marketarchive.collecting.components import needed_run
from marketarchive.collecting.run import Run

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

KEPT_HEADERS = (
    "date", "age", "etag", "retry-after", "content-type", "content-encoding", "cf-ray", "server",
    "location", "cf-mitigated", "www-authenticate",
    "x-mbx-used-weight-1m", "x-bapi-limit-status", "ratelimit-remaining",
)  # fmt: skip
TIMED_OUT = "timeout"
"""Flag of an answer that was cut by our own time-out."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Receipt of a response: its time and `seq`, taken on arrival, with its headers and payload."""

    received_at: int  # ns, project clock
    seq: int
    latency_ms: float  # from sending to the last byte, project clock
    headers: dict[str, str]  # those of KEPT_HEADERS
    payload: bytes  # Content-Encoding undone; as it came where flags has "undecoded"
    flags: tuple[str, ...]


@dataclass(slots=True)
class Arriving:
    """Part of a response that has arrived, kept for a time-out, at which Scrapy drops its own copy."""

    headers: Headers
    chunks: list[bytes] = field(default_factory=list)


class ReceiptMiddleware:
    """Downloader middleware at order 999: the last to see a request, the first to see its response."""

    def __init__(self, run: Run, largest: int) -> None:
        self._run = run
        self._largest = largest

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> ReceiptMiddleware:
        made = cls(needed_run(crawler), crawler.settings.getint("DOWNLOAD_MAXSIZE"))
        crawler.signals.connect(made.headers_received, signals.headers_received)
        crawler.signals.connect(made.bytes_received, signals.bytes_received)
        return made

    def headers_received(self, headers: Headers, request: Request) -> None:
        if "pending" in request.meta:
            request.meta["arriving"] = Arriving(headers)

    def bytes_received(self, data: bytes, request: Request) -> None:
        if (arriving := request.meta.get("arriving")) is not None:
            arriving.chunks.append(data)

    def process_request(self, request: Request) -> None:
        if "pending" not in request.meta:
            return  # robots.txt, or a page, whose answers are stamped where the browser hands them over
        request.headers["Accept-Encoding"] = b"gzip"
        request.meta["sent_at"] = self._run.clock.now_ns()
        request.meta["sent_mono"] = self._run.clock.mono_ns()

    def process_response(self, request: Request, response: Response) -> Response:
        if "pending" in request.meta:
            request.meta.pop("arriving", None)
            self._stamp(request, response.headers, response.body, tuple(response.flags))
        return response

    def process_exception(self, request: Request, exception: Exception) -> None:
        """Keep the part of an answer that arrived before our time-out; its status is unknown."""
        arriving: Arriving | None = request.meta.pop("arriving", None)
        if arriving is not None and isinstance(exception, DownloadTimeoutError):
            self._stamp(request, arriving.headers, b"".join(arriving.chunks), (TIMED_OUT,))

    def _stamp(self, request: Request, given: Headers, body: bytes, flags: tuple[str, ...]) -> None:
        received_at = self._run.clock.now_ns()
        latency = self._run.clock.mono_ns() - request.meta["sent_mono"]
        headers = {
            name: b", ".join(values).decode("latin-1")
            for name in KEPT_HEADERS
            if (values := given.getlist(name))
        }
        payload, undone = undo_encoding(body, headers.get("content-encoding", ""), self._largest)
        request.meta["receipt"] = Receipt(
            received_at,
            self._run.next_seq(request.meta["pending"].feed),
            round(latency / 1e6, 3),
            headers,
            payload,
            (*flags, *undone),
        )


def undo_encoding(body: bytes, encoding: str, largest: int) -> tuple[bytes, tuple[str, ...]]:
    """Return a response's body without its Content-Encoding, and flags.

    Where decoding fails, or the result has more than `largest` bytes, the body is returned as it came with
    the flag `undecoded`. Scrapy's own middleware would return what it could read of a damaged body.
    """
    if encoding in ("", "identity") or not body:
        return body, ()
    if encoding.lower() not in ("gzip", "x-gzip"):
        return body, ("undecoded",)
    plain, rest = bytearray(), body
    while rest:  # a gzip body may have several members (RFC 1952, 2.2)
        decoder = zlib.decompressobj(wbits=31)
        try:
            plain += decoder.decompress(rest, largest - len(plain) or 1)
        except zlib.error:
            return body, ("undecoded",)
        if not decoder.eof or len(plain) > largest:
            return body, ("undecoded",)
        rest = decoder.unused_data
    return bytes(plain), ()
