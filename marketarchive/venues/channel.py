"""Declaration of a streaming venue's socket: how messages are proven, and what each of them means.

A `Channel` is the declaration, a `Session` the state of one connection. Neither knows a socket, a task or a
clock, so the live spider, the conformance suite and the normaliser use the same ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from marketarchive.items import Verdict
from marketarchive.venues.endpoint import Endpoint

Proof = Literal["hash", "sequence", "cadence", "none"]
"""What shows that no message is missing.

hash: each delta carries a hash or checksum of the key's whole state after it. sequence: messages of a
subscription are numbered. cadence: one observation a second and key. none: nothing; only an independent
statement of the same state tells.
"""


UpdateKind = Literal["snapshot", "delta", "trade", "mark", "end", "damage", "renew"]
"""snapshot and delta: of the key's state. trade and mark: the venue was there at `at`, no state is said.
end: nothing more will come of the key. damage: a part of the message could not be read, `value` is the
ParseError; of "" when nobody can say which key it was about. renew: the venue wants the connection replaced.
"""


class Update(msgspec.Struct, frozen=True, gc=False):
    """Content of one message about one key."""

    key: str
    kind: UpdateKind
    at: int  # venue's time, ns since the Unix epoch; the time of receipt where a message has none
    integrity: Verdict = "not_available"
    state: str = ""  # names the key's state after it (a hash); "" where the venue names none
    base: int = 0  # venue's time of the snapshot that the held chain of deltas stands on, ns; of a trade that
    # failed the time of the trade after which others are missing
    is_known: bool = False  # a repeat, or a delta that its base holds already: proves and breaks nothing
    value: Any = None  # what a row of this moment shows
    detail: str = ""  # of a failure: what does not match
    observed: int = 0  # of a cadence channel: what its message observed, ns, where `at` is its publication
    group: str = ""  # of a sequence channel: the keys that share its numbers; "" = all of the connection


class Statement(NamedTuple):
    """The state of a key as another source than its connection gives it: a REST snapshot."""

    key: str
    at: int  # venue's time of the state, ns
    state: str  # as in Update
    snapshot: Any = None  # what `Session.load` takes
    received_at: int = 0  # receipt of the answer, ns since the Unix epoch
    seq: int = 0  # of the answer


class Session(Protocol):
    """One connection's subscriptions, sequences and books."""

    def subscribe(self, keys: Sequence[str], *, is_first: bool) -> list[str]:
        """Return the texts that subscribe `keys`: the first of a connection, or more on it."""

    def unsubscribe(self, keys: Sequence[str]) -> list[str]:
        """Return the texts that end the subscription of `keys`.

        Empty where the venue has no unsubscription.
        """

    def resync(self, keys: Sequence[str]) -> list[str]:
        """Return the texts that request new snapshots on this connection; none where that is impossible."""

    def apply(self, received_at: int, seq: int, payload: bytes, *, latest: int, verify: bool) -> list[Update]:
        """Apply one message and return what it says, in order.

        received_at: as archived, ns since the Unix epoch. seq: of the message. latest: a state of a later
        venue time, ns, is reported as failed and not applied: it would make all that follows look old.
        verify: False = compare only what is cheap; the integrity is then `unchecked`. Raises ParseError for a
        damaged message; nothing is applied then.
        """

    def concerned(self, payload: bytes) -> Sequence[str] | None:
        """Return the keys that a damaged message may have been about; None: all of the connection."""

    def load(self, received_at: int, seq: int, snapshot: Any) -> Update | None:
        """Start a key again from a snapshot of another source, deltas received since replayed on it.

        Returns the state reached, integrity `ok` when a delta's own proof matched on it, `unchecked` when
        there was none to match; None when it does not fit what is held: it is older, or deltas between the
        two are unknown.
        """

    def drop(self, keys: Iterable[str]) -> None:
        """Forget the books of `keys`."""

    def states(self) -> Iterator[tuple[str, bytes]]:
        """Yield (key, book) for `book_state` lines."""


@dataclass(frozen=True)
class Channel:
    """A socket channel of a venue; durations in seconds on the monotonic clock unless said otherwise."""

    endpoint: Endpoint
    proof: Proof
    key_kind: str  # what keys are, in the scope of a gap: token, topic, symbol, ...
    keys_per_connection: int
    heartbeat: str | None = "PING"  # None: the venue wants none
    heartbeat_s: float = 10.0
    expects_pong: bool = True  # silence after heartbeats means a dead peer
    unproven: str = ""  # what the proof does not cover, in words
    conflates: bool = False  # may leave out states between two that it sends
    has_statements: bool = False  # an independent state of a key can be requested over REST
    has_resync: bool = False  # a new snapshot of a key can be requested on the connection
    cadence_s: float = 1.5  # of a cadence channel: observations further apart have a missing one between them
    renew_s: float | None = None  # a connection this old is replaced, the new one first
    patience_s: float = 10.0  # coverage not extended for so long is an open gap
    first_data_s: float = 10.0  # a connection that brought nothing by then is none
    in_flight_s: float = 3.0  # a message may be under way for so long
    statement_lag_s: float = 4.0  # a REST snapshot may be older than its request: 3 s, and 1 s of our axis
    silent_s: float = 5.0  # a key silent for so long is requested
    axis_error_s: float = 1.0  # of our axis against the venue's clock, and disorder between keys
    ahead_s: float = 5.0  # what is dated later than its receipt by more is not believed
    weak_max_s: float = 14.0  # weak proof older than this against the last strong one counts no more
    lived_s: float = 60.0  # a connection that lived so long resets the reconnect policy

    def headers(self, now_ns: int) -> Mapping[str, str]:  # noqa: ARG002  (a hook)
        """Return headers of the handshake at an attempt at this wall time, ns."""
        return {}
