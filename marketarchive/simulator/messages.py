"""Request, answer and protocol of a simulated venue, independent of any server library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import msgspec

from marketarchive.simulator.sockets import SimSession


@dataclass(frozen=True)
class SimRequest:
    """One request as a venue sees it, with `/HOST/PATH` divided into host and path."""

    method: str
    host: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Headers of the request, names in lower case."""
    faults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)
    """Faults that hit the request and that the venue itself carries out: kind -> options."""

    def first(self, name: str, default: str = "") -> str:
        return next((value for key, value in self.query if key == name), default)

    def all(self, name: str) -> list[str]:
        """Return every value of a repeated query parameter; those of `name[]` are included."""
        return [value for key, value in self.query if key in (name, f"{name}[]")]


@dataclass(frozen=True)
class Reply:
    """One answer of a venue, before Content-Encoding is applied."""

    body: bytes
    status: int = 200
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Bucket:
    """A token bucket: `cost` tokens a request, at most `capacity` of them, `per_second` refilled."""

    name: str
    per_second: float
    capacity: float
    cost: float
    refusal: Reply  # answer to a request for which too few tokens are left


class SimulatedVenue(Protocol):
    """Protocol of simulated venues. Answers are a pure function of (seed, request, time)."""

    hosts: frozenset[str]

    def answer(self, request: SimRequest, now_ns: int) -> Reply: ...

    def limit(self, request: SimRequest) -> tuple[str, int] | Bucket:
        """Return the documented limit that a request counts against.

        It is a (class, requests per 10 s), or a token bucket.
        """

    def connect(self, request: SimRequest, number: int, now_ns: int) -> SimSession | Reply | None:
        """Return the venue's side of a new socket, a refusal, or None when the request is not for a socket.

        number: of the connection in this run, from 1; now_ns: simulated wall clock, ns.
        """

    def truth(self, start_ns: int, end_ns: int) -> list[dict[str, Any]]:
        """Return the truth of each market that existed between two simulated times (ns)."""


@runtime_checkable
class RoundsVenue(SimulatedVenue, Protocol):
    """Protocol of simulated venues with up/down or 15-minute rounds of several assets."""

    def list_rounds(self, assets: Sequence[str]) -> None:
        """Restrict lists to the rounds of these assets; rounds of others are still found by name."""


@runtime_checkable
class CatalogVenue(SimulatedVenue, Protocol):
    """Protocol of simulated venues that can have a catalogue of long-running markets."""

    def open_catalog(self, markets: int) -> None:
        """Add a catalogue of which `markets` are open at any moment.

        Raises ConfigurationError for too many.
        """

    def catalog_truth(self, start_ns: int, end_ns: int) -> Iterator[dict[str, Any]]:
        """Yield the truth of each market of the catalogue, with its revisions.

        start_ns, end_ns: simulated times between which a market must have been listed.
        """


def json_reply(document: Any, status: int = 200) -> Reply:
    return Reply(msgspec.json.encode(document), status)
