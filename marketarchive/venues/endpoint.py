"""Requests and where they go: a venue's documented limits, replaceable addresses, endpoints and queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Limit:
    """A documented rate limit of one client address: `amount` units in any `window_s` seconds.

    Endpoints with the same limit object share its budget. `unit` names what is counted (requests, weights,
    tokens, connections); a query uses `Query.cost` units.
    """

    name: str  # venue/class, unique among all venues
    amount: float
    window_s: float = 10.0
    unit: str = "requests"

    @property
    def per_second(self) -> float:
        return self.amount / self.window_s


@dataclass(frozen=True)
class Address:
    """A base URL of a venue that a user may replace: by a mirror, a proxy, or their own server.

    The replacement is the value of the Scrapy setting or environment variable `setting`, or of `key` in the
    section `section` of the configuration file. The rest of a request's URL stays the same.
    """

    url: str  # default URL, without a slash at its end; a placeholder when `is_own_server`
    section: str
    key: str
    setting: str
    meaning: str
    is_own_server: bool = False  # True: no public server exists; nothing is requested until the user sets one


@dataclass(frozen=True)
class Endpoint:
    """One documented HTTP route or socket of a venue."""

    name: str
    url: str  # URL at the venue; its `{name}` parts are filled from `Query.path`
    limit: Limit
    method: str = "GET"
    final: frozenset[int] = frozenset()  # statuses other than 200 that are a valid answer, not a failure


@dataclass(frozen=True)
class Query:
    """One request to an endpoint, as data."""

    endpoint: Endpoint
    # URL parameters; one with a list as its value is repeated
    params: Mapping[str, Any] = field(default_factory=dict)
    path: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None  # JSON document as bytes; None: the request has no body
    cost: float = 1.0  # units of the endpoint's limit that this request uses

    @property
    def url(self) -> str:
        return self.endpoint.url.format(**self.path)
