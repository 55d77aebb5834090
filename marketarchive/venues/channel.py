"""Types that declare a venue's socket: how its messages are verified, and what each of them says.

A `Channel` is the declaration, a `Session` the state of one connection. Neither knows a socket, a task or a
clock, so live spiders, `scrapy normalize` and the tests of conformance use the same code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from marketarchive.items import Verdict
from marketarchive.venues.endpoint import Endpoint

AHEAD_S = 5.0
"""A message dated further than this after its receipt is not believed, s."""

Proof = Literal["hash", "sequence", "cadence", "none"]
"""Kind of proof that no message of a key is missing.

hash: each delta carries a hash or checksum of the key's whole state after it. sequence: the messages of a
subscription are numbered. cadence: each key has one observation per second. none: nothing does; only an
independent statement of the same state can show a missing message.
"""


UpdateKind = Literal["snapshot", "delta", "trade", "mark", "end", "damage", "renew", "dropped"]
"""Kind of statement that an update makes about its key.

snapshot, delta: a new state of the key. trade, mark: the venue was still sending at `at`; no state is
given. end: nothing more will be sent about the key. damage: a part of the message could not be read;
`value` is the ParseError, and the key is "" when it is unknown. renew: the venue asks to have the
connection replaced. dropped: the venue refuses or has ended a subscription of the key, for `detail`; nothing
on this connection proves the key any more.
"""


class Update(msgspec.Struct, frozen=True, gc=False):
    """The content of one message about one key."""

    key: str
    kind: UpdateKind
    at: int  # venue's time, ns since the Unix epoch; receipt when the message states no time
    integrity: Verdict = "not_available"
    state: str = ""  # names the key's state after it (a hash); "" where the venue names none
    # of a delta: venue's time (ns) of the snapshot that its chain of deltas started from; of a trade with
    # `integrity` failed: time (ns) of the trade after which others are missing, and ok: of the one that it
    # follows, none being missing between them; of a failed mark: of the newest message before those missing
    base: int = 0
    # True: a repeat, or a delta that the book already contains; proves and disproves nothing
    is_known: bool = False
    value: Any = None  # content for the row of this moment, in the form of the channel
    detail: str = ""  # of a failure: what does not match
    observed: int = 0  # cadence channels: time of the observation, ns; there `at` is the time of publication
    group: str = ""  # of a sequence channel: the keys that share its numbers; "" = all of the connection


class Statement(NamedTuple):
    """The state of a key from a source other than its connection: a REST snapshot."""

    key: str
    at: int  # venue's time of the state, ns
    state: str  # the key's state in the form of `Update.state`, to be compared with it
    snapshot: Any = None  # book in the form that `Session.load` expects
    received_at: int = 0  # receipt of the REST answer, ns since the Unix epoch
    seq: int = 0  # `seq` of the REST answer's line in the archive


class Session(Protocol):
    """Protocol of one connection's state: its subscriptions, sequence numbers and books."""

    def subscribe(self, keys: Sequence[str], *, is_first: bool) -> list[str]:
        """Return the texts to send to subscribe `keys`.

        is_first: nothing was subscribed on the connection before.
        """

    def unsubscribe(self, keys: Sequence[str]) -> list[str]:
        """Return the texts to send to unsubscribe `keys`.

        Empty when the venue has no unsubscription.
        """

    def resync(self, keys: Sequence[str]) -> list[str]:
        """Return the texts to send to request new snapshots of `keys` on this connection.

        Empty when the venue cannot do that.
        """

    def apply(
        self,
        received_at: int,
        seq: int,
        payload: bytes,
        *,
        latest: int,
        verify: bool,
        now: int | None = None,
    ) -> list[Update]:
        """Apply one message to the state and return what it says of each key, in order.

        received_at: receipt as archived, ns since the Unix epoch; seq: number of the message in the archive;
        now: receipt on the axis on which coverage is judged (ns), by which a message without a time of the
        venue is dated, since the wall clock may step, None: `received_at`;
        latest: a state with a later venue time (ns) is reported as failed and not applied, because it would
        make all later states look old; verify: False = make only cheap comparisons, the others are
        `unchecked`. Raises ParseError for a damaged message; nothing is applied then.
        """

    def concerned(self, payload: bytes) -> Sequence[str] | None:
        """Return the keys that a damaged message may have been about.

        None: it may have been about any key of the connection.
        """

    def load(self, received_at: int, seq: int, snapshot: Any) -> Update | None:
        """Replace the book of a key by a REST snapshot and replay the newer deltas received since.

        Returns the state reached: `ok` when the proof of a replayed delta matched, `unchecked` when no delta
        could be matched. Returns None when the snapshot cannot be used: it is older than the book held, or
        deltas between the two are unknown.
        """

    def drop(self, keys: Iterable[str]) -> None:
        """Drop the books of `keys`."""

    def states(self) -> Iterator[tuple[str, bytes]]:
        """Yield (key, serialized book) of every book held, for the `book_state` lines of the archive."""


@dataclass(frozen=True)
class Channel:
    """Declaration of a venue's socket channel.

    Durations are seconds on the monotonic clock unless said otherwise.
    """

    endpoint: Endpoint
    proof: Proof
    key_kind: str  # what a key is, as written into the scope of a gap: token, topic, symbol, ...
    keys_per_connection: int
    heartbeat: str | None = "PING"  # None: the venue wants none
    heartbeat_s: float = 10.0
    expects_pong: bool = True  # True: a connection without an answer to its heartbeats is taken for dead
    unproven: str = ""  # what the proof does not cover, in words
    conflates: bool = False  # the venue may skip intermediate states of a key
    has_statements: bool = False  # a key's state can also be requested over REST
    has_resync: bool = False  # a new snapshot of a key can be requested on the open connection
    # cadence channels: longest time between two observations with none missing between them
    cadence_s: float = 1.5
    # age at which a connection is replaced, newer one first; None: never for its age
    renew_s: float | None = None
    patience_s: float = 10.0  # coverage of a key that has not advanced for so long is an open gap
    first_data_s: float = 10.0  # a connection without any data by then has failed
    in_flight_s: float = 3.0  # longest time that a message may be in flight
    # a REST snapshot may show a state up to so long before its request: 3 s, and 1 s of axis error
    statement_lag_s: float = 4.0
    silent_s: float = 5.0  # a key without messages for so long is checked by a REST snapshot
    axis_error_s: float = 1.0  # error of our time axis against the venue's clock, and disorder between keys
    ahead_s: float = AHEAD_S  # a message dated further than this after its receipt is not believed
    weak_max_s: float = 14.0  # weak proof reaches at most so far beyond the last strong proof
    lived_s: float = 60.0  # a connection that lived so long resets the pace of reconnecting

    def headers(self, now_ns: int) -> Mapping[str, str]:  # noqa: ARG002  (a hook)
        """Return the headers of a handshake that is made at `now_ns` (wall clock, ns); by default none."""
        return {}
