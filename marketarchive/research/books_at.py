"""Books of tokens at many moments: each is replayed once, from moment to moment."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from marketarchive.research.book_at import BookAt, Level
from marketarchive.research.engine import text
from marketarchive.research.tables.closed_gaps import stands
from marketarchive.research.tables.extract import table
from marketarchive.research.tables.gap_scope import concerns
from marketarchive.research.tables.soundness import SOUND
from marketarchive.research.views import sql_list
from marketarchive.times import MICROSECOND, from_datetime, utc

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import pyarrow as pa

    Numbers = np.ndarray[tuple[int], np.dtype[np.int64]]

_AFTER_ITS_MESSAGE = 2**31 - 1
_NEVER = 2**63 - 1
_NEWEST = ("event_time", "received_at", "verified", "seq")
_TOGETHER = 10_000  # deltas that are decoded at a time


def books_of(
    connection: duckdb.DuckDBPyConnection, requests: Sequence[tuple[str, int]]
) -> Iterator[tuple[int, BookAt | None]]:
    """Yield (index, book) of each request (token, ns); the book is None before its first snapshot.

    The index is that into `requests`. Levels of the books are exact decimals. The connection needs the views
    `books`, `book_changes`, `coverage` and `gaps` over all days of the requests.
    """
    by_token: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for place, (token, at) in enumerate(requests):
        by_token[token].append((at, place))
    last = max((at for _, at in requests), default=0)
    bases = _bases(connection, by_token)
    changes = _changes(connection, by_token, last)
    for token, moments in by_token.items():
        replays = _replays(bases[token], changes.get(token))
        tracked, gaps = _Tracked(connection), _GapsOfReplays(connection, token)
        for at, place in sorted(moments):
            found = [replay for replay in replays if replay.advance(at // MICROSECOND)]
            if not found:
                yield place, None
                continue
            best = max(found, key=lambda replay: replay.rank)
            known = tracked.at(best.base, at), gaps.at(best, utc(at))
            yield place, best.book(token, at // MICROSECOND, *known)


_ORDER = "received_at, seq, index, position"
_CHANGE = (
    "venue, feed, run, connection, received_at, event_time, seq, index, side, price, size, hash, verified"
)
_OF = "coalesce(token, market)"
_RECORDING = "venue, feed, run, connection"
_ROW = f"{_RECORDING}, received_at, route, seq, index, position"


@dataclass
class _Bases:
    """Snapshots of a token from which its books at the requested moments may be replayed.

    A day has many snapshots, each with hundreds of levels, so only those are read that are the newest of
    their connection at a moment.
    """

    # sound snapshots by time of receipt, without levels; those with a `place` may be replayed from
    heads: list[dict[str, Any]] = field(default_factory=list)
    unsound: list[dict[str, Any]] = field(default_factory=list)  # the newest of their connection at a moment
    # (venue, feed, run, connection) -> earliest receipt of a snapshot, us
    firsts: dict[tuple[str, str, str, str | None], int] = field(default_factory=dict)


def _bases(
    connection: duckdb.DuckDBPyConnection, by_token: Mapping[str, Sequence[tuple[int, int]]]
) -> dict[str, _Bases]:
    """Return token -> its snapshots; by_token: token -> the requested moments, each (ns, index)."""
    found = {token: _Bases() for token in by_token}
    listed = {(token, at // MICROSECOND) for token, moments in by_token.items() for at, _ in moments}
    connection.register(
        "moments", table({"of": [of for of, _ in listed], "us": [us for _, us in listed]}, {"us": "i8"})
    )
    for name, query in (("heads", _HEADS), ("newest", _NEWEST_HEADS)):
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {query}")
    for of, *recording, first in connection.execute(
        f"SELECT of, {_RECORDING}, min(us) FROM heads GROUP BY ALL"
    ).fetchall():
        found[of].firsts[tuple(recording)] = first
    for base in connection.sql("SELECT * FROM newest WHERE NOT is_sound").to_arrow_table().to_pylist():
        found[base["of"]].unsound.append(base)
    sound = connection.sql(_SOUND_BASES).to_arrow_table()
    echoes = connection.sql(_ECHOES).to_arrow_table().to_pylist()
    sides = sound.select(["bids", "asks"])
    heads = sound.drop_columns(["bids", "asks"]).to_pylist()
    heads = [head | {"sides": sides, "place": place} for place, head in enumerate(heads)]
    for base in sorted([*heads, *echoes], key=lambda each: (each["received_at"], each["seq"], each["index"])):
        found[base["of"]].heads.append(base)
    return found


# snapshots without their levels, each with the first requested moment at which it had been received
_HEADS = f"""
    SELECT books.*, moments.us AS moment
    FROM (SELECT {_OF} AS of, {_ROW}, epoch_us(received_at) AS us, event_time, hash, {SOUND} AS is_sound,
                 coalesce(event_time, received_at - to_milliseconds(coalesce(age_ms, 0))) AS valid_at
          FROM books WHERE of IN (SELECT of FROM moments)) AS books
    ASOF JOIN moments ON moments.of = books.of AND moments.us >= books.us"""
_NEWEST_HEADS = f"""
    SELECT * FROM heads QUALIFY row_number() OVER (
        PARTITION BY of, {_RECORDING}, moment, is_sound
        ORDER BY CASE WHEN is_sound THEN valid_at END DESC, received_at DESC, seq DESC, index, position
    ) = 1"""
_SAME_ROW = " AND ".join(f"wanted.{name} IS NOT DISTINCT FROM books.{name}" for name in _ROW.split(", "))
_SOUND_BASES = f"""
    WITH wanted AS (SELECT * FROM newest WHERE is_sound)
    SELECT books.*, true AS is_sound
    FROM (SELECT {_OF} AS of, * FROM books
          WHERE received_at >= (SELECT min(received_at) FROM wanted)
              AND received_at <= (SELECT max(received_at) FROM wanted)) AS books
    JOIN wanted ON wanted.of = books.of AND {_SAME_ROW}"""
# what a connection sent that a polled snapshot repeats
_ECHOES = """
    SELECT DISTINCT heads.* FROM heads JOIN newest USING (of, venue, feed, run, hash, event_time)
    WHERE heads.is_sound AND newest.is_sound AND heads.connection IS NOT NULL AND newest.connection IS NULL"""


def _changes(connection: duckdb.DuckDBPyConnection, tokens: Iterable[str], last: int) -> dict[str, pa.Table]:
    """Return token -> its deltas received until `last` (ns), in order of receipt, without stale ones."""
    rows = connection.sql(
        f"""SELECT {_CHANGE}, {SOUND} AS is_sound, {_OF} AS of FROM book_changes
        WHERE {_OF} IN ({sql_list(list(tokens)) or "NULL"}) AND epoch_us(received_at) <= {last // MICROSECOND}
        AND is_stale IS DISTINCT FROM true ORDER BY of, {_ORDER}"""
    ).to_arrow_table()
    names = rows["of"].to_pylist()
    found, start = {}, 0
    while start < len(names):
        end = bisect_right(names, names[start], start)
        found[names[start]] = rows.slice(start, end - start)
        start = end
    return found


@dataclass
class _Changes:
    """Deltas of one connection in the order of their messages, a column per field; times in us, -1: null."""

    received: Numbers
    event: Numbers
    seq: Numbers
    index: Numbers
    is_sound: np.ndarray[tuple[int], np.dtype[np.bool_]]
    hashes: list[str | None]  # hash of the book after each delta
    rows: pa.Table

    @classmethod
    def of(cls, rows: pa.Table) -> _Changes:
        import pyarrow as pa
        import pyarrow.compute as pc

        def numbers(name: str) -> Numbers:
            found: Numbers = pc.fill_null(rows[name].cast(pa.int64()), -1).to_numpy()
            return found

        return cls(
            numbers("received_at"),
            numbers("event_time"),
            numbers("seq"),
            numbers("index"),
            rows["is_sound"].to_numpy(),
            rows["hash"].to_pylist(),
            rows,
        )

    def unsound(self) -> list[tuple[int, int]]:
        """Return (receipt in us, seq) of the deltas after which the book is not sound."""
        return list(
            zip(self.received[~self.is_sound].tolist(), self.seq[~self.is_sound].tolist(), strict=True)
        )


@dataclass
class _Replay:
    """Replay of a token's book over time, from the data of one connection, or of one run that polls."""

    connection: str | None
    bases: list[dict[str, Any]]  # sound snapshots, by time of receipt
    received: list[int]  # receipt of each snapshot, us
    changes: _Changes | None
    since: int  # us: first receipt on this connection
    until: int  # us: for polls, first receipt on a connection of the same run, which knows more from then on
    unsound: list[tuple[int, int]]  # receipt (us) and seq of states that are skipped, in order
    base: dict[str, Any] = field(default_factory=dict)  # snapshot that is replayed from, empty before any
    rank: tuple[datetime, ...] = ()  # the replay with the greatest rank has the newest data
    _seen: int = 0  # number of `bases` that were received so far
    _due: Numbers | None = None  # row indices of the deltas that follow `base`
    _next: int = 0
    _levels: tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]] = ({}, {})
    _last: dict[str, Any] = field(default_factory=dict)

    def advance(self, at: int) -> bool:
        """Apply snapshots and deltas received by `at` (us); return whether the replay has a book then."""
        if not self.since <= at < self.until:
            return False
        self._load_snapshot(at)
        if self.base and self._due is not None and self.changes is not None:
            self._apply(at, self.changes, self._due)
        return bool(self.base)

    def is_unsound(self, at: int) -> bool:
        """Return whether a state that is not sound came after the newest applied message, and by `at` (us).

        Not sound is a state whose verification failed, or a crossed book.
        """
        newest = from_datetime(self.received_at) // MICROSECOND, self._last["seq"]
        return bisect_right(self.unsound, (at, _NEVER)) > bisect_right(self.unsound, newest)

    def book(self, token: str, at: int, is_tracked: bool, gaps: tuple[dict[str, Any], ...]) -> BookAt:
        bids, asks = self._levels
        base = self.base
        return BookAt(
            token=token,
            venue=base["venue"],
            market=base["slug"] or base["market"],
            market_id=base["market"],
            outcome=base["outcome"],
            bids=_sorted(bids, is_bid=True),
            asks=_sorted(asks, is_bid=False),
            event_time=self._last["event_time"],
            received_at=self.received_at,
            verified=self._last["verified"],
            is_tracked=is_tracked,
            gaps=gaps,
            run=base["run"],
            connection=self.connection,
            is_unsound=self.is_unsound(at),
        )

    @property
    def received_at(self) -> datetime:
        found: datetime = max(self.base["received_at"], self._last["received_at"])
        return found

    def _load_snapshot(self, at: int) -> None:
        """Restart the replay from the newest snapshot received by `at` (us), if it is newer than `base`."""
        seen = bisect_right(self.received, at, self._seen)
        arrived = self.bases[self._seen : seen]
        self._seen = seen
        newest = max([*([self.base] if self.base else []), *arrived], key=_newness, default=None)
        if newest is None or newest is self.base:
            return
        self.base = self._last = newest
        self._levels = _levels(newest, "bids"), _levels(newest, "asks")
        self._rank()
        self._next = 0
        if self.changes is not None:
            self._due = self._after(newest, self.changes)

    def _after(self, base: Mapping[str, Any], changes: _Changes) -> Numbers:
        """Return the row indices of the deltas that were made after the snapshot `base`."""
        import numpy as np

        if base["connection"] is not None:  # its messages are in order, whatever dates they state
            index = base["index"] if base["route"] == "ws" else _AFTER_ITS_MESSAGE
            first = int(np.searchsorted(changes.seq, base["seq"], "left"))
            while first < len(changes.seq) and (changes.seq[first], changes.index[first]) <= (
                base["seq"],
                index,
            ):
                first += 1
            return np.arange(first, len(changes.seq), dtype=np.int64)
        if base["event_time"] is None:
            return np.arange(len(changes.seq), dtype=np.int64)
        since = from_datetime(base["event_time"]) // MICROSECOND
        first = _first_after(base, self.bases, changes)
        # some of the same millisecond may be in the snapshot already: to set a level twice does no harm
        found: Numbers = first + np.flatnonzero(changes.event[first:] >= since)
        return found

    def _apply(self, at: int, changes: _Changes, due: Numbers) -> None:
        """Apply the deltas received by `at` (us), up to the last one that leaves a sound book."""
        end = last = self._next
        while end < len(due) and changes.received[due[end]] <= at:
            end += 1
            if changes.is_sound[due[end - 1]]:
                last = end
        if last == self._next:
            return
        for begin in range(self._next, last, _TOGETHER):
            rows = changes.rows.take(due[begin : min(begin + _TOGETHER, last)])
            columns = (rows[name].to_pylist() for name in ("side", "price", "size"))
            for side, price, size in zip(*columns, strict=True):
                if side in ("BUY", "SELL"):
                    self._levels[side == "SELL"][price] = size
        self._next = last
        [self._last] = changes.rows.select(_NEWEST).slice(int(due[last - 1]), 1).to_pylist()
        self._rank()

    def _rank(self) -> None:
        self.rank = _valid_at(self._last), self.received_at


def _replays(bases: _Bases, changes: pa.Table | None) -> list[_Replay]:
    """Return the replays of a token: one per connection, and one per run that polls.

    bases, changes: the token's snapshots and deltas; None: there are no deltas.
    """
    import pyarrow.compute as pc

    of_run: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for base in (*bases.heads, *bases.unsound):
        of_run[base["venue"], base["feed"], base["run"]].append(base)
    deltas: dict[tuple[str, str, str, str | None], pa.Table] = {}
    if changes is not None:
        keys = ("venue", "feed", "run", "connection")
        for key in changes.group_by(list(keys)).aggregate([]).to_pylist():
            mask = pc.and_kleene(
                pc.equal(changes["run"], key["run"]), pc.equal(changes["connection"], key["connection"])
            )
            mask = pc.and_kleene(mask, pc.equal(changes["venue"], key["venue"]))
            mask = pc.and_kleene(mask, pc.equal(changes["feed"], key["feed"]))
            deltas[tuple(key[name] for name in keys)] = changes.filter(mask)
    found = []
    for run, mine in of_run.items():
        firsts = {key[3]: at for key, at in bases.firsts.items() if key[:3] == run}
        own = set(firsts) | {key[3] for key in deltas if key[:3] == run}
        begins = {name: _first(firsts.get(name), deltas.get((*run, name))) for name in own - {None}}
        until = min(begins.values(), default=_NEVER)
        for name in sorted(own, key=lambda each: each or ""):
            of_it = [base for base in mine if base["connection"] in (name, None)]
            whole = [base for base in of_it if base["is_sound"]]
            received = [_us(base) for base in whole]
            rows = deltas.get((*run, name)) if name is not None else None
            changed = None if rows is None else _Changes.of(rows)
            unsound = [(_us(base), base["seq"]) for base in of_it if not base["is_sound"]]
            unsound += [] if changed is None else changed.unsound()
            found.append(
                _Replay(
                    name,
                    whole,
                    received,
                    changed,
                    since=0 if name is None else begins[name],
                    until=until if name is None else _NEVER,
                    unsound=sorted(unsound),
                )
            )
    return found


def _first_after(base: Mapping[str, Any], bases: Sequence[Mapping[str, Any]], changes: _Changes) -> int:
    """Return the index of the first delta of a connection that a snapshot from elsewhere may lack.

    base: that snapshot, which was polled; bases: all snapshots, those of the connection among them. The venue
    hashes the book after each message. Of messages with the snapshot's venue time, those before the one that
    has its hash are contained in it. Where no message has the hash, all are contained: the connection may
    have closed before that message came.
    """
    import numpy as np

    book_hash, at = base["hash"], from_datetime(base["event_time"]) // MICROSECOND
    same = np.flatnonzero(changes.event == at).tolist()
    if book_hash is None or all(changes.hashes[place] is None for place in same):
        return 0
    known = [int(changes.seq[place]) for place in same if changes.hashes[place] == book_hash]
    known += [
        each["seq"]
        for each in bases
        if each["connection"] is not None
        and (each["hash"], each["event_time"]) == (book_hash, base["event_time"])
    ]
    last = min(known, default=None)
    return 1 + max((place for place in same if last is None or changes.seq[place] <= last), default=-1)


def _us(row: Mapping[str, Any]) -> int:
    return from_datetime(row["received_at"]) // MICROSECOND


def _first(snapshot: int | None, changes: pa.Table | None) -> int:
    """Return the earliest receipt (us) of a connection's snapshots and deltas, at least one of which it has.

    snapshot: that of its snapshots.
    """
    import pyarrow.compute as pc

    times = [] if snapshot is None else [snapshot]
    if changes is not None and changes.num_rows:
        times.append(from_datetime(pc.min(changes["received_at"]).as_py()) // MICROSECOND)
    return min(times)


def _levels(base: Mapping[str, Any], side: str) -> dict[Decimal, Decimal]:
    listed = base["sides"][side][base["place"]].as_py()
    return {level["price"]: level["size"] for level in listed}


def _newness(base: dict[str, Any]) -> tuple[Any, ...]:
    """Return a sort key of a snapshot: a book is replayed from the snapshot with the greatest key."""
    return _valid_at(base), base["received_at"], base["seq"]


def _valid_at(row: dict[str, Any]) -> datetime:
    """Return the venue's time of a row; without one, its receipt less the age that the row states."""
    dated: datetime | None = row["event_time"]
    found: datetime = row["received_at"] - timedelta(milliseconds=row.get("age_ms") or 0)
    return found if dated is None else dated


def _sorted(levels: Mapping[Decimal, Decimal], *, is_bid: bool) -> tuple[Level, ...]:
    found: Any = sorted(((price, size) for price, size in levels.items() if size), reverse=is_bid)
    return tuple(found)


class _Tracked:
    """Times in which markets were tracked, read from the view `coverage`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._spans: dict[tuple[str | None, ...], list[tuple[datetime, datetime]]] = {}

    def at(self, base: Mapping[str, Any], at: int) -> bool:
        key, moment = (base["venue"], base["market"], base["slug"]), utc(at)
        if key not in self._spans:
            self._spans[key] = self._tracked(*key)
        return any(first <= moment <= last for first, last in self._spans[key])

    def _tracked(self, venue: str, *named: str | None) -> list[tuple[datetime, datetime]]:
        """Return the spans of tracked seconds of a market; the first and last of a day as exact as known.

        A file of an earlier version states only when a day's tracking began and ended.
        """
        names = sql_list([name for name in named if name is not None]) or "NULL"
        return self._connection.execute(
            f"""WITH days AS (
                    SELECT first_tracked, last_tracked, spans FROM coverage
                    WHERE venue = {text(venue)} AND (market IN ({names}) OR slug IN ({names})))
                SELECT CASE WHEN span IS NULL OR place = 1 THEN first_tracked ELSE span.start END,
                       CASE WHEN span IS NULL OR place = count THEN last_tracked
                           ELSE span.start + to_seconds(span.seconds) END
                FROM (SELECT first_tracked, last_tracked, unnest(coalesce(spans, [NULL])) AS span,
                             unnest(range(1, coalesce(len(spans), 1) + 1)) AS place,
                             coalesce(len(spans), 1) AS count
                      FROM days)"""
        ).fetchall()


class _GapsOfReplays:
    """Recorded gaps of a token between its book's newest data and a later moment."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, token: str) -> None:
        self._connection = connection
        self._token = token
        self._known: dict[tuple[str, str, str, str | None], list[dict[str, Any]]] = {}

    def at(self, replay: _Replay, at: datetime) -> tuple[dict[str, Any], ...]:
        base = replay.base
        key = (base["venue"], base["feed"], base["run"], replay.connection)
        if key not in self._known:
            self._known[key] = _gaps_of(self._connection, base, replay.connection)
        received = replay.received_at
        return tuple(
            gap
            for gap in self._known[key]
            if gap["from"] <= at and (gap["to"] is None or gap["to"] > received)
        )


def _gaps_of(
    connection: duckdb.DuckDBPyConnection, base: dict[str, Any], of: str | None
) -> list[dict[str, Any]]:
    """Return the recorded gaps of the run of snapshot `base` that concern its token on the connection `of`.

    of: None for polled books.
    """
    names = ", ".join(text(base[name]) for name in ("slug", "market", "token") if base[name] is not None)
    on = "NULL" if of is None else text(of)
    is_concerned = concerns(text(base["venue"]), text(base["feed"]), f"[{names}]", on)
    is_concerned += f" AND {stands(f'[{names}]')}"
    found: list[dict[str, Any]] = (
        connection.sql(
            f"""SELECT * EXCLUDE (open_for) FROM gaps
            WHERE run = {text(base["run"])} AND {is_concerned}
            ORDER BY "from", seq"""
        )
        .to_arrow_table()
        .to_pylist()
    )
    return found
