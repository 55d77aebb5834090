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
            hidden = "where the next message sets the same level, or is a whole snapshot: the state is right"
        case "sequence":
            by = "the number of the next message of the subscription"
            hidden = "what the venue drops before it numbers it"
        case "cadence":
            by = f"the next observation, which is more than {channel.cadence_s:g} s after the last"
            hidden = "an observation after which none follows, at the end of the run"
        case "none" if channel.has_statements:
            by = "a state over REST that was never reported"
            hidden = "all that REST does not contradict"
        case "none":
            hidden = "one of a book, which is wrong until the level is set anew or a snapshot comes"
            return Detection("a message is lost", "numbers of trades, where it has some", None, hidden)
    if channel.has_statements and channel.proof == "hash":
        by += f"; if none follows, its state over REST, requested after {channel.silent_s:g} s of silence"
    elif channel.has_resync and channel.proof == "hash":
        by += f"; if none follows, a new snapshot, requested after {channel.silent_s:g} s of silence"
    if channel.unproven:
        hidden += f"; {channel.unproven}"
    return Detection("a message is lost", by, silence, hidden)


def _of_messages(channel: Channel) -> Iterator[Detection]:
    silence = silence_s(channel)
    order = {
        "hash": "the hash of either; a delta that is older than the state held",
        "sequence": "the numbers",
        "cadence": "the date of each: the earlier one is archived, its second stays a gap",
        "none": "dates that go back",
    }[channel.proof]
    damaged = {
        "cadence": "its second, which is missing between its neighbours",
    }.get(channel.proof, "it cannot be read: the keys that it names are out, or all of the connection")
    yield _lost(channel)
    yield Detection("a message comes twice", "its date and content; it changes nothing", 0)
    yield Detection("two messages change places", order, None, "two that say nothing of each other")
    yield Detection(
        "a message is damaged", damaged, silence, "a wrong number in readable text that no proof covers"
    )
    yield Detection(
        "a state is dated ahead",
        f"its date, over {channel.ahead_s:g} s after its receipt: archived, never a base, its key is out",
        0,
        "it lies in no gap by its own date",
    )
    if channel.proof == "cadence":
        mute = f"no observation for {channel.patience_s:g} s"
    elif channel.has_statements:
        mute = f"its state over REST, requested after {channel.silent_s:g} s: newer and not reported within "
        mute += f"{channel.in_flight_s:g} s; without an answer {channel.weak_max_s:g} s without proof"
    elif channel.has_resync and channel.proof == "hash":
        mute = f"a new snapshot of another state, requested after {channel.silent_s:g} s; "
        mute += f"without an answer nothing proven for {channel.patience_s:g} s"
    elif channel.proof in ("hash", "none"):
        mute = f"{channel.weak_max_s:g} s without proof of its own"
    else:
        mute = f"nothing proven for {channel.patience_s:g} s"
    end_s = silence + 1.5
    yield Detection(
        "one key is mute", mute, silence, f"the last {end_s:g} s before the stop, or its unsubscription"
    )


def _of_connections(channel: Channel) -> Iterator[Detection]:
    silence = silence_s(channel)
    first = channel.first_data_s
    back_off = f"the next attempt waits {FIRST_S:g} s, then twice as long each time up to {MAX_S:g} s"
    yield Detection("the connection is cut", "its end", 0)
    stalled = f"the same as one mute key, of all; nothing proven for {channel.patience_s:g} s"
    if channel.expects_pong and channel.heartbeat is not None:
        stalled += f"; {MISSED_PONGS} heartbeats without an answer where the peer is gone"
    yield Detection("the connection is open and silent", stalled, silence)
    yield Detection("the handshake is refused", f"the answer; {back_off}", 0)
    yield Detection(
        "a connection is accepted and stays silent",
        f"no data for {first:g} s; it is closed, {back_off}",
        first,
    )
    yield Detection("a connection is accepted and closed at once", f"its end; {back_off}", 0)
    if channel.proof != "cadence" and not (channel.proof == "none" and channel.conflates):
        can_request = channel.has_resync or channel.has_statements
        after_s = channel.in_flight_s + channel.axis_error_s
        requested = f"requested after {after_s:g} s, " if can_request else ""
        late = f"nothing of the key: {requested}its connection is replaced after {first:g} s"
        yield Detection("the first snapshot is late", late, first)
        yield Detection("the first snapshot is missing", late, first)
        yield Detection("the first snapshot is damaged", f"it cannot be read; then {late}", first)
    if channel.renew_s is not None:
        minutes = channel.renew_s / 60
        age = f"{minutes:g} min" if minutes < 1440 else f"{minutes / 1440:g} days"
        kept = f"the old connection (renewed after {age}) stays until the new one has "
        yield Detection("a renewal meets silence", kept + "proven all that it had: nothing is lost", 0)


def _of_ours(channel: Channel) -> Iterator[Detection]:
    yield Detection("looking at a message fails", "the exception: all keys of the connection are out", 0)
    yield Detection(
        "the process stands still",
        "the boot-time clock; what waited in the sockets is read before anything is judged",
        0,
        "",
    )
    yield Detection("the wall clock steps", "the monotonic clock: a `clock` gap; durations do not see it", 0)
    if channel.has_statements:
        yield Detection(
            "REST is down as well", "no proof for too long; no request is a proof", silence_s(channel)
        )
    ends = "what is not proven at the stop is a gap, whatever REST does"
    yield Detection("the run ends meanwhile", ends, silence_s(channel))


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
