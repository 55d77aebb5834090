"""What every venue says of its HTTP interface: endpoints with their limits, and queries to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Endpoint:
    """One documented route. Endpoints with the same `limit_class` share one documented limit."""

    name: str
    url: str  # the real one; `{name}` parts are filled from Query.path
    limit_class: str
    per_10s: int  # documented requests per 10 seconds and address
    method: str = "GET"
    final: frozenset[int] = frozenset()  # statuses beside 200 that are an answer, not a failure


@dataclass(frozen=True)
class Query:
    """One question to an endpoint."""

    endpoint: Endpoint
    params: Mapping[str, Any] = field(default_factory=dict)  # a list repeats the key
    path: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None  # JSON

    @property
    def url(self) -> str:
        return self.endpoint.url.format(**self.path)
