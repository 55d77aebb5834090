"""Kalshi's spiders on the simulator, with faults: what was archived against what was true."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from marketarchive import Archive
from marketarchive.simulator.kalshi.books import SimBook
from marketarchive.times import SECOND, from_iso, iso
from marketarchive.venues.kalshi.tickers import market_facts, round_at
from tests.e2e.harness import Done, Simulator, command, crawl, simulator
from tests.e2e.kalshi_truth import said_by, values
from tests.simulator.kalshi.requesting import venue

pytestmark = pytest.mark.e2e

BATCH, SINGLE = "*/markets/orderbooks", "*/orderbook"
TRADES = "*/markets/trades"


@pytest.fixture(scope="module")
def kalshi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """A Saturday's simulator; a round ends 240 s after its start."""
    options = ("--speed", "40", "--start", "2026-11-21T10:11:00Z")
    with simulator(tmp_path_factory.mktemp("truth"), *options) as running:
        yield running


def rows_of(done: Done, *series: str) -> list[dict[str, Any]]:
    return [row for each in series for row in done.out.records(f"kalshi_{each.lower()}")]


def true_books(ticker: str, first_ns: int, last_ns: int) -> list[SimBook]:
    """The books of a market at every second between two moments."""
    end_ns = market_facts(ticker).end_ns
    assert end_ns is not None
    each = venue().rounds.make(ticker.partition("-")[0], end_ns // SECOND)
    return [venue().books.at(each, second) for second in range(first_ns // SECOND, last_ns // SECOND + 1)]


def check_rows(rows: list[dict[str, Any]]) -> None:
    """Each row's market is the one that is open; what is observed was true, at most its age before."""
    for row in rows:
        tick = from_iso(row["timestamp"])
        due = round_at(row["market_id"].partition("-")[0], tick)
        assert due is not None
        assert row["market_id"] == due.ticker
        if row["is_observed"]:
            assert row["age_s"] <= 2
            age_ns = 3 * SECOND if row["age_source"] == "header" else 0
            books = true_books(due.ticker, tick - age_ns, from_iso(row["received_at"]))
            assert said_by(row) in [values(book) for book in books], row
        else:
            assert set(said_by(row)) == {None}


def check_gaps(done: Done, rows: list[dict[str, Any]]) -> None:
    """Every row that nothing came for lies in a gap of its market."""
    gaps = [(from_iso(gap["from"]), from_iso(gap["to"]), str(gap["scope"])) for gap in done.out.gaps()]
    for row in rows:
        if row["seq"] is None:
            tick = from_iso(row["timestamp"])
            assert any(
                a <= tick < b and (row["market_id"] in text or "KX" not in text) for a, b, text in gaps
            ), row


def test_books_over_the_end_of_a_round(kalshi: Simulator, out: Path) -> None:
    before = len(kalshi.served())
    done = crawl(kalshi.url, out, "kalshi_orderbook", "interval=2s", "duration=300s")
    assert done.code == 0, done.log
    rows = rows_of(done, "KXBTC15M")
    check_rows(rows)
    check_gaps(done, rows)
    assert len(rows) == done.out.manifest()["summary"]["ticks"]["due"] == 150
    assert len({row["market_id"] for row in rows}) == 2  # the next round is taken by the clock
    assert sum(row["is_observed"] for row in rows) > 120
    sent = [line for line in kalshi.served()[before:] if "kalshi" in line["url"]]
    assert done.out.payload_digests() == Counter(line["sha256"] for line in sent)
    assert command("verify", out, "--books").returncode == 0
    assert command("normalize", out).returncode == 0
    coverage = Archive(out).coverage()
    assert set(coverage["market"]) == {row["market_id"] for row in rows}
    assert set(coverage["asset"]) == {"BTC"}


def test_books_of_several_under_faults(kalshi: Simulator, out: Path) -> None:
    refusal = '{"error":{"code":"too_many_requests","message":"too many requests"}}'
    with kalshi.ordered(
        {"kind": "kalshi_needs_key", "route": BATCH, "after": 5},
        {"kind": "status", "status": 503, "route": SINGLE, "after": 20, "count": 12},
        {"kind": "status", "status": 429, "body": refusal, "route": SINGLE, "after": 60, "count": 2},
        {"kind": "truncate", "how": "json", "route": SINGLE, "after": 90, "count": 2},
    ):
        done = crawl(kalshi.url, out, "kalshi_orderbook", "assets=BTC,ETH", "interval=1s", "duration=90s")
    assert done.code == 0, done.log
    assert "needs a key: books are requested one by one" in done.log
    rows = rows_of(done, "KXBTC15M", "KXETH15M")
    assert len(rows) == 2 * done.out.manifest()["summary"]["ticks"]["due"]
    check_rows(rows)
    check_gaps(done, rows)
    assert {row["source"] for row in rows if row["is_observed"]} == {"orderbook", "orderbooks"}
    assert {gap["reason"] for gap in done.out.gaps()} & {"disconnect", "rate_limited"}


@pytest.mark.parametrize("age", [True, False])
def test_copies_are_not_observed_once_they_may_be_old(kalshi: Simulator, out: Path, age: bool) -> None:
    with kalshi.ordered({"kind": "kalshi_copies", "route": SINGLE, "age": age}):
        done = crawl(kalshi.url, out, "kalshi_orderbook", "interval=1s", "duration=60s")
    assert done.code == 0, done.log
    rows = rows_of(done, "KXBTC15M")
    observed = [row for row in rows if row["is_observed"]]
    assert 0 < len(observed) < len(rows) / 2
    assert all(row["age_s"] <= 2 for row in observed)
    assert all(row["age_s"] > 2 for row in rows if not row["is_observed"] and row["seq"])
    if age:
        check_rows(rows)
        assert {row["age_source"] for row in rows if row["seq"]} == {"header"}
    else:  # what cannot be known: how old a copy was when it first came
        states = Counter(said_by(row) for row in observed)
        # three ticks in 2 s, four where the first answer came late in its second
        assert max(states.values()) <= 4


def master(out: Path) -> dict[str, dict[str, Any]]:
    names = "market_id, status, resolution, result_kind, payouts, strike, settlement, resolution_state"
    with closing(sqlite3.connect(out / "master.db")) as connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute(f"SELECT {names} FROM markets WHERE platform = 'kalshi'").fetchall()
    return {row["market_id"]: dict(row) for row in found}


def test_results_agree_with_the_truth(tmp_path: Path, out: Path) -> None:
    options = ("--speed", "40", "--start", "2026-11-21T10:11:00Z")
    with simulator(tmp_path / "truth", *options) as world:
        with world.ordered({"kind": "kalshi_short_pages", "rows": 40}):
            assert crawl(world.url, out, "kalshi_markets").code == 0
            done = crawl(
                world.url,
                out,
                "kalshi_resolutions",
                "since=11h",
                "series=KXBTC15M,KXSOL15M,KXETH15M,KXXRP15M",
            )
        assert done.code == 0, done.log
        truth = {market["slug"]: market for market in world.markets() if market["platform"] == "kalshi"}
    found = master(out)
    ended = {ticker: row for ticker, row in found.items() if row["status"] in ("closed", "resolved")}
    assert len(ended) > 160
    seen = set()
    for ticker, row in ended.items():
        true = truth[ticker]
        if row["status"] == "resolved":
            seen.add(true["oddity"])
            assert row["result_kind"] == ("scalar" if true["result"] == "scalar" else "winner")
            assert row["payouts"] == '["{}","{}"]'.format(*true["payouts"])
            assert (row["resolution"], row["settlement"]) == (true["resolution"], plain(true["settlement"]))
            assert row["strike"] == plain(true["shown_strike"])
        elif true["oddity"] == "never_settled":
            seen.add("never_settled")
            assert row["resolution"] is None
    assert seen >= {None, "never_settled"}
    assert len(seen) >= 4
    assert {row["status"] for row in found.values()} == {"unopened", "active", "closed", "resolved"}
    assert command("verify", out).returncode == 0


def plain(text: str | None) -> str | None:
    return None if text is None else f"{Decimal(text):f}".rstrip("0").rstrip(".") if "." in text else text


def journal(out: Path, field: str) -> dict[str, list[tuple[str | None, int]]]:
    """What a field became, and when (us), of each market."""
    found: dict[str, list[tuple[str | None, int]]] = {}
    query = "SELECT market_id, new, observed_at FROM market_changes WHERE field = ? ORDER BY observed_at"
    with closing(sqlite3.connect(out / "master.db")) as connection:
        for ticker, new, at in connection.execute(query, (field,)):
            found.setdefault(ticker, []).append((new, at))
    return found


def test_a_strike_is_known_from_when_the_venue_shows_it(tmp_path: Path, out: Path) -> None:
    """Over the open of four rounds; the strike of one comes late."""
    start, late = next(
        (each.start, each)
        for each in venue().rounds.between(1_795_255_300, 1_795_255_300 + 5 * 86_400)
        if each.oddity == "late_strike"
    )
    options = ("--speed", "40", "--start", iso((start - 240) * SECOND))
    with simulator(tmp_path / "truth", *options) as world:
        done = crawl(
            world.url, out, "kalshi_markets", "assets=BTC,ETH,SOL,XRP", "interval=10s", "duration=420s"
        )
        assert done.code == 0, done.log
    strikes, statuses = journal(out, "strike"), journal(out, "status")
    opened = [each for each in venue().rounds.between(start, start + 900) if each.start == start]
    assert late in opened
    for each in opened:
        assert [status for status, _ in statuses[each.ticker]][:2] == ["unopened", "active"]
        if each.strike is None or each.strike_from is None:
            assert each.ticker not in strikes
            continue
        (known,) = strikes[each.ticker]
        assert known[0] == plain(str(each.strike))
        assert each.strike_from * 1_000_000 <= known[1]
        assert known[1] < (each.strike_from + 120) * 1_000_000


def test_trades_are_read_whole_over_faults(kalshi: Simulator, out: Path) -> None:
    with kalshi.ordered(
        {"kind": "kalshi_short_pages", "rows": 10, "route": TRADES},
        {"kind": "kalshi_empty_page", "route": TRADES, "after": 2, "count": 1},
        {"kind": "status", "status": 503, "route": TRADES, "after": 6, "count": 2},
    ):
        done = crawl(kalshi.url, out, "kalshi_trades", "assets=BTC,XRP", "interval=10s", "duration=120s")
    assert done.code == 0, done.log
    tracked = done.out.manifest()["summary"]["markets"]["tracked"]
    assert command("normalize", out).returncode == 0
    (table,) = out.glob("tables/trades/venue=kalshi/feed=trades/date=*/trades.parquet")
    archived = pd.read_parquet(table)
    requested = [
        line["collected_at_utc"] for line in done.out.lines("trades", "response") if line["status"] == 200
    ]
    until_us = from_iso(max(requested)) // 1000 - 30_000_000
    for ticker in tracked:
        end_ns = market_facts(ticker).end_ns
        assert end_ns is not None
        each = venue().rounds.make(ticker.partition("-")[0], end_ns // SECOND)
        rows = archived[archived["market"] == ticker]
        true = {trade.id for trade in venue().books.trades(each) if trade.at_us < until_us}
        assert true <= set(rows["trade_id"])
        assert len(rows) == rows["trade_id"].nunique()
    assert len(tracked) >= 2


def test_a_list_that_never_ends_is_a_gap(kalshi: Simulator, out: Path) -> None:
    with kalshi.ordered(
        {"kind": "kalshi_short_pages", "rows": 10, "route": "*/markets"},
        {"kind": "kalshi_first_page_again", "route": "*/markets"},
    ):
        done = crawl(kalshi.url, out, "kalshi_markets", "series=KXBTC15M")
    assert done.code != 0
    assert done.out.manifest()["exit_reason"] == "sweep_cursor_loop"
    assert {gap["reason"] for gap in done.out.gaps()} == {"sequence"}


def test_named_markets_come_from_either_tier(kalshi: Simulator, out: Path) -> None:
    now = int(kalshi.now_s())
    recent, old = (
        next(each for each in venue().rounds.between(now - ago, now) if each.oddity is None)
        for ago in (3600, 20 * 3600)
    )
    names = f"markets={recent.ticker},{old.ticker},KXNONE-1"
    done = crawl(kalshi.url, out, "kalshi_resolutions", names)
    assert done.code == 0, done.log
    assert "no market 'KXNONE-1'" in done.log
    found = master(out)
    assert {ticker: row["resolution"] for ticker, row in found.items()} == {
        each.ticker: each.result for each in (recent, old)
    }
