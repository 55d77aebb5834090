"""Each check of `scrapy validate` on small data made by hand: what passes, what fails, and just beyond."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from marketarchive.archive.labels import label
from marketarchive.archive.ledger import Ledger
from marketarchive.research.checks import sequence, verified_books
from marketarchive.research.checks.check import CheckResult, share
from marketarchive.research.engine import connect
from marketarchive.research.labels.label import Label
from marketarchive.research.products.updown.canonical.columns import schema
from marketarchive.research.products.updown.rounds import recorded
from marketarchive.research.products.updown.validation import (
    coverage_bounds,
    inputs,
    outcomes,
    stream_gaps,
    strikes,
    sums,
)
from marketarchive.research.products.updown.validation.report import markdown
from marketarchive.research.products.updown.validation.validate import state_of, validate
from marketarchive.research.tables.normalize import normalize
from marketarchive.times import SECOND, iso
from tests.archive.writing import NOON, VENUE, HandClock, open_run, response, writer
from tests.e2e.harness import command
from tests.research.streaming import Line, Lost, Rotate, Socket, record

DURATION = 60
SLUG = "btc-updown-5m-1795262400"
NAMES = {"a": (SLUG, "Up"), "b": (SLUG, "Down")}
DAY = "2026-11-21"

LABEL = Label(
    market_id=SLUG,
    condition_id="0x1",
    asset="BTC",
    duration="5m",
    start_ns=NOON,
    end_ns=NOON + DURATION * SECOND,
    strike=Decimal(20_000),
    settlement=Decimal(20_001),
    strike_e18=20_000 * 10**18,
    settlement_e18=20_001 * 10**18,
    resolved_outcome="Up",
    computed_outcome="Up",
    outcome_match=True,
    strike_source="polymarket/reference crypto_prices_chainlink btc/usd",
    settlement_source="polymarket/reference crypto_prices_chainlink btc/usd",
    strike_received_at_ns=NOON + SECOND,
    rule="chainlink spot",
    verdict="reproduced",
    reason="",
    stated_strike=Decimal(20_000),
)


def labelled(**changes: Any) -> Label:
    return dataclasses.replace(LABEL, **changes)


class Quiet:
    def total(self, read: int) -> None: ...

    def begin(self, what: str) -> None: ...

    def advance(self, read: int) -> None: ...


def at(second: float) -> datetime:
    return datetime.fromtimestamp(NOON // SECOND, UTC) + timedelta(seconds=second)


def row(t: int, **changes: Any) -> dict[str, Any]:
    """A second in which both streams were observed."""
    return {
        "time": at(t),
        "t": t,
        "tau": DURATION - t,
        "market_id": SLUG,
        "asset": "BTC",
        "cl_mid": 20_000.0,
        "cl_ffill": 0,
        "pm_ffill": 0,
        "pm_quiet": 0,
        "sum_bids": 0.99,
        "sum_asks": 1.01,
    } | changes


Rows = Mapping[int, dict[str, Any] | None]
"""Of some seconds what is different in them; None: the row is missing."""


def dataset(root: Path, changed: Rows | None = None, *more: dict[str, Any]) -> Path:
    given = changed or {}
    rows = [row(t, **(given.get(t) or {})) for t in range(DURATION + 1) if given.get(t, {}) is not None]
    path = root / "dataset.parquet"
    table = [{name: one.get(name) for name in schema().names} for one in [*rows, *more]]
    pq.write_table(pa.Table.from_pylist(table, schema()), path)
    return path


def store(root: Path, table: str, feed: str, rows: list[dict[str, Any]]) -> None:
    """A table's file, with the columns that checks read."""
    folder = root / f"tables/{table}/venue={VENUE}/feed={feed}/date={DAY}"
    folder.mkdir(parents=True)
    moment, text = pa.timestamp("us", tz="UTC"), pa.string()
    kinds = {"event_time": moment, "received_at": moment, "is_stale": pa.bool_(), "window_s": pa.int32()}
    kinds |= dict.fromkeys(("seq", "index", "position"), pa.int64())
    columns = pa.schema([(name, kinds.get(name, text)) for name in rows[0]])
    pq.write_table(pa.Table.from_pylist(rows, columns), folder / f"{table}.parquet")


def message(token: str, second: float, run: str, seq: int, **changes: Any) -> dict[str, Any]:
    """A row of `books` or, with a `side`, of `book_changes`."""
    return {
        "market": "0x1",
        "slug": SLUG,
        "token": token,
        "event_time": at(second),
        "received_at": at(second),
        "run": run,
        "seq": seq,
        "connection": "c1",
        "index": 1,
        "position": 1,
        "verified": "ok",
    } | changes


@contextmanager
def opened(root: Path, path: Path, *labels: Label) -> Iterator[Any]:
    connection = connect()
    try:
        inputs.register(connection, root, labels or [LABEL], NAMES, path)
        yield connection
    finally:
        connection.close()


# outcomes and strikes


def test_every_provable_outcome_must_be_reproduced() -> None:
    good = [
        LABEL,
        labelled(verdict="restated", reason="no tick of chainlink:btc-usd at 2026-11-21T12:00:00Z"),
    ]
    made = outcomes.check(good)
    assert made.state == "pass"
    assert made.figure == "1 of 1 reproduced (100.00 %); provable 1 of 2 (50.00 %)"
    assert made.notes == ["1 restated: no tick of chainlink:*-usd at ..."]
    bad = outcomes.check([*good, labelled(market_id="bad", verdict="differs", resolved_outcome="Down")])
    assert bad.state == "fail"
    assert [(one["market_id"], one["computed"], one["official"]) for one in bad.offenders] == [
        ("bad", "Up", "Down")
    ]
    assert bad.figures["differs"] == 1
    assert outcomes.check(good[1:]).state == "nothing to check"
    assert outcomes.check([]).state == "nothing to check"


@pytest.mark.parametrize(
    ("strike", "stated", "state"),
    [
        ("20001", "20000", "pass"),  # $1 and half a bp
        ("20001.000001", "20000", "fail"),
        ("19998.999999", "20000", "fail"),
        ("100.01", "100", "pass"),  # 1 bp and a cent
        ("100.010001", "100", "fail"),
        ("99.989999", "100", "fail"),
    ],
)
def test_a_strike_keeps_both_bounds(strike: str, stated: str, state: str) -> None:
    made = strikes.check([labelled(strike=Decimal(strike), stated_strike=Decimal(stated))])
    assert made.state == state
    assert len(made.offenders) == (state == "fail")


def test_strikes_that_prove_nothing_are_counted_apart() -> None:
    apart = [
        labelled(stated_strike=None),
        labelled(strike=None, strike_source=None),
        labelled(strike=Decimal(1), strike_kind="stated"),
        labelled(strike=Decimal(1), strike_kind="estimated"),
    ]
    made = strikes.check(apart)
    assert made.state == "nothing to check"
    counted = ("no published strike", "no strike", "taken from the published one", "estimated")
    assert [made.figures[name] for name in counted] == [1, 1, 1, 1]
    assert strikes.check([*apart, LABEL]).state == "pass"


# the dataset


def test_coverage_has_one_denominator(tmp_path: Path) -> None:
    changed: dict[int, dict[str, Any]] = {t: {"cl_ffill": 1} for t in range(10)}
    changed |= {t: {**changed.get(t, {}), "pm_ffill": 1} for t in range(5, 20)}
    changed |= {t: {"pm_quiet": 1} for t in range(30, 36)}  # the settlement row is observed
    with opened(tmp_path, dataset(tmp_path, changed)) as connection:
        made = coverage_bounds.check(connection)
    assert made.state == "pass"
    whole = {"rounds": 1, "seconds": 60, "cl": 50, "pm": 45, "quiet": 6, "both": 40}
    assert made.details[0] == {"of": "all rounds", **whole}
    assert made.figures["rounds with both < cl"] == 1
    assert made.figure.startswith("cl 83.33 %, pm 75.00 %, quiet 10.00 %, both 66.67 %")


@pytest.mark.parametrize(
    ("changed", "more"),
    [
        ({7: None}, ()),
        ({DURATION: None}, ()),
        ({}, (row(7),)),
        ({7: None}, (row(8),)),
        ({}, (row(DURATION + 1),)),
        ({0: None}, (row(DURATION + 1),)),
    ],
)
def test_coverage_fails_on_rows_that_are_missing_or_stand_twice(
    tmp_path: Path, changed: Rows, more: tuple[dict[str, Any], ...]
) -> None:
    with opened(tmp_path, dataset(tmp_path, changed, *more)) as connection:
        made = coverage_bounds.check(connection)
    assert made.state == "fail"
    assert made.offenders[0]["market_id"] == SLUG


def test_a_round_without_any_row_fails_and_no_round_is_nothing(tmp_path: Path) -> None:
    with opened(tmp_path, dataset(tmp_path), LABEL, labelled(market_id="other")) as connection:
        assert coverage_bounds.check(connection).state == "fail"
    connection = connect()
    inputs.register(connection, tmp_path, [], NAMES, tmp_path / "none.parquet")
    assert coverage_bounds.check(connection).state == "nothing to check"
    assert sums.check(connection).state == "nothing to check"
    connection.close()


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"sum_bids": 0.47 + 0.58, "sum_asks": 0.41 + 0.54}, "pass"),  # both bounds, as floats add up
        ({"sum_bids": 1.051}, "fail"),
        ({"sum_asks": 0.949}, "fail"),
        ({"sum_bids": 0.95, "sum_asks": 1.05}, "pass"),
        ({"sum_bids": 0.949}, "warn"),
        ({"sum_asks": 1.051}, "warn"),
        ({"sum_bids": None, "sum_asks": 0.9}, "fail"),
        ({"sum_bids": 1.2, "pm_ffill": 1}, "fail"),  # every row is looked at
        ({"sum_bids": 1.2, "gap": True}, "warn"),
    ],
)
def test_sums_leave_no_profit(tmp_path: Path, changes: dict[str, Any], state: str) -> None:
    with opened(tmp_path, dataset(tmp_path, {7: changes, DURATION: {"sum_bids": 2.0}})) as connection:
        made = sums.check(connection)
    assert made.state == state
    assert [one["t"] for one in made.offenders] == ([] if state == "pass" else [7])


@pytest.mark.parametrize(
    "changes",
    [{"sum_bids": 0.949}, {"sum_asks": 1.051, "pm_ffill": 1}, {"sum_bids": 1.2, "gap": True}],
)
def test_strict_sums_keep_both_bounds(tmp_path: Path, changes: dict[str, Any]) -> None:
    with opened(tmp_path, dataset(tmp_path, {7: changes})) as connection:
        assert sums.check(connection, strict=True).state == "fail"
    with opened(tmp_path, dataset(tmp_path)) as connection:
        assert sums.check(connection, strict=True).state == "pass"


def test_a_profit_stands_before_a_wide_spread(tmp_path: Path) -> None:
    changed = {3: {"sum_bids": 0.5}, 7: {"sum_bids": 1.06}}
    with opened(tmp_path, dataset(tmp_path, changed)) as connection:
        made = sums.check(connection)
    assert [one["t"] for one in made.offenders] == [7, 3]
    assert (made.figures["profit of more than 5 cents"], made.figures["wide spread"]) == (1, 1)
    with opened(
        tmp_path, dataset(tmp_path, {t: {"sum_bids": None, "sum_asks": None} for t in range(DURATION)})
    ) as empty:
        assert sums.check(empty).state == "nothing to check"


# gaps


def carried(first: int, last: int, stream: str = "pm") -> dict[int, dict[str, Any] | None]:
    return {t: {f"{stream}_ffill": 1} for t in range(first, last + 1)}


Messages = Callable[[str], list[dict[str, Any]]]


def both(second: float, **changes: Any) -> Messages:
    return lambda run: [
        message(token, second, run, round(second * 10) + 1, **changes) for token in ("a", "b")
    ]


def gaps(
    root: Path,
    changed: Rows,
    books: tuple[Messages, ...] = (),
    changes: tuple[Messages, ...] = (),
    *lines: Line,
    end: float = DURATION,
    strict: bool = False,
) -> CheckResult:
    """A run of the stream until `end`, its gaps, and rows of tables that stand for its messages."""
    run = record(root, [Socket(tokens=("a", "b")), *lines, Socket("closed", end)])
    normalize(root, tables=("gaps",), master_url="")
    seen = [one for each in (*books, both(0)) for one in each(run)]
    store(root, "books", "stream", [{**one, "route": "ws"} for one in seen])
    if changes:
        changed_rows = [{"is_stale": False, **one} for each in changes for one in each(run)]
        store(root, "book_changes", "stream", changed_rows)
    connection = connect()
    try:
        path = dataset(root, changed)
        return stream_gaps.check(connection, root, [LABEL], NAMES, path, Quiet(), strict=strict)
    finally:
        connection.close()


def of(made: CheckResult, stream: str = "pm") -> dict[str, int]:
    """The seconds that were counted, those of which there are any."""
    [found] = [one for one in made.details if one["stream"].startswith(stream)]
    names = ("observed", "quiet", "silent", "recorded", "unknown", "untracked")
    assert found["seconds"] == DURATION == sum(found[name] for name in names)
    return {name: found[name] for name in names if found[name]}


BROKEN = (both(58, verified="failed"),)
"""A change that tells nothing of the silence before it."""


def test_two_seconds_are_no_gap_and_three_are(tmp_path: Path) -> None:
    made = gaps(tmp_path / "two", carried(10, 11), (), BROKEN)
    assert (made.state, of(made)) == ("pass", {"observed": 58, "unknown": 2})
    made = gaps(tmp_path / "three", carried(10, 12), (), BROKEN)
    assert (made.state, of(made)) == ("fail", {"observed": 57, "unknown": 3})
    assert made.offenders == [{"market_id": SLUG, "stream": "pm", "t": 10, "seconds": 3, "recorded_as": None}]


def test_a_missing_row_is_no_observation(tmp_path: Path) -> None:
    made = gaps(tmp_path, dict.fromkeys(range(20, 24)), (), BROKEN)
    assert made.state == "fail"
    assert of(made) == {"observed": 56, "unknown": 4}


def test_what_the_dataset_proves_quiet_is_no_gap(tmp_path: Path) -> None:
    made = gaps(tmp_path, {t: {"pm_quiet": 1} for t in range(10, 40)}, (), BROKEN)
    assert (made.state, of(made)) == ("pass", {"observed": 30, "quiet": 30})


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ((both(50),), "pass"),
        ((lambda run: both(50)(run)[:1],), "fail"),  # of Down nothing tells
        ((both(50, connection="c2"),), "fail"),
        ((both(50, verified="unchecked"),), "fail"),
        ((both(50, is_stale=True),), "fail"),
        ((both(5, verified="failed"), both(50)), "fail"),  # the silence began with a book unknown
    ],
)
def test_a_change_that_comes_out_proves_the_silence_before_it(
    tmp_path: Path, changes: tuple[Messages, ...], state: str
) -> None:
    made = gaps(tmp_path, carried(10, 49), (), changes)
    assert made.state == state
    assert of(made) == {"observed": 20, "silent" if state == "pass" else "unknown": 40} or state == "fail"


@pytest.mark.parametrize(("second", "state"), [(30, "pass"), (30.1, "fail")])
def test_a_whole_book_bears_out_half_a_minute(tmp_path: Path, second: float, state: str) -> None:
    assert gaps(tmp_path, carried(1, 29), (both(second),), BROKEN).state == state


def test_after_the_last_message_half_a_minute_is_silent_while_the_run_goes_on(tmp_path: Path) -> None:
    made = gaps(tmp_path / "on", carried(21, 59), (both(20),))
    assert (made.state, of(made)) == ("fail", {"observed": 21, "silent": 30, "unknown": 9})
    made = gaps(tmp_path / "ended", carried(21, 59), (both(20),), end=30)
    assert (made.state, of(made)) == ("pass", {"observed": 21, "silent": 10, "untracked": 29})


def test_a_connection_that_another_follows_and_one_that_broke_leave_no_silence(tmp_path: Path) -> None:
    follows = both(26, connection="c2")
    made = gaps(tmp_path / "follows", carried(11, 25), (both(10), follows), (both(40, connection="c2"),))
    assert (made.state, of(made)) == ("fail", {"observed": 45, "unknown": 15})
    made = gaps(tmp_path / "broke", carried(21, 30), (both(31),), (both(20, verified="failed"),))
    assert (made.state, of(made)) == ("fail", {"observed": 50, "unknown": 10})
    made = gaps(tmp_path / "end", carried(21, 30), (), (both(20, verified="failed"),))
    assert (made.state, of(made)) == ("fail", {"observed": 50, "unknown": 10})


def test_a_recorded_gap_is_a_warning_and_fails_when_strict(tmp_path: Path) -> None:
    made = gaps(tmp_path / "warn", carried(10, 20), (), BROKEN, Lost(9.5, 20.5))
    assert (made.state, of(made)) == ("warn", {"observed": 49, "recorded": 11})
    assert made.offenders[0]["recorded_as"] == "disconnect"
    assert made.figure.endswith("1 recorded; of tracked seconds in recorded gaps: cl 0.00 %, pm 18.33 %")
    assert (
        gaps(tmp_path / "strict", carried(10, 20), (), BROKEN, Lost(9.5, 20.5), strict=True).state == "fail"
    )
    proven = gaps(tmp_path / "proven", carried(10, 20), (), (both(50),), Lost(9.5, 20.5))
    assert proven.state == "warn"  # what the stream said of itself comes first


@pytest.mark.parametrize(
    ("lost", "state"),
    [
        (Lost(9.5, 13.5, {"markets": [SLUG]}), "fail"),  # ends at 14 of 20
        (Lost(9.5, 17.5, {"markets": [SLUG]}), "warn"),  # two seconds are left
        (Lost(9.5, 20.5, {"markets": ["other"]}), "fail"),
        (Lost(9.5, 20.5, {"token": "a"}), "warn"),
        (Lost(9.5, 20.5, {"token": "c"}), "fail"),
        (Lost(9.5, 20.5, {"asked_for": ["a"]}), "fail"),
        (Lost(22.5, 25.5), "fail"),
    ],
)
def test_a_gap_counts_where_it_concerns_the_round(tmp_path: Path, lost: Lost, state: str) -> None:
    assert gaps(tmp_path, carried(10, 20), (), BROKEN, lost).state == state


def test_a_gap_of_prices_says_nothing_of_books(tmp_path: Path) -> None:
    record(tmp_path, [Socket(text=""), Lost(9.5, 20.5)], feed="reference")
    assert gaps(tmp_path, carried(10, 20), (), BROKEN).state == "fail"


def test_prices_have_no_silence(tmp_path: Path) -> None:
    run = record(tmp_path, [Socket(text=""), Socket("closed", 40.0)], feed="reference")
    point = {"topic": "crypto_prices_chainlink", "symbol": "btc/usd", "asset": "BTC"}
    more = {"window_s": None, "value": "1"}
    store(
        tmp_path,
        "reference_prices",
        "reference",
        [{**point, **more, "run": run, "event_time": at(s), "received_at": at(s + 1.5)} for s in (0, 5, 36)],
    )
    changed = carried(1, 2, "cl") | carried(6, 8, "cl") | carried(37, 59, "cl")
    made = gaps(tmp_path, changed)
    # what is observed in the last 1.5 s before the run's end arrives after it
    assert of(made, "cl") == {"observed": 32, "unknown": 7, "untracked": 21}
    assert [(one["stream"], one["t"], one["seconds"]) for one in made.offenders] == [("cl", 6, 3)]


def test_a_segment_that_is_labelled_leaves_its_time_untracked(tmp_path: Path) -> None:
    lines: list[Line] = [Socket(tokens=("a", "b"))]
    lines += [Socket("subscribed", 19), Rotate(), Socket("subscribed", 20), Socket("subscribed", 39)]
    lines += [Rotate(), Socket("subscribed", 40), Socket("closed", DURATION)]
    run = record(tmp_path, lines)
    store(tmp_path, "books", "stream", [{**one, "route": "ws"} for s in (0, 40) for one in both(s)(run)])
    path, connection = dataset(tmp_path, carried(20, 39)), connect()
    assert stream_gaps.check(connection, tmp_path, [LABEL], NAMES, path, Quiet()).state == "fail"
    [second] = [
        each
        for entry in Ledger(tmp_path).of_kind("segment")
        if (each := entry["path"]).endswith("-2.jsonl.gz")
    ]
    label(tmp_path, tmp_path / second, "invalid", "a clock that was wrong")
    made = stream_gaps.check(connection, tmp_path, [LABEL], NAMES, path, Quiet())
    connection.close()
    assert (made.state, of(made)) == ("pass", {"observed": 40, "untracked": 20})


def test_what_no_run_was_to_see_is_nothing_to_check(tmp_path: Path) -> None:
    connection = connect()
    changed = {t: {"pm_ffill": None, "cl_ffill": None} for t in range(DURATION + 1)}
    path = dataset(tmp_path, changed)
    made = stream_gaps.check(connection, tmp_path, [LABEL], NAMES, path, Quiet())
    connection.close()
    assert (made.state, len(made.notes)) == ("nothing to check", 2)
    assert of(made) == of(made, "cl") == {"untracked": DURATION}


# books and sequence


@pytest.mark.parametrize(
    ("lost", "state"),
    [
        ((), "fail"),
        ((Lost(9, 11, {"token": "a"}),), "warn"),
        ((Lost(9, 11, {"token": "b"}),), "fail"),
        ((Lost(9, 9.9),), "fail"),
        ((Lost(10.1, 11),), "fail"),
        ((Lost(10, 10),), "warn"),
    ],
)
def test_a_failed_hash_needs_a_recorded_gap(tmp_path: Path, lost: tuple[Lost, ...], state: str) -> None:
    run = record(tmp_path, [Socket(tokens=("a", "b")), *lost, Socket("closed", DURATION)])
    normalize(tmp_path, tables=("gaps",), master_url="")
    rows = [message("a", 10, run, 1, verified="failed"), *both(5)(run)]
    rows += [message("a", DURATION + 5, run, 9, verified="failed")]  # after the time looked at
    store(tmp_path, "book_changes", "stream", rows)
    connection = connect()
    made = verified_books.check(connection, tmp_path, NOON, NOON + DURATION * SECOND)
    connection.close()
    assert made.state == state
    assert (made.figures["rows"], made.figures["ok"], made.figures["failed"]) == (3, 2, 1)
    assert made.offenders[0]["in_a_recorded_gap"] is (state == "warn")
    assert made.details[0]["table"] == "book_changes"


def test_books_that_nothing_verified_are_nothing_to_check(tmp_path: Path) -> None:
    connection = connect()
    assert verified_books.check(connection, tmp_path, 0, 0).state == "nothing to check"
    rows = [message("a", 1, "r", 1, verified="unchecked"), message("b", 1, "r", 2, verified="not_available")]
    store(tmp_path, "book_changes", "stream", rows)
    made = verified_books.check(connection, tmp_path, NOON, NOON + SECOND * DURATION)
    connection.close()
    assert made.state == "nothing to check"
    assert (made.figures["unchecked"], made.figures["not_available"]) == (1, 1)


def answered(root: Path, *, skip: bool = False, count: int = 3) -> None:
    with writer(root) as made:
        run = open_run(made)
        for n in range(count):
            if skip and n == 1:
                run.next_seq(VENUE, "orderbook")
            run.write(response(run))
        run.close("finished", {}).result()


def test_seqs_are_dense_by_the_ledger(tmp_path: Path) -> None:
    assert sequence.check(tmp_path).state == "nothing to check"
    answered(tmp_path)
    made = sequence.check(tmp_path)
    assert (made.state, made.figures["messages"], made.figures["segments read again"]) == ("pass", 3, 0)
    assert made.details[0]["state"] == "dense"
    assert sequence.check(tmp_path, NOON + 3600 * SECOND).state == "nothing to check"
    assert sequence.check(tmp_path, None, NOON).state == "nothing to check"
    answered(tmp_path, skip=True)
    made = sequence.check(tmp_path)
    assert made.state == "fail"
    assert made.offenders[0]["what"].endswith("feed orderbook: seq 2 missing")
    assert made.figures["segments read again"] == 1  # its ledger line does not tell its numbers


def test_a_segment_that_is_gone_or_cut_is_found(tmp_path: Path) -> None:
    answered(tmp_path)
    [path] = (tmp_path / "raw").rglob("*.jsonl.gz")
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    assert "bytes; ledger line" in sequence.check(tmp_path).offenders[0]["what"]
    path.unlink()
    made = sequence.check(tmp_path)
    assert (made.state, made.offenders[0]["path"]) == ("fail", str(path.relative_to(tmp_path)))


def test_a_living_run_is_not_judged_by_what_it_has_open(tmp_path: Path) -> None:
    clock = HandClock()
    with writer(tmp_path, clock) as made:
        run = open_run(made)
        run.next_seq(VENUE, "orderbook")
        run.write(response(run))
        run.flush().result()
        clock.pass_s(3600)
        run.write(response(run))
        run.flush().result()
        found = sequence.check(tmp_path)
        assert (found.state, found.details[0]["state"]) == ("pass", "running")
        run.close("finished", {}).result()
    assert sequence.check(tmp_path).state == "fail"


# the report


def test_a_share_is_not_rounded_to_all_or_nothing() -> None:
    assert share(1, 1) == "100.00 %"
    assert share(99_999, 100_000) == "99.99 %"
    assert share(1, 100_000) == "0.01 %"
    assert share(0, 5) == "0.00 %"
    assert share(0, 0) == "none to count"


def test_the_worst_state_is_the_state_of_all() -> None:
    def check(state: Any) -> CheckResult:
        return CheckResult("name", "title", "rule", state, "figure")

    assert state_of([check("pass"), check("fail"), check("warn")]) == "fail"
    assert state_of([check("pass"), check("warn"), check("nothing to check")]) == "warn"
    assert state_of([check("nothing to check"), check("pass")]) == "pass"
    assert state_of([check("nothing to check")]) == "nothing to check"


def test_a_round_is_of_the_recording_unless_it_ended_before(tmp_path: Path) -> None:
    early, late = labelled(end_ns=NOON), labelled(end_ns=NOON + 1)
    assert recorded(tmp_path, [early, late]) == [early, late], "nothing was recorded"
    record(tmp_path, [Socket(tokens=("a", "b")), Socket("closed", 20)])
    assert recorded(tmp_path, [early, late]) == [late]


def test_an_empty_archive_has_a_report_that_is_no_pass(tmp_path: Path) -> None:
    done = validate(tmp_path)
    assert done.state == "nothing to check"
    assert {each.state for each in done.checks} == {"nothing to check"}
    document = json.loads((tmp_path / "research" / "VALIDATION_REPORT.json").read_text())
    assert document["looked_at"]["rounds"] == 0
    text = (tmp_path / "research" / "VALIDATION_REPORT.md").read_text()
    assert text == markdown(document, done.checks)
    assert all(each.title in text and each.rule in text for each in done.checks)
    manifest = json.loads((tmp_path / done.manifest).read_text())
    assert manifest["checks"] == {each.name: "nothing to check" for each in done.checks}
    assert {one["path"] for one in manifest["outputs"]} == {
        "research/VALIDATION_REPORT.json",
        "research/VALIDATION_REPORT.md",
    }


def test_a_cell_cannot_break_a_table() -> None:
    check = CheckResult(
        "name", "Title", "rule", "fail", "1 | 2", offenders=[{"what": "a|b\nc", "x": None, "y": 0.5}]
    )
    document = {
        "state": "fail",
        "strict": True,
        "collector": "c",
        "made_at_utc": iso(NOON),
        "since": None,
        "until": None,
        "looked_at": {"rounds": 0, "days": [], "assets": {}, "durations": {}, "dataset": "d", "rows": 0},
        "versions": {},
        "inputs": [],
        "ledger": {"count": 0, "head": "0"},
    }
    text = markdown(document, [check])
    assert "| a\\|b c | - | 0.5 |" in text
    assert "| [Title](#title) | **FAIL** | 1 \\| 2 |" in text


def test_wrong_arguments_and_a_disk_that_refuses_have_their_exit_codes(tmp_path: Path) -> None:
    assert command("validate", tmp_path / "none").returncode == 2
    with writer(tmp_path) as made:
        open_run(made).close("finished", {}).result(60)
    assert command("validate", tmp_path, "extra").returncode == 2
    assert command("validate", tmp_path, "--since", "yesterday").returncode == 2
    turned = command("validate", tmp_path, "--since", "2026-11-22", "--until", "2026-11-21")
    assert (turned.returncode, turned.stdout) == (2, "")
    assert "--until 2026-11-21 is not after" in turned.stderr
    (tmp_path / "research").write_text("in the way")
    refused = command("validate", tmp_path)
    assert refused.returncode == 3
    assert "cannot be written" in refused.stderr
