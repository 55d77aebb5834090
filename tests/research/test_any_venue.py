"""What a venue has of its declaration alone: tables, coverage, frames for notebooks, `verify --books`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from marketarchive import Archive
from marketarchive.exceptions import ConfigurationError
from marketarchive.items import Market
from marketarchive.master.engine import open_master, writing
from marketarchive.master.observation import observe
from marketarchive.master.upsert import upsert
from marketarchive.research.tables.making import makers
from marketarchive.research.tables.normalize import normalize
from marketarchive.research.tables.partitions import feeds_with, partitions, tables_of
from marketarchive.venues import feed_of, venues
from tests.archive.writing import NOON
from tests.e2e.harness import command
from tests.research.made_up import VENUE, answer, depth, frame, gap, record, rows, tulips
from tests.research.making import Answer, book, collect, many

BIDS, ASKS = [["7.5", "2"], ["7.4", "0.00000001"]], [["7.7", "1"]]
MARKET = "SEMPER-EUR"


@pytest.fixture(autouse=True)
def _venue() -> Iterator[None]:
    with tulips():
        yield


def made(root: Path, **counts: int) -> None:
    """Nothing fails, and of each table so many things are unreadable."""
    done = normalize(root)
    assert not done.failed
    found = {Path(one.path).stem: sum(one.unreadable.values()) for one in done.outputs}
    assert {name: count for name, count in found.items() if count} == counts


def test_rows_have_what_was_given_and_where_it_came_from(tmp_path: Path) -> None:
    run = record(tmp_path, [answer(depth(MARKET, BIDS, ASKS, at=-0.5), 0.25, 1)])
    made(tmp_path)
    [row] = rows(tmp_path, "books")
    assert {name: value for name, value in row.items() if value is not None} == {
        "market": MARKET,
        "asset": "SEMPER",
        "event_time": datetime(2026, 11, 21, 11, 59, 59, 500_000, tzinfo=UTC),
        "received_at": datetime(2026, 11, 21, 12, 0, 0, 250_000, tzinfo=UTC),
        "run": run,
        "seq": 1,
        "index": 1,
        "position": 1,
        "verified": "ok",
        "recipe": "crc32",
        "best_bid": Decimal("7.5"),
        "best_bid_size": Decimal(2),
        "best_ask": Decimal("7.7"),
        "best_ask_size": Decimal(1),
        "bid_depth": Decimal("2.00000001"),
        "ask_depth": Decimal(1),
        "bid_levels": 2,
        "ask_levels": 1,
        "is_sorted": True,
        "is_crossed": False,
        "is_positive": True,
        "bids": [
            {"price": Decimal("7.5"), "size": Decimal(2)},
            {"price": Decimal("7.4"), "size": Decimal("0.00000001")},
        ],
        "asks": [{"price": Decimal("7.7"), "size": Decimal(1)}],
    }


def test_each_run_of_a_feed_has_a_maker_of_its_own(tmp_path: Path) -> None:
    lines = [answer(depth(MARKET, BIDS, ASKS, at), at, seq) for seq, at in ((1, 0), (2, 1))]
    first, second = record(tmp_path, lines), record(tmp_path, lines)
    made(tmp_path)
    assert [(row["run"], row["seq"]) for row in rows(tmp_path, "quotes")] == sorted([(first, 1), (second, 1)])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bids": [["7.5", "0.1234567890123456789"]]}, "bids"),
        ({"bids": [[7.5, "1"]]}, "bids"),
        ({"asks": [["7.7", "1E+400"]]}, "asks"),
        ({"bids": [["7.5"]]}, "bids"),
        ({"time_ns": "noon"}, "event_time"),
        ({"time_ns": 2**68}, "event_time"),
        ({"market": ""}, None),
    ],
)
def test_what_does_not_fit_is_counted_with_its_reason(
    tmp_path: Path, changes: dict[str, Any], reason: str | None
) -> None:
    good = depth(MARKET, BIDS, ASKS)
    bad = json.dumps(json.loads(good) | {"bids": []} | changes).encode()
    record(tmp_path, [answer(b"[%b,%b]" % (bad, good), 0, 1)])
    done = normalize(tmp_path, tables=("books",))
    [output] = [one for one in done.outputs if "/books/" in one.path]
    assert dict(output.unreadable) == ({} if reason is None else {reason: 1})
    assert output.rows == (2 if reason is None else 1)
    [check] = [check for name, check in done.checks.items() if name == "books that can be read"]
    assert check.passed is (reason is None)


def test_a_message_that_cannot_be_read_is_missing_in_every_table(tmp_path: Path) -> None:
    lines = [answer(b"<html>", 0, 1), answer(b"<html>", 1, 2, status=503), answer(b'[{"x":1}]', 2, 3)]
    record(tmp_path, [*lines, answer(depth(MARKET, BIDS, ASKS), 3, 4)])
    made(tmp_path, books=2, quotes=1)
    assert [row["seq"] for row in rows(tmp_path, "books")] == [4]


def test_a_maker_at_fault_fails_its_day_and_names_the_line(tmp_path: Path) -> None:
    record(tmp_path, [answer(b'{"prices": []}', 0, 1, "fixing"), answer(depth(MARKET, BIDS, ASKS), 0, 1)])
    done = normalize(tmp_path)
    assert {Path(path).stem for path in done.failed} == {"reference_prices", "trades", "coverage"}
    assert all("AttributeError" in why or "not up to date" in why for why in done.failed.values())
    assert len(rows(tmp_path, "books")) == 1


def test_a_trade_without_a_market_is_no_row(tmp_path: Path) -> None:
    fit = {"price": "7.6", "size": "1"}
    trades = [{"market": MARKET, **fit}, fit, {"market": MARKET, **fit, "number": "one"}]
    document = {"prices": {}, "trades": trades}
    record(tmp_path, [answer(json.dumps(document).encode(), 0, 1, "fixing")])
    done = normalize(tmp_path)
    [output] = [one for one in done.outputs if "/trades/" in one.path]
    assert (output.rows, dict(output.unreadable)) == (
        1,
        {"market, asset, token, symbol": 1, "number": 1},
    )


def test_frames_become_rows_with_their_connection(tmp_path: Path) -> None:
    record(tmp_path, [frame(depth(MARKET, BIDS, ASKS), 0, 1)])
    made(tmp_path)
    [row] = rows(tmp_path, "books", "socket")
    assert row["connection"] == "c1"


def test_a_feed_that_nobody_declares_has_its_gaps(tmp_path: Path) -> None:
    record(tmp_path, [gap(0, 1, 1, {}, feed="forgotten"), gap(0, 1, 1, {}, feed="letters")])
    made(tmp_path)
    assert {
        (one.feed, one.table) for one in partitions(tmp_path, {(VENUE, "forgotten"), (VENUE, "letters")})
    } == {
        ("forgotten", "gaps"),
        ("letters", "gaps"),
    }
    assert len(rows(tmp_path, "gaps", "forgotten")) == 1


def test_tables_that_there_are_not_are_named() -> None:
    declared = feed_of(VENUE, "letters")
    assert declared is not None
    object.__setattr__(declared, "tables", ("bulbs",))  # the venue is made anew for each test
    with pytest.raises(ConfigurationError, match="tulips/letters declares tables that there are not: bulbs"):
        tables_of(VENUE, "letters")


def test_every_declared_table_is_one_that_is_made() -> None:
    declared = {(venue.name, name) for venue in venues().values() for name in venue.feeds}
    assert all("gaps" in tables_of(*feed) for feed in declared)
    assert (VENUE, "depth") in feeds_with("books")
    finished = makers("makers", "FINISHED")
    made_by_nothing = {
        (venue.name, name, table)
        for venue in venues().values()
        for name, feed in venue.feeds.items()
        for table in feed.tables
        if table != "coverage" and feed.rows is None
    }
    assert made_by_nothing == {(VENUE, "blind", "books")}
    assert {(venue, feed) for venue, feed, _ in finished} <= declared


def test_a_tables_key_has_the_version_of_its_rows(tmp_path: Path) -> None:
    record(tmp_path, [answer(depth(MARKET, BIDS, ASKS), 0, 1)])
    made(tmp_path)
    assert not normalize(tmp_path).outputs
    object.__setattr__(feed_of(VENUE, "depth"), "rows_version", 2)
    assert {Path(one.path).stem for one in normalize(tmp_path).outputs} == {
        "gaps", "books", "quotes", "coverage",
    }  # fmt: skip


# --- coverage -------------------------------------------------------------------------------------------


def counted(root: Path, feed: str = "depth") -> dict[str, dict[str, int]]:
    """By market how many of its tracked seconds were what."""
    made(root)
    return {
        row["market"]: {
            name: row[f"{name}_s"]
            for name in ("tracked", "observed", "quiet", "gapped", "unknown")
            if row[f"{name}_s"]
        }
        for row in rows(root, "coverage", feed)
    }


def polls(seconds: list[int], market: str = MARKET, first_seq: int = 1) -> list[object]:
    return [answer(depth(market, BIDS, ASKS, at), at + 0.2, seq) for seq, at in enumerate(seconds, first_seq)]


def test_a_second_with_a_book_is_observed(tmp_path: Path) -> None:
    record(tmp_path, polls([0, 1, 2, 5, 6]))
    assert counted(tmp_path) == {MARKET: {"tracked": 7, "observed": 5, "unknown": 2}}


@pytest.mark.parametrize(
    ("scope", "is_meant"),
    [
        ({"markets": [MARKET]}, True),
        ({"markets": ["GOUDA-EUR"]}, False),
        ({"endpoint": "depth"}, True),
        ({"feed": "depth"}, True),
    ],
)
def test_a_gap_concerns_the_markets_that_it_names(
    tmp_path: Path, scope: dict[str, Any], is_meant: bool
) -> None:
    record(tmp_path, [*polls([0, 1, 2, 5, 6]), gap(3, 5, 6, scope)])
    known = {"tracked": 7, "observed": 5}
    assert counted(tmp_path)[MARKET] == known | ({"gapped": 2} if is_meant else {"unknown": 2})


@pytest.mark.parametrize("elsewhere", [{"feed": "fixing"}, {"venue": "polymarket"}])
def test_a_gap_of_another_venue_or_feed_does_not(tmp_path: Path, elsewhere: dict[str, str]) -> None:
    other = gap(3, 5, 1, {}, **elsewhere)
    record(tmp_path, [*polls([0, 1, 2, 5, 6]), other])
    assert counted(tmp_path)[MARKET] == {"tracked": 7, "observed": 5, "unknown": 2}


def test_a_market_is_tracked_in_gaps_that_name_it(tmp_path: Path) -> None:
    record(tmp_path, [*polls([10, 11]), gap(5, 10, 3, {"markets": [MARKET]})])
    assert counted(tmp_path) == {MARKET: {"tracked": 7, "observed": 2, "gapped": 5}}


def test_a_pause_lasts_as_long_as_the_market_was_open(tmp_path: Path) -> None:
    """As its manifest says: its name says nothing."""
    open_for = {"start_at_utc": "2026-11-21T12:00:00Z", "end_at_utc": "2026-11-21T12:00:20Z"}
    paused = gap(12, 60, 3, {"feed": "depth"})
    record(tmp_path, [*polls([10, 11]), paused], tracked={MARKET: open_for})
    assert counted(tmp_path)[MARKET] == {"tracked": 10, "observed": 2, "gapped": 8}


@pytest.mark.parametrize("platform", [VENUE, "polymarket"])
def test_the_master_says_when_a_market_of_its_venue_was_open(tmp_path: Path, platform: str) -> None:
    times = {"start_at": "2026-11-21T12:00:00Z", "end_at": "2026-11-21T12:00:20Z"}
    found = Market(
        venue=platform,
        feed="markets",
        received_at=NOON,
        seq=1,
        run="r1",
        platform=platform,
        market_id=MARKET,
        **{name: datetime.fromisoformat(text) for name, text in times.items()},
    )
    engine = open_master(f"sqlite:///{tmp_path / 'master.db'}")
    with writing(engine) as connection:
        upsert(connection, [observe(found)], "changes")
    engine.dispose()
    record(tmp_path, [*polls([10, 11]), gap(12, 60, 3, {"feed": "depth"})])
    tracked = 10 if platform == VENUE else 2
    assert counted(tmp_path)[MARKET]["tracked"] == tracked


def test_prices_are_covered_by_symbol(tmp_path: Path) -> None:
    payload = json.dumps({"prices": {"SEMPER-EUR": "10", "GOUDA-EUR": "1"}}).encode()
    record(tmp_path, [answer(payload, at + 0.2, seq, "fixing") for seq, at in enumerate((0, 1, 3), 1)])
    known = {"tracked": 4, "observed": 3, "unknown": 1}
    assert counted(tmp_path, "fixing") == {"SEMPER-EUR": known, "GOUDA-EUR": known}
    assert {row["asset"] for row in rows(tmp_path, "coverage", "fixing")} == {"SEMPER", "GOUDA"}


def test_what_a_socket_sent_counts_until_it_may_have_been_silent_too_long(tmp_path: Path) -> None:
    record(tmp_path, [frame(depth(MARKET, BIDS, ASKS), at, seq) for seq, at in enumerate((0, 20, 80), 1)])
    assert counted(tmp_path, "socket") == {MARKET: {"tracked": 80, "observed": 50, "unknown": 30}}


# --- frames for notebooks -------------------------------------------------------------------------------


def test_frames_of_every_table_have_the_venues_rows(tmp_path: Path) -> None:
    document = {"prices": {"SEMPER-EUR": "10"}, "trades": [{"market": MARKET, "price": "7.6", "size": "1"}]}
    record(
        tmp_path,
        [
            *polls([0, 1, 5]),
            gap(2, 5, 4, {"markets": [MARKET]}),
            answer(json.dumps(document).encode(), 0, 1, "fixing"),
            answer(b'{"prices": {"SEMPER-EUR": "11"}}', 1, 2, "fixing"),
        ],
    )
    collect(tmp_path, [Answer(many(book("1"), book("2")), 0.5)])
    archive = Archive(tmp_path)
    books = archive.books(venue=VENUE)
    assert books["gap_before"].tolist() == [False, False, True]
    assert books[["market", "asset", "best_bid", "mid"]].iloc[0].tolist() == [MARKET, "SEMPER", 7.5, 7.6]
    assert len(archive.books()) == 5
    assert archive.books(asset="SEMPER")["venue"].unique().tolist() == [VENUE]
    assert len(archive.books(venue="polymarket")) == 2
    assert len(archive.books(venue=VENUE, distinct=True)) == 3  # no hash tells one from another
    assert archive.quotes(market=MARKET)["best_bid"].tolist() == [7.5]
    assert archive.trades(venue=VENUE)["price"].tolist() == [7.6]
    assert archive.trades(venue="polymarket").empty
    assert archive.reference(asset="SEMPER", exact=True)["value"].tolist() == [10, 11]
    assert archive.reference(venue="polymarket").empty
    assert set(archive.coverage(venue=VENUE)["feed"]) == {"depth", "fixing"}
    assert set(archive.coverage(market=MARKET)["venue"]) == {VENUE}
    assert archive.gaps(venue=VENUE)["markets"].tolist() == [[MARKET]]
    assert archive.gaps(venue="polymarket").empty


def test_polymarkets_decimals_stay_as_they_are_beside_anothers(tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    collect(alone, [Answer(many(book("1"), book("2")), 0.5)])
    record(tmp_path, polls([0]))
    collect(tmp_path, [Answer(many(book("1"), book("2")), 0.5)])
    columns = ["token", "best_bid", "best_ask", "mid", "bid_depth", "verified", "hash"]
    mixed = Archive(tmp_path).books(venue="polymarket")[columns]
    assert mixed.equals(Archive(alone).books()[columns])


# --- report and validate --------------------------------------------------------------------------------


def reported(root: Path) -> tuple[dict[str, Any], str]:
    """What `report --json` says, and the page."""
    told = command("report", root, "--json")
    assert told.returncode == 0, told.stderr
    document = json.loads(told.stdout)
    page = Path(document["path"]).read_text(encoding="utf-8")
    return document, page[: page.index("<script>")]


def test_a_report_shows_coverage_gaps_and_verified_books(tmp_path: Path) -> None:
    record(tmp_path, [*polls([0, 1, 2, 5, 6]), gap(3, 5, 6, {"markets": [MARKET]})])
    document, page = reported(tmp_path)
    assert document["verdict"] == "care"
    assert document["reasons"] == [
        "2 of 7 tracked seconds lie in recorded gaps or are unknown (sections 2 and 3)",
        "1 recorded gaps (section 3)",
    ]
    assert "<b>71.43 %</b><span>of markets&#x27; tracked seconds observed or proven quiet" in page
    assert "<b>100.00 %</b><span>of 5 books and changes verified" in page
    assert "tulips depth: rate_limited" in page
    assert '"kind":"tulips depth","asset":"SEMPER"' in page
    assert "Outcomes" not in page
    assert "polymarket" not in page


def test_a_report_says_of_which_feeds_it_knows_nothing(tmp_path: Path) -> None:
    record(tmp_path, [answer(b"Dear sir", 0, 1, "letters")])
    document, page = reported(tmp_path)
    assert document["verdict"] == "unknown"
    assert document["reasons"] == ["not checked: tulips/letters: their venues declare no coverage"]
    assert "<dt>not checked</dt><dd>tulips/letters</dd>" in page
    assert "no market or price was tracked" not in page


def test_a_report_of_both_has_rounds_too(tmp_path: Path) -> None:
    record(tmp_path, polls([0, 1, 2]))
    collect(tmp_path, [Answer(many(book("1"), book("2")), at + 0.5) for at in range(3)])
    document, page = reported(tmp_path)
    assert document["verdict"] == "sound"
    assert "7. Outcomes" in page
    assert "of markets&#x27; tracked seconds" in page
    assert "of the rounds&#x27; seconds with both books observed" in page


def test_validate_says_what_it_did_not_look_at(tmp_path: Path) -> None:
    record(tmp_path, polls([0, 1, 2]))
    told = command("validate", tmp_path)
    assert told.returncode == 0
    assert "not checked      tulips/depth: these checks concern rounds only" in told.stdout
    assert told.stdout.splitlines()[-1] == "nothing to check"
    assert "| **not checked** | tulips/depth |" in (tmp_path / "research/VALIDATION_REPORT.md").read_text(
        encoding="utf-8"
    )


# --- verify ---------------------------------------------------------------------------------------------


def test_verify_says_what_a_venues_rows_say_of_its_books(tmp_path: Path) -> None:
    record(tmp_path, [*polls([0, 1]), answer(depth(MARKET, BIDS, ASKS, crc=1), 2, 3)])
    told = command("verify", tmp_path, "--books")
    assert told.returncode == 1
    assert "books    2 ok" in told.stdout
    assert "books    1 failed" in told.stdout
    assert f"the book of {MARKET} does not have the hash it states (crc32)" in told.stdout


def test_verify_names_feeds_whose_books_it_did_not_check(tmp_path: Path) -> None:
    record(tmp_path, [answer(depth(MARKET, BIDS, ASKS), 0, 1, "blind")])
    told = command("verify", tmp_path, "--books")
    assert told.returncode == 0
    assert "note     no books of tulips/blind were checked: its venue declares no rows for it" in told.stdout
    assert told.stdout.splitlines()[-1] == "passed, no books checked: 0 problems"
    assert json.loads(command("verify", tmp_path, "--books", "--json").stdout)["state"] == (
        "passed, no books checked"
    )
    assert command("verify", tmp_path).stdout.splitlines()[-1] == "passed: 0 problems"


def test_verify_goes_on_where_a_venues_functions_fail(tmp_path: Path) -> None:
    broken = json.dumps(json.loads(depth(MARKET, BIDS, ASKS)) | {"bids": 3}).encode()
    record(tmp_path, [answer(broken, 0, 1), *polls([1], first_seq=2)])
    told = command("verify", tmp_path, "--books")
    assert told.returncode == 0
    [note] = [line for line in told.stdout.splitlines() if line.startswith("note")]
    assert "not all books of tulips/depth were checked: its venue's parser fails at raw/" in note
    assert "TypeError" in note
    assert "books    1 ok" in told.stdout
