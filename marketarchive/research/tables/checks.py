"""Sanity checks of a day's books: rules that hold for every book, and the rows that break them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketarchive.research.engine import run, stored

if TYPE_CHECKING:
    import duckdb

OFFENDERS = 5
"""Number of offending rows that a check lists, the worst first."""


@dataclass
class BookCheck:
    """Result of a check: `bad` of `of` books; passed if none is bad, None if there were none to check."""

    name: str
    bad: int = 0
    of: int = 0
    offenders: list[dict[str, Any]] = field(default_factory=list)

    @property
    def passed(self) -> bool | None:
        return None if not self.of else not self.bad

    def add(self, other: BookCheck) -> None:
        """Add the result of the same check for another day."""
        self.bad += other.bad
        self.of += other.of
        self.offenders = (self.offenders + other.offenders)[:OFFENDERS]

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "passed": self.passed,
            "bad": self.bad,
            "of": self.of,
            "offenders": self.offenders,
        }


# name -> (SQL: row is bad, SQL: row is checked, SQL: order of offenders, the worst first)
_OF_ROWS = {
    "best bid below best ask": ("is_crossed", "best_bid + best_ask IS NOT NULL", "best_ask - best_bid"),
    "prices within [0, 1]": (
        "NOT is_in_range",
        "is_in_range IS NOT NULL AND bid_levels + ask_levels > 0",
        "received_at",
    ),
    "sizes above 0": ("NOT is_positive", "bid_levels + ask_levels > 0", "received_at"),
    "levels in order, no price twice": ("NOT is_sorted", "true", "received_at"),
    "hashes as stated": ("verified = 'failed'", "verified IN ('ok', 'failed')", "received_at"),
}  # fmt: skip
_NAMED = "run, seq, position, token, best_bid::VARCHAR AS best_bid, best_ask::VARCHAR AS best_ask"
_BOTH = "both tokens in each answer of /books"
_READABLE = "books that can be read"


def check(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    unreadable: int,
    examples: list[dict[str, Any]],
    *,
    names_both_tokens: bool,
) -> list[BookCheck]:
    """Return the checks of one day's file of books.

    unreadable: number of books that gave no row; examples: some of them; names_both_tokens: each request to
    /books named both tokens of its markets; then each answer is checked to have both books.
    """
    rows = stored(path)
    figures = ", ".join(
        f"count(*) FILTER (({bad}) AND ({of})), count(*) FILTER ({of})" for bad, of, _ in _OF_ROWS.values()
    )
    [counted] = run(connection, f"SELECT {figures}, count(*) FROM {rows}")
    found = []
    for place, (name, (bad, of, worst)) in enumerate(_OF_ROWS.items()):
        one = BookCheck(name, counted[2 * place], counted[2 * place + 1])
        if one.bad:
            one.offenders = _dicts(
                connection,
                f"SELECT {_NAMED} FROM {rows} WHERE ({bad}) AND ({of}) "
                f"ORDER BY {worst}, run, seq, position LIMIT {OFFENDERS}",
            )
        found.append(one)
    if names_both_tokens:
        found.append(_both(connection, rows))
    found.append(BookCheck(_READABLE, unreadable, counted[-1] + unreadable, examples[:OFFENDERS]))
    return found


def _both(connection: duckdb.DuckDBPyConnection, rows: str) -> BookCheck:
    """Return the check that each market has two books in an answer of /books: a market has two tokens."""
    # by hash: a day has millions of answers' markets, and a condition id has 66 characters
    query = f"""
        SELECT any_value(run) AS run, seq, any_value(market) AS market, any_value(token) AS token
        FROM {rows} WHERE route = 'books'
        GROUP BY hash(run), seq, hash(market) HAVING min(hash(token)) = max(hash(token))"""
    groups = f"SELECT 1 FROM {rows} WHERE route = 'books' GROUP BY hash(run), seq, hash(market)"
    [counts] = run(connection, f"SELECT (SELECT count(*) FROM ({query})), (SELECT count(*) FROM ({groups}))")
    one = BookCheck(_BOTH, *counts)
    if one.bad:
        one.offenders = _dicts(connection, f"{query} ORDER BY run, seq LIMIT {OFFENDERS}")
    return one


def _dicts(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    found = connection.execute(query)
    columns = [column[0] for column in found.description or ()]
    return [dict(zip(columns, row, strict=True)) for row in found.fetchall()]
