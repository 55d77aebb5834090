"""What is kept of answers that are no answers: cut by our time-out, redirected, challenged."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import Simulator, crawl

pytestmark = pytest.mark.e2e

ONCE: dict[str, Any] = {"REQUEST_ATTEMPTS": 1, "DOWNLOAD_TIMEOUT": 2}


@contextmanager
def venue(world: Simulator, status: int, headers: dict[str, str], body: bytes, lacking: int) -> Iterator[str]:
    """Where every question gets this answer, of which the last `lacking` bytes never come."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/_clock"):
                with urllib.request.urlopen(f"{world.url}{self.path}", timeout=60) as answer:
                    self.answer(200, {}, answer.read(), 0)
            else:
                self.answer(status, headers, body, lacking)

        def answer(self, status: int, headers: dict[str, str], body: bytes, lacking: int) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body) + lacking)}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()
            if lacking:
                self.rfile.read(1)  # until the collector hangs up

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its name there)
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def answers(world: Simulator, out: Path, *given: Any) -> list[dict[str, Any]]:
    """The response lines of a crawl that asks for one market."""
    with venue(world, *given) as url:
        done = crawl(url, out, "polymarket_markets", "markets=btc-updown-5m-1", **ONCE)
    assert done.code in (1, 4), done.log[-2000:]
    return done.out.lines("markets", "response")


def test_what_our_time_out_cut_is_kept_and_flagged(world: Simulator, out: Path) -> None:
    body = b'[{"slug":"btc-updown'
    [line, *_] = answers(world, out, 200, {"Content-Type": "application/json"}, body, 10)
    assert (line["status"], line["flags"]) == (0, ["timeout"])
    assert line["payload_text"].encode() == body
    assert line["headers"]["content-type"] == "application/json"


def test_where_a_redirect_points_and_who_challenges_is_kept(world: Simulator, out: Path) -> None:
    headers = {
        "Location": "https://elsewhere.test/",
        "cf-mitigated": "challenge",
        "WWW-Authenticate": "Basic",
    }
    [line, *_] = answers(world, out, 302, headers, b"moved", 0)
    assert (line["status"], line["payload_text"]) == (302, "moved")
    kept = {name: line["headers"][name] for name in ("location", "cf-mitigated", "www-authenticate")}
    assert kept == {name.lower(): value for name, value in headers.items()}
