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
"""Where a probe's answers are archived."""

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
"""Questions that fit any venue; `Probe.topics` has a venue's own."""


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


Message: TypeAlias = tuple[int, int, bytes]
"""(received_at ns, seq, payload)."""


def kinds_by(*keys: str) -> Callable[[bytes], list[str]]:
    """Return a function that lists the kinds of a payload: `keys` of its object, or of each in its list."""

    def kinds(payload: bytes) -> list[str]:
        try:
            document = json.loads(payload) if is_shallow(payload) else None
        except ValueError:  # no JSON: PONG
            return [payload[:20].decode("utf-8", "replace") or "empty"]
        objects = document if isinstance(document, list) else [document]
        rows = [each if isinstance(each, dict) else {} for each in objects]
        return [" ".join(str(row[key]) for key in keys if key in row) or "other" for row in rows]

    return kinds


USUAL_KINDS = kinds_by("channel", "event", "type")


@dataclass(frozen=True, slots=True)
class Listen:
    """A question to a socket: what is sent when it is open, and until when messages are received."""

    endpoint: Endpoint
    texts: tuple[str, ...]
    seconds: float  # at most, on the project's clock, once it is open
    kinds: Callable[[bytes], Iterable[str]] = USUAL_KINDS  # of a payload
    wanted: Mapping[str, int] = field(default_factory=dict)  # kind -> how many; with all it ends early
    headers: Callable[[int], Mapping[str, str]] = lambda _: {}  # of the handshake, at a wall time (ns)

    def is_enough(self, received: Counter[str]) -> bool:
        """Return whether the check can end. received: messages so far, by kind."""
        return bool(self.wanted) and all(received[kind] >= count for kind, count in self.wanted.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture(Exchange):
    """One connection with its messages. `received_at` is when it opened, `payload` the body of a refusal."""

    listen: Listen
    messages: Sequence[Message] = ()
    ended_at: int = 0
    close_code: int | None = None
    close_reason: str = ""
    is_closed_by_us: bool = False

    @property
    def size(self) -> int:
        """Return the bytes of its messages."""
        return sum(len(payload) for _, _, payload in self.messages)

    @property
    def seconds(self) -> float:
        """Return how long it was open."""
        return to_seconds(self.ended_at - self.received_at)

    def message(self, message: Message) -> Exchange:
        """Return one of its messages as an answer; its latency is the time since the opening."""
        at, seq, payload = message
        latency_ms = round((at - self.received_at) / 1e6, 3)
        return Exchange(self.query, at, self.status, payload, {}, latency_ms, seq)


class NotRequestedError(Exception):
    """Raised by a check's question when earlier answers lack what it is made of."""


Question: TypeAlias = Query | Listen
Expect: TypeAlias = Callable[[Exchange, "Findings"], str | tuple[Message, str]]
"""Returns the evidence in a usable answer, one line; of a connection also with the message that the report
shows. Raises ParseError."""


@dataclass(frozen=True, slots=True)
class Check:
    """Something that spiders rely on."""

    name: str
    topic: str
    question: Question | str | Callable[[Findings], Question]
    """Or the name of an earlier check, of whose answer more is expected; or made from earlier answers: may
    raise NotRequestedError."""
    expect: Expect | None = None  # None: see `is_sound`


@dataclass(frozen=True, slots=True)
class Result:
    """Result of a check: whether it passed, and the evidence."""

    name: str
    topic: str
    exchange: Exchange
    passed: bool
    evidence: str


@dataclass(frozen=True)
class Need:
    """Evidence that a probe must find to pass."""

    key: str  # in the report
    what: str
    find: Callable[[Findings], str | None]  # the evidence; None: not found


@dataclass(frozen=True)
class Socket:
    """A documented socket; one without an endpoint is not used by this version."""

    url: str
    what: str
    endpoint: Endpoint | None = None


@dataclass(frozen=True)
class Probe:
    """A venue's checks in the order they are run, and its documented limits."""

    checks: Sequence[Check]
    limits_source: str
    limits: Mapping[str, Limit] = field(
        default_factory=dict
    )  # by name; none: those of the answers' endpoints
    how: Mapping[str, str] = field(default_factory=dict)  # topic -> how the venue is asked, as documented
    topics: Mapping[str, str] = field(default_factory=dict)  # its own: topic -> the question
    sockets: Sequence[Socket] = ()
    needs: Sequence[Need] = ()  # none: any answer will do
    book_ages_s: Callable[[Findings], Sequence[float]] = lambda _: ()  # receipt minus a book's own timestamp
    obeys_robots: bool = False  # pages made for people, not interfaces made for programs


@dataclass
class Findings:
    """Findings of a probe so far."""

    probe: Probe
    venue: str
    read: Callable[[Received], Parsed]  # the venue's; raises ParseError
    now_ns: int  # wall time at its start
    setting: Callable[[str], str] = lambda _: ""  # what the user has set under a name: an API key's id
    results: list[Result] = field(default_factory=list)
    not_requested: dict[str, str] = field(default_factory=dict)  # check -> what was missing to ask it
    exchanges: dict[str, Exchange] = field(default_factory=dict)  # by check, judged

    def parse(self, exchange: Exchange) -> Parsed:
        """Parse an answer. Raises ParseError."""
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
        """Return the parsed answers of those of `checks` that passed."""
        names = {each.name for each in self.results if each.passed}
        return [self.parse(self.exchanges[name]) for name in checks if name in names]

    def requests(self) -> Generator[Question, Exchange]:
        """Yield requests and receive their answers by `send`: without I/O, so that any driver can run it."""
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
        """Return the required findings that the probe did not make."""
        return [need.what for need in self.probe.needs if need.find(self) is None]

    @property
    def failed(self) -> list[Result]:
        """Return the checks that did not pass."""
        return [result for result in self.results if not result.passed]

    @property
    def captures(self) -> list[Capture]:
        """Return every connection, once."""
        found = {id(each): each for each in self.exchanges.values() if isinstance(each, Capture)}
        return list(found.values())


# ---- what may be expected of an answer ---------------------------------------------------------------------


def unexpected(text: str) -> ParseError:
    """Return the error for an answer without the promised form."""
    return ParseError("Probe", text)


def is_sound(exchange: Exchange, findings: Findings) -> str:
    """Expect rows and no errors; of a socket: messages, and that only we closed it."""
    if isinstance(exchange, Capture):
        if not exchange.messages:
            raise unexpected(f"no message within {exchange.listen.seconds} s")
        return stays_open(exchange, findings)
    if not (evidence := parses(exchange, findings)):
        raise unexpected("the answer has no rows")
    return evidence


def parses(exchange: Exchange, findings: Findings) -> str:
    """Expect no errors; rows may be none."""
    parsed = findings.parse(exchange)
    if parsed.errors:
        raise parsed.errors[0]
    held = {each.name: getattr(parsed, each.name) for each in fields(parsed)}
    return ", ".join(
        f"{name} {len(rows)}" for name, rows in held.items() if rows and not isinstance(rows, str)
    )


def stays_open(capture: Exchange, _: Findings) -> str:
    """Expect a connection that only we closed."""
    assert isinstance(capture, Capture)
    if not capture.is_closed_by_us:
        ended = f"closed by the venue, code {capture.close_code} {capture.close_reason}"
        raise unexpected(ended.strip())
    kinds = Counter(kind for _, _, payload in capture.messages for kind in capture.listen.kinds(payload))
    came = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items())) or "nothing"
    what = f"{len(capture.messages)} messages, {capture.size} bytes in {capture.seconds:.1f} s"
    return f"{what}: {came}; closed by us"
