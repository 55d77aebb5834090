"""Finding and configuring the browser for pages: a stock Chromium of this machine, never downloaded."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from typing import Any

from scrapy.settings import BaseSettings

from marketarchive.exceptions import ConfigurationError

PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
QUIET = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--disable-gpu",
    "--disable-dev-shm-usage",  # small servers and containers have little of it
    "--no-first-run",
)
"""Options by which the browser requests nothing but the pages, and runs on a small server."""
LAUNCH_MS = 30_000  # wall


def launch_options(settings: BaseSettings) -> dict[str, Any]:
    """Return Chromium's launch options; the user's setting PLAYWRIGHT_LAUNCH_OPTIONS takes precedence."""
    ours: dict[str, Any] = {
        "headless": True,
        "args": [*QUIET, *(["--no-sandbox"] if os.geteuid() == 0 else [])],  # root has no sandbox
        "timeout": LAUNCH_MS,
        # the run is stopped by us, its pages in order: not by signals that reach the browser first
        "handle_sigint": False,
        "handle_sigterm": False,
        "handle_sighup": False,
    }
    if program := find_program():
        ours["executable_path"] = program
    return ours | settings.getdict("PLAYWRIGHT_LAUNCH_OPTIONS")


def find_program() -> str | None:
    """Return the path of the system's Chromium; None where there is none."""
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


def check_browser(settings: BaseSettings) -> None:
    """Check that pages can be opened on this machine. Raises ConfigurationError, with the remedy."""
    for package in ("playwright", "scrapy_playwright"):
        if importlib.util.find_spec(package) is None:
            raise ConfigurationError(
                "pages need the extra `browser`, which is not installed: pip install 'marketarchive[browser]'"
            )
    chosen = settings.getdict("PLAYWRIGHT_LAUNCH_OPTIONS").get("executable_path")
    if chosen and not shutil.which(chosen):
        raise ConfigurationError(f"PLAYWRIGHT_LAUNCH_OPTIONS: {chosen!r} is not a program")
    if not chosen and find_program() is None and not _has_own():
        raise ConfigurationError(
            "pages need a Chromium, and there is none: apt-get install chromium, "
            "or `playwright install chromium`"
        )


def _has_own() -> bool:
    """Return whether playwright has downloaded a Chromium of its own."""
    folder = os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or "~/.cache/ms-playwright"
    return any(Path(folder).expanduser().glob("chromium*-*/*/*"))
