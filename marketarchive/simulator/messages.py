"""A request and its answer, free of any server library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import msgspec

from marketarchive.simulator.sockets import SimSession


@dataclass(frozen=True)
class SimRequest:
    """One request as a venue sees it: `/HOST/PATH` taken apart."""

    method: str
    host: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Names in lower case."""
    faults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)
    """Options by kind of the faults that hit it and that only the venue itself can do."""

    def first(self, name: str, default: str = "") -> str:
        return next((value for key, value in self.query if key == name), default)

    def all(self, name: str) -> list[str]:
        """Return every value of a repeated key; `name[]` counts too."""
        return [value for key, value in self.query if key in (name, f"{name}[]")]


@dataclass(frozen=True)
class Reply:
    """One answer, before Content-Encoding."""

    body: bytes
    status: int = 200
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Bucket:
    """A limit of tokens: a request takes `cost` of at most `capacity`, `per_second` come back."""

    name: str
    per_second: float
    capacity: float
    cost: float
    refusal: Reply  # of a request that finds too few


class SimulatedVenue(Protocol):
    """A simulated venue: its answers are a pure function of (seed, request, time)."""

    hosts: frozenset[str]

    def answer(self, request: SimRequest, now_ns: int) -> Reply: ...

    def limit(self, request: SimRequest) -> tuple[str, int] | Bucket:
        """Return the documented limit of a request: (class, requests per 10 s), or a bucket."""

    def connect(self, request: SimRequest, number: int, now_ns: int) -> SimSession | Reply | None:
        """Return the venue's side of a socket, the run's `number`-th; a refusal; None for no socket."""

    def truth(self, start_ns: int, end_ns: int) -> list[dict[str, Any]]:
        """Return every market that existed between two moments, with its outcome."""


@runtime_checkable
class RoundsVenue(SimulatedVenue, Protocol):
    """A simulated venue with rounds of several assets."""

    def list_rounds(self, assets: Sequence[str]) -> None:
        """Restrict lists to the rounds of these assets; others are still found by name."""


@runtime_checkable
class CatalogVenue(SimulatedVenue, Protocol):
    """A simulated venue that can have a catalogue of long-running markets."""

    def open_catalog(self, markets: int) -> None:
        """Add long-running markets; `markets` of them are open at any moment. Raises ConfigurationError."""

    def catalog_truth(self, start_ns: int, end_ns: int) -> Iterator[dict[str, Any]]:
        """Yield every revision of its markets between two moments (wall ns)."""


def json_reply(document: Any, status: int = 200) -> Reply:
    return Reply(msgspec.json.encode(document), status)
