"""Interfaces of a venue: documented limits, addresses, endpoints, and queries to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Limit:
    """A documented limit per address: `amount` units in any `window_s` seconds.

    Endpoints with the same limit share it. `unit` is what a query costs one of, or `Query.cost` of: requests,
    weights, tokens, connections.
    """

    name: str  # venue/class, unique over all venues
    amount: float
    window_s: float = 10.0
    unit: str = "requests"

    @property
    def per_second(self) -> float:
        return self.amount / self.window_s


@dataclass(frozen=True)
class Address:
    """A URL of a venue that a user may replace: by a mirror, a proxy, or a server of their own.

    It is the value of `setting` (of Scrapy's, or an environment variable), or of `key` in the section of the
    configuration file. The rest of a request's URL stays the same.
    """

    url: str  # the venue's own, without a slash at its end; a placeholder where the server is the user's
    section: str
    key: str
    setting: str
    meaning: str
    is_own_server: bool = False  # there is no public one: without a value nothing is asked


@dataclass(frozen=True)
class Endpoint:
    """One documented route or socket."""

    name: str
    url: str  # the real one; `{name}` parts are filled from Query.path
    limit: Limit
    method: str = "GET"
    final: frozenset[int] = frozenset()  # statuses beside 200 that are an answer, not a failure


@dataclass(frozen=True)
class Query:
    """One request to an endpoint."""

    endpoint: Endpoint
    params: Mapping[str, Any] = field(default_factory=dict)  # a list repeats the key
    path: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None  # JSON
    cost: float = 1.0  # units of the endpoint's limit

    @property
    def url(self) -> str:
        return self.endpoint.url.format(**self.path)
