"""The one place where a venue's real URL becomes what is asked: itself, or the simulator's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit


def route(url: str, simulator: str | None) -> str:
    """Return the URL to request: itself, or `http://127.0.0.1:8900/HOST/PATH` (sockets: `ws://...`)."""
    if not simulator:
        return url
    parts = urlsplit(url)
    base = urlsplit(simulator)
    scheme = "ws" if parts.scheme in ("ws", "wss") else base.scheme
    query = f"?{parts.query}" if parts.query else ""
    return f"{scheme}://{base.netloc}/{parts.netloc}{parts.path}{query}"


def real_url(requested: str, host: str, simulator: str | None) -> str:
    """Return the inverse of `route` for requests of a page of `host` (`https://HOST`).

    URLs relative to its root are included.
    """
    if not simulator or not requested.startswith(f"{simulator.rstrip('/')}/"):
        return requested
    parts = urlsplit(requested)
    path = parts.path.removeprefix(f"/{urlsplit(host).netloc}")
    return urlunsplit(parts._replace(scheme="https", netloc=urlsplit(host).netloc, path=path))


def with_query(url: str, params: Mapping[str, Any]) -> str:
    """Return `url?a=1&b=x&b=y`; a list repeats its key."""
    return f"{url}?{urlencode(params, doseq=True)}" if params else url
