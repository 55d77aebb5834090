"""Kraken's frames, one kind at a time, and the checksum that proves its books."""

from __future__ import annotations

import json
import zlib
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.exceptions import ParseError
from marketarchive.times import from_iso
from marketarchive.venues.exchange_books import ExchangeBooks
from marketarchive.venues.kraken.socket import WIRE, decode, resync, subscribe, unsubscribe
from marketarchive.venues.market_messages import BookMessage, Decoded, Level, QuoteMessage, TradeMessage
from tests.properties import examples

NOW = from_iso("2026-11-21T12:00:00Z")
SENT = "2026-11-21T11:59:59.876543Z"
AT = from_iso(SENT)


def book(
    bids: list[Level], asks: list[Level], checksum: int | None, *, kind: str = "snapshot", sent: str = SENT
) -> bytes:
    """Return a book frame whose numbers are written as the texts given."""
    sides = [
        ",".join(f'{{"price":{price},"qty":{size}}}' for price, size in levels) for levels in (bids, asks)
    ]
    stated = "" if checksum is None else f',"checksum":{checksum}'
    data = f'{{"symbol":"BTC/USD","bids":[{sides[0]}],"asks":[{sides[1]}]{stated},"timestamp":"{sent}"}}'
    return f'{{"channel":"book","type":"{kind}","data":[{data}]}}'.encode()


def crc(bids: list[Level], asks: list[Level]) -> int:
    """Work the checksum out from whole lists of levels in any order, as the guide says it."""
    low_to_high = sorted(asks, key=lambda level: Decimal(level[0]))[:10]
    high_to_low = sorted(bids, key=lambda level: Decimal(level[0]), reverse=True)[:10]
    text = ""
    for level in (*low_to_high, *high_to_low):
        for number in level:
            digits = number.replace(".", "")
            while digits.startswith("0"):
                digits = digits[1:]
            text += digits
    return zlib.crc32(text.encode("ascii"))


# ---- the checksum ----------------------------------------------------------------------------------------

_PRICES = st.integers(1, 10**7).map(lambda cents: f"{Decimal(cents) / 1000:.3f}")
_SIZES = st.integers(1, 10**10).map(lambda units: f"{Decimal(units) / 10**8:.8f}")
_SIDES = st.dictionaries(_PRICES, _SIZES, max_size=15).map(lambda side: list(side.items()))


@given(
    _SIDES, _SIDES, st.lists(st.tuples(st.booleans(), _PRICES, _SIZES | st.just("0.00000000")), max_size=20)
)
@examples(60)
def test_each_delta_proves_the_book_after_it(
    bids: list[Level], asks: list[Level], changes: list[tuple[bool, str, str]]
) -> None:
    books = ExchangeBooks(WIRE)
    sides = dict(bids), dict(asks)
    [taken] = books.apply(book(bids, asks, crc(bids, asks)), NOW)
    assert taken.verdict == "ok"
    for is_bid, price, size in changes:
        side = sides[0 if is_bid else 1]
        side.pop(price, None)
        if Decimal(size):
            side[price] = size
        level = [(price, size)]
        whole = crc(*(list(each.items()) for each in sides))
        frame = book(level if is_bid else [], [] if is_bid else level, whole, kind="update")
        assert [one.verdict for one in books.apply(frame, NOW)] == ["ok"]
    wrong = crc(*(list(each.items()) for each in sides)) ^ 1
    [taken] = books.apply(book([], [], wrong, kind="update"), NOW)
    assert taken.verdict == "failed"


def test_digits_have_no_point_and_no_leading_zeros() -> None:
    bids, asks = [("0.05000", "0.00000500")], [("0.05005", "0.10000000")]
    assert crc(bids, asks) == zlib.crc32(b"500510000000" + b"5000500")
    [taken] = ExchangeBooks(WIRE).apply(book(bids, asks, zlib.crc32(b"5005100000005000500")), NOW)
    assert taken.verdict == "ok"


def test_levels_beyond_the_tenth_do_not_count_and_those_beyond_the_depth_go() -> None:
    bids = [(f"{1000 - place}.0", "1.00000000") for place in range(100)]
    books = ExchangeBooks(WIRE)
    books.apply(book(bids, [], crc(bids, [])), NOW)
    [taken] = books.apply(book([("901.5", "1.00000000")], [], crc(bids, []), kind="update"), NOW)
    assert taken.verdict == "ok"
    held = books.books["BTC/USD"].bids
    assert len(held.levels) == 100
    assert held.keys[:2] == [Decimal("901.5"), Decimal("902.0")]


def test_a_book_without_a_checksum_proves_nothing() -> None:
    [taken] = ExchangeBooks(WIRE).apply(book([], [], None), NOW)
    assert taken.verdict == "not_available"


# ---- what frames say -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["0.00200000", "45283.5", "100", "0.0", "12345678901234567890.10", "5e-7", "1E+19"]
)
def test_numbers_keep_their_text(text: str) -> None:
    [message] = decode(book([(text, text)], [], 1), NOW).messages
    assert isinstance(message, BookMessage)
    assert message.bids == [(text, text)]


@pytest.mark.parametrize(
    "text",
    [
        '"1.0"',
        "-1",
        "null",
        "true",
        "[1]",
        "{}",
        ".5",
        "",
        "1e9999",
        "1e20",
        "1e-19",
        f"1{'0' * 20}",
        f"1e{'9' * 30}",
    ],
)
def test_what_is_no_amount_is_told(text: str) -> None:
    with pytest.raises(ParseError):
        decode(book([("1.0", text)], [], 1), NOW)


def test_a_book_is_dated_by_itself_or_by_its_receipt() -> None:
    [dated] = decode(book([], [], 3), NOW).messages
    assert dated == BookMessage("BTC/USD", AT, [], [], is_snapshot=True, checksum=3)
    payload = book([], [], 3, kind="update").replace(b',"timestamp":"%b"' % SENT.encode(), b"")
    [undated] = decode(payload, NOW).messages
    assert undated == BookMessage("BTC/USD", NOW, [], [], is_dated=False, checksum=3)


@pytest.mark.parametrize(("kind", "is_backfill"), [("snapshot", True), ("update", False)])
def test_trades(kind: str, is_backfill: bool) -> None:
    data = (
        f'"symbol":"BTC/USD","side":"sell","price":81205.1,"qty":0.00200000,"trade_id":9,"timestamp":"{SENT}"'
    )
    payload = f'{{"channel":"trade","type":"{kind}","data":[{{{data},"ord_type":"limit"}}]}}'.encode()
    trade = TradeMessage("BTC/USD", AT, "SELL", "81205.1", "0.00200000", "9", 9, is_backfill)
    assert decode(payload, NOW) == Decoded([trade])


def test_a_ticker() -> None:
    data = '{"symbol":"BTC/USD","bid":81205.0,"bid_qty":1,"ask":81205.10,"ask_qty":1}'
    payload = f'{{"channel":"ticker","type":"update","data":[{data}]}}'.encode()
    assert decode(payload, NOW) == Decoded([QuoteMessage("BTC/USD", NOW, "81205.0", "81205.10")])


@pytest.mark.parametrize(
    "payload",
    [
        b'{"channel":"heartbeat"}',
        b'{"channel":"status","type":"update","data":[{"version":"2.0.10","system":"online"}]}',
        b'{"channel":"tomorrow","type":"update","data":{"any":"thing"}}',
        b'{"method":"pong","time_in":"2026-11-21T12:00:00Z"}',
        b'{"method":"subscribe","result":{"channel":"book","symbol":"BTC/USD"},"success":true,"time_in":"x"}',
        b"{}",
    ],
)
def test_other_frames_say_nothing(payload: bytes) -> None:
    assert decode(payload, NOW) == Decoded()


@pytest.mark.parametrize(
    "payload",
    [
        b'{"method":"subscribe","success":false,"error":"Currency pair not supported A/B","result":null}',
        b'{"error":"Currency pair not supported A/B"}',
    ],
)
def test_a_refused_request_is_told(payload: bytes) -> None:
    with pytest.raises(ParseError, match="refused: Currency pair not supported A/B"):
        decode(payload, NOW)


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xff", b"[]", b'{"channel":"book","data":[{}]}', b'{"channel":"trade","data":[{"side":"x"}]}'],
)
def test_what_cannot_be_read_is_told(payload: bytes) -> None:
    with pytest.raises(ParseError):
        decode(payload, NOW)


# ---- what is sent ----------------------------------------------------------------------------------------


def test_a_text_for_each_channel() -> None:
    texts = [json.loads(text) for text in subscribe(["BTC/USD", "ETH/USD"])]
    assert [text["params"]["channel"] for text in texts] == ["book", "trade", "ticker"]
    assert all(text["params"]["symbol"] == ["BTC/USD", "ETH/USD"] for text in texts)
    ended = [json.loads(text) for text in unsubscribe(["BTC/USD"])]
    assert ended[0] == {
        "method": "unsubscribe",
        "params": {"channel": "book", "depth": 100, "symbol": ["BTC/USD"]},
    }
    assert [text["params"]["channel"] for text in ended] == ["book", "trade", "ticker"]
    assert unsubscribe([]) == []
    again = [json.loads(text) for text in resync(["BTC/USD"])]
    assert [(text["method"], text["params"]["channel"]) for text in again] == [
        ("unsubscribe", "book"),
        ("subscribe", "book"),
    ]
