"""The central limit order book: https://clob.polymarket.com, and its books on the market socket.

A book's sides come with the best price last: bids upwards, asks downwards, all values as strings.
`timestamp` is the time of the book's last change; there is no sequence number, but a hash.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from operator import gt, lt
from typing import Any

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.items import Verdict
from marketarchive.nesting import MAX_NESTING, is_shallow
from marketarchive.venues.book import price_of
from marketarchive.venues.polymarket import wire

# what /book answers for an unknown, a malformed and a closed token alike: 404 (study of 2026-08-10)
NO_ORDERBOOK = "No orderbook exists for the requested token id"


class Level(msgspec.Struct, frozen=True, gc=False):
    """Price in dollars per share and size in shares, as the texts on the wire."""

    price: str
    size: str


@dataclass(frozen=True, slots=True)
class ClobBook:
    """The book of one token at `timestamp_ms`, sides in the order they were sent (best last)."""

    market: str
    token: str
    timestamp_ms: int
    hash: str
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    min_order_size: str | None  # None: not sent (the socket leaves it out)
    tick_size: str | None
    neg_risk: bool | None
    last_trade_price: str | None  # "" = never traded
    best_bid: Decimal | None
    best_ask: Decimal | None
    is_sorted: bool  # bids rise, asks fall, no price twice


class SentBook(msgspec.Struct):
    """A book as it stands in JSON."""

    market: str
    asset_id: str
    timestamp: str
    hash: str
    bids: tuple[Level, ...] | None
    asks: tuple[Level, ...] | None
    min_order_size: str | None = None
    tick_size: str | None = None
    neg_risk: bool | None = None
    last_trade_price: str | None = None


_ONE = msgspec.json.Decoder(SentBook)
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
# texts of numbers; a price lies within [0, 1]
SIZE = r"[0-9]+(?:\.[0-9]+)?"
PRICE = r"(?:0(?:\.[0-9]+)?|\.[0-9]+|1(?:\.0+)?)"
_SIZE = re.compile(SIZE).fullmatch
_PRICE = re.compile(PRICE).fullmatch
# one match for a whole side: texts joined by spaces, sizes above 0
_SIZES = re.compile(r"(?:(?=[0.]*[1-9])[0-9]+(?:\.[0-9]+)? )*").fullmatch
_PRICES = re.compile(r"(?:(?:0(?:\.[0-9]+)?|\.[0-9]+|1(?:\.0+)?) )*").fullmatch


def parse_book(payload: Any) -> ClobBook:
    """Parse one book of /book, of an element of /books or of a `book` event.

    The payload is bytes, or decoded already. Raises ParseError, also for prices outside [0, 1], sizes not
    above 0 and crossed sides.
    """
    book = decode_book(payload)
    return check_book(book)


def check_book(book: ClobBook) -> ClobBook:
    """Check prices and sizes of a book from `decode_book`. Raises ParseError."""
    _check_side("bids", book.bids)
    _check_side("asks", book.asks)
    return _build(book)


def decode_book(payload: Any) -> ClobBook:
    """Decode as `parse_book`, without a check of prices and sizes.

    best_bid, best_ask and is_sorted are not set. Of a key that occurs twice the last counts, as everywhere;
    the hash tells whether that was meant. Raises ParseError.
    """
    is_text = isinstance(payload, bytes | msgspec.Raw)
    if is_text:
        refuse_deep(bytes(payload), "Book")
    try:
        sent = _ONE.decode(payload) if is_text else msgspec.convert(payload, SentBook)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ParseError("Book", f"not a book: {error}", _fields_of(error)) from error
    return book_of(sent)


def book_of(sent: SentBook) -> ClobBook:
    """Convert a decoded body to a `ClobBook`, prices and sizes unchecked. Raises ParseError."""
    if not (sent.timestamp.isascii() and sent.timestamp.isdigit() and len(sent.timestamp) <= 18):
        raise ParseError("Book", f"timestamp={sent.timestamp!r} is not milliseconds", ("timestamp",))
    return ClobBook(
        market=sent.market,
        token=sent.asset_id,
        timestamp_ms=int(sent.timestamp),
        hash=sent.hash,
        bids=sent.bids or (),
        asks=sent.asks or (),
        min_order_size=sent.min_order_size,
        tick_size=sent.tick_size,
        neg_risk=sent.neg_risk,
        last_trade_price=sent.last_trade_price,
        best_bid=None,
        best_ask=None,
        is_sorted=True,
    )


def split_books(payload: bytes, item: str = "Book") -> list[Any]:
    """Return the elements of an array of /books for parse_book. Raises ParseError."""
    refuse_deep(payload, item)
    try:
        return list(_LIST.decode(payload))
    except (msgspec.DecodeError, UnicodeDecodeError):
        # slower, but lets a NaN cost its own row only
        return wire.rows(wire.decode(payload, item), None, item)


def refuse_deep(payload: bytes, item: str) -> None:
    """Raise ParseError for a text that is nested too deep: the decoder recurses on the C stack."""
    if not is_shallow(payload):
        raise ParseError(item, f"nested more than {MAX_NESTING} deep; the body has {len(payload)} bytes")


def error_text(payload: bytes) -> str | None:
    """Return the message of a body `{"error": "..."}`; None when the body is anything else."""
    if not is_shallow(payload):
        return None
    try:
        document = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    found = document.get("error") if isinstance(document, dict) else None
    return found if isinstance(found, str) else None


def _fields_of(error: Exception) -> tuple[str, ...]:
    """Return the field in "... - at `$.bids[0].price`" or "missing required field `hash`"."""
    at = re.search(r"at `\$\.(\w+)", str(error)) or re.search(r"required field `(\w+)`", str(error))
    return (at[1],) if at else ()


def _check_side(name: str, levels: tuple[Level, ...]) -> None:
    prices = "".join([f"{level.price} " for level in levels])
    sizes = "".join([f"{level.size} " for level in levels])
    if _PRICES(prices) and _SIZES(sizes):
        return
    for level in levels:
        if not _PRICE(level.price):
            text = f"{name}: price {level.price!r} is not a number within [0, 1]"
            raise ParseError("Book", text, (name, "price"))
        if not _SIZE(level.size) or not level.size.strip("0."):
            raise ParseError("Book", f"{name}: size {level.size!r} is not a number above 0", (name, "size"))
    raise AssertionError("a side is refused and each of its levels is not")


def _build(book: ClobBook) -> ClobBook:
    """Set best prices and the check of order in `book`. Raises ParseError when it is crossed."""
    bids = [price_of(level.price) for level in book.bids]
    asks = [price_of(level.price) for level in book.asks]
    rising, falling = all(map(lt, bids, bids[1:])), all(map(gt, asks, asks[1:]))
    best_bid = bids[-1] if bids and rising else max(bids, default=None)
    best_ask = asks[-1] if asks and falling else min(asks, default=None)
    if best_bid is not None and best_ask is not None and best_bid >= best_ask:
        raise ParseError("Book", f"crossed: best bid {best_bid}, best ask {best_ask}", ("bids", "asks"))
    return replace(book, best_bid=best_bid, best_ask=best_ask, is_sorted=rising and falling)


# --- integrity -------------------------------------------------------------------------------------------

# The hash is sha1 over compact JSON of these keys in this order, `hash` empty, values as on the wire.
# Newest first; only the first and the last have been checked against recordings.
RECIPES: dict[str, tuple[str, ...]] = {
    "2025-12": (
        "market",
        "asset_id",
        "timestamp",
        "hash",
        "bids",
        "asks",
        "min_order_size",
        "tick_size",
        "neg_risk",
        "last_trade_price",
    ),
    "2025": (
        "market",
        "asset_id",
        "timestamp",
        "hash",
        "bids",
        "asks",
        "min_order_size",
        "tick_size",
        "neg_risk",
    ),
    "2024-11": ("market", "asset_id", "timestamp", "hash", "bids", "asks"),
    "2024-10": ("market", "asset_id", "hash", "bids", "asks"),
}
CURRENT_RECIPE = "2025-12"

# what the socket leaves out, as crypto markets have it
DEFAULTS = {"min_order_size": "5", "tick_size": "0.01", "neg_risk": False}


def _head(book: ClobBook, keys: Sequence[str]) -> bytes:
    """Return the hashed text of `book` without its closing brace."""
    values: dict[str, Any] = {
        "market": book.market,
        "asset_id": book.token,
        "timestamp": str(book.timestamp_ms),
        "hash": "",
        "bids": book.bids,
        "asks": book.asks,
        "min_order_size": book.min_order_size,
        "tick_size": book.tick_size,
        "neg_risk": book.neg_risk,
    }
    chosen = {key: DEFAULTS[key] if key in DEFAULTS and values[key] is None else values[key] for key in keys}
    return msgspec.json.encode(chosen)[:-1]


def book_hash(book: ClobBook, recipe: str = CURRENT_RECIPE) -> str:
    """Return the hash that `recipe` gives for `book`."""
    keys = RECIPES[recipe]
    if keys[-1] != "last_trade_price":
        return hashlib.sha1(_head(book, keys) + b"}", usedforsecurity=False).hexdigest()
    return next(_hashes(book, [book.last_trade_price or ""]))[1]


def _hashes(book: ClobBook, last_trade_prices: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (last_trade_price, hash) by the current recipe, the common text hashed once."""
    head = hashlib.sha1(_head(book, RECIPES[CURRENT_RECIPE][:-1]), usedforsecurity=False)
    for price in last_trade_prices:
        whole = head.copy()
        whole.update(f',"last_trade_price":{json.dumps(price)}}}'.encode())
        yield price, whole.hexdigest()


# the venue writes this price with three decimals; "" = never traded
_GRID = ("", *(f"{thousandth / 1000:.3f}" for thousandth in range(1001)))


def _recipe_of(book: ClobBook) -> str | None:
    """Return the recipe by which the hash of `book` matches, None if none does.

    The socket hashes the last trade price that the server knows, which it may not have sent: where it did
    not, the grid of possible prices is searched.
    """
    sent = book.last_trade_price
    if any(found == book.hash for _, found in _hashes(book, _GRID if sent is None else [sent])):
        return CURRENT_RECIPE
    older = (recipe for recipe in RECIPES if recipe != CURRENT_RECIPE)
    return next((recipe for recipe in older if book_hash(book, recipe) == book.hash), None)


def verify_book(book: ClobBook) -> tuple[Verdict, str]:
    """Return whether the book is what the venue hashed, and the recipe ("" when none matches)."""
    if not book.hash:
        return "not_available", ""
    recipe = _recipe_of(book)
    return ("failed", "") if recipe is None else ("ok", recipe)


_HASH = b'"hash":"'
_LAST_KEY = (
    (CURRENT_RECIPE, re.compile(rb'"last_trade_price":"[^"]*"}').search),
    ("2025", re.compile(rb'"neg_risk":(?:true|false)}').search),
    ("2024-11", re.compile(rb"]}").search),
)


def verify_text(payload: bytes | msgspec.Raw) -> tuple[Verdict, str]:
    """Verify a book as received, whatever its prices; most are settled without decoding.

    Where the very bytes, with the hash left empty, give the hash, they are what the venue hashed; the recipe
    shows in the last key. Everything else is decoded. Raises ParseError.
    """
    text = bytes(payload)
    head, mark, rest = text.partition(_HASH)
    found = hashlib.sha1(head, usedforsecurity=False)
    found.update(mark)
    found.update(memoryview(rest)[40:])
    if rest[:40] == found.hexdigest().encode():
        for recipe, ends_so in _LAST_KEY:
            match = ends_so(text, max(0, len(text) - 64))
            if match is not None and match.end() == len(text):
                return "ok", recipe
    return verify_book(decode_book(payload))
