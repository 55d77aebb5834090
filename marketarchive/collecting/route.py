"""Mapping of a venue's URL to the one that is requested: the same, a user's stand-in, or the simulator's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from scrapy.settings import BaseSettings

from marketarchive.collecting.user_settings import user_setting
from marketarchive.exceptions import ConfigurationError
from marketarchive.venues import venues
from marketarchive.venues.endpoint import Address


def stand_ins(settings: BaseSettings) -> dict[str, str]:
    """Return the URLs that the user has put in place of venues', by the venue's URL.

    Raises ConfigurationError.

    In a simulation only stand-ins on the simulator count: no other host is requested then.
    """
    simulator = settings.get("SIMULATOR_URL") or ""
    found = {}
    for venue in venues().values():
        for address in venue.addresses:
            given = user_setting(settings, address.setting).rstrip("/")
            if not given or given == address.url:
                continue
            check_address(address, given)
            if not simulator or given.startswith(f"{simulator.rstrip('/')}/"):
                found[address.url] = given
    return found


def check_address(address: Address, given: str) -> None:
    """Check that a URL can stand in for `address`; given: the URL. Raises ConfigurationError."""
    try:
        parts = urlsplit(given)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if is_good and (parts.username or parts.password):
        raise ConfigurationError(
            f"{address.setting} holds a user name or password, and URLs are archived: have the server admit "
            "this machine by its address"
        )
    if not is_good or parts.query or parts.fragment:
        raise ConfigurationError(
            f"{address.setting}={given!r} is not a URL like http://127.0.0.1:8080, without ? and #"
        )


def replaced(url: str, stand_ins: Mapping[str, str]) -> str:
    """Return `url` with its beginning replaced by a stand-in, or unchanged.

    stand_ins: venue's URL -> stand-in.
    """
    for real, other in stand_ins.items():
        if url.startswith(real) and url[len(real) : len(real) + 1] in ("", "/", "?"):
            return other + url[len(real) :]
    return url


def route(url: str, simulator: str | None) -> str:
    """Return the URL that is requested in place of `url`, a venue's: on a simulator its own, else `url`.

    The simulator's is `http://127.0.0.1:8900/HOST/PATH`, for a socket `ws://...`. simulator: its address,
    None without one.
    """
    if not simulator or url.startswith(f"{simulator.rstrip('/')}/"):
        return url
    parts = urlsplit(url)
    base = urlsplit(simulator)
    scheme = "ws" if parts.scheme in ("ws", "wss") else base.scheme
    query = f"?{parts.query}" if parts.query else ""
    return f"{scheme}://{base.netloc}/{parts.netloc}{parts.path}{query}"


def real_url(requested: str, host: str, simulator: str | None) -> str:
    """Return the venue's URL of a request that a page of `host` (`https://HOST`) sent.

    The inverse of `route`.

    URLs relative to the host's root are included. simulator: its URL, None without one.
    """
    if not simulator or not requested.startswith(f"{simulator.rstrip('/')}/"):
        return requested
    parts = urlsplit(requested)
    path = parts.path.removeprefix(f"/{urlsplit(host).netloc}")
    return urlunsplit(parts._replace(scheme="https", netloc=urlsplit(host).netloc, path=path))


def with_query(url: str, params: Mapping[str, Any]) -> str:
    """Return a URL with its parameters: `url?a=1&b=x&b=y`; a list repeats its name."""
    return f"{url}?{urlencode(params, doseq=True)}" if params else url
