"""Kalshi's stream: what listeners of the process are given, what is followed, what is let go."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from marketarchive.collecting.together.listener import Listener, Observation
from marketarchive.spiders.kalshi_stream import KalshiStream
from marketarchive.times import SECOND
from marketarchive.venues.channel import Update
from marketarchive.venues.kalshi.lifecycle import LIFECYCLE
from marketarchive.venues.kalshi.session import KalshiTop
from marketarchive.venues.kalshi.tickers import ROUND_NS, ticker_of
from marketarchive.venues.market_messages import IndexMessage, QuoteMessage
from tests.collecting.streams import at_work

START_NS = 1_795_255_200 * SECOND
MARKET = ticker_of("KXBTC15M", START_NS + ROUND_NS)
BRTI = "cfbenchmarks_value:BRTI"


class Heard(Listener):
    """Keeps what passes."""

    def __init__(self) -> None:
        self.items: list[Any] = []

    def apply(self, item: Any) -> None:
        self.items.append(item)


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(data)
    monkeypatch.setenv("KALSHI_API_KEY_ID", "an id")
    monkeypatch.setenv("KALSHI_PRIV_KEY_PATH", str(tmp_path / "key.pem"))


@pytest.fixture
async def spider(key: None, tmp_path: Path) -> AsyncIterator[KalshiStream]:
    async with at_work(KalshiStream, tmp_path / "out", start=START_NS + SECOND) as made:
        yield made


async def test_listeners_are_given_what_was_seen(spider: KalshiStream) -> None:
    heard = Heard()
    spider.run.process.listeners.append(heard)
    top = KalshiTop(START_NS, 1, Decimal("0.47"), None, "ok", Decimal(3), None)
    ticker = QuoteMessage(MARKET, START_NS, "0.47", None, "0.47", "100.00", "60.00")
    index = IndexMessage(BRTI, START_NS, "68000.12", START_NS)
    spider.applied(
        START_NS,
        1,
        [
            Update(MARKET, "delta", START_NS, "ok", value=top),
            Update(MARKET, "mark", START_NS, value=ticker),
            Update(BRTI, "snapshot", START_NS, "ok", value=index),
            Update("", "mark", START_NS, "ok"),
        ],
    )
    assert heard.items == [
        Observation("kalshi", "stream", MARKET, START_NS, top),
        Observation("kalshi", "stream", MARKET, START_NS, ticker),
        Observation("kalshi", "stream", BRTI, START_NS, index),
    ]


async def test_an_index_that_is_refused_is_let_go(
    spider: KalshiStream, caplog: pytest.LogCaptureFixture
) -> None:
    spider.subscribe([MARKET, BRTI])
    spider.applied(START_NS, 1, [Update(BRTI, "end", START_NS, detail="the venue says error 9: no")])
    assert list(spider.subscribed) == [MARKET]
    assert "cfbenchmarks_value:BRTI cannot be subscribed: the venue says error 9: no" in caplog.text


async def test_gaps_name_markets_and_indices_each_in_their_words(spider: KalshiStream) -> None:
    found = [scope.as_dict() for scope in spider.scopes([MARKET, BRTI, LIFECYCLE], "c1")]
    assert found == [
        {"connection": "c1", "markets": [MARKET]},
        {"connection": "c1", "topics": ["cfbenchmarks_value"], "symbol": "BRTI"},
        {"connection": "c1", "topics": ["market_lifecycle_v2"]},
    ]
