"""Real recordings of Polymarket go through the parse functions, and every whole book proves its hash."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest

from marketarchive.items import Market, PriceSnapshot
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.polymarket.clob import parse_book, verify_book
from marketarchive.venues.polymarket.endpoints import (
    BOOK,
    EVENTS,
    MARKETS,
    MARKETS_KEYSET,
    TRADES,
    TRADES_V1,
)
from marketarchive.venues.polymarket.parse import parse

SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "polymarket"
NAUTILUS = SAMPLES / "nautilus_trader_a95c8042"
DAY = SAMPLES / "ligengxin96_btc5m_2026-07-24"

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"the recordings are not at {SAMPLES}")


def read(url: str, payload: bytes) -> Parsed:
    return parse(Received("polymarket", "markets", url, {}, None, 200, payload, 1_784_900_000_000_000_000, 1))


def one_market(path: Path) -> Market:
    result = read(f"{MARKETS}/1", path.read_bytes())
    assert result.errors == []
    (market,) = (item for item in result.items if isinstance(item, Market))
    return market


def recorded_day() -> list[dict[str, Any]]:
    with gzip.open(DAY / "BTC-5m-markets-2026-07-24.first16h.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


# --- the catalogue ---------------------------------------------------------------------------------------


def test_all_193_rounds_of_a_recorded_day() -> None:
    rows = recorded_day()
    result = read(MARKETS, json.dumps([row["raw"] for row in rows]).encode())
    assert len(rows) == 193
    assert result.errors == []
    for row, market in zip(rows, result.items, strict=True):
        assert isinstance(market, Market)
        assert market.market_id == row["condition_id"]
        assert (market.asset, market.duration, market.slug) == ("BTC", "5m", row["slug"])
        assert market.payouts == tuple(row["outcome_prices"])
        assert market.resolution == ("Up" if row["outcome_prices"] == ["1", "0"] else "Down")
        assert market.tokens == dict(zip(("Up", "Down"), row["token_ids"], strict=True))
        assert market.start_at
        assert market.end_at
        assert (market.start_at.timestamp(), market.end_at.timestamp()) == (row["start_sec"], row["end_sec"])
        assert market.resolved_at
        assert 0 < market.resolved_at.timestamp() - row["end_sec"] < 400
        assert market.rule == "chainlink spot"


def test_spot_ticks_at_both_boundaries_reproduce_every_outcome() -> None:
    """The rule that `rule` names is the one that settled these rounds."""
    with gzip.open(DAY / "BTCUSD-prices-2026-07-24.first16h.csv.gz", "rb") as file:
        ticks = {
            int(row["feed_ts_ms"]) // 1000: int(row["full_accuracy_value"])
            for row in csv.DictReader(io.TextIOWrapper(file, encoding="utf-8"))
        }
    rows = [row for row in recorded_day() if row["start_sec"] in ticks and row["end_sec"] in ticks]
    assert len(rows) == 165
    for row in rows:
        up = ticks[row["end_sec"]] >= ticks[row["start_sec"]]
        assert row["outcome_prices"] == (["1", "0"] if up else ["0", "1"])


def test_a_keyset_page() -> None:
    result = read(MARKETS_KEYSET, (SAMPLES / "BUILT_gamma_markets_keyset_page.json").read_bytes())
    assert result.errors == []
    assert len(result.items) == len(set(result.keys)) == 20
    assert result.next_cursor


def test_an_event_with_its_markets_and_tags() -> None:
    result = read(EVENTS, (NAUTILUS / "gamma_event.json").read_bytes())
    assert result.errors == []
    markets = [item for item in result.items if isinstance(item, Market)]
    assert len(markets) == sum(isinstance(item, PriceSnapshot) for item in result.items) == 2
    assert {market.category for market in markets} == {"Politics"}
    assert {market.start_at for market in markets} == {None}  # its startTime is election day
    assert {market.event_id for market in markets} == {"30829"}
    assert {market.group for market in markets} == {
        "0x2c3d7e0eee6f058be3006baabf0d54a07da254ba47fe6e3e095e7990c7814700"
    }
    assert {market.neg_risk for market in markets} == {True}
    assert {market.subtitle for market in markets} == {"Stephen A. Smith", "Gretchen Whitmer"}


@pytest.mark.parametrize(
    ("name", "status", "resolution", "rule"),
    [
        ("gamma_market_btc_updown_5m_resolved_2026-07-24.json", "resolved", "Up", "chainlink spot"),
        ("gamma_market_btc_updown_5m_twap60_2026-08-22_trimmed.json", "active", None, "chainlink twap 60s"),
        ("gamma_market_neg_risk_live_2026-06-14.json", "active", None, None),
        ("nautilus_trader_a95c8042/gamma_market.json", "active", None, "chainlink spot"),
        ("nautilus_trader_a95c8042/gamma_market_closed_binary_accepting_false.json", "resolved", "No", None),
        ("nautilus_trader_a95c8042/gamma_market_closed_binary_accepting_true.json", "resolved", "Yes", None),
        ("nautilus_trader_a95c8042/gamma_market_closed_nonbinary_legacy.json", "closed", None, None),
        ("nautilus_trader_a95c8042/gamma_market_closed_zero_zero_legacy.json", "closed", None, None),
        ("nautilus_trader_a95c8042/gamma_market_sports_market_map_handicap.json", "resolved", "FaZe", None),
    ],
)
def test_single_markets(name: str, status: str, resolution: str | None, rule: str | None) -> None:
    market = one_market(SAMPLES / name)
    assert (market.status, market.resolution, market.rule) == (status, resolution, rule)
    assert (market.closed_at is None) == (status == "active")
    assert market.resolution_state in (("final", None) if status == "resolved" else (None,))


# --- books -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        ("clob_book_empty_asks_2026-08-03.json", "2025-12"),
        ("ws_book_initial_dump_2026-08-13.json", "2025-12"),
        ("nautilus_trader_a95c8042/py_http_responses_book.json", "2024-10"),
    ],
)
def test_recorded_books_prove_their_hash(name: str, recipe: str) -> None:
    result = read(BOOK, (SAMPLES / name).read_bytes())
    (book,) = result.books
    assert verify_book(book) == ("ok", recipe)
    assert book.is_sorted


def test_an_old_book_of_the_socket_proves_its_hash() -> None:
    document = json.loads((NAUTILUS / "py_ws_messages_book.json").read_bytes())
    for row in document if isinstance(document, list) else [document]:
        assert verify_book(parse_book(row)) == ("ok", "2024-10")


def test_a_book_that_was_cut_does_not() -> None:
    (book,) = read(BOOK, (SAMPLES / "clob_book_live_truncated_2026-08-11.json").read_bytes()).books
    assert verify_book(book) == ("failed", "")


# --- trades ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "url", "count"),
    [
        ("data_api_v1_trades_row_2026-08.json", TRADES_V1, 1),
        ("nautilus_trader_a95c8042/py_http_responses_trades.json", TRADES_V1, 4),
        ("data_api_v2_trades_2026-08-08_sanitized.json", TRADES, 3),
    ],
)
def test_recorded_trades_keep_their_digits(name: str, url: str, count: int) -> None:
    body = (SAMPLES / name).read_bytes()
    result = read(url, body)
    document = json.loads(body, parse_float=str, parse_int=str)
    rows = document["data"] if url == TRADES else document
    assert result.errors == []
    assert result.next_cursor is None
    assert len(result.trades) == len(set(result.keys)) == len(rows) == count
    for trade, row in zip(result.trades, rows, strict=True):
        assert (str(trade.price), str(trade.size)) == (row["price"], row["size"])
        assert (str(trade.timestamp_s), trade.side, trade.number) == (row["timestamp"], row["side"], 1)
