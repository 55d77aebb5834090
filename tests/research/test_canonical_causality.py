"""Out of real table files: what comes after a second moves nothing that the dataset says of it."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.research.engine import connect
from marketarchive.research.labels.label import Label
from marketarchive.research.products.updown.canonical import reading
from marketarchive.research.products.updown.canonical.columns import CLOCKS, COLUMNS, HINDSIGHT, Clock
from marketarchive.research.products.updown.canonical.grid import Grid
from marketarchive.research.products.updown.canonical.inputs import read
from marketarchive.research.tables import gaps, schemas
from marketarchive.times import iso
from tests.properties import examples
from tests.research.test_canonical import START, label

SECONDS, CARRY = 10, 3
TOKENS = {"btc-round": {"Up": "a", "Down": "b"}}
DAY = iso(START * 10**9)[:10]
EXEMPT = ("K", "delta", "delta_bps", "delta_twap", "K_received_at")
"""On the observation clock."""

Row = dict[str, Any]

moments = st.integers(-30, SECONDS * 10 + 20).map(lambda tenths: tenths / 10)
lags = st.sampled_from((0.0, 0.1, 0.9, 1.4, 3.0, 6.5))
cents = st.integers(1, 97).map(lambda cent: Decimal(cent) / 100)
dollars = st.integers(90, 110).map(Decimal)


@st.composite
def price(draw: st.DrawFn) -> Row:
    event, lag = draw(moments), draw(lags)
    is_page = draw(st.booleans())
    bid, ask = (draw(st.none() | dollars) if is_page else None for _ in range(2))
    window_s = draw(st.sampled_from((None, None, 60)))
    return {
        "table": ("reference_prices", "chainlink", "pages")
        if is_page
        else ("reference_prices", "polymarket", "reference"),
        "event_time": event,
        "received_at": event + lag,
        "instrument": "chainlink:btc-usd" + ("" if window_s is None else "-twap-60s"),
        "value": draw(dollars),
        "bid": bid,
        "ask": ask,
    }


@st.composite
def top(draw: st.DrawFn) -> Row:
    event, bid = draw(moments), draw(st.none() | cents)
    table, route = draw(
        st.sampled_from(
            (
                ("books", "ws"),
                ("books", "books"),
                ("books", "state"),
                ("book_changes", None),
                ("quotes", None),
            )
        )
    )
    return {
        "table": (table, "polymarket", "stream"),
        "event_time": event,
        "received_at": event + draw(lags),
        "token": draw(st.sampled_from("ab")),
        "best_bid": bid,
        "best_ask": None if bid is None else bid + Decimal("0.02"),
        "route": route,
        "source": "best_bid_ask",
        "run": draw(st.sampled_from("rs")),
        "seq": draw(st.integers(1, 99)),
    }


@st.composite
def gap(draw: st.DrawFn) -> Row:
    begin = draw(moments)
    end = begin + draw(lags)
    return {
        "table": ("gaps", "polymarket", draw(st.sampled_from(("stream", "reference")))),
        "event_time": begin,
        "received_at": end,
        "reason": "disconnect",
    }


some = st.lists(price() | price() | top() | top() | gap(), max_size=9)


@st.composite
def source(draw: st.DrawFn) -> Row:
    """What K and the rest of the label come from, and when."""
    return {
        "received_s": draw(st.none() | moments),
        "strike": draw(st.none() | dollars),
        "settlement": draw(st.none() | dollars),
        "resolved_outcome": draw(st.sampled_from((None, "Up", "Down"))),
        "verdict": draw(st.sampled_from(("reproduced", "restated"))),
    }


def build(given_rows: Sequence[Row], of_label: Row, clock: Clock) -> list[Row]:
    """The dataset of tables with these rows."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _store(root, given_rows)
        changes = dict(of_label)
        one: Label = dataclasses.replace(
            label(changes.pop("received_s")),
            end_ns=(START + SECONDS) * 10**9,
            instrument="chainlink:btc-usd-twap-60s",
            **changes,
        )
        connection = connect(root / "spill")
        try:
            inputs = read(connection, root, [one], TOKENS, CARRY, clock)
            found: list[Row] = Grid(inputs, clock, CARRY).rows().to_pylist()
            return found
        finally:
            connection.close()


def _store(root: Path, given_rows: Sequence[Row]) -> None:
    by_table: dict[tuple[str, str, str], list[Row]] = {}
    for number, row in enumerate(given_rows):
        stored = {**row, "index": number, "position": 1}
        table = stored.pop("table")
        for name in ("event_time", "received_at"):
            stored[name] = round((START + row[name]) * 10**6)
        if table[0] == "gaps":
            stored |= {"from": stored["event_time"], "to": stored["received_at"], "scope": "{}"}
            stored |= {"noticed_at": stored["received_at"], "run": "r", "seq": number}
        by_table.setdefault(table, []).append(stored)
    for (table, venue, feed), some in by_table.items():
        folder = root / f"tables/{table}/venue={venue}/feed={feed}/date={DAY}"
        folder.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(some, _schema(table)), folder / f"{table}.parquet")


def _schema(table: str) -> pa.Schema:
    if table in ("gaps", "reference_prices"):
        stored = gaps.nothing().schema if table == "gaps" else schemas.schema("reference_prices")
        return pa.schema([field for field in stored if field.name not in ("venue", "feed", "date")])
    moment, text, amount = pa.timestamp("us", tz="UTC"), pa.string(), pa.decimal128(18, 6)
    return pa.schema(
        [
            *((name, moment) for name in ("event_time", "received_at")),
            *((name, amount) for name in ("best_bid", "best_ask")),
            *((name, text) for name in ("token", "route", "source", "run")),
            *((name, pa.int64()) for name in ("seq", "index", "position")),
        ]
    )


@pytest.mark.no_cover
@examples(60)
@given(
    before=some,
    after=some,
    labels=st.tuples(source(), source()),
    second=st.integers(0, SECONDS),
    clock=st.sampled_from(CLOCKS),
)
def test_nothing_after_a_second_moves_it(
    before: list[Row], after: list[Row], labels: tuple[Row, Row], second: int, clock: Clock
) -> None:
    """Prices, books, gaps, and what the label says; K only where it was not known by then."""
    by = "event_time" if clock == "observation" else "received_at"
    early = [row for row in before if row[by] <= second]
    late = [[row for row in some if row[by] > second] for some in (before, after)]
    first, then = labels
    known_s = first["received_s"]
    if clock == "received" and known_s is not None and known_s <= second:
        then = {**then, **{name: first[name] for name in ("received_s", "strike")}}
    elif clock == "received" and then["received_s"] is not None:
        then = {**then, "received_s": max(then["received_s"], second + 0.1)}
    one = build(early + late[0], first, clock)
    other = build(early + late[1], then, clock)
    features = [
        name
        for name in COLUMNS
        if name not in HINDSIGHT
        and (clock == "received" or (name.startswith(("cl_", "pm_")) and name not in EXEMPT))
    ]
    for t in range(second + 1):
        assert {name: one[t][name] for name in features} == {name: other[t][name] for name in features}


@examples(40)
@given(given_rows=some, of_label=source(), clock=st.sampled_from(CLOCKS))
def test_coverage_is_bounded(given_rows: list[Row], of_label: Row, clock: Clock) -> None:
    made = build(given_rows, of_label, clock)
    assert [row["t"] for row in made] == list(range(SECONDS + 1))
    cl, pm = ({row["t"] for row in made[:-1] if row[f"{name}_ffill"] == 0} for name in ("cl", "pm"))
    assert max(0, len(cl) + len(pm) - SECONDS) <= len(cl & pm) <= min(len(cl), len(pm))
    assert all(row["cl_mid"] is not None for row in made[:-1] if row["t"] in cl)


@pytest.mark.no_cover
@examples(60)
@given(
    given_rows=st.lists(top(), min_size=4, max_size=40),
    of_label=source(),
    clock=st.sampled_from(CLOCKS),
)
def test_what_is_left_out_of_a_second_counts_for_nothing(
    given_rows: list[Row], of_label: Row, clock: Clock
) -> None:
    """Much that a token is told in a second is thinned as it is read; little is not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "SPARSE", 0)
        whole = build(given_rows, of_label, clock)
        patch.setattr(reading, "SPARSE", 10**9)
        assert build(given_rows, of_label, clock) == whole
