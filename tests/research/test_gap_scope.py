"""`Scope.concerns` as SQL says what it says in Python, of any gap line and any row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.archive import lines
from marketarchive.archive.reader import Message
from marketarchive.items import Gap
from marketarchive.research.engine import connect, run
from marketarchive.research.tables import gaps
from marketarchive.research.tables.gap_scope import concerns, of_row
from marketarchive.scope import Scope
from tests.archive.writing import NOON
from tests.properties import examples

FEEDS = st.sampled_from([("kraken", "stream"), ("kraken", "orderbook"), ("polymarket", "stream")])
NAMES = st.lists(st.sampled_from(["a", "b", "t:x", "payload"]), max_size=3)
CONNECTIONS = st.none() | st.sampled_from(["c1", "c2"])
KINDS = st.sampled_from(["", "token", "market", "topic", "symbol", "asset", "page", "lookup", "ticker"])


@st.composite
def scopes(draw: st.DrawFn) -> Scope:
    venue, feed = draw(FEEDS)
    subjects = tuple(draw(NAMES))
    kind = draw(KINDS) if subjects else ""
    endpoint = None if kind == "page" else draw(st.none() | st.just("books"))  # no request failed there
    return Scope(venue, feed, subjects, draw(CONNECTIONS), endpoint, kind)


def as_row(scope: Scope) -> dict[str, Any]:
    """As the table `gaps` gets it, by way of its line."""
    gap = Gap(scope.venue, scope.feed, NOON, 1, NOON, NOON, scope, "stall", "venue", id="r:1")
    envelope = lines.parse(lines.gap(gap).data).envelope
    message = Message("r", scope.venue, scope.feed, "gap", NOON, 1, b"", envelope, "", 1, "", "")
    return gaps.table_row(message)


@given(scope=scopes(), feed=FEEDS, names=NAMES, connection=CONNECTIONS)
@examples(200)
def test_the_condition_and_the_method_agree(
    scope: Scope, feed: tuple[str, str], names: Sequence[str], connection: str | None
) -> None:
    row = as_row(scope)
    stored = pa.Table.from_pylist([{**row, "venue": scope.venue, "feed": scope.feed}], gaps.nothing().schema)
    database = connect()
    database.register("gaps", stored)
    kinds = [("v", pa.string()), ("f", pa.string()), ("names", pa.list_(pa.string())), ("on", pa.string())]
    values = {"v": feed[0], "f": feed[1], "names": list(names), "on": connection}
    database.register("seen", pa.Table.from_pylist([values], pa.schema(kinds)))
    is_concerned = concerns("seen.v", "seen.f", "seen.names", 'seen."on"')
    [(found,)] = run(database, f"SELECT {is_concerned} FROM gaps, seen")
    database.close()
    connections = None if connection is None else [connection]
    assert found is scope.concerns(*feed, names, connections)
    assert found is of_row(row, scope.venue, scope.feed).concerns(*feed, names, connections)
