"""Probe of Polymarket's sockets: first snapshots, deltas, heartbeats, and every price topic."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial

from marketarchive.exceptions import ParseError
from marketarchive.venues.polymarket import market_channel, rtds, sockets
from marketarchive.venues.polymarket.live_books import ChannelBooks
from marketarchive.venues.polymarket.market_channel import BookEvent, PriceChanges, UnreadableEvent
from marketarchive.venues.polymarket.probe_rest import active, books, liveliest
from marketarchive.venues.polymarket.rtds import ReferencePoint
from marketarchive.venues.probing import (
    Capture,
    Check,
    Exchange,
    Findings,
    Listen,
    Message,
    kinds_by,
    stays_open,
    unexpected,
)

CHANGE_S = 10
"""Seconds within which a market sends a delta, unless it is quiet."""
UPDATE_S = 5
"""Seconds within which an existing topic sends an update; each symbol normally has one a second."""

# ---- market channel ----------------------------------------------------------------------------------------


def _tokens(findings: Findings) -> tuple[str, ...]:
    """Return the tokens of two markets: the one that ends first and the one with the most trading."""
    markets, token = [each.tokens or {} for each in active(findings)], liveliest(findings)
    chosen = markets[:1] + [each for each in markets[1:] if token in each.values()][:1]
    return tuple(dict.fromkeys(token for each in chosen for token in each.values()))


def _listen(findings: Findings) -> Listen:
    tokens = _tokens(findings)
    texts = (market_channel.subscribe(tokens), market_channel.PING)
    wanted = {"book": len(tokens), "PONG": 1, "price_change": 1}
    return Listen(sockets.MARKET_CHANNEL, texts, CHANGE_S, kinds_by("event_type"), wanted)


@dataclass
class _Replay:
    """The books of the subscribed tokens, rebuilt from the messages of a connection."""

    # token -> first message, its verification
    first: dict[str, tuple[Message, str]] = field(default_factory=dict)
    changes: list[tuple[Message, str]] = field(default_factory=list)
    unreadable: list[ParseError] = field(default_factory=list)


def _replay(capture: Exchange, findings: Findings) -> _Replay:
    assert isinstance(capture, Capture)
    replay, channel, tokens = _Replay(), ChannelBooks(), _tokens(findings)
    # REST books contain values that the socket does not send and the hash covers
    for base, _ in books(findings):
        if base.token in tokens:
            channel.load_snapshot(base)
    for message in capture.messages:
        try:
            applied = channel.apply(message[2])
        except ParseError as error:
            replay.unreadable.append(error)
            continue
        for one in applied:
            if isinstance(one.event, UnreadableEvent):
                replay.unreadable.append(one.event.error)
            elif isinstance(one.event, BookEvent) and one.token in tokens:
                replay.first.setdefault(one.token, (message, one.verdict))
            elif isinstance(one.event, PriceChanges) and one.token in replay.first and not one.is_stale:
                replay.changes.append((message, one.verdict))
    return replay


def _first_books(capture: Exchange, findings: Findings) -> tuple[Message, str]:
    replay, count = _replay(capture, findings), len(_tokens(findings))
    if replay.unreadable:
        raise replay.unreadable[0]
    if missing := count - len(replay.first):
        raise unexpected(f"{missing} of {count} first books did not come within {CHANGE_S} s")
    verified = Counter(verdict for _, verdict in replay.first.values())
    if verified["failed"]:
        raise unexpected(f"{verified['failed']} first books whose hash does not match")
    first = next(message for message, _ in replay.first.values())
    return (
        first,
        f"a book for each of {count} tokens {_after(capture, first)}, hash verified {verified['ok']}",
    )


def _changes(capture: Exchange, findings: Findings) -> str | tuple[Message, str]:
    changes = _replay(capture, findings).changes
    if not changes:
        return f"no change within {CHANGE_S} s: the market was quiet"
    verified, first = Counter(verdict for _, verdict in changes), changes[0][0]
    if failed := verified["failed"]:
        raise unexpected(f"{failed} of {len(changes)} changes lead to a book whose hash does not match")
    return (
        first,
        f"the first {_after(capture, first)}; {len(changes)} changes, hash verified {verified['ok']}",
    )


def _answers_ping(capture: Exchange, _: Findings) -> tuple[Message, str]:
    assert isinstance(capture, Capture)
    for message in capture.messages:
        if message[2] == b"PONG":
            return message, f"PONG {_after(capture, message)}, PING was sent at once"
    raise unexpected("PING was not answered by PONG")


# ---- RTDS --------------------------------------------------------------------------------------------------


def _points(payload: bytes) -> list[ReferencePoint]:
    try:
        return rtds.decode(payload)
    except ParseError:
        return []


def _sends_topic(topic: str, capture: Exchange, _: Findings) -> tuple[Message, str]:
    assert isinstance(capture, Capture)
    of_topic = [
        (message, point)
        for message in capture.messages
        for point in _points(message[2])
        if point.topic == topic
    ]
    updates = [(message, point) for message, point in of_topic if not point.is_backfill]
    if not updates:
        raise unexpected(f"no update within {UPDATE_S} s: the topic is absent")
    symbols = {point.symbol for _, point in updates}
    lags = sorted(point.published_ms - point.observed_ms for _, point in updates)
    first, point = updates[0]
    return first, (
        f"{len(symbols)} symbols, e.g. {point.symbol} {point.value}; first update {_after(capture, first)}, "
        f"{first[0] / 1e6 - point.published_ms:.0f} ms after its publication; published "
        f"{lags[len(lags) // 2]} ms (median) after the observation; "
        f"{len(of_topic) - len(updates)} earlier points repeated"
    )


def _after(capture: Exchange, message: Message) -> str:
    return f"{(message[0] - capture.received_at) / 1e6:.0f} ms after opening"


TOPICS = Listen(
    sockets.RTDS,
    (*(rtds.subscribe([topic]) for topic in rtds.TOPICS), rtds.PING),
    UPDATE_S,
    kinds_by("topic", "type", "statusCode"),
    {f"{topic} update": 1 for topic in rtds.TOPICS},
)
"""The check of all price topics, subscribed together on one connection."""

SOCKETS = (
    Check("market_channel", "stream", _listen, stays_open),
    Check("market_channel_books", "stream", "market_channel", _first_books),
    Check("market_channel_ping", "stream", "market_channel", _answers_ping),
    Check("market_channel_change", "stream", "market_channel", _changes),
    Check("rtds", "reference", TOPICS, stays_open),
    *(Check(f"rtds_{topic}", "reference", "rtds", partial(_sends_topic, topic)) for topic in rtds.TOPICS),
)
