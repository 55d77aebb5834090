"""End of a run: its exit code and, in one sentence, why."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from marketarchive.archive.paths import manifest_path
from marketarchive.collecting.feed_context import current_feed

UNANSWERED = ("disconnect", "stall", "rate_limited", "blocked", "dns", "tls")
"""Reasons of gaps that tell of a request or a connection in vain."""

CLOSE_REASONS = {
    "start_error": "an unhandled exception in the spider",
    "sweep_cursor_loop": "the venue's paging came back to where it was, or brought nothing new",
    "unknown_markets": "none of markets= exists",
    "trades_refused": "both versions of the trades route refuse",
    "probe_failed": "no active market was found, or no live book with a sound hash",
}


@dataclass(frozen=True)
class Exit:
    """An exit code, and why it is not 0."""

    code: int
    cause: str = ""


class Failures:
    """Remembers of each feed of a run who did not answer, and the newest reason."""

    def __init__(self) -> None:
        self._hosts: dict[str, str] = {}
        self._details: dict[str, str] = {}

    def note_host(self, feed: str, url: str) -> None:
        """Note that a request of `feed` to `url` was given up."""
        self._hosts[feed] = urlsplit(url).hostname or url

    def note_reason(self, feed: str, detail: str) -> None:
        """Note why; an exception's text without its class."""
        name, colon, text = detail.partition(": ")
        self._details[feed] = text if colon and name.endswith("Error") else detail

    def has_requested(self, feed: str) -> bool:
        """Return whether a request of `feed` was given up; a socket makes none."""
        return feed in self._hosts

    def host(self, feed: str, default_url: str) -> str:
        """Return the host that did not answer.

        That of `default_url` where no request failed, as of a socket.
        """
        return self._hosts.get(feed) or urlsplit(default_url).hostname or "the venue"

    def detail(self, feed: str) -> str:
        """Return the newest reason."""
        return self._details.get(feed, "no reason is known")


class LastException(logging.Handler):
    """Remembers the newest exception that is logged for the present feed, whatever LOG_LEVEL is."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._feed = current_feed()
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        if current_feed() == self._feed and record.exc_info and (error := record.exc_info[1]) is not None:
            self.text = " ".join(f"{type(error).__name__}: {error}".split())


def last_line(command: str, spider: str, ended: Exit, root: Path, run_name: str | None) -> str:
    """Return the line with which a process ends that failed: feed, cause, exit code, manifest."""
    where = "no run was opened, so there is no manifest"
    if run_name is not None:
        manifest = root / manifest_path(run_name)
        where = f"manifest {manifest}"
        if not manifest.exists():
            where = f"{manifest} could not be written: the next start does it"
    cause = " ".join(ended.cause.split()).rstrip(".")
    return f"{command}: {spider}: {cause}; exit code {ended.code}; {where}"
