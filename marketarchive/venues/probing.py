"""What a probe asks a venue and what it finds: the same for every venue, each asks its own questions."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from marketarchive.exceptions import ParseError
from marketarchive.venues.endpoint import Endpoint, Query
from marketarchive.venues.messages import Received

FEED = "probe"
"""Where a probe's answers are archived."""

Topic = Literal[
    "clock",
    "discover",
    "rounds",
    "filter",
    "resolve_ids",
    "book",
    "batch",
    "stream",
    "reference",
    "resolutions",
    "trades",
    "pages",
    "reports",
]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question and its answer, or why there is none."""

    query: Query
    received_at: int  # ns, project clock; when it was given up, where there is no answer
    status: int | None = None  # None: no answer
    payload: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)  # all of them, names in lower case
    latency_ms: float | None = None  # project clock
    seq: int | None = None  # of its line in raw
    error: str | None = None  # why the answer cannot be used, or did not come

    def received(self, venue: str) -> Received:
        """Return it as the venue's parse functions take it."""
        return Received.answer(
            venue, FEED, self.query, self.status or 0, self.payload, self.received_at, self.seq or 0
        )


@dataclass(frozen=True, slots=True)
class Listen:
    """A question to a socket: what is said when it stands, and until when it is listened to."""

    endpoint: Endpoint
    texts: tuple[str, ...]
    seconds: float  # at most, on the project's clock, once it stands
    is_enough: Callable[[Sequence[Message]], bool]  # given what is new since the last call


Message = tuple[int, int, bytes]
"""(received_at ns, seq, payload)."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One connection, or why there is none."""

    listen: Listen
    opened_at: int  # ns, project clock; when it was given up, where none came about
    status: int | None = None  # 101, or of the refusal; None: no answer
    refusal: bytes = b""  # its body
    headers: Mapping[str, str] = field(default_factory=dict)  # of a refusal, names in lower case
    latency_ms: float | None = None  # until it stood, project clock
    seq: int | None = None  # of its first line in raw
    messages: Sequence[Message] = ()
    ended_at: int | None = None
    close_code: int | None = None
    close_reason: str = ""
    is_closed_by_us: bool = False
    error: str | None = None  # why there is no connection

    def exchange(self, message: Message | None = None, error: str | None = None) -> Exchange:
        """As a check shows it: the connection itself, or one of its messages."""
        query = Query(self.listen.endpoint)
        if message is None:
            return Exchange(
                query,
                self.opened_at,
                self.status,
                self.refusal,
                self.headers,
                self.latency_ms,
                self.seq,
                error or self.error,
            )
        at, seq, payload = message
        since_opened = round((at - self.opened_at) / 1e6, 3)
        return Exchange(query, at, self.status, payload, {}, since_opened, seq, error)


@dataclass(frozen=True, slots=True)
class Check:
    """What was asked for, whether the answer is what spiders rely on, and by what it shows."""

    name: str
    topic: Topic
    exchange: Exchange
    passed: bool
    evidence: str


Reader = Callable[[Exchange], str]
"""The evidence in a usable answer; raises ParseError when the answer is not what was promised."""
Questions = Generator[Query | Listen, Exchange | Heard, None]
"""Yields what to ask and is sent the answer: no I/O of its own, so that anything can drive it."""


@dataclass
class Findings:
    """What a probe found so far."""

    needs_market: bool = True  # else it passes without a market and a book
    checks: list[Check] = field(default_factory=list)
    not_asked: dict[str, str] = field(default_factory=dict)  # check -> what was missing to ask it
    active_market: str | None = None  # the evidence; None: none was found
    live_book: str | None = None  # the evidence, with the verdict on its hash; None: none was found
    book_ages_s: list[float] = field(default_factory=list)  # receipt minus the book's own timestamp
    heard: list[Heard] = field(default_factory=list)

    def ask(self, name: str, topic: Topic, query: Query, read: Reader) -> Questions:
        """One check: `yield from` it."""
        exchange = yield query
        assert isinstance(exchange, Exchange)
        self.judge(name, topic, exchange, read)

    def judge(self, name: str, topic: Topic, exchange: Exchange, read: Reader) -> None:
        """A check of what was received already."""
        self.checks.append(_judged(name, topic, exchange, read))

    @property
    def missing(self) -> list[str]:
        """What the probe needs to pass and did not find."""
        if not self.needs_market:
            return []
        needed = {"active market": self.active_market, "live book with a sound hash": self.live_book}
        return [what for what, found in needed.items() if found is None]

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.checks if not check.passed]


def _judged(name: str, topic: Topic, exchange: Exchange, read: Reader) -> Check:
    if exchange.error is not None:
        return Check(name, topic, exchange, passed=False, evidence=exchange.error)
    try:
        return Check(name, topic, exchange, passed=True, evidence=read(exchange))
    except ParseError as error:
        return Check(name, topic, exchange, passed=False, evidence=str(error))


@dataclass(frozen=True)
class Socket:
    """A documented socket; one without an endpoint is not used by this version."""

    url: str
    what: str
    endpoint: Endpoint | None = None


@dataclass(frozen=True)
class Probe:
    """A venue's part: its questions, and what is known of it without asking."""

    questions: Callable[[Findings, int], Questions]  # given also the wall time, ns
    how: Mapping[str, str]  # topic -> how the venue is asked, as documented
    sockets: tuple[Socket, ...]
    limits: Mapping[str, int]  # limit class -> documented requests per 10 s
    limits_source: str
    needs_market: bool = True
    obeys_robots: bool = False  # pages made for people, not interfaces made for programs
