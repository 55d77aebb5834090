"""Stamps every answer where its bytes arrive, before any other component sees it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scrapy import Request
from scrapy.http import Response

from marketarchive.collecting.components import needed_run
from marketarchive.collecting.run import Run

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

KEPT_HEADERS = ("date", "age", "etag", "retry-after", "content-type", "content-encoding", "cf-ray", "server")


@dataclass(frozen=True, slots=True)
class Receipt:
    """What is known of an answer the moment it arrives."""

    received_at: int  # ns, project clock
    seq: int
    latency_ms: float  # project clock
    headers: dict[str, str]
    payload: bytes  # Content-Encoding undone; as it came where flags has "undecoded"
    flags: tuple[str, ...]


class ReceiptMiddleware:
    """At order 999: the last to see a request, the first to see its answer."""

    def __init__(self, run: Run, largest: int) -> None:
        self._run = run
        self._largest = largest

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> ReceiptMiddleware:
        return cls(needed_run(crawler), crawler.settings.getint("DOWNLOAD_MAXSIZE"))

    def process_request(self, request: Request) -> None:
        if "ask" not in request.meta:
            return  # robots.txt, or a page, whose answers are stamped where the browser hands them over
        request.headers["Accept-Encoding"] = b"gzip"
        request.meta["sent_at"] = self._run.clock.now_ns()
        request.meta["sent_mono"] = self._run.clock.mono_ns()

    def process_response(self, request: Request, response: Response) -> Response:
        if "ask" not in request.meta:
            return response
        received_at = self._run.clock.now_ns()
        latency = self._run.clock.mono_ns() - request.meta["sent_mono"]
        headers = {
            name: b", ".join(values).decode("latin-1")
            for name in KEPT_HEADERS
            if (values := response.headers.getlist(name))
        }
        payload, flags = undo_encoding(response.body, headers.get("content-encoding", ""), self._largest)
        request.meta["receipt"] = Receipt(
            received_at,
            self._run.next_seq(request.meta["ask"].feed),
            round(latency / 1e6, 3),
            headers,
            payload,
            (*response.flags, *flags),
        )
        return response


def undo_encoding(body: bytes, encoding: str, largest: int) -> tuple[bytes, tuple[str, ...]]:
    """The body without its Content-Encoding; where that fails or exceeds `largest`, as it came, flagged.

    Strict, where Scrapy's own middleware returns what it could read of a damaged stream.
    """
    if encoding in ("", "identity") or not body:
        return body, ()
    if encoding.lower() not in ("gzip", "x-gzip"):
        return body, ("undecoded",)
    decoder = zlib.decompressobj(wbits=31)
    try:
        plain = decoder.decompress(body, largest)
    except zlib.error:
        return body, ("undecoded",)
    if not decoder.eof or decoder.unused_data:
        return body, ("undecoded",)
    return plain, ()
