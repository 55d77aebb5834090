"""Parser of the JSON that a stream's page fetches, and of the feed that its HTML names. Pure functions.

The live answer contains about the last minute, three rows (benchmark, bid, ask) for each report, in no
guaranteed order. Rows are grouped into reports by the time from which they are valid; readers keep the
reports that are new to them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.json_lines import NOT_JSON
from marketarchive.nesting import MAX_NESTING, is_shallow
from marketarchive.times import from_iso
from marketarchive.venues.chainlink.endpoints import LIVE, TIMESCALE

SCALE = 18
"""Decimals of the integers that the older endpoint sends: a price is the integer times 1e-18."""
DOLLARS_MAX = Decimal(10) ** 12
"""Greatest plausible price in dollars; a greater number was not converted from an integer."""

_PARTS = {"benchmark": "mid", "bid": "bid", "ask": "ask"}


@dataclass(frozen=True, slots=True)
class PriceReport:
    """A stream's prices at one observation, in dollars.

    `mid` is a median of its own, not the mean of bid and ask. A part is None when the response lacks it: a
    request may name only one attribute.
    """

    observed_ns: int
    mid: Decimal | None = None
    bid: Decimal | None = None
    ask: Decimal | None = None

    def with_parts_of(self, other: PriceReport) -> PriceReport:
        """Return the report with its missing parts taken from `other`.

        other: the same observation in another response.
        """
        return PriceReport(
            self.observed_ns,
            other.mid if self.mid is None else self.mid,
            other.bid if self.bid is None else self.bid,
            other.ask if self.ask is None else self.ask,
        )


@dataclass(frozen=True, slots=True)
class ReportAnswer:
    """The reports of one response, oldest first.

    A row that cannot be read becomes an entry of `errors`; the other rows are kept.
    """

    reports: tuple[PriceReport, ...] = ()
    errors: tuple[ParseError, ...] = ()


class KnownReports:
    """The reports of one page received so far: every answer repeats those of the last minute."""

    def __init__(self) -> None:
        self._known: dict[int, PriceReport] = {}  # time of the observation, ns -> report

    def news(self, answer: ReportAnswer) -> list[tuple[PriceReport, bool]]:
        """Return the reports of an answer that are new, or more complete than before.

        The parts of a report from several answers are merged. The second value of each pair is True when the
        observation itself is new.
        """
        found = []
        for report in answer.reports:
            before = self._known.get(report.observed_ns)
            whole = report if before is None else before.with_parts_of(report)
            if whole != before:
                self._known[report.observed_ns] = whole
                found.append((whole, before is None))
        return found

    def forget(self, before_ns: int) -> None:
        """Forget the reports observed before `before_ns` (ns), which no response repeats any more."""
        for observed in [each for each in self._known if each < before_ns]:
            del self._known[observed]


class _Node(msgspec.Struct):
    name: str | None = msgspec.field(name="attributeName", default=None)
    number: msgspec.Raw = msgspec.field(name="valueNumeric", default_factory=msgspec.Raw)
    at: str | None = msgspec.field(name="validAfterTs", default=None)


class _Old(msgspec.Struct):
    at: str | None = msgspec.field(name="validFromTimestamp", default=None)
    price: str | None = None
    bid: str | None = None
    ask: str | None = None


class _Nodes(msgspec.Struct):
    nodes: list[msgspec.Raw]


class _LiveData(msgspec.Struct):
    values: _Nodes = msgspec.field(name="allStreamValuesGenerics")


class _Live(msgspec.Struct):
    data: _LiveData


class _OldData(msgspec.Struct):
    reports: _Nodes = msgspec.field(name="liveStreamReports")


class _Timescale(msgspec.Struct):
    data: _OldData


_LIVE = msgspec.json.Decoder(_Live)
_TIMESCALE = msgspec.json.Decoder(_Timescale)
_NODE = msgspec.json.Decoder(_Node)
_OLD = msgspec.json.Decoder(_Old)
_PLAIN = re.compile(r"[0-9]{1,40}(?:\.[0-9]{1,40})?").fullmatch
_INTEGER = re.compile(r"[0-9]{1,60}").fullmatch
_NEXT_DATA = re.compile(rb"<script\b[^>]*__NEXT_DATA__[^>]*>\s*(\{.*?)\s*</script>", re.DOTALL)


def parse_answer(url: str, payload: bytes) -> ReportAnswer:
    """Return the reports in a response; none for URLs that carry no reports.

    url: URL at the venue without its query. Raises ParseError when the response is not the document that the
    URL promises.
    """
    if url not in (LIVE, TIMESCALE):
        return ReportAnswer()
    if not is_shallow(payload):
        raise ParseError("Report", f"nested more than {MAX_NESTING} deep; {len(payload)} bytes")
    try:
        if url == LIVE:
            return _live(_LIVE.decode(payload).data.values.nodes)
        return _timescale(_TIMESCALE.decode(payload).data.reports.nodes)
    except NOT_JSON as error:
        raise ParseError("Report", f"not an answer of a stream ({error}): {payload[:60]!r}") from error


def _live(nodes: Iterable[msgspec.Raw]) -> ReportAnswer:
    found: dict[int, dict[str, Decimal]] = {}
    errors = []
    for raw in nodes:
        try:
            node = _NODE.decode(raw)
            part = _PARTS.get(node.name or "")
            if part is None:
                continue  # an attribute that reports do not contain
            _put(found, _observed(node.at, "validAfterTs"), part, _dollars(node))
        except NOT_JSON as error:
            errors.append(ParseError("Report", f"not a row of a stream ({error}): {bytes(raw)[:60]!r}"))
        except ParseError as error:
            errors.append(error)
    return ReportAnswer(_reports(found), tuple(errors))


def _timescale(nodes: Iterable[msgspec.Raw]) -> ReportAnswer:
    found: dict[int, dict[str, Decimal]] = {}
    errors = []
    for raw in nodes:
        try:
            node = _OLD.decode(raw)
            observed = _observed(node.at, "validFromTimestamp")
            for part, text in (("mid", node.price), ("bid", node.bid), ("ask", node.ask)):
                if text is not None:
                    _put(found, observed, part, _scaled(text))
        except NOT_JSON as error:
            errors.append(ParseError("Report", f"not a row of a stream ({error}): {bytes(raw)[:60]!r}"))
        except ParseError as error:
            errors.append(error)
    return ReportAnswer(_reports(found), tuple(errors))


def _put(found: dict[int, dict[str, Decimal]], observed: int, part: str, value: Decimal) -> None:
    """Add one part (bid, mid, ask) to the report observed at `observed` (ns).

    Raises ParseError when the report has another value for the part.
    """
    before = found.setdefault(observed, {}).setdefault(part, value)
    if before != value:
        raise ParseError("Report", f"{part} of one report is both {before} and {value}", ("valueNumeric",))


def _reports(found: Mapping[int, Mapping[str, Decimal]]) -> tuple[PriceReport, ...]:
    return tuple(PriceReport(observed, **parts) for observed, parts in sorted(found.items()) if parts)


def _observed(text: str | None, name: str) -> int:
    try:
        return from_iso(text or "")
    except ValueError as error:
        raise ParseError("Report", f"{name}={text!r} is not a time", (name,)) from error


def _dollars(node: _Node) -> Decimal:
    """Return a price in dollars from a row of the current endpoint.

    Raises ParseError, also for an integer of 1e-18 dollars, which only the older endpoint sends.
    """
    text = bytes(node.number).decode().strip().strip('"')  # as text or as a number; its digits are kept
    if _PLAIN(text) is None or not 0 < (value := Decimal(text)) < DOLLARS_MAX:
        raise ParseError("Report", f"valueNumeric={text[:80]!r} is not a price in dollars", ("valueNumeric",))
    return value


def _scaled(text: str) -> Decimal:
    """Return a price in dollars from the older endpoint's integer of 1e-18 dollars.

    Raises ParseError, also for a number with a decimal point.
    """
    if _INTEGER(text) is None or len(text) < SCALE - 8 or not 0 < (value := _down(text)) < DOLLARS_MAX:
        raise ParseError("Report", f"price={text[:80]!r} is not an integer of 1e-18 dollars", ("price",))
    return value


def _down(text: str) -> Decimal:
    return Decimal(f"{text}E-{SCALE}")


@dataclass(frozen=True, slots=True)
class Document:
    """The facts about a stream that the HTML of its page states."""

    feed_id: str | None = None
    is_checkpoint: bool = False


class _Metadata(msgspec.Struct):
    feed_id: str | None = msgspec.field(name="feedId", default=None)


class _StreamData(msgspec.Struct):
    metadata: _Metadata | None = msgspec.field(name="streamMetadata", default=None)


class _PageProps(msgspec.Struct):
    stream: _StreamData | None = msgspec.field(name="streamData", default=None)


class _Props(msgspec.Struct):
    page: _PageProps | None = msgspec.field(name="pageProps", default=None)


class _NextData(msgspec.Struct):
    props: _Props | None = None


_DOCUMENT = msgspec.json.Decoder(_NextData)
CHECKPOINT = b"Security Checkpoint"


def parse_document(html: bytes) -> Document:
    """Parse the HTML of a page; never raises, unreadable parts are None.

    A page without readable data may still show prices.
    """
    is_checkpoint = CHECKPOINT in html
    match = _NEXT_DATA.search(html)
    if match is None or not is_shallow(match[1]):
        return Document(is_checkpoint=is_checkpoint)
    try:
        found: Any = _DOCUMENT.decode(match[1])
    except NOT_JSON:
        return Document(is_checkpoint=is_checkpoint)
    for name in ("props", "page", "stream", "metadata"):
        found = getattr(found, name) if found is not None else None
    return Document(None if found is None else found.feed_id, is_checkpoint=is_checkpoint)
