"""The truth of a run: what was really served and happened, written to files for tests to compare with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from marketarchive.simulator.messages import SimRequest
from marketarchive.simulator.sockets import Frame
from marketarchive.simulator.whales import WhaleFiles


class Truth:
    """Writer of the truth files of a run.

    `served.jsonl` has a line for each response, `frames.jsonl` one for each frame. At the end of the run are
    added: `markets.json`; `catalog.jsonl` with a line for each market of the catalogue (its revisions, and
    its price at each UTC midnight); with a catalogue, whale alerts in `wwatcher.db` and their markets in
    `whale_links.jsonl`; and `pace.json`.

    A line of `frames.jsonl` is about a frame that was due on a connection ("line": "frame") or about the
    connection itself ("line": "connection", "event": opened, subscribed, unsubscribed, refused, closed). The
    line of a closed connection has `sent_until_ns`: frames due later were not sent.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._served = (folder / "served.jsonl").open("ab", buffering=0)
        self._count = 0
        self._frames = (folder / "frames.jsonl").open("ab")

    def served(
        self,
        now_ns: int,
        request: SimRequest,
        status: int | None,
        body: bytes | None,
        faults: list[str],
        *,
        whole: bool,
    ) -> None:
        """Write the line of a response.

        now_ns: simulated wall clock, ns; status: None = there was no response; body: what a client receives
        after decoding Content-Encoding, None = no complete body; faults: kinds that hit the request; whole:
        False = the body was cut on the way.
        """
        self._count += 1
        line = {
            "n": self._count,
            "simulated_ns": now_ns,
            "method": request.method,
            "url": f"https://{request.host}{request.path}",
            "query": request.query,
            "status": status,
            "bytes": None if body is None else len(body),
            "sha256": None if body is None else hashlib.sha256(body).hexdigest(),
            "whole": whole,
            "faults": faults,
        }
        self._served.write(msgspec.json.encode(line) + b"\n")

    def connection(self, now_ns: int, connection: int, url: str, event: str, **more: Any) -> None:
        """Write the line of an event of a connection.

        now_ns: simulated wall clock, ns; connection: number in the order of opening, from 1; url: address at
        the real venue; more: further fields of the line.
        """
        line = {
            "line": "connection",
            "event": event,
            "simulated_ns": now_ns,
            "connection": connection,
            "url": url,
            **more,
        }
        self._frames.write(msgspec.json.encode(line) + b"\n")
        self._frames.flush()

    def frame(
        self,
        frame: Frame,
        connection: int,
        url: str,
        payload: bytes,
        sent_ns: int | None,
        faults: list[str],
    ) -> None:
        """Write the line of a frame.

        payload: what was sent, or would have been (`sent_ns` None). If a fault changed it, `due_sha256` is
        the hash of the original. `tokens` is written only for a frame about one token of its market. sent_ns:
        simulated wall clock, ns; faults: kinds that hit the frame.
        """
        line = {
            "line": "frame",
            "event": frame.kind,
            "simulated_ns": frame.ns,
            "sent_ns": sent_ns,
            "sent": sent_ns is not None,
            "connection": connection,
            "url": url,
            "bytes": len(payload),
            "sha256": hashlib.sha256(payload).hexdigest(),
            "faults": faults,
        }
        if frame.markets:
            line["markets"] = frame.markets
        if len(frame.tokens) == 1:
            line["tokens"] = frame.tokens
        if frame.topic is not None:
            line |= {"topic": frame.topic, "symbol": frame.symbol}
        if payload is not frame.payload:
            line["due_sha256"] = hashlib.sha256(frame.payload).hexdigest()
        self._frames.write(msgspec.json.encode(line) + b"\n")

    def flush(self) -> None:
        self._frames.flush()

    def close(
        self,
        now_ns: int,
        markets: list[dict[str, Any]],
        catalog: Iterable[dict[str, Any]],
        pace: dict[str, float],
    ) -> None:
        """Write the outcomes of all markets, the catalogue, its whale alerts, and the pace of time.

        Close the files.
        """
        self._served.close()
        self._frames.close()
        whales = WhaleFiles(self._folder, now_ns)
        with (self._folder / "catalog.jsonl").open("wb") as file:
            for each in catalog:
                file.write(msgspec.json.encode(each) + b"\n")
                whales.add(each)
        whales.write()
        (self._folder / "pace.json").write_bytes(msgspec.json.encode(pace))
        (self._folder / "markets.json").write_bytes(msgspec.json.encode(markets))
