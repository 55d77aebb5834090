"""Our side of the calls: it runs a public client in an environment of its own, and calls its functions."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
SCRIPTS = Path(__file__).parent
ENVIRONMENTS = ROOT / ".clients"


class ClientError(Exception):
    """Raised when a call raised: the name of the class and the message are those in the client."""


class Client:
    """A public client whose process runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def call(self, name: str, *arguments: Any) -> Any:
        """Return what the client's function `name` returns. Raises ClientError."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([name, *arguments]), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        assert line, "the client has ended; why, it said on stderr"
        answer = json.loads(line)
        if "error" in answer:
            raise ClientError(answer["error"])
        return answer["value"]


@contextmanager
def client(name: str, *arguments: str) -> Iterator[Client]:
    """Run `tests/clients/<name>.py` in its environment, until the block is left; skip without one."""
    environment = ENVIRONMENTS / name
    installed = environment / "installed"  # a copy of the requirements
    if not (installed.exists() and installed.read_bytes() == (SCRIPTS / f"{name}.txt").read_bytes()):
        pytest.skip(f"the public client {name} has no environment, or an old one: run `make clients`")
    # -E: a PYTHONPATH would show it what is installed for us
    command = [str(environment / "bin" / "python"), "-E", "-m", f"tests.clients.{name}", *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Client(process)
        finally:
            process.kill()
