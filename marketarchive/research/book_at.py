"""A token's whole book at any moment, replayed from the last one that was received whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from marketarchive.research.engine import text
from marketarchive.research.tables.gap_scope import concerns
from marketarchive.research.tables.soundness import SOUND
from marketarchive.research.views import literal

if TYPE_CHECKING:
    import duckdb

Level = tuple[float, float] | tuple[Decimal, Decimal]


@dataclass(frozen=True)
class BookAt:
    """Levels are (price, size), best first; dollars per share, shares.

    `received_at` is when the newest data in it arrived, or a look-up showed that it had not changed;
    `event_time` when it changed last, by the venue's clock. `verified` is the verdict of the last change.
    States that are not sound are passed over: this is the last sound one, and `is_unsound` says that such
    came after it.
    """

    token: str
    venue: str
    market: str  # the slug, the venue's id where it has none
    market_id: str
    outcome: str | None
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    event_time: datetime | None  # None: the venue does not date its books
    received_at: datetime
    verified: str
    is_tracked: bool  # whether a recording was to see its market at that moment
    gaps: tuple[dict[str, Any], ...]  # recorded ones between the newest data and that moment
    run: str
    connection: str | None  # None: polled
    is_unsound: bool = False  # whether its newest data was passed over

    @property
    def gap(self) -> bool:
        """Return whether data may be missing: nothing proves that this is the book of that moment."""
        return bool(self.gaps) or not self.is_tracked or self.is_unsound


@dataclass
class _Replayed:
    """A book of one connection, or of a recording that polls."""

    base: dict[str, Any]
    connection: str | None
    changes: list[dict[str, Any]]

    @property
    def last(self) -> dict[str, Any]:
        return self.changes[-1] if self.changes else self.base

    @property
    def received_at(self) -> datetime:
        found: datetime = max(self.base["received_at"], self.last["received_at"])
        return found

    def side(self, name: str, side: str, *, is_bid: bool) -> list[tuple[Decimal, Decimal]]:
        levels = {level["price"]: level["size"] for level in self.base[name]}
        for change in self.changes:
            if change["side"] == side:
                levels[change["price"]] = change["size"]
        return sorted(((price, size) for price, size in levels.items() if size), reverse=is_bid)


def find(connection: duckdb.DuckDBPyConnection, token: str, at: int, *, exact: bool) -> BookAt | None:
    """Return the book of a token at `at` (ns), None before its first.

    Needs the views `books`, `book_changes`, `coverage` of the day of `at`, and `gaps`.
    """
    replayed = _replayed(connection, token, at)
    if not replayed:
        return None
    best = max(replayed, key=lambda each: (valid_at(each.last), each.received_at))
    base = best.base
    sides = [best.side("bids", "BUY", is_bid=True), best.side("asks", "SELL", is_bid=False)]
    bids, asks = (
        tuple((price, size) if exact else (float(price), float(size)) for price, size in side)
        for side in sides
    )
    return BookAt(
        token=token,
        venue=base["venue"],
        market=base["slug"] or base["market"],
        market_id=base["market"],
        outcome=base["outcome"],
        bids=bids,
        asks=asks,
        event_time=best.last["event_time"],
        received_at=best.received_at,
        verified=best.last["verified"],
        is_tracked=_is_tracked(connection, base, at),
        gaps=tuple(_gaps(connection, best, at)),
        run=base["run"],
        connection=best.connection,
        is_unsound=_is_unsound(connection, token, best, at),
    )


def _replayed(connection: duckdb.DuckDBPyConnection, token: str, at: int) -> list[_Replayed]:
    until = f"coalesce(token, market) = {text(token)} AND received_at <= {literal(at)}"
    valid_at = "coalesce(event_time, received_at - to_milliseconds(coalesce(age_ms, 0)))"
    newest = f"{valid_at} DESC, received_at DESC, seq DESC"
    bases = _dicts(
        connection,
        f"""SELECT * FROM books WHERE {until} AND {SOUND}
            QUALIFY row_number() OVER (PARTITION BY venue, feed, run, connection ORDER BY {newest}) = 1""",
    )
    listening = _dicts(
        connection,
        f"""SELECT DISTINCT venue, feed, run, connection FROM (
                SELECT venue, feed, run, connection FROM book_changes WHERE {until} UNION ALL
                SELECT venue, feed, run, connection FROM books WHERE {until} AND connection IS NOT NULL)""",
    )
    streamed = {(one["venue"], one["feed"], one["run"]) for one in listening}
    found = [
        _Replayed(base, None, [])
        for base in bases
        if (base["venue"], base["feed"], base["run"]) not in streamed
    ]
    for one in listening:
        of_run = [base for base in bases if all(base[key] == one[key] for key in ("venue", "feed", "run"))]
        mine = [base for base in of_run if base["connection"] in (one["connection"], None)]
        if mine:
            base = max(mine, key=newness)
            found.append(_Replayed(base, one["connection"], _changes(connection, base, one, until)))
    return found


def newness(base: dict[str, Any]) -> tuple[Any, ...]:
    """Return a sort key of snapshots: the greatest is the one to replay a book from."""
    return valid_at(base), base["received_at"], base["seq"]


def valid_at(row: dict[str, Any]) -> datetime:
    """Return the venue's time of a row; of one without, since when it may have been so."""
    dated: datetime | None = row["event_time"]
    found: datetime = row["received_at"] - timedelta(milliseconds=row.get("age_ms") or 0)
    return found if dated is None else dated


def _changes(
    connection: duckdb.DuckDBPyConnection, base: dict[str, Any], on: dict[str, Any], until: str
) -> list[dict[str, Any]]:
    """Return the deltas since `base` on one connection, up to the last that leaves a sound book."""
    after = ["true"]
    if base["connection"] is not None:
        after.append(
            f"(seq, index) > ({base['seq']}, {base['index'] if base['route'] == 'ws' else 2**31 - 1})"
        )
    if base["event_time"] is not None:
        after.append(f"event_time >= {text(base['event_time'].isoformat())}::TIMESTAMPTZ")
    # of the same millisecond some may be in it already: to set a level twice is the same as once
    found = _dicts(
        connection,
        f"""SELECT *, {SOUND} AS is_sound FROM book_changes
            WHERE {until} AND venue = {text(on["venue"])} AND feed = {text(on["feed"])}
              AND run = {text(on["run"])} AND connection = {text(on["connection"])}
              AND {" AND ".join(after)} AND is_stale IS DISTINCT FROM true
            ORDER BY seq, index, position""",
    )
    while found and not found[-1]["is_sound"]:
        found.pop()
    return found


def _is_unsound(connection: duckdb.DuckDBPyConnection, token: str, best: _Replayed, at: int) -> bool:
    """Return whether a state that is not sound came on its connection after its newest data."""
    on = "NULL" if best.connection is None else text(best.connection)
    columns = "venue, feed, run, connection, token, market, received_at, seq, verified, best_bid, best_ask"
    base, newest = best.base, f"{text(best.received_at.isoformat())}::TIMESTAMPTZ, {best.last['seq']}"
    [(count,)] = connection.execute(
        f"""SELECT count(*) FROM (
                SELECT {columns} FROM books UNION ALL
                SELECT {columns} FROM book_changes WHERE is_stale IS DISTINCT FROM true)
            WHERE coalesce(token, market) = {text(token)} AND received_at <= {literal(at)} AND NOT {SOUND}
              AND (venue, feed, run) = ({text(base["venue"])}, {text(base["feed"])}, {text(base["run"])})
              AND (connection IS NULL OR connection = {on})
              AND (received_at, seq) > ({newest})"""
    ).fetchall()
    return bool(count)


def _is_tracked(connection: duckdb.DuckDBPyConnection, base: dict[str, Any], at: int) -> bool:
    """Return whether any recording tracked the market at `at`, by that day's coverage."""
    names = ", ".join(text(name) for name in (base["market"], base["slug"]) if name is not None)
    [(known,)] = connection.execute(
        f"""SELECT count(*) FROM coverage WHERE (market IN ({names}) OR slug IN ({names}))
            AND first_tracked <= {literal(at)} AND last_tracked >= {literal(at)}"""
    ).fetchall()
    return bool(known)


def _gaps(connection: duckdb.DuckDBPyConnection, best: _Replayed, at: int) -> list[dict[str, Any]]:
    """Return the gaps of its recording that concern the token and reach behind its newest data."""
    until = f"""AND "from" <= {literal(at)}
        AND ("to" IS NULL OR "to" > {text(best.received_at.isoformat())}::TIMESTAMPTZ)"""
    return gaps_of(connection, best.base, best.connection, until)


def gaps_of(
    connection: duckdb.DuckDBPyConnection, base: dict[str, Any], of: str | None, until: str = ""
) -> list[dict[str, Any]]:
    """Return the gaps of the recording of `base` that concern its token on the connection `of`."""
    names = ", ".join(text(base[name]) for name in ("slug", "market", "token") if base[name] is not None)
    on = "NULL" if of is None else text(of)
    is_concerned = concerns(text(base["venue"]), text(base["feed"]), f"[{names}]", on)
    return _dicts(
        connection,
        f"""SELECT * FROM gaps WHERE run = {text(base["run"])} AND {is_concerned} {until}
            ORDER BY "from", seq""",
    )


def _dicts(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = connection.sql(query).to_arrow_table().to_pylist()
    return found
