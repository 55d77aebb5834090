"""Book replay: changes of books taken from frames of the market channel a second, each proven by its hash.

The baseline does the same work without our code, as one would write it: json.loads, a dict of sizes by price
for each side, and for each change sorted(), json.dumps without spaces and sha1 of the whole book, compared
with the hash that was sent; without hashes, max() and min() compared with the best prices that were sent. It
keeps no text of levels, no history for resent frames, and looks nothing up that is not told.

Eight tokens of four markets with 100 levels each, one trade told and one book sent anew in every 200 frames.
`value` is with hashes; the ratio is the lower of the two.
"""

from __future__ import annotations

import hashlib
import json
import time
from functools import partial
from random import Random
from typing import Any

from benchmarks.result import Result, pairs
from marketarchive.venues.polymarket.live_books import ChannelBooks

GOAL = 1.0
MARKETS = 4
LEVELS = 50  # a side
FRAMES = 4_000
START_MS = time.time_ns() // 1_000_000


def run() -> Result:
    frames, changes = _frames()
    measured = {}
    for name, verify in (("with_hashes", True), ("without", False)):
        expected = ("ok" if verify else "unchecked", changes)
        mine, theirs, ratio = pairs(
            partial(_ours, frames, expected, verify=verify),
            partial(_baseline, frames, changes, verify=verify),
        )
        measured[name] = {
            "changes_per_s": round(changes / mine),
            "baseline_changes_per_s": round(changes / theirs),
            "ratio": round(ratio, 3),
        }
    return Result(
        name="book_replay",
        value=measured["with_hashes"]["changes_per_s"],
        unit="changes/s with hashes",
        baseline=measured["with_hashes"]["baseline_changes_per_s"],
        ratio=min(each["ratio"] for each in measured.values()),
        goal=GOAL,
        packages=("msgspec",),
        more={
            **measured,
            "changes": changes,
            "frames": len(frames),
            "megabytes": sum(map(len, frames)) / 1e6,
        },
    )


def _ours(frames: list[bytes], expected: tuple[str, int], *, verify: bool) -> None:
    books = ChannelBooks()
    verdict, changes = expected
    found = 0
    for payload in frames:
        for taken in books.apply(payload, verify=verify):
            found += taken.verdict == verdict and taken.position <= 2
    assert found >= changes, f"{found} of {changes} changes are {verdict}"


class _Plain:
    """The baseline's book of one token."""

    def __init__(self, event: dict[str, Any]) -> None:
        self.market, self.token = event["market"], event["asset_id"]
        self.sides: dict[str, dict[str, str]] = {}
        self.last = ""
        self.load(event)

    def load(self, event: dict[str, Any]) -> None:
        self.sides["BUY"] = {level["price"]: level["size"] for level in event["bids"]}
        self.sides["SELL"] = {level["price"]: level["size"] for level in event["asks"]}
        self.last = event.get("last_trade_price", self.last)

    def change(self, change: dict[str, str]) -> None:
        side = self.sides[change["side"]]
        if change["size"] == "0":
            side.pop(change["price"], None)
        else:
            side[change["price"]] = change["size"]

    def has_top(self, change: dict[str, str]) -> bool:
        bids, asks = self.sides["BUY"], self.sides["SELL"]
        best_bid = max(bids, key=float) if bids else ""
        best_ask = min(asks, key=float) if asks else ""
        return best_bid == change["best_bid"] and best_ask == change["best_ask"]

    def hash(self, timestamp: str) -> str:
        bids, asks = self.sides["BUY"], self.sides["SELL"]
        document = {
            "market": self.market,
            "asset_id": self.token,
            "timestamp": timestamp,
            "hash": "",
            "bids": [{"price": price, "size": bids[price]} for price in sorted(bids, key=float)],
            "asks": [
                {"price": price, "size": asks[price]} for price in sorted(asks, key=float, reverse=True)
            ],
            "min_order_size": "5",
            "tick_size": "0.01",
            "neg_risk": False,
            "last_trade_price": self.last,
        }
        return hashlib.sha1(json.dumps(document, separators=(",", ":")).encode()).hexdigest()


def _baseline(frames: list[bytes], changes: int, *, verify: bool) -> None:
    books: dict[str, _Plain] = {}
    right = 0
    for payload in frames:
        frame = json.loads(payload)
        for event in frame if isinstance(frame, list) else [frame]:
            kind = event["event_type"]
            if kind == "price_change":
                for change in event["price_changes"]:
                    book = books[change["asset_id"]]
                    book.change(change)
                    if verify:
                        right += book.hash(event["timestamp"]) == change["hash"]
                    else:
                        right += book.has_top(change)
            elif kind == "book":
                if event["asset_id"] in books:
                    books[event["asset_id"]].load(event)
                else:
                    books[event["asset_id"]] = _Plain(event)
                if verify:
                    assert books[event["asset_id"]].hash(event["timestamp"]) == event["hash"]
            elif kind == "last_trade_price":
                for book in books.values():
                    if book.market == event["market"]:
                        book.last = f"{float(event['price']):.3f}"
    assert right == changes, f"{right} of {changes} changes come out"


# --- the frames, made with the baseline's own code -------------------------------------------------------


def _frames() -> tuple[list[bytes], int]:
    """The frames, and how many changes are in them."""
    random = Random(7)
    names = [f"0x{random.getrandbits(256):064x}" for _ in range(MARKETS)]
    markets = [[_made(random, name), _made(random, name)] for name in names]
    stamp = START_MS
    frames = [_text([_event(book, stamp) for market in markets for book in market])]
    changes = 0
    for number in range(FRAMES):
        stamp += random.randrange(1, 8)
        first, second = market = random.choice(markets)
        if number % 200 == 100:
            price = f"{random.randrange(30, 70)}"
            trade = {"market": first.market, "asset_id": first.token, "price": f"0.{price}", "size": "5"}
            trade |= {"side": "BUY", "timestamp": str(stamp), "event_type": "last_trade_price"}
            frames.append(_text(trade))
            for book in market:
                book.last = f"0.{price}0"
            continue
        if number % 200 == 101:
            frames.append(_text({**_event(first, stamp), "tick_size": "0.01"}))
            continue
        side = random.choice(("BUY", "SELL"))
        at = random.randrange(1, 50) if side == "BUY" else random.randrange(51, 100)
        size = "0" if random.random() < 0.1 and at % 10 else f"{random.randrange(500, 90000) / 100:g}"
        told = [_told(first, side, at, size, stamp)]
        told.append(_told(second, "SELL" if side == "BUY" else "BUY", 100 - at, size, stamp))
        changes += 2
        frames.append(
            _text(
                {
                    "market": first.market,
                    "price_changes": told,
                    "timestamp": str(stamp),
                    "event_type": "price_change",
                }
            )
        )
    return frames, changes


def _made(random: Random, market: str) -> _Plain:
    sides = {
        name: [{"price": f"{at / 100:g}", "size": f"{random.randrange(500, 90000) / 100:g}"} for at in levels]
        for name, levels in (("bids", range(50 - LEVELS + 1, 50)), ("asks", range(50 + LEVELS - 1, 50, -1)))
    }
    token = str(random.getrandbits(255))
    return _Plain({"market": market, "asset_id": token, "last_trade_price": "0.500", **sides})


def _event(book: _Plain, stamp: int) -> dict[str, Any]:
    bids, asks = book.sides["BUY"], book.sides["SELL"]
    return {
        "market": book.market,
        "asset_id": book.token,
        "timestamp": str(stamp),
        "hash": book.hash(str(stamp)),
        "bids": [{"price": price, "size": bids[price]} for price in sorted(bids, key=float)],
        "asks": [{"price": price, "size": asks[price]} for price in sorted(asks, key=float, reverse=True)],
        "event_type": "book",
        "last_trade_price": book.last,
    }


def _told(book: _Plain, side: str, at: int, size: str, stamp: int) -> dict[str, str]:
    change = {"asset_id": book.token, "price": f"{at / 100:g}", "size": size, "side": side}
    book.change(change)
    bids, asks = book.sides["BUY"], book.sides["SELL"]
    return change | {
        "hash": book.hash(str(stamp)),
        "best_bid": max(bids, key=float),
        "best_ask": min(asks, key=float),
    }


def _text(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
