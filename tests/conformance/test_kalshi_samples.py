"""Real recordings of Kalshi go through the parse functions: of 2026 in both forms, demo and production."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from marketarchive.items import Market, PriceSnapshot
from marketarchive.times import SECOND, iso
from marketarchive.venues.answers import Answered
from marketarchive.venues.channel import Update
from marketarchive.venues.kalshi import queries
from marketarchive.venues.kalshi.answers import judge
from marketarchive.venues.kalshi.endpoints import BASE
from marketarchive.venues.kalshi.parse import parse
from marketarchive.venues.kalshi.rows import BookRows, TradeRows
from marketarchive.venues.kalshi.session import KalshiSession
from marketarchive.venues.kalshi.socket import RefusedError, decode, subscribe
from marketarchive.venues.kalshi.tickers import ROUND_NS, market_facts, ticker_of
from marketarchive.venues.kalshi.titles import stated_title
from marketarchive.venues.market_messages import IndexMessage, QuoteMessage, TradeMessage
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.table_rows import BooksRow, TradesRow
from tests.simulator.kalshi.requesting import AT, json_of, venue

SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "kalshi"
DEMO, CRYPTO, PROBES = "rest-2026-06-demo", "rest-2026-08-17-prod-crypto", "rest-2026-08-probes"
OLD, NEWEST, ROUND = "rest-2026-01-prod-oldform", "rest-2026-10-06-prod", "rest-2026-07-29-prod-kxbtc15m"

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"the recordings are not at {SAMPLES}")

WHOLE = {
    f"{NEWEST}/markets.json": ("/markets", 2),
    f"{NEWEST}/market_single.json": ("/markets/X", 1),
    f"{NEWEST}/event_with_nested_markets.json": ("/events/X", None),
    f"{NEWEST}/series_single.json": ("/series/X", 0),
    f"{NEWEST}/exchange_status.json": ("/exchange/status", 0),
    f"{DEMO}/exchange__status.json": ("/exchange/status", 0),
    f"{DEMO}/markets__page1.json": ("/markets", 5),
    f"{DEMO}/markets__page2.json": ("/markets", 5),
    f"{DEMO}/markets__page3.json": ("/markets", 5),
    f"{DEMO}/markets__garbage_cursor.json": ("/markets", 5),
    f"{DEMO}/markets__single.json": ("/markets/X", 1),
    f"{DEMO}/markets__single_filter_lastpage.json": ("/markets", 1),
    f"{DEMO}/markets__status_closed.json": ("/markets", 5),
    f"{DEMO}/markets__status_open.json": ("/markets", 200),
    f"{DEMO}/markets__status_settled.json": ("/markets", 5),
    f"{DEMO}/markets__unauth_list.json": ("/markets", None),
    f"{DEMO}/markets__unauth_single.json": ("/markets/X", 1),
    f"{DEMO}/orderbook__base.json": ("/markets/X/orderbook", 0),
    f"{DEMO}/trades__public_recorded.json": ("/markets/trades", 0),
    f"{OLD}/market_single.json": ("/markets/X", 1),
    f"{OLD}/markets_list.json": ("/markets", None),
    f"{OLD}/event_single.json": ("/events/X", 1),
    f"{OLD}/events_list.json": ("/events", None),
    f"{OLD}/events_multivariate_list.json": ("/events", None),
    f"{OLD}/series_single.json": ("/series/X", 0),
    f"{OLD}/series_list.json": ("/series", 0),
    f"{OLD}/exchange_status.json": ("/exchange/status", 0),
    f"{OLD}/orderbook.json": ("/markets/X/orderbook", 0),
    f"{OLD}/trades_list.json": ("/markets/trades", 0),
    f"{PROBES}/orderbook_depth5.json": ("/markets/X/orderbook", 0),
    f"{PROBES}/historical_cutoff.json": ("/historical/cutoff", 0),
}
"""Bodies of routes that are read: route, and how many markets stand in them (None: some, or none)."""


def document(name: str) -> Any:
    found = json.loads((SAMPLES / name).read_bytes(), parse_float=Decimal)
    return found["response"] if isinstance(found, dict) and "_metadata" in found else found


def received(path: str, payload: bytes) -> Received:
    return Received("kalshi", "markets", f"{BASE}{path}", {}, None, 200, payload, 1_787_000_000 * 10**9, 1)


def read(name: str) -> Parsed:
    """What a recording says: its own bytes, or of a wrapped one its body."""
    raw = (SAMPLES / name).read_bytes()
    wrapped = json.loads(raw)
    if isinstance(wrapped, dict) and "_metadata" in wrapped:
        raw = json.dumps(wrapped["response"]).encode()
    return parse(received(WHOLE[name][0], raw))


def markets(parsed: Parsed) -> list[Market]:
    return [item for item in parsed.items if isinstance(item, Market)]


def read_row(row: dict[str, Any]) -> Market:
    text = json.dumps({"market": row}, default=float).encode()
    parsed = parse(received("/markets/X", text))
    assert parsed.errors == []
    (market,) = markets(parsed)
    return market


@pytest.mark.parametrize("name", WHOLE)
def test_every_body_is_read_without_an_error(name: str) -> None:
    parsed, count = read(name), WHOLE[name][1]
    assert parsed.errors == []
    assert parsed.keys or parsed.statements
    if count is not None:
        assert len(markets(parsed)) == count


def test_no_two_markets_of_an_event_ask_the_same() -> None:
    requested: dict[tuple[str | None, str | None], str] = {}
    for name in WHOLE:
        rows = {row["ticker"]: row for row in _rows_of(document(name))}
        for market in markets(read(name)):
            if (row := rows.get(market.market_id)) is not None:
                assert stated_title(market.title, market.subtitle) == (row.get("title") or None)
            same = requested.setdefault((market.event_id, market.title), market.market_id)
            assert same == market.market_id
    assert len(requested) > 200


def _rows_of(part: Any) -> Iterator[dict[str, Any]]:
    """Yield what looks like a market, wherever it stands in a document."""
    if isinstance(part, dict):
        if {"ticker", "event_ticker"} <= part.keys():
            yield part
        part = list(part.values())
    for each in part if isinstance(part, list) else ():
        yield from _rows_of(each)


def test_pages_follow_one_another_and_a_garbage_cursor_is_the_first_again() -> None:
    first, second, third = (read(f"{DEMO}/markets__page{number}.json") for number in (1, 2, 3))
    assert len({*first.keys, *second.keys, *third.keys}) == 15
    for page, name in ((first, "markets__page2"), (second, "markets__page3")):
        requested = document(f"{DEMO}/{name}.meta.json")["path"]
        assert requested.endswith(f"cursor={page.next_cursor}")
    assert read(f"{DEMO}/markets__garbage_cursor.json").keys == first.keys
    assert read(f"{DEMO}/markets__single_filter_lastpage.json").next_cursor is None
    assert read(f"{NEWEST}/markets.json").next_cursor is None


@pytest.mark.parametrize(
    ("name", "status", "state"),
    [
        ("markets__status_open", "active", None),
        ("markets__status_closed", "resolved", "proposed"),
        ("markets__status_settled", "resolved", "final"),
    ],
)
def test_the_filters_words_are_not_the_rows(name: str, status: str, state: str | None) -> None:
    found = markets(read(f"{DEMO}/{name}.json"))
    assert {(each.status, each.resolution_state) for each in found} == {(status, state)}
    for market in found:
        assert (market.payouts is None) == (state is None)
        if market.payouts is not None:
            assert market.resolution == {"1": "yes", "0": "no"}[market.payouts[0]]


def test_a_price_is_one_only_where_something_stands_behind_it() -> None:
    parsed = read(f"{DEMO}/markets__status_open.json")
    priced = {item.market_id for item in parsed.items if isinstance(item, PriceSnapshot)}
    rows = {row["ticker"]: row for row in document(f"{DEMO}/markets__status_open.json")["markets"]}
    for ticker, row in rows.items():
        sizes = [Decimal(row[f"yes_{side}_size_fp"]) for side in ("bid", "ask")]
        is_quoted = all(sizes) and 0 < Decimal(row["yes_bid_dollars"]) < Decimal(row["yes_ask_dollars"]) < 1
        assert (ticker in priced) == (is_quoted or 0 < Decimal(row["last_price_dollars"]) < 1), ticker


@pytest.mark.parametrize("name", ["KXBTC15M_open", "KXBTCD_open"])
def test_open_crypto_markets(name: str) -> None:
    row = document(f"{CRYPTO}/{name}.json")
    market = read_row(row)
    assert (market.asset, market.status) == ("BTC", "active")
    assert market.strike == row["floor_strike"]
    assert market.strike_type == row["strike_type"]
    assert market.rule == "cf benchmarks brti mean 60s"
    facts = market_facts(market.market_id)
    assert market.end_at is not None
    assert facts.end_ns == int(market.end_at.timestamp()) * 10**9
    assert market.duration == ("15m" if name.startswith("KXBTC15M") else None)


def test_partial_rounds() -> None:
    """Their authors left keys out; the status that one lacks is that of any market with a result."""
    finalized = document(f"{ROUND}/KXBTC15M_finalized_partial.json")["market"]
    market = read_row({"status": "finalized", **finalized})
    assert (market.resolution, market.payouts) == ("yes", ("1", "0"))
    assert (market.strike, market.settlement) == (Decimal("63650.03"), Decimal("63653.21"))
    opened = document(f"{CRYPTO}/KXBTC15M_2026-09-10_partial_series_and_market.json")
    market = read_row(opened["market"])
    assert (market.strike, market.duration) == (Decimal("77132.46"), "15m")
    series = parse(received("/series/X", json.dumps({"series": opened["series"]}).encode()))
    assert series.statements[0].frequency == "fifteen_min"
    early = read_row(document(f"{PROBES}/market_finalized_partial.json")["market"])
    assert (early.resolution, early.resolution_state) == ("yes", "final")


def test_ladder_rows() -> None:
    found = document("kxbtc_ladder_2026-06-13_prod_trimmed.json")
    rows = found["markets"] if "markets" in found else next(v for v in found.values() if isinstance(v, list))
    kinds = set()
    for row in rows:
        given = {"event_ticker": row["ticker"].rpartition("-")[0], "status": "active", **row}
        market = read_row({"close_time": "2026-06-13T21:00:00Z", **given})
        kinds.add(market.strike_type)
        assert market.asset == "BTC"
        assert market.strike_cap == row.get("cap_strike")
    assert kinds >= {"between"}


def test_books_and_trades_become_rows() -> None:
    (book,) = BookRows().rows(
        received("/markets/X/orderbook", (SAMPLES / DEMO / "orderbook__base.json").read_bytes())
    )
    assert isinstance(book, BooksRow)
    assert list(book.bids) == [(Decimal("0.47"), Decimal(3))]
    assert list(book.asks) == [(Decimal("0.52"), Decimal(3))]
    raw = (SAMPLES / DEMO / "trades__public_recorded.json").read_bytes()
    trades = list(TradeRows().rows(received("/markets/trades", raw)))
    assert len(trades) == 12
    assert {(row.price, row.side) for row in trades if isinstance(row, TradesRow)} == {
        (Decimal("0.03"), "BUY")
    }
    alone = json.dumps({"trades": [document(f"{PROBES}/trade_row.json")], "cursor": ""}).encode()
    (trade,) = parse(received("/markets/trades", alone)).trades
    assert (trade.side, trade.price) == ("SELL", Decimal("0.998"))


def test_error_bodies_say_why() -> None:
    cases = document(f"{PROBES}/error_bodies.json")["cases"]
    bodies = [(case["status"], json.dumps(case["body"]).encode()) for case in cases]
    for path in sorted((SAMPLES / DEMO).glob("*.json")):
        meta = path.with_suffix(".meta.json")
        if (
            not path.name.endswith(".meta.json")
            and (status := json.loads(meta.read_bytes()).get("status", 200)) != 200
        ):
            bodies.append((status, path.read_bytes()))
    assert len(bodies) > len(cases)
    for status, body in bodies:
        failure = judge(Answered(queries.markets(), status, {}, body, 0))
        assert failure is not None
        assert failure.retryable == (status == 429)
        assert len(failure.detail) > len(f"status {status}: "), body


# --- which recordings these are ----------------------------------------------------------------------------

PARTS = {
    f"{ROUND}/KXBTC15M_finalized_partial.json",
    f"{CRYPTO}/KXBTC15M_open.json",
    f"{CRYPTO}/KXBTCD_open.json",
    f"{CRYPTO}/KXBTC15M_2026-09-10_partial_series_and_market.json",
    f"{PROBES}/market_finalized_partial.json",
    f"{PROBES}/trade_row.json",
    f"{PROBES}/error_bodies.json",
    f"{DEMO}/markets__limit_over_max.json",
    f"{ROUND}/KXBTC15M_candlesticks_1m_first_last.json",
    f"{PROBES}/candlestick_live_row.json",
    f"{PROBES}/candlestick_historical_row.json",
    f"{OLD}/series_candlesticks.json",
    f"{OLD}/candlesticks_batch.json",
}
"""Rows, and bodies of refusals, that tests above read; candlesticks those of `test_catalogue_samples`."""
NOT_ASKED = (
    "event_candlesticks", "event_metadata", "announcements", "schedule", "filters_by_sport",
    "incentive_programs", "live_data", "milestone", "multivariate_event_collection", "fee_changes",
    "structured_target", "tags_by_categories", "user_data_timestamp", "account__", "auth__",
)  # fmt: skip
"""Of routes that no spider asks."""


def test_no_recording_of_a_route_that_is_asked_is_left_out() -> None:
    there = {
        str(path.relative_to(SAMPLES))
        for path in SAMPLES.glob("rest-*/*.json")
        if not path.name.endswith(".meta.json") and not any(word in path.name for word in NOT_ASKED)
    }
    assert there == {*WHOLE, *PARTS}


# --- what is simulated has the same shape -------------------------------------------------------------------


def kinds(row: dict[str, Any]) -> dict[str, str]:
    """Keys and kinds of values."""
    numbers = {"float": "number", "Decimal": "number"}
    names = ((key, type(value).__name__) for key, value in row.items())
    return {key: numbers.get(name, name) for key, name in names}


def test_a_simulated_round_has_the_keys_of_a_recorded_one() -> None:
    recorded = kinds(document(f"{CRYPTO}/KXBTC15M_open.json"))
    each = next(found for found in venue().rounds.between(AT, AT + 900) if found.series == "KXBTC15M")
    made = kinds(json_of(queries.market(each.ticker))["market"])
    del recorded["liquidity_dollars"]  # gone since 2026-10-01
    newest = kinds(document(f"{NEWEST}/market_single.json")["market"])
    assert {key: made.pop(key) for key in ("price_ranges", "settlement_bounds_type")} == {
        key: newest[key] for key in ("price_ranges", "settlement_bounds_type")
    }
    assert made == recorded
    assert list(made) == sorted(made)


def test_other_simulated_answers_have_the_keys_of_recorded_ones() -> None:
    each = next(found for found in venue().rounds.between(AT, AT + 900) if found.series == "KXBTC15M")
    trades = json_of(queries.trades(each.ticker))
    recorded = document(f"{DEMO}/trades__public_recorded.json")
    assert kinds(trades) == kinds(recorded)
    assert kinds(trades["trades"][0]) == kinds(recorded["trades"][0])
    assert kinds(json_of(queries.book(each.ticker))) == kinds(document(f"{DEMO}/orderbook__base.json"))
    status = document(f"{NEWEST}/exchange_status.json")
    assert kinds(json_of(queries.status())) == kinds(status)
    (index, *_), (told, *_) = (
        each["exchange_index_statuses"] for each in (json_of(queries.status()), status)
    )
    assert kinds(index) == kinds(told)
    cutoff = document(f"{PROBES}/historical_cutoff.json")
    assert kinds(json_of(queries.cutoff())) == kinds(cutoff)
    series = document(f"{NEWEST}/series_single.json")["series"]
    assert json_of(queries.series("KXBTC15M"))["series"].keys() == series.keys()


# ---- frames of the socket --------------------------------------------------------------------------------

FRAMES = {
    "ws__orderbook_trade_noleg.jsonl": 7,
    "ws__orderbook_trade_yes.jsonl": 5,
    "real_single_frames_newform.jsonl": 6,
    "real_single_frames_oldform_2025.jsonl": 3,
    "spec_examples_2026-09_asyncapi.jsonl": 13,
}
WTA = "KXWTACHALLENGERMATCH-26JUN11JIMLEP-LEP"


def recorded_frames(name: str) -> list[bytes]:
    return [line.encode() for line in (SAMPLES / "ws" / name).read_text().splitlines() if line]


def followed(name: str, *keys: str) -> tuple[KalshiSession, list[Update]]:
    session = KalshiSession()
    session.subscribe(keys, is_first=True)
    updates = [
        update
        for seq, payload in enumerate(recorded_frames(name), 1)
        for update in session.apply(AT * SECOND, seq, payload, latest=1 << 62, verify=True)
    ]
    return session, updates


@pytest.mark.parametrize(("name", "count"), FRAMES.items())
def test_every_recorded_frame_is_read(name: str, count: int) -> None:
    frames = recorded_frames(name)
    assert len(frames) == count
    for payload in frames:
        if b'"type":"error"' in payload:
            with pytest.raises(RefusedError):
                decode(payload, AT)
        else:
            decode(payload, AT)


@pytest.mark.parametrize(
    ("name", "tops"),
    [
        ("ws__orderbook_trade_yes.jsonl", [("0.47", "0.52"), ("0.47", None), ("0.47", "0.52")]),
        # asked for without use_yes_price: levels of NO stand at their own price
        (
            "ws__orderbook_trade_noleg.jsonl",
            [("0.47", "0.48"), (None, "0.48"), (None, None), ("0.47", None), ("0.47", "0.48")],
        ),
    ],
)
def test_recorded_books_are_proven(name: str, tops: list[tuple[str | None, str | None]]) -> None:
    _, updates = followed(name, WTA)
    assert [update.kind for update in updates] == ["snapshot", *["delta"] * (len(tops) - 1)]
    assert {update.integrity for update in updates} == {"ok"}
    wanted = [tuple(None if text is None else Decimal(text) for text in top) for top in tops]
    assert [(update.value.best_bid, update.value.best_ask) for update in updates] == wanted


def test_recorded_tickers_and_trades() -> None:
    found = [
        one
        for name in FRAMES
        for payload in recorded_frames(name)
        if b'"type":"error"' not in payload
        for one in decode(payload, AT * SECOND).messages
    ]
    tickers = {one.market: one for one in found if isinstance(one, QuoteMessage)}
    closed = tickers["KXBTC15M-26JUL191145-45"]
    assert (closed.bid, closed.ask, closed.last) == (None, None, "0.9990")
    assert (closed.volume, closed.open_interest) == ("2233487.48", "618700.14")
    assert iso(closed.at) == "2026-07-19T15:45:00.544125Z"
    never = tickers["KXNFLFIRSTTD-25OCT05NYGNO-NOSRATTLER2"]  # price_dollars is ""
    assert (never.bid, never.ask, never.last, never.volume) == (None, "0.0300", None, "0")
    sides = {one.market: one.side for one in found if isinstance(one, TradeMessage)}
    assert sides == {"KXBTCD-26MAR1213-T69499.99": "BUY", "HIGHNY-22DEC23-B53.5": "SELL"}


def test_the_index_of_the_specification() -> None:
    [payload] = [
        each
        for each in recorded_frames("spec_examples_2026-09_asyncapi.jsonl")
        if b'"cfbenchmarks_value",' in each
    ]
    [one] = decode(payload, AT).messages
    assert isinstance(one, IndexMessage)
    assert (one.market, one.value) == ("cfbenchmarks_value:BRTI", "68000.12")
    assert [(mean.name, mean.value, mean.prices) for mean in one.means] == [
        ("avg_60s_data", "68000.12000000", 3),
        ("last_60s_windowed_average_15min", "68000.23000000", 14),
    ]


def test_the_simulator_sends_the_recorded_shapes() -> None:
    made = venue().session()
    ticker = ticker_of("KXBTC15M", AT * SECOND // ROUND_NS * ROUND_NS + ROUND_NS)
    frames = [
        frame
        for text in subscribe([ticker, "cfbenchmarks_value:BRTI"])
        for frame in made.received(text, (AT + 30) * SECOND).frames
    ]
    frames += made.due((AT + 30) * SECOND, (AT + 60) * SECOND)
    ours = {document["type"]: document for document in (json.loads(frame.payload) for frame in frames)}
    specified = {
        document["type"]: document
        for document in map(json.loads, recorded_frames("spec_examples_2026-09_asyncapi.jsonl"))
    }
    for kind in (
        "orderbook_snapshot",
        "orderbook_delta",
        "ticker",
        "trade",
        "cfbenchmarks_value",
        "subscribed",
    ):
        assert set(ours[kind]["msg"]) | OPTIONAL >= set(specified[kind]["msg"]), kind
        assert set(ours[kind]) - {"sending_ts_ms"} == set(specified[kind]), kind
        shared = set(ours[kind]["msg"]) & set(specified[kind]["msg"])
        for name in shared:
            assert type(ours[kind]["msg"][name]) is type(specified[kind]["msg"][name]), (kind, name)


OPTIONAL = {"last_60s_windowed_average_15min", "yes_dollars_fp", "no_dollars_fp"}
