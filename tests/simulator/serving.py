"""Starts `scrapy simulate` as a user does, on a free port, and speaks HTTP to it without a client's help."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[2]
START = "2026-11-21T10:01:40Z"  # the moment of tests.simulator.requesting


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "scrapy", "simulate", *arguments]


def environment() -> dict[str, str]:
    return os.environ | {"SCRAPY_PROJECT": "simulator"}


class Simulator:
    """A running simulator; `stop` asks it to end and gives its exit code."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url
        self.netloc = urlsplit(url).netloc

    @contextmanager
    def open(
        self,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 120.0,
    ) -> Iterator[http.client.HTTPResponse]:
        """Sends one request on a connection of its own; the caller reads the answer."""
        with closing(http.client.HTTPConnection(self.netloc, timeout=timeout)) as connection:
            method = "GET" if body is None else "POST"
            connection.request(method, path, body, {"User-Agent": "marketarchive tests", **(headers or {})})
            with closing(connection.getresponse()) as response:
                yield response

    def get(self, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        with self.open(path, body, headers) as response:
            return response.status, response.read()

    def json(self, path: str, body: bytes | None = None) -> Any:
        status, answer = self.get(path, body)
        assert status == 200, answer[:300]
        return json.loads(answer)

    def order(self, *faults: dict[str, Any]) -> None:
        """Replace the faults."""
        assert self.json("/_faults", json.dumps(faults).encode()) == {"faults": len(faults)}

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(timeout=120)


@contextmanager
def simulator(*arguments: str) -> Iterator[Simulator]:
    """Ends with the block, by its own process id."""
    process = subprocess.Popen(
        command("--port", "0", *arguments),
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        first = process.stdout.readline().split()
        assert first[:1] == ["ready"], process.communicate(timeout=120)
        yield Simulator(process, first[1])
    finally:
        process.terminate()
        try:
            process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
