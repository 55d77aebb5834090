"""Detection of each fault of a stream: how it is noticed and how soon, by what its channel declares.

Tables of docs/METHODOLOGY.md are generated from this module; the stream conformance suite has a scenario for
each of their lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from marketarchive.collecting.reconnect import FIRST_S, MAX_S
from marketarchive.collecting.streams.connection import MISSED_PONGS
from marketarchive.venues.channel import Channel


class Detection(NamedTuple):
    """One kind of fault of a stream: how and how soon it is noticed."""

    fault: str
    noticed_by: str
    within_s: float | None  # None: with the next message; never, where none follows
    unnoticed: str = ""  # cases that are not noticed

    @property
    def within(self) -> str:
        """Return `within_s` as text."""
        if self.within_s is None:
            return "the next message"
        return "at once" if self.within_s == 0 else f"{self.within_s:g} s"


def detections(channel: Channel) -> list[Detection]:
    """Return all faults of a stream on `channel` with their detection, in the order of the document."""
    return [*_of_messages(channel), *_of_connections(channel), *_of_ours(channel)]


def silence_s(channel: Channel) -> float:
    """Return the seconds after which a key whose messages stop arriving is in a gap."""
    if channel.proof in ("hash", "none"):  # messages of other keys prove it weakly for so long
        return channel.weak_max_s  # with an answer of REST it is sooner
    return channel.patience_s


def _lost(channel: Channel) -> Detection:
    silence = silence_s(channel)
    match channel.proof:
        case "hash":
            by = "the hash of the key's next delta"
            hidden = "if the next message sets the same level or is a snapshot: then the state is right"
        case "sequence":
            by = "the number of the next message of the subscription"
            hidden = "what the venue drops before numbering it"
        case "cadence":
            by = f"the next observation, which is more than {channel.cadence_s:g} s after the previous one"
            hidden = "the last observations before the end of the run"
        case "none" if channel.has_statements:
            by = "a state in a REST snapshot that the connection never reported"
            hidden = "everything that REST snapshots do not contradict"
        case "none":
            hidden = "a delta of a book, which is wrong until the level is set again or a snapshot arrives"
            return Detection(
                "a message is lost", "gaps in the numbers of trades, where trades are numbered", None, hidden
            )
    if channel.has_statements and channel.proof == "hash":
        by += f"; if none follows, a REST snapshot, requested after {channel.silent_s:g} s of silence"
    elif channel.has_resync and channel.proof == "hash":
        by += f"; if none follows, a new snapshot, requested after {channel.silent_s:g} s of silence"
    if channel.unproven:
        hidden += f"; {channel.unproven}"
    return Detection("a message is lost", by, silence, hidden)


def _of_messages(channel: Channel) -> Iterator[Detection]:
    silence = silence_s(channel)
    order = {
        "hash": "the hash of one of them; a delta that is older than the state held",
        "sequence": "the numbers",
        "cadence": "their times: the earlier one is archived, its second stays a gap",
        "none": "times that go back",
    }[channel.proof]
    damaged = {
        "cadence": "the second that is missing between its neighbours",
    }.get(
        channel.proof,
        "it cannot be parsed: the keys that it names begin an outage, or all keys of the connection",
    )
    yield _lost(channel)
    yield Detection("a message arrives twice", "its time and content; it changes nothing", 0)
    yield Detection("two messages are swapped", order, None, "two that are independent of each other")
    yield Detection(
        "a message is damaged", damaged, silence, "a wrong number in valid text that no proof covers"
    )
    yield Detection(
        "a state is dated in the future",
        f"its time, more than {channel.ahead_s:g} s after receipt: not applied; its key begins an outage",
        0,
        "its own time lies in no gap",
    )
    if channel.proof == "cadence":
        mute = f"no observation for {channel.patience_s:g} s"
    elif channel.has_statements:
        mute = f"a REST snapshot, requested after {channel.silent_s:g} s, is newer and not reported within "
        mute += f"{channel.in_flight_s:g} s; if it is not answered, {channel.weak_max_s:g} s without proof"
    elif channel.has_resync and channel.proof == "hash":
        mute = f"a new snapshot with another state, requested after {channel.silent_s:g} s; "
        mute += f"if it is not answered, {channel.patience_s:g} s without proof"
    elif channel.proof in ("hash", "none"):
        mute = f"{channel.weak_max_s:g} s without proof of its own"
    else:
        mute = f"{channel.patience_s:g} s without proof"
    end_s = silence + 1.5
    yield Detection(
        "one key falls silent",
        mute,
        silence,
        f"in the last {end_s:g} s before the stop or its unsubscription",
    )


def _of_connections(channel: Channel) -> Iterator[Detection]:
    silence = silence_s(channel)
    first = channel.first_data_s
    back_off = f"the next attempt follows after {FIRST_S:g} s, doubled each time up to {MAX_S:g} s"
    yield Detection("the connection is cut", "its end", 0)
    stalled = f"as for one silent key, for all of them; {channel.patience_s:g} s without proof"
    if channel.expects_pong and channel.heartbeat is not None:
        stalled += f"; {MISSED_PONGS} heartbeats without an answer if the peer is gone"
    yield Detection("the connection is open and silent", stalled, silence)
    yield Detection("the handshake is refused", f"the response; {back_off}", 0)
    yield Detection(
        "a connection is accepted and stays silent",
        f"no data for {first:g} s: it is closed, {back_off}",
        first,
    )
    yield Detection("a connection is accepted and closed at once", f"its end; {back_off}", 0)
    if channel.proof != "cadence" and not (channel.proof == "none" and channel.conflates):
        can_request = channel.has_resync or channel.has_statements
        after_s = channel.in_flight_s + channel.axis_error_s
        requested = f"requested after {after_s:g} s, " if can_request else ""
        late = f"no data of the key: {requested}its connection is replaced after {first:g} s"
        yield Detection("the first snapshot is late", late, first)
        yield Detection("the first snapshot is missing", late, first)
        yield Detection("the first snapshot is damaged", f"it cannot be parsed; then {late}", first)
    if channel.renew_s is not None:
        minutes = channel.renew_s / 60
        age = f"{minutes:g} min" if minutes < 1440 else f"{minutes / 1440:g} days"
        kept = f"the old connection (renewed after {age}) is kept until the new one has "
        yield Detection(
            "the connection of a renewal stays silent", kept + "proven all of its keys: nothing is lost", 0
        )


def _of_ours(channel: Channel) -> Iterator[Detection]:
    yield Detection(
        "processing a message fails", "the exception: all keys of the connection begin an outage", 0
    )
    yield Detection(
        "the process is suspended",
        "the boot-time clock; messages waiting in the sockets are read before gaps are judged",
        0,
        "",
    )
    yield Detection(
        "the wall clock steps", "the monotonic clock: a `clock` gap; durations are not affected", 0
    )
    if channel.has_statements:
        yield Detection(
            "REST is down as well",
            "missing proof: only an answered request proves anything",
            silence_s(channel),
        )
    ends = "what is not proven at the stop is a gap, whether REST answers or not"
    yield Detection("the run ends during an outage", ends, silence_s(channel))


def table(channel: Channel) -> list[str]:
    """Return the detections of a channel as the lines of a Markdown table."""
    head = ["| what happens | noticed by | within | not noticed |", "|---|---|---|---|"]
    return [
        *head,
        *(
            f"| {each.fault} | {each.noticed_by} | {each.within} | {each.unnoticed or '-'} |"
            for each in detections(channel)
        ),
    ]
