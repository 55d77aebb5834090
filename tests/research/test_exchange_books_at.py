"""Books at a moment, of exchanges' sockets: as the tables state them, message by message."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path

from marketarchive import Archive
from marketarchive.simulator.kraken import Kraken, KrakenSession
from marketarchive.times import iso
from marketarchive.venues.kraken.socket import WIRE as KRAKEN
from marketarchive.venues.market_messages import WireFormat
from tests.archive.writing import NOON
from tests.research.exchange_day import ExchangeDay

SIZE = "1.00000000"
NONE = "0.00000000"
BTC = "BTC/USD"

Side = dict[str, str]


def ns(at: float) -> int:
    """Return the time `at` seconds after noon, in ns."""
    return NOON + round(at * 1e6) * 1000


def day(venue: str, wire: WireFormat, *markets: str, feed: str = "spot", at: float = 0) -> ExchangeDay:
    """Return a recording whose connection c1 has subscribed `markets`; its frames are written by hand."""
    world = Kraken(1).world
    made = ExchangeDay(venue, wire, lambda now: KrakenSession(world, now), feed=feed)
    made.line("c1", "opened", ns(at), markets)
    return made


class KrakenBook:
    """Kraken's side of one book, with the 100 best levels a side in view."""

    def __init__(self, day: ExchangeDay, shift: int = 0) -> None:
        self.bids: Side = {f"{price + shift:.1f}": SIZE for price in range(901, 1001)}
        self.asks: Side = {f"{price + shift:.1f}": SIZE for price in range(1001, 1101)}
        self._day = day

    def snapshot(self, at: float) -> None:
        self._send("snapshot", at, self.bids.items(), self.asks.items(), at)

    def update(
        self,
        at: float,
        bids: Iterable[tuple[str, str]] = (),
        asks: Iterable[tuple[str, str]] = (),
        dated: float | None = None,
    ) -> None:
        """Set levels; what then lies beyond the 100 best leaves the view without a word."""
        changed = [list(bids), list(asks)]
        for side, levels in zip((self.bids, self.asks), changed, strict=True):
            for price, size in levels:
                side.pop(price, None)
                if size != NONE:
                    side[price] = size
        for price in sorted(self.bids, key=float)[:-100]:
            del self.bids[price]
        for price in sorted(self.asks, key=float)[100:]:
            del self.asks[price]
        self._send("update", at, changed[0], changed[1], at if dated is None else dated)

    def _send(
        self,
        kind: str,
        at: float,
        bids: Iterable[tuple[str, str]],
        asks: Iterable[tuple[str, str]],
        dated: float,
    ) -> None:
        sides = [
            ",".join(f'{{"price":{price},"qty":{size}}}' for price, size in levels) for levels in (bids, asks)
        ]
        self._day.frame(
            "c1",
            (
                f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{BTC}","bids":[{sides[0]}],'
                f'"asks":[{sides[1]}],"checksum":{self._checksum()},"timestamp":"{iso(ns(dated))}"}}]}}'
            ).encode(),
            ns(at),
        )

    def _checksum(self) -> int:
        bids = sorted(self.bids.items(), key=lambda level: -float(level[0]))[:10]
        asks = sorted(self.asks.items(), key=lambda level: float(level[0]))[:10]
        digits = (text.replace(".", "").lstrip("0") for level in (*asks, *bids) for text in level)
        return zlib.crc32("".join(digits).encode())


def test_a_level_that_left_the_depth_is_no_best_price_later(tmp_path: Path) -> None:
    """1100.0 leaves the view, is cancelled there, and then the market rises above it."""
    made = day("kraken", KRAKEN, BTC)
    book = KrakenBook(made)
    book.snapshot(1)
    book.update(2, asks=[("1000.5", SIZE)])
    assert "1100.0" not in book.asks
    gone, new = list(book.asks), [f"{price:.1f}" for price in range(1201, 1301)]
    for place in range(0, 100, 5):
        taken = [(price, NONE) for price in sorted(gone, key=float)[place : place + 5]]
        book.update(3 + place / 25, asks=taken + [(price, SIZE) for price in new[place : place + 5]])
    for place in range(150):
        book.update(8 + place / 50, bids=[(f"{1001 + place:.1f}", SIZE)])
    made.close("c1", 16)
    made.write(tmp_path)
    archive = Archive(tmp_path)
    found = archive.book_at(BTC, iso(ns(14)))
    assert found is not None
    assert (found.bids[0], found.asks[0]) == ((1150.0, 1.0), (1201.0, 1.0))
    assert (len(found.bids), len(found.asks), found.verified, found.gap) == (100, 100, "ok", False)
    assert float(archive.fill(BTC, "buy", 1, iso(ns(14))).average or 0) == 1201
