"""What was really served and what really happened, written beside the run for tests to compare with."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from marketarchive.simulator.messages import Asked


class Truth:
    """`served.jsonl`, one line a response as it is decided, and `markets.json` at the end."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._served = (folder / "served.jsonl").open("ab", buffering=0)
        self._count = 0

    def served(
        self,
        now_ns: int,
        asked: Asked,
        status: int | None,
        body: bytes | None,
        faults: list[str],
        *,
        whole: bool,
    ) -> None:
        """`body` is what a client holds after Content-Encoding is undone; None: nothing whole can be held.

        `status` is None where no answer was given at all; `whole` is False where the body was cut on the way.
        """
        self._count += 1
        line = {
            "n": self._count,
            "simulated_ns": now_ns,
            "method": asked.method,
            "url": f"https://{asked.host}{asked.path}",
            "query": asked.query,
            "status": status,
            "bytes": None if body is None else len(body),
            "sha256": None if body is None else hashlib.sha256(body).hexdigest(),
            "whole": whole,
            "faults": faults,
        }
        self._served.write(msgspec.json.encode(line) + b"\n")

    def close(self, markets: list[dict[str, Any]]) -> None:
        self._served.close()
        (self._folder / "markets.json").write_bytes(msgspec.json.encode(markets))
