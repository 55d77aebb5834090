"""What a probe wants to hear on Polymarket's sockets: first books, changes, heartbeats, every price topic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from marketarchive.exceptions import ParseError
from marketarchive.venues.polymarket import market_channel, rtds, sockets
from marketarchive.venues.polymarket.clob import Book
from marketarchive.venues.polymarket.live_books import ChannelBooks
from marketarchive.venues.polymarket.market_channel import BookEvent, PriceChanges, UnreadableEvent
from marketarchive.venues.polymarket.rtds import ReferencePoint, RtdsRefused
from marketarchive.venues.probing import Exchange, Findings, Heard, Listen, Message, Questions

CHANGE_S = 10
"""Seconds in which a market shows a change, unless it is quiet."""
UPDATE_S = 5
"""Seconds in which a topic that is there sends an update: each sends one a second and symbol."""

MARKET_CHECKS = ("market_channel", "market_channel_books", "market_channel_ping", "market_channel_change")


def listen_to_market(findings: Findings, tokens: tuple[str, ...], bases: Iterable[Book]) -> Questions:
    """The market channel, by all tokens of one market; `bases` are books of them that REST gave."""
    waited = _Waited({*tokens, "PONG", "change"}, _market_signs)
    texts = (market_channel.subscribe(tokens), market_channel.PING)
    heard = yield Listen(sockets.MARKET_CHANNEL, texts, CHANGE_S, waited)
    assert isinstance(heard, Heard)
    findings.heard.append(heard)
    connection, first, ping, change = MARKET_CHECKS
    findings.judge(connection, "stream", heard.exchange(), lambda _: _story(heard, _market_kinds))
    if heard.error is not None:
        findings.not_asked.update(dict.fromkeys((first, ping, change), "the socket did not open"))
        return
    told = _Told(heard, tokens, bases)
    findings.judge(first, "stream", told.dump, told.read_dump)
    findings.judge(ping, "stream", *_ping(heard))
    findings.judge(change, "stream", told.change, told.read_change)


def listen_to_topics(findings: Findings) -> Questions:
    """RTDS, all topics on one connection."""
    waited = _Waited(rtds.TOPICS, _updated_topics)
    texts = (*(rtds.subscribe([topic]) for topic in rtds.TOPICS), rtds.PING)
    heard = yield Listen(sockets.RTDS, texts, UPDATE_S, waited)
    assert isinstance(heard, Heard)
    findings.heard.append(heard)
    findings.judge("rtds", "reference", heard.exchange(), lambda _: _story(heard, _rtds_kinds))
    for topic in rtds.TOPICS:
        if heard.error is not None:
            findings.not_asked[f"rtds_{topic}"] = "the socket did not open"
            continue
        points = [(message, point) for message in heard.messages for point in _points(message[2])]
        of_topic = [(message, point) for message, point in points if point.topic == topic]
        updates = [(message, point) for message, point in of_topic if not point.is_backfill]
        exchange = heard.exchange(updates[0][0]) if updates else heard.exchange()
        read = _topic_reader(updates, len(of_topic) - len(updates))
        findings.judge(f"rtds_{topic}", "reference", exchange, read)


class _Waited:
    """What is still waited for; called with the messages that are new, says whether that was all."""

    def __init__(self, signs: Iterable[str], of: Callable[[bytes], Iterator[str]]) -> None:
        self._missing = set(signs)
        self._of = of

    def __call__(self, messages: Sequence[Message]) -> bool:
        for _, _, payload in messages:
            self._missing.difference_update(self._of(payload))
        return not self._missing


def _story(heard: Heard, kinds_of: Callable[[bytes], Iterator[str]]) -> str:
    """The connection as a whole."""
    kinds = Counter(kind for _, _, payload in heard.messages for kind in kinds_of(payload))
    came = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items())) or "nothing"
    size = sum(len(payload) for _, _, payload in heard.messages)
    seconds = ((heard.ended_at or heard.opened_at) - heard.opened_at) / 1e9
    if not heard.is_closed_by_us:
        raise _wrong(f"closed by the venue, code {heard.close_code} {heard.close_reason}".strip())
    return f"{len(heard.messages)} messages, {size} bytes in {seconds:.1f} s: {came}; closed by us"


def _ping(heard: Heard) -> tuple[Exchange, Callable[[Exchange], str]]:
    pong = next((message for message in heard.messages if message[2] == b"PONG"), None)

    def read(exchange: Exchange) -> str:
        if pong is None:
            raise _wrong("PING was not answered by PONG")
        return f"PONG {exchange.latency_ms:.0f} ms after PING"

    return heard.exchange(pong), read


# ---- market channel ----------------------------------------------------------------------------------------


class _Told:
    """The books of one market as a connection told them."""

    def __init__(self, heard: Heard, tokens: tuple[str, ...], bases: Iterable[Book]) -> None:
        self._tokens = tokens
        self._verdicts: Counter[str] = Counter()  # of first books
        self._changes: Counter[str] = Counter()
        self._seconds = heard.listen.seconds
        self._unreadable: list[ParseError] = []
        self._has: set[str] = set()  # tokens whose book came
        self.dump = self.change = heard.exchange()
        books = ChannelBooks()
        for base in bases:  # they bring what the socket does not send, and the hash covers
            books.rebase(base)
        for message in heard.messages:
            try:
                taken = books.take(message[2])
            except ParseError as error:
                self._unreadable.append(error)
                continue
            for one in taken:
                if isinstance(one.event, UnreadableEvent):
                    self._unreadable.append(one.event.error)
                elif one.token not in tokens:
                    continue
                elif isinstance(one.event, BookEvent) and one.token not in self._has:
                    self.dump = self.dump if self._has else heard.exchange(message)
                    self._has.add(one.token)
                    self._verdicts[one.verdict] += 1
                elif isinstance(one.event, PriceChanges) and one.token in self._has and not one.is_stale:
                    self.change = self.change if self._changes else heard.exchange(message)
                    self._changes[one.verdict] += 1

    def read_dump(self, exchange: Exchange) -> str:
        if self._unreadable:
            raise self._unreadable[0]
        missing, count = len(set(self._tokens) - self._has), len(self._tokens)
        if missing:
            raise _wrong(f"{missing} of {count} first books did not come within {self._seconds} s")
        if self._verdicts["failed"]:
            raise _wrong(f"{self._verdicts['failed']} first books whose hash does not come out")
        return (
            f"a book for each of {count} tokens {exchange.latency_ms:.0f} ms after opening, "
            f"hash verified {self._verdicts['ok']}"
        )

    def read_change(self, exchange: Exchange) -> str:
        count = self._changes.total()
        if not count:
            return f"no change within {self._seconds} s: the market was quiet"
        if failed := self._changes["failed"]:
            raise _wrong(f"{failed} of {count} changes lead to a book whose hash does not come out")
        return (
            f"the first {exchange.latency_ms:.0f} ms after opening; {count} changes, hash verified "
            f"{self._changes['ok']}"
        )


def _market_signs(payload: bytes) -> Iterator[str]:
    """Tokens whose book came, "PONG", "change"."""
    if payload == b"PONG":
        yield "PONG"
    for event in _events(payload):
        if isinstance(event, BookEvent):
            yield event.book.token
        elif isinstance(event, PriceChanges):
            yield "change"


def _market_kinds(payload: bytes) -> Iterator[str]:
    if payload == b"PONG":
        yield "PONG"
    try:
        events = market_channel.decode(payload)
    except ParseError:
        yield "unreadable"
        return
    for event in events:
        if isinstance(event, BookEvent):
            yield "book"
        elif isinstance(event, UnreadableEvent):
            yield "unreadable"
        elif isinstance(event, market_channel.Unknown):
            yield event.event_type
        else:
            yield str(event.__struct_config__.tag)


def _events(payload: bytes) -> list[market_channel.Event]:
    try:
        return market_channel.decode(payload)
    except ParseError:
        return []


# ---- RTDS --------------------------------------------------------------------------------------------------


def _topic_reader(
    updates: Sequence[tuple[Message, ReferencePoint]], repeated: int
) -> Callable[[Exchange], str]:
    def read(exchange: Exchange) -> str:
        if not updates:
            raise _wrong(f"no update within {UPDATE_S} s: the topic is absent")
        symbols = {point.symbol for _, point in updates}
        lags = sorted(point.published_ms - point.observed_ms for _, point in updates)
        (at, _, _), point = updates[0]
        return (
            f"{len(symbols)} symbols, e.g. {point.symbol} {point.value}; first update "
            f"{exchange.latency_ms:.0f} ms after opening, {at / 1e6 - point.published_ms:.0f} ms after its "
            f"publication; published {lags[len(lags) // 2]} ms (median) after the observation; "
            f"{repeated} earlier points repeated"
        )

    return read


def _updated_topics(payload: bytes) -> Iterator[str]:
    return (point.topic for point in _points(payload) if not point.is_backfill)


def _points(payload: bytes) -> list[ReferencePoint]:
    try:
        return rtds.decode(payload)
    except ParseError:
        return []


def _rtds_kinds(payload: bytes) -> Iterator[str]:
    if payload in (b"", b"PONG"):
        yield payload.decode() or "empty"
        return
    try:
        points = rtds.decode(payload)
    except RtdsRefused as error:
        yield f"error ({str(error)[:80]})"
        return
    except ParseError:
        yield "unreadable"
        return
    yield (f"{points[0].topic}{' repeated' if points[0].is_backfill else ''}") if points else "other"


def _wrong(text: str) -> ParseError:
    return ParseError("Probe", text)
