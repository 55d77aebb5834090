"""Pairs of two venues' rounds: by rule, side by side on one clock."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive import Archive
from marketarchive.exceptions import ArgumentError
from marketarchive.research.labels.label import Label
from marketarchive.research.products.pairs.windows import COLUMNS, pairs
from marketarchive.simulator.kalshi import Kalshi
from marketarchive.times import SECOND, iso
from tests.archive.writing import NOON
from tests.e2e.harness import command
from tests.research.kalshi.recording import START, answered, row, simulated, streamed
from tests.research.kalshi.test_checks import label
from tests.research.kalshi.test_coverage import polled
from tests.research.making import Answer, Hole, book, collect, many
from tests.venues.polymarket.rows import market_row

SLUG = f"btc-updown-15m-{START}"
TICKER = "KXBTC15M-26NOV210715-15"
GAMMA = "https://gamma-api.polymarket.com"
TRACKED = {SLUG: {"tokens": {"Up": "1", "Down": "2"}}}


def catalogue(root: Path, *starts: int, **said: Any) -> None:
    rows = [
        market_row(
            conditionId="0x" + f"{n:02x}" * 32,
            slug=f"btc-updown-15m-{start}",
            eventStartTime=iso(start * SECOND)[:19] + "Z",
            endDate=iso((start + 900) * SECOND)[:19] + "Z",
            closed=True,
            outcomePrices='["0", "1"]',
            **said,
        )
        for n, start in enumerate(starts)
    ]
    body = json.dumps({"markets": rows}).encode()
    collect(root, [Answer(body, 3000, "/markets/keyset", host=GAMMA)], feed="markets")


def up(price: str) -> bytes:
    """Both books of the round; UP is offered at a price."""
    return many(book("1", asks=[{"price": price, "size": "2"}]), book("2"))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pairs")
    catalogue(root, START, START + 900)
    answered(root, row())
    lines: list[Answer | Hole] = [
        Answer(up("0.51"), -5.5),
        Answer(up("0.52"), 2.0),
        Answer(up("0.53"), 4.4),
        Hole(10, 20),
        Answer(up("0.54"), 200.25),
    ]
    collect(root, lines, tracked=TRACKED)
    polled(root, (0, "0.5100", None), (1, "0.5200", "4"), (3, "0.5300", None), (5, "0.5200", "30"))
    return root


def test_a_row_a_second_has_what_a_live_reader_knew(recorded: Path) -> None:
    found: Any = Archive(recorded).pairs().set_index("t")
    assert len(found) == 900
    assert set(found["polymarket_market"]) == {SLUG}
    assert set(found["kalshi_market"]) == {TICKER}
    assert found["time"].iloc[2] == pd.Timestamp("2026-11-21T12:00:02Z")
    ours = ["polymarket_bid", "polymarket_ask", "polymarket_age_s", "polymarket_gap", "polymarket_source"]
    assert found.loc[0, ours].tolist() == [0.49, 0.51, 5.5, False, "orderbook"]
    assert found.loc[2, ours].tolist() == [0.49, 0.52, 0.0, False, "orderbook"]  # received at that instant
    assert found.loc[4, ours].tolist() == [0.49, 0.52, 2.0, False, "orderbook"]  # the next comes at 4.4
    assert found.loc[5, ["polymarket_ask", "polymarket_age_s"]].tolist() == [0.53, pytest.approx(0.6)]
    assert not found["polymarket_gap"].loc[9]
    assert found["polymarket_gap"].loc[10:64].all()  # carried across what was missed
    assert found["polymarket_ask"].loc[64] == 0.53
    assert found.loc[65:200, ["polymarket_ask", "polymarket_age_s", "polymarket_gap"]].isna().all().all()
    assert found["polymarket_ask"].loc[201] == 0.54
    assert not found["polymarket_gap"].loc[201]


def test_the_age_of_a_copy_counts_and_an_older_copy_replaces_nothing(recorded: Path) -> None:
    found: Any = Archive(recorded).pairs().set_index("t")
    ours = ["kalshi_bid", "kalshi_ask", "kalshi_age_s"]
    assert found.loc[0, ours].isna().all()  # the first book came at 0.2
    assert found.loc[1, ours].tolist() == [0.51, 0.6, pytest.approx(0.8)]
    assert found["kalshi_bid"].loc[2] == 0.51  # what came at 1.2 was of 4 s before: older than what was known
    assert found.loc[4, ours].tolist() == [0.53, 0.6, pytest.approx(0.8)]
    assert found["kalshi_bid"].loc[6] == 0.53
    assert found["kalshi_age_s"].loc[63] == pytest.approx(59.8)
    assert found["kalshi_bid"].loc[64:].isna().all()


def test_a_row_a_window_has_both_rules_strikes_and_outcomes(recorded: Path) -> None:
    [found] = Archive(recorded).pairs(windows=True).to_dict("records")
    assert tuple(found) == ("time", *(name.removesuffix("_timestamp") for name in COLUMNS))
    assert (found["asset"], found["duration"]) == ("BTC", "15m")
    begins = pd.Timestamp(START, unit="s", tz="UTC")
    assert (found["time"], found["start"], found["end"]) == (begins, begins, begins + pd.Timedelta("15min"))
    with pytest.raises(ArgumentError, match="there is BTC"):
        Archive(recorded).pairs("btc")
    assert (found["relation"], found["polarity"]) == ("overlap", "same")
    assert (found["polymarket_rule"], found["kalshi_rule"]) == (
        "chainlink spot",
        "cf benchmarks brti mean 60s",
    )
    assert pd.isna(found["polymarket_strike"])
    assert found["kalshi_strike"] == 84000
    assert (found["polymarket_outcome"], found["kalshi_outcome"], found["agree"]) == ("Down", "yes", False)
    assert (found["polymarket_side"], found["kalshi_side"]) == ("Up", "yes")
    assert (found["polymarket_verdict"], found["kalshi_verdict"]) == ("not_provable", "restated")


def test_labels_are_chosen_by_venue(recorded: Path) -> None:
    archive = Archive(recorded)
    archive.pairs(windows=True)  # brings labels up to date
    assert set(archive.labels()["venue"]) == {"polymarket", "kalshi"}
    assert list(archive.labels(venue="kalshi")["market"]) == [TICKER]
    assert list(archive.labels(TICKER, venue="polymarket")["market"]) == []


def test_the_command_writes_both(recorded: Path) -> None:
    done = command("export", recorded, "--table", "pairs", "--assets", "BTC")
    assert (done.returncode, done.stderr) == (0, "")
    assert "exports/pairs.csv: 900 rows" in done.stdout
    with (recorded / "exports" / "pairs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [rows[2][name] for name in ("t", "second", "polymarket_ask", "polymarket_gap", "kalshi_bid")] == [
        "2", "2026-11-21T12:00:02.000000Z", "0.52", "0", "0.51",
    ]  # fmt: skip
    assert rows[100]["polymarket_ask"] == rows[100]["polymarket_gap"] == ""
    done = command("export", recorded, "--table", "pair_windows")
    assert done.returncode == 0, done.stderr
    with (recorded / "exports" / "pair_windows.csv").open(newline="") as file:
        [window] = csv.DictReader(file)
    assert (window["kalshi_strike"], window["kalshi_settlement"], window["agree"]) == (
        "84000",
        "84000.01",
        "0",
    )
    done = command("export", recorded, "--table", "pairs", "--assets", "ETH", "--since", "2026-11-20")
    assert "0 rows" in done.stdout


def test_prices_of_the_socket_are_those_of_its_books(tmp_path: Path) -> None:
    """Of the simulated one: each second its true book, or that of the second before."""
    venue = Kalshi(1)
    each = venue.rounds.make("KXBTC15M", START + 900)
    session, at = venue.session(), (START - 5) * SECOND
    chosen = {"channels": ["orderbook_delta"], "market_tickers": [each.ticker], "use_yes_price": True}
    told = [*session.received(json.dumps({"id": 1, "cmd": "subscribe", "params": chosen}), at).frames]
    told += session.due(at, (START + 60) * SECOND)
    streamed(tmp_path, [((frame.ns or at) + 20_000_000, frame.payload) for frame in told], key=each.ticker)
    simulated(tmp_path, venue, [each])
    catalogue(tmp_path, START)
    found: Any = Archive(tmp_path).pairs()
    for t in range(60):
        row_ = found.iloc[t]
        prices = [None if pd.isna(price) else price for price in (row_["kalshi_bid"], row_["kalshi_ask"])]
        books = [venue.books.at(each, START + second) for second in (t, t - 1)]
        assert prices in [[price_of(book.yes_bid), price_of(book.yes_ask)] for book in books], t
        assert row_["kalshi_source"] == "stream"
    assert found["polymarket_bid"].isna().all()


def test_a_delta_made_before_the_receipt_of_its_snapshot_counts(tmp_path: Path) -> None:
    """Kalshi dates its deltas and not its snapshots; the next delta steps back, and is in sequence."""
    at = START * SECOND
    book = {
        "market_ticker": TICKER,
        "market_id": "x",
        "yes_dollars_fp": [["0.4600", "1.00"], ["0.4700", "3.00"]],
    }
    sent: list[tuple[float, str, dict[str, Any]]] = [
        (1.020, "orderbook_snapshot", book | {"no_dollars_fp": [["0.6000", "2.00"]]}),
        *(
            (received, "orderbook_delta", delta("no", price, "1.00") | {"ts": iso(at + int(made * 1e9))})
            for received, made, price in (
                (1.030, 1.010, "0.5500"),
                (5.030, 5.010, "0.5000"),
                (6.1, 5.005, "0.4900"),
            )
        ),
    ]
    frames = [
        (at + int(received * 1e9), json.dumps({"type": kind, "sid": 2, "seq": n, "msg": msg}).encode())
        for n, (received, kind, msg) in enumerate(sent, 1)
    ]
    streamed(tmp_path, frames, key=TICKER)
    answered(tmp_path, row())
    catalogue(tmp_path, START)
    found: Any = Archive(tmp_path).pairs().set_index("t")
    assert found.loc[2, ["kalshi_bid", "kalshi_ask"]].tolist() == [0.47, 0.55]
    assert found.loc[6, ["kalshi_bid", "kalshi_ask"]].tolist() == [0.47, 0.50]
    assert found.loc[7, ["kalshi_bid", "kalshi_ask"]].tolist() == [0.47, 0.49]


def delta(side: str, price: str, added: str) -> dict[str, Any]:
    return {
        "market_ticker": TICKER,
        "market_id": "x",
        "price_dollars": price,
        "delta_fp": added,
        "side": side,
    }


def price_of(level: tuple[str, str] | None) -> float | None:
    return None if level is None else float(level[0])


def test_an_archive_without_pairs_has_no_rows(tmp_path: Path) -> None:
    answered(tmp_path, row())
    assert len(Archive(tmp_path).pairs()) == len(Archive(tmp_path).pairs(windows=True)) == 0
    assert list(Archive(tmp_path).pairs()) == list(Archive(tmp_path).pairs(asset="BTC"))


ROUNDS = st.lists(
    st.tuples(
        st.sampled_from(["polymarket", "kalshi", "another"]),
        st.sampled_from(["BTC", "ETH"]),
        st.integers(0, 3),
        st.sampled_from([1, 2]),
    ),
    unique=True,
    max_size=12,
)


@given(ROUNDS, st.text(max_size=5))
def test_a_pair_is_of_one_asset_and_window_whatever_rounds_are_called(
    rounds: list[tuple[str, str, int, int]], name: str
) -> None:
    labels = [of(*each, name) for each in rounds]
    found = pairs(labels)
    for pair in found:
        one, other = pair.first, pair.second
        assert (one.platform, other.platform) == ("polymarket", "kalshi")
        assert (one.asset, one.start_ns, one.end_ns) == (other.asset, other.start_ns, other.end_ns)
        assert pair.row()["relation"] == "overlap"
    windows = [(asset, start, length) for venue, asset, start, length in rounds if venue == "kalshi"]
    shared = [each for each in windows if ("polymarket", *each) in rounds]
    assert len(found) == len(shared)


def of(venue: str, asset: str, start: int, length: int, name: str) -> Label:
    made = label(0, None, None, platform=venue, asset=asset, market_id=name)
    return replace(made, start_ns=NOON + start, end_ns=NOON + start + length)


@pytest.mark.parametrize(
    ("first", "second", "agree"),
    [
        ("Up", "yes", True), ("Down", "no", True), ("Up", "no", False), ("Down", "yes", False),
        ("Split", "yes", None), ("Up", None, None), (None, "no", None),
    ],
)  # fmt: skip
def test_outcomes_agree_where_both_say_which_way(first: Any, second: Any, agree: bool | None) -> None:
    one = label(0, None, None, platform="polymarket", resolved_outcome=first)
    [pair] = pairs([one, label(0, None, None, resolved_outcome=second)])
    assert pair.agree is agree
