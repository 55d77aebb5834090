"""Processes that go on as `python -m scrapy ...`, forked from one that has imported all that this imports.

A whole run starts two to five processes, and one that starts from nothing takes longer to import than many
runs take to work. What is forked here differs in that alone: it is a process with an id, streams, signals and
an end of its own. Where the start is the subject, processes start from nothing: in the tests of
the moments of a stop, the wheel, the demo, terminals and interrupts.

Run as a module this is the one from which is forked: one thread that starts
nothing; it ends with the tests.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Protocol

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("scrapy.commands", "marketarchive")
"""Imported with all that is in them, also what a command imports when it works."""
SCRIPTS = ("marketarchive.__main__", "marketarchive.master.migrations")
"""Of these, what runs when it is imported."""
MODULES = (
    "alembic.command",
    "scrapy.core.engine",
    "sqlalchemy.dialects.sqlite",
    "tldextract",
    "twisted.internet.asyncioreactor",
)
_ORDER_BYTES = 100_000


class Running(Protocol):
    """What is asked of a process: a part of subprocess.Popen."""

    pid: int
    returncode: int | Any  # as there: None while it lives
    stdout: IO[str] | None

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


class Forked:
    """A process that runs `python -m` with these words."""

    def __init__(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        stdout: int | IO[str] = 1,
        stderr: int | IO[str] = 2,
    ) -> None:
        """Start it; stdout: PIPE, or like stderr a file or its number, by default that of the tests."""
        self.words = words
        self.stdout: IO[str] | None = None
        self.returncode: int | Any = None
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if stdout == subprocess.PIPE:
            reading, stdout = os.pipe()
            self.stdout = os.fdopen(reading)
        files = [stdout, stderr, theirs]
        socket.send_fds(
            _origin(environment),
            [json.dumps([words, dict(environment)]).encode()],
            [file if isinstance(file, int) else file.fileno() for file in files],
        )
        theirs.close()
        if self.stdout is not None:
            assert isinstance(stdout, int)
            os.close(stdout)
        self.pid = int(self._control.recv(_ORDER_BYTES))

    def poll(self) -> int | None:
        """Return the exit code, negative that of a signal, or None while it lives."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once it has ended. Raises TimeoutExpired."""
        if self.returncode is None:
            self._control.settimeout(timeout)
            try:
                told = self._control.recv(_ORDER_BYTES)
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(list(self.words), timeout or 0) from None
            assert told, "the process that forks has ended"
            self.returncode = int(told)
            self._control.close()
        return int(self.returncode)

    def send_signal(self, sig: int) -> None:
        """Send it, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def run(
    words: Sequence[str], environment: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run it to its end, as subprocess.run does. Raises TimeoutExpired."""
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        process = Forked(words, environment, stdout, stderr)
        try:
            code = process.wait(timeout)
        finally:
            process.kill()
            process.wait()
        printed = [_text(file) for file in (stdout, stderr)]
    return subprocess.CompletedProcess(list(words), code, *printed)


def _text(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


_origins: dict[tuple[tuple[str, str], ...], socket.socket] = {}
_starting = threading.Lock()
_AT_START = ("LD_", "LANG", "LC_", "PYTHON")


def _origin(environment: Mapping[str, str]) -> socket.socket:
    """Return the socket for orders of a process that began with what counts only at the start of one, as this
    environment has it; start it where there is none.
    """
    with _starting:
        key = tuple(
            sorted((name, value) for name, value in environment.items() if name.startswith(_AT_START))
        )
        if key not in _origins:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                process = subprocess.Popen(
                    [sys.executable, "-m", __name__, str(theirs.fileno())],
                    cwd=ROOT, env=environment, pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                    preexec_fn=default_signals,  # noqa: PLW1509  (it sets signals and nothing else)
                )  # fmt: skip
            _origins[key] = ours
            atexit.register(process.wait)
            atexit.register(ours.close)  # this first: it is what ends the process
        return _origins[key]


def default_signals() -> None:
    """Who started the tests in the background, or under nohup, had these ignored."""
    for signum in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(signum, signal.SIG_DFL)


# ---- in the process from which is forked ----------------------------------------------------------------


def _import_all() -> None:
    import_module("scrapy.cmdline")
    for name in PACKAGES:
        for found in pkgutil.walk_packages(import_module(name).__path__, f"{name}."):
            if not found.name.startswith(SCRIPTS):
                import_module(found.name)
    settings = import_module("scrapy.settings.default_settings")
    parts = settings.EXTENSIONS_BASE | settings.DOWNLOADER_MIDDLEWARES_BASE | settings.SPIDER_MIDDLEWARES_BASE
    for name in (*MODULES, *(part.rpartition(".")[0] for part in parts)):
        import_module(name)
    assert "twisted.internet.reactor" not in sys.modules, "each process chooses its own"
    assert threading.active_count() == len(os.listdir("/proc/self/task")) == 1, "a fork has one thread"  # noqa: PTH208


def _serve(orders: socket.socket) -> list[str]:
    """Fork a process for each order, with its streams and environment.

    Return the order's words in such a process, and nothing in this one, at the end of the tests.
    """
    selector = selectors.DefaultSelector()
    selector.register(orders, selectors.EVENT_READ)
    children: dict[int, tuple[int, socket.socket]] = {}  # by pidfd: id, and who wants its exit code
    while True:
        for key, _ in selector.select():
            if key.fd in children:
                pid, control = children.pop(key.fd)
                selector.unregister(key.fd)
                os.close(key.fd)
                with control:
                    _tell(control, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                continue
            message, files, _, _ = socket.recv_fds(orders, _ORDER_BYTES, 3)
            if not message:
                return []
            pid = os.fork()
            if not pid:
                os.dup2(files[0], 1)
                os.dup2(files[1], 2)
                for number in (*files, *children):
                    os.close(number)
                for _, control in children.values():
                    control.close()
                selector.close()
                orders.close()
                words, environment = json.loads(message)
                os.environ.clear()
                os.environ.update(environment)
                return list(words)
            os.close(files[0])
            os.close(files[1])
            control = socket.socket(fileno=files[2])
            _tell(control, pid)
            ended = os.pidfd_open(pid)
            children[ended] = pid, control
            selector.register(ended, selectors.EVENT_READ)


def _tell(control: socket.socket, number: int) -> None:
    with suppress(BrokenPipeError):  # nobody waits for it any more
        control.send(str(number).encode())


def _main() -> None:
    orders = socket.socket(fileno=int(sys.argv[1]))
    _import_all()
    gc.collect()
    gc.freeze()  # else a collection would copy all that is shared
    if words := _serve(orders):
        sys.orig_argv = [sys.executable, "-m", *words]
        sys.argv = list(words)
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()
