"""Outcome of a run: its exit code, and the cause of a failure in one sentence."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from marketarchive.archive.paths import manifest_path
from marketarchive.collecting.feed_context import current_feed

UNANSWERED = ("disconnect", "stall", "rate_limited", "blocked", "dns", "tls")
"""Reasons of gaps that mean that a request or a connection got no answer."""

CLOSE_REASONS = {
    "start_error": "an unhandled exception in the spider",
    "sweep_cursor_loop": "the venue's paging came back to where it was, or brought nothing new",
    "unknown_markets": "none of the markets in markets= exists",
    "trades_refused": "both versions of the trades route refuse",
    "probe_failed": "no active market was found, or no live book with a sound hash",
}


@dataclass(frozen=True)
class Exit:
    """Exit code of a run, and the cause in a sentence where it is not 0."""

    code: int
    cause: str = ""


class Failures:
    """Hosts that did not answer a run, and the newest reason, for each feed."""

    def __init__(self) -> None:
        self._hosts: dict[str, str] = {}
        self._details: dict[str, str] = {}

    def note_host(self, feed: str, url: str) -> None:
        """Note that a request of `feed` to `url` was given up."""
        self._hosts[feed] = urlsplit(url).hostname or url

    def note_reason(self, feed: str, detail: str) -> None:
        """Keep `detail` as the newest reason of a failure of `feed`.

        Of an exception's text the class name is removed.
        """
        name, colon, text = detail.partition(": ")
        self._details[feed] = text if colon and name.endswith("Error") else detail

    def has_requested(self, feed: str) -> bool:
        """Return whether an HTTP request of `feed` was given up; a failing socket does not count."""
        return feed in self._hosts

    def host(self, feed: str, default_url: str) -> str:
        """Return the host that did not answer `feed`.

        Without a failed HTTP request (as on a socket) the host of `default_url` is returned.
        """
        return self._hosts.get(feed) or urlsplit(default_url).hostname or "the venue"

    def detail(self, feed: str) -> str:
        """Return the newest reason of a failure of `feed`, as a phrase."""
        return self._details.get(feed, "no reason is known")


class LastException(logging.Handler):
    """Logging handler that keeps the newest exception logged for the current feed, whatever LOG_LEVEL is."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._feed = current_feed()
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        if current_feed() == self._feed and record.exc_info and (error := record.exc_info[1]) is not None:
            self.text = " ".join(f"{type(error).__name__}: {error}".split())


def last_line(command: str, spider: str, ended: Exit, root: Path, run_name: str | None) -> str:
    """Return the last line that a failed process prints: command, spider, cause, exit code, manifest.

    root: OUTPUT_DIR; run_name: None where no run was opened.
    """
    where = "no run was opened, so there is no manifest"
    if run_name is not None:
        manifest = root / manifest_path(run_name)
        where = f"manifest {manifest}"
        if not manifest.exists():
            where = f"{manifest} could not be written: the next start does it"
    cause = " ".join(ended.cause.split()).rstrip(".")
    return f"{command}: {spider}: {cause}; exit code {ended.code}; {where}"
