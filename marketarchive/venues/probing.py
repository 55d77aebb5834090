"""A probe as data: the checks of a venue's interfaces, and their results.

A minimal probe is one line for each interface that the venue's spiders use:

    PROBE = Probe(
        checks=(
            Check("instruments", "discover", instruments()),
            Check("book", "book", book("BTC-USD")),
            Check("ticker", "stream", Listen(SOCKET, (subscribe(["BTC-USD"]),), seconds=5)),
        ),
        limits_source="https://...",
    )

Each then passes when the answer parses without errors and has rows, or the socket sends and stays open.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TypeAlias

from marketarchive.exceptions import ParseError
from marketarchive.nesting import is_shallow
from marketarchive.times import to_seconds
from marketarchive.venues.endpoint import Endpoint, Limit, Query
from marketarchive.venues.messages import Parsed, Received

FEED = "probe"
"""Name of the feed that archives a probe's answers."""

TOPICS = {
    "clock": "What is the venue's time?",
    "discover": "How are markets discovered?",
    "filter": "How is a list filtered?",
    "resolve_ids": "How is an id resolved?",
    "book": "How is the book of one token read?",
    "batch": "And of many at once?",
    "history": "How are past prices requested?",
    "stream": "How are changes of a book heard at once?",
    "reference": "How are reference prices heard?",
    "resolutions": "How is an outcome known?",
    "trades": "Which trades are public?",
}
"""Topic -> question that fits any venue; `Probe.topics` adds a venue's own."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request of a probe and its answer, or why there is none."""

    query: Query
    received_at: int  # receipt of the answer, or when the request was given up; ns on the project clock
    status: int | None = None  # HTTP status; None: no answer
    payload: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)  # all headers, names in lower case
    latency_ms: float | None = None  # ms from request to answer on the project clock
    seq: int | None = None  # number of the answer's line in the archive
    error: str | None = None  # why the answer cannot be used or never came; None: it is usable


Message: TypeAlias = tuple[int, int, bytes]
"""A received message as (receipt in ns, seq, payload)."""


def kinds_by(*keys: str) -> Callable[[bytes], list[str]]:
    """Return a function that lists the kinds of the messages in a payload, for counting.

    The kind of a JSON object is made of its values under `keys`; a JSON list has a kind for each element; a
    payload that is no JSON is its own kind.
    """

    def kinds(payload: bytes) -> list[str]:
        try:
            document = json.loads(payload) if is_shallow(payload) else None
        except ValueError:  # not JSON, such as PONG
            return [payload[:20].decode("utf-8", "replace") or "empty"]
        objects = document if isinstance(document, list) else [document]
        rows = [each if isinstance(each, dict) else {} for each in objects]
        return [" ".join(str(row[key]) for key in keys if key in row) or "other" for row in rows]

    return kinds


USUAL_KINDS = kinds_by("channel", "event", "type")


@dataclass(frozen=True, slots=True)
class Listen:
    """A request to a socket: the texts to send when it is open, and how long to receive messages."""

    endpoint: Endpoint
    texts: tuple[str, ...]
    seconds: float  # longest time to receive, from the opening, on the project's clock
    kinds: Callable[[bytes], Iterable[str]] = USUAL_KINDS  # returns the kinds of a payload
    # kind -> messages to wait for; receiving ends early once all have come
    wanted: Mapping[str, int] = field(default_factory=dict)
    # returns the handshake's headers for a wall time (ns)
    headers: Callable[[int], Mapping[str, str]] = lambda _: {}

    def is_enough(self, received: Counter[str]) -> bool:
        """Return whether enough messages were received to end early. received: kind -> number so far."""
        return bool(self.wanted) and all(received[kind] >= count for kind, count in self.wanted.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture(Exchange):
    """One socket connection of a probe with its messages.

    `received_at` is when it opened; `payload` is the body of the answer if the handshake was refused.
    """

    listen: Listen
    messages: Sequence[Message] = ()
    ended_at: int = 0
    close_code: int | None = None
    close_reason: str = ""
    is_closed_by_us: bool = False

    @property
    def size(self) -> int:
        """Return the number of bytes of all messages."""
        return sum(len(payload) for _, _, payload in self.messages)

    @property
    def seconds(self) -> float:
        """Return how many seconds the connection was open."""
        return to_seconds(self.ended_at - self.received_at)

    def message(self, message: Message) -> Exchange:
        """Return one of the messages as an exchange.

        Its latency is the time since the opening of the socket.
        """
        at, seq, payload = message
        latency_ms = round((at - self.received_at) / 1e6, 3)
        return Exchange(self.query, at, self.status, payload, {}, latency_ms, seq)


class NotRequestedError(Exception):
    """Raised when a check cannot make its request, because earlier answers lack what it is made of."""


Question: TypeAlias = Query | Listen
Expect: TypeAlias = Callable[[Exchange, "Findings"], str | tuple[Message, str]]
"""Judges a usable answer: returns the evidence in one line; for a connection optionally with the message
that the report shows. Raises ParseError when the answer is not as expected."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a probe: a request, and what spiders rely on in its answer."""

    name: str
    topic: str
    question: Question | str | Callable[[Findings], Question]
    """The request; or the name of an earlier check, whose answer is judged once more; or a function that
    makes the request from earlier answers, and may raise NotRequestedError."""
    expect: Expect | None = None  # None: `is_sound` judges the answer


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a check: whether it passed, and the evidence."""

    name: str
    topic: str
    exchange: Exchange
    passed: bool
    evidence: str


@dataclass(frozen=True)
class Need:
    """Evidence that a probe must find in its answers to pass as a whole."""

    key: str  # name in the report
    what: str
    find: Callable[[Findings], str | None]  # returns the evidence; None: not found


@dataclass(frozen=True)
class Socket:
    """A socket that the venue documents; without an endpoint this version does not use it."""

    url: str
    what: str
    endpoint: Endpoint | None = None


@dataclass(frozen=True)
class Probe:
    """Declaration of a venue's probe: its checks in the order they run, and the documented limits."""

    checks: Sequence[Check]
    limits_source: str
    limits: Mapping[str, Limit] = field(
        default_factory=dict
    )  # by name; none: those of the answers' endpoints
    # topic -> how the venue answers its question, as documented
    how: Mapping[str, str] = field(default_factory=dict)
    topics: Mapping[str, str] = field(default_factory=dict)  # topic of the venue's own -> its question
    sockets: Sequence[Socket] = ()
    needs: Sequence[Need] = ()  # none: the probe passes if anything was answered
    # receipt less a book's own timestamp, s
    book_ages_s: Callable[[Findings], Sequence[float]] = lambda _: ()
    obeys_robots: bool = False  # True: robots.txt is obeyed, because pages made for people are requested


@dataclass
class Findings:
    """The findings of a probe that is running or complete."""

    probe: Probe
    venue: str
    read: Callable[[Received], Parsed]  # the venue's parse function; raises ParseError
    now_ns: int  # wall time at the start of the probe, ns
    setting: Callable[[str], str] = lambda _: ""  # what the user has set under a name: an API key's id
    results: list[Result] = field(default_factory=list)
    not_requested: dict[str, str] = field(default_factory=dict)  # check -> what its request lacked
    exchanges: dict[str, Exchange] = field(default_factory=dict)  # name of each judged check -> its exchange

    def parse(self, exchange: Exchange) -> Parsed:
        """Parse the answer of an exchange with the venue's parse function. Raises ParseError."""
        return self.read(
            Received.answer(
                self.venue,
                FEED,
                exchange.query,
                exchange.status or 0,
                exchange.payload,
                exchange.received_at,
                exchange.seq or 0,
            )
        )

    def passed(self, *checks: str) -> list[Parsed]:
        """Return the parsed answers of those of the named checks that passed."""
        names = {each.name for each in self.results if each.passed}
        return [self.parse(self.exchanges[name]) for name in checks if name in names]

    def requests(self) -> Generator[Question, Exchange]:
        """Yield the requests of the probe; each answer is passed in by `send`, judged and recorded.

        It does no I/O, so that any driver can run it.
        """
        for check in self.probe.checks:
            try:
                question = check.question(self) if callable(check.question) else check.question
                exchange = self._earlier(question) if isinstance(question, str) else (yield question)
            except NotRequestedError as missing:
                self.not_requested[check.name] = str(missing)
            else:
                self.results.append(self._judge(check, exchange))
                self.exchanges[check.name] = exchange

    def _earlier(self, name: str) -> Exchange:
        if name in self.not_requested:
            raise NotRequestedError(self.not_requested[name])
        exchange = self.exchanges[name]
        if exchange.error is not None:
            raise NotRequestedError(
                "the socket did not open" if isinstance(exchange, Capture) else f"no {name}"
            )
        return exchange

    def _judge(self, check: Check, exchange: Exchange) -> Result:
        shown, evidence, passed = exchange, exchange.error, False
        if exchange.error is None:
            try:
                found = (check.expect or is_sound)(exchange, self)
            except ParseError as error:
                evidence = str(error)
            else:
                passed = True
                if isinstance(found, str):
                    evidence = found
                else:
                    assert isinstance(exchange, Capture)
                    shown, evidence = exchange.message(found[0]), found[1]
        return Result(check.name, check.topic, shown, passed, evidence or "")

    @property
    def missing(self) -> list[str]:
        """Return the names of the required findings that no answer held."""
        return [need.what for need in self.probe.needs if need.find(self) is None]

    @property
    def failed(self) -> list[Result]:
        """Return the results of the checks that failed."""
        return [result for result in self.results if not result.passed]

    @property
    def captures(self) -> list[Capture]:
        """Return every socket connection of the probe once, even if several checks judged it."""
        found = {id(each): each for each in self.exchanges.values() if isinstance(each, Capture)}
        return list(found.values())


# ---- expectations of an answer -----------------------------------------------------------------------------


def unexpected(text: str) -> ParseError:
    """Return the error for an answer that is not as expected."""
    return ParseError("Probe", text)


def is_sound(exchange: Exchange, findings: Findings) -> str:
    """Expect rows without errors; of a socket: messages, and that only we closed it.

    Returns the evidence. Raises ParseError when the expectation fails.
    """
    if isinstance(exchange, Capture):
        if not exchange.messages:
            raise unexpected(f"no message within {exchange.listen.seconds} s")
        return stays_open(exchange, findings)
    if not (evidence := parses(exchange, findings)):
        raise unexpected("the answer has no rows")
    return evidence


def parses(exchange: Exchange, findings: Findings) -> str:
    """Expect an answer without errors; it may have no rows.

    Returns the evidence, the number of rows by kind. Raises ParseError when the expectation fails.
    """
    parsed = findings.parse(exchange)
    if parsed.errors:
        raise parsed.errors[0]
    held = {each.name: getattr(parsed, each.name) for each in fields(parsed)}
    return ", ".join(
        f"{name} {len(rows)}" for name, rows in held.items() if rows and not isinstance(rows, str)
    )


def stays_open(capture: Exchange, _: Findings) -> str:
    """Expect a connection that the venue did not close.

    Returns the evidence, the number of messages by kind. Raises ParseError when the expectation fails.
    """
    assert isinstance(capture, Capture)
    if not capture.is_closed_by_us:
        ended = f"closed by the venue, code {capture.close_code} {capture.close_reason}"
        raise unexpected(ended.strip())
    kinds = Counter(kind for _, _, payload in capture.messages for kind in capture.listen.kinds(payload))
    came = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items())) or "nothing"
    what = f"{len(capture.messages)} messages, {capture.size} bytes in {capture.seconds:.1f} s"
    return f"{what}: {came}; closed by us"
