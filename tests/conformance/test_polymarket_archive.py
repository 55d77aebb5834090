"""Real recordings served over loopback: spiders, pipelines, archive and master on what was really sent."""

from __future__ import annotations

import gzip
import json
import re
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from marketarchive.archive.reader import ArchiveReader
from marketarchive.time_page import TimePage
from marketarchive.times import from_iso
from tests.e2e.harness import command, crawl

SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "polymarket"
DAY = SAMPLES / "ligengxin96_btc5m_2026-07-24" / "BTC-5m-markets-2026-07-24.first16h.jsonl.gz"
BOOKS = (
    # file, verdict by the dated recipes
    ("clob_book_empty_asks_2026-08-03.json", "ok"),
    ("nautilus_trader_a95c8042/py_http_responses_book.json", "ok"),
    ("clob_book_live_truncated_2026-08-11.json", "failed"),
)
PAGE = 50

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"the recordings are not at {SAMPLES}"),
]


class Venue(ThreadingHTTPServer):
    """Serves recorded bodies at the venue's paths, with the simulator's clock route."""

    def __init__(self, start: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.time = TimePage.create(from_iso(start), 1.0)
        self.clock = {"page": str(self.time.path)}
        self.pages: dict[str, bytes] = {}  # path and cursor -> body
        self.books: dict[str, bytes] = {}  # token -> body
        self.sent: Counter[str] = Counter()

    def server_close(self) -> None:
        self.time.remove()
        super().server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Venue
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        if parts.path == "/_clock":
            self.answer(json.dumps(self.server.clock).encode(), count=False)
        elif parts.path.endswith("/book"):
            body = self.server.books.get(query["token_id"][0])
            self.answer(
                body or b'{"error":"No orderbook exists for the requested token id"}', 200 if body else 404
            )
        elif parts.path.endswith("/resolutions"):
            self.answer(
                b'{"data":[],"pagination":{"limit":100,"offset":0,"has_more":false,"next_cursor":null}}'
            )
        else:
            cursor = query.get("after_cursor", [""])[0]
            self.answer(self.server.pages.get(f"{parts.path}?{cursor}", b'{"markets":[]}'))

    def do_POST(self) -> None:
        requested = [
            each["token_id"] for each in json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        ]
        found = [self.server.books[token] for token in requested if token in self.server.books]
        self.answer(b"[" + b",".join(found) + b"]")

    def answer(self, body: bytes, status: int = 200, *, count: bool = True) -> None:
        if count:
            self.server.sent[sha256(body).hexdigest()] += 1
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base's name)
        """Quiet."""


@contextmanager
def serving(start: str) -> Iterator[Venue]:
    with Venue(start) as venue:
        thread = threading.Thread(target=venue.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield venue
        finally:
            venue.shutdown()
            thread.join()


def recorded_rows() -> list[tuple[dict[str, Any], bytes]]:
    """Each row decoded, and the exact text of its `raw` market object."""
    with gzip.open(DAY) as file:
        return [(json.loads(line), line[line.index(b'"raw":') + 6 : line.rindex(b"}")]) for line in file]


def test_193_recorded_markets_reach_the_master_and_their_bytes_come_back(tmp_path: Path) -> None:
    rows = recorded_rows()
    assert len(rows) == 193
    with serving("2026-07-24T17:00:00Z") as venue:
        path = "/gamma-api.polymarket.com/markets/keyset"
        for start in range(0, len(rows), PAGE):
            batch = b",".join(raw for _, raw in rows[start : start + PAGE])
            more = b',"next_cursor":"c%d"' % (start + PAGE) if start + PAGE < len(rows) else b""
            venue.pages[f"{path}?{f'c{start}' if start else ''}"] = (
                b'{"markets":[' + batch + b"]" + more + b"}"
            )
        out = tmp_path / "out"
        done = crawl(venue.url, out, "polymarket_resolutions", "since=1d")
        assert done.code == 0, done.log
        assert done.out.payload_digests() == venue.sent
    with closing(sqlite3.connect(out / "master.db")) as connection:
        found = connection.execute(
            "SELECT market_id, slug, status, resolution, asset, duration FROM markets"
        ).fetchall()
    recorded = {
        (
            row["condition_id"],
            row["slug"],
            "resolved",
            "Up" if row["outcome_prices"] == ["1", "0"] else "Down",
            "BTC",
            "5m",
        )
        for row, _ in rows
    }
    assert set(found) == recorded
    archived = b"".join(message.payload for message in ArchiveReader(out).messages(feed="resolutions"))
    assert all(raw in archived for _, raw in rows), "the very bytes of each object"
    assert not done.out.lines(kind="invalid")
    assert command("verify", out, "--books").returncode == 0
    rebuilt = command("rebuild-master", out)
    assert rebuilt.returncode == 0, rebuilt.stderr
    with closing(sqlite3.connect(out / "master.db")) as connection:
        again = connection.execute(
            "SELECT market_id, slug, status, resolution, asset, duration FROM markets"
        ).fetchall()
    assert set(again) == recorded


@pytest.mark.parametrize(("name", "verdict"), BOOKS)
def test_recorded_books_go_through_the_orderbook_spider(name: str, verdict: str, tmp_path: Path) -> None:
    body = (SAMPLES / name).read_bytes()
    token = re.search(rb'"asset_id":\s*"(\d+)"', body)
    assert token is not None
    [row, raw], *_ = recorded_rows()
    open_row = (
        raw.replace(b'"closed":true', b'"closed":false')
        .replace(row["token_ids"][0].encode(), token[1])
        .replace(b'[\\"1\\", \\"0\\"]', b'[\\"0.5\\", \\"0.5\\"]')
        .replace(b'[\\"0\\", \\"1\\"]', b'[\\"0.5\\", \\"0.5\\"]')
    )
    with serving("2026-07-23T23:56:00Z") as venue:
        venue.pages[f"/gamma-api.polymarket.com/markets/slug/{row['slug']}?"] = open_row
        venue.books[token[1].decode()] = body
        out = tmp_path / "out"
        done = crawl(venue.url, out, "polymarket_orderbook", f"markets={row['slug']}")
        assert done.code == 0, done.log
        assert done.out.payload_digests() == venue.sent
    books = done.out.manifest()["summary"]["books"]
    assert books[verdict] == 1
    archived = [message.payload for message in ArchiveReader(out).messages(feed="orderbook")]
    assert any(body in payload for payload in archived), "the very bytes of the book"
    [quote] = done.out.records("polymarket_btc")
    assert quote["is_observed"] == 0, "the other token has no book"
    assert command("verify", out, "--books").returncode == (0 if verdict == "ok" else 1)
