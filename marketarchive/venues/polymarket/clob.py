"""Books of the central limit order book (https://clob.polymarket.com), from REST answers and the socket.

Both sides are sent with the best price last: bids rise, asks fall. All values are strings. `timestamp` is the
time of the book's last change. There is no sequence number, but a hash of the whole book.
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
from marketarchive.json_lines import NOT_JSON
from marketarchive.nesting import MAX_NESTING, is_shallow
from marketarchive.venues.book import price_of
from marketarchive.venues.polymarket import wire

# 404: /book answers so for an unknown, a malformed and a closed token alike (study of 2026-08-10)
NO_ORDERBOOK = "No orderbook exists for the requested token id"


class Level(msgspec.Struct, frozen=True, gc=False):
    """A level: price in dollars per share, size in shares, both as the text sent."""

    price: str
    size: str


@dataclass(frozen=True, slots=True)
class ClobBook:
    """The book of one token at `timestamp_ms`, its sides in the order sent (best price last)."""

    market: str
    token: str
    timestamp_ms: int
    hash: str
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    min_order_size: str | None  # None: not sent; the socket omits it
    tick_size: str | None
    neg_risk: bool | None
    last_trade_price: str | None  # "" = never traded; None: not sent
    best_bid: Decimal | None
    best_ask: Decimal | None
    is_sorted: bool  # bids rise, asks fall, no price twice


class SentBook(msgspec.Struct):
    """A book as it is sent in JSON."""

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
    """Parse one book: the answer of /book, an element of /books, or a `book` event.

    payload: bytes or decoded JSON. Raises ParseError, also for prices outside [0, 1], sizes of zero or less,
    and a crossed book.
    """
    book = decode_book(payload)
    return check_book(book)


def check_book(book: ClobBook) -> ClobBook:
    """Check the prices and sizes of a book from `decode_book`, and return it with its best prices.

    Raises ParseError for prices outside [0, 1], sizes of zero or less, and a crossed book.
    """
    _check_side("bids", book.bids)
    _check_side("asks", book.asks)
    return _build(book)


def decode_book(payload: Any) -> ClobBook:
    """Decode one book without checking its prices and sizes.

    payload: as for `parse_book`. best_bid, best_ask and is_sorted are not set. Of a key that occurs twice the
    last value counts, as in most decoders; the hash shows whether that was meant. Raises ParseError.
    """
    is_text = isinstance(payload, bytes | msgspec.Raw)
    if is_text:
        refuse_deep(bytes(payload), "Book")
    try:
        sent = _ONE.decode(payload) if is_text else msgspec.convert(payload, SentBook)
    except NOT_JSON as error:
        raise ParseError("Book", f"not a book: {error}", _fields_of(error)) from error
    return book_of(sent)


def book_of(sent: SentBook) -> ClobBook:
    """Convert a decoded JSON book to a `ClobBook`, without checking prices and sizes. Raises ParseError."""
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
    """Return the elements of an array of /books, to be parsed one by one. Raises ParseError.

    item: name for errors.
    """
    refuse_deep(payload, item)
    try:
        return list(_LIST.decode(payload))
    except NOT_JSON:
        # slower, but a NaN then affects only its own row
        return wire.rows(wire.decode(payload, item), None, item)


def refuse_deep(payload: bytes, item: str) -> None:
    """Raise ParseError for a JSON text that is nested so deeply that the decoder could exhaust the C stack.

    item: name for errors.
    """
    if not is_shallow(payload):
        raise ParseError(item, f"nested more than {MAX_NESTING} deep; the body has {len(payload)} bytes")


def error_text(payload: bytes) -> str | None:
    """Return the message of a body `{"error": "..."}`; None for any other body."""
    if not is_shallow(payload):
        return None
    try:
        document = msgspec.json.decode(payload)
    except NOT_JSON:
        return None
    found = document.get("error") if isinstance(document, dict) else None
    return found if isinstance(found, str) else None


def _fields_of(error: Exception) -> tuple[str, ...]:
    """Return the field that an error text of msgspec names.

    Forms: "... - at `$.bids[0].price`", "missing required field `hash`".
    """
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
    """Set best prices and `is_sorted` of a book and return it. Raises ParseError for a crossed book."""
    bids = [price_of(level.price) for level in book.bids]
    asks = [price_of(level.price) for level in book.asks]
    rising, falling = all(map(lt, bids, bids[1:])), all(map(gt, asks, asks[1:]))
    best_bid = bids[-1] if bids and rising else max(bids, default=None)
    best_ask = asks[-1] if asks and falling else min(asks, default=None)
    if best_bid is not None and best_ask is not None and best_bid >= best_ask:
        raise ParseError("Book", f"crossed: best bid {best_bid}, best ask {best_ask}", ("bids", "asks"))
    return replace(book, best_bid=best_bid, best_ask=best_ask, is_sorted=rising and falling)


# --- integrity -------------------------------------------------------------------------------------------

# The hash is sha1 over compact JSON with these keys in this order, `hash` empty, values as sent.
# Newest recipe first; only the first and the last were compared with recordings.
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

# values of crypto markets, for what the socket omits
DEFAULTS = {"min_order_size": "5", "tick_size": "0.01", "neg_risk": False}


def _head(book: ClobBook, keys: Sequence[str]) -> bytes:
    """Return the text that the hash is computed over, without the closing brace. keys: their order in it."""
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
    """Return the hash of a book, computed by one recipe (order of keys)."""
    keys = RECIPES[recipe]
    if keys[-1] != "last_trade_price":
        return hashlib.sha1(_head(book, keys) + b"}", usedforsecurity=False).hexdigest()
    return next(_hashes(book, [book.last_trade_price or ""]))[1]


def _hashes(book: ClobBook, last_trade_prices: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (last_trade_price, hash) for each of the given prices, by the current recipe."""
    head = hashlib.sha1(_head(book, RECIPES[CURRENT_RECIPE][:-1]), usedforsecurity=False)
    for price in last_trade_prices:
        whole = head.copy()
        whole.update(f',"last_trade_price":{json.dumps(price)}}}'.encode())
        yield price, whole.hexdigest()


# the venue writes this price with three decimals; "" = never traded
_GRID = ("", *(f"{thousandth / 1000:.3f}" for thousandth in range(1001)))


def _recipe_of(book: ClobBook) -> str | None:
    """Return the recipe by which the hash of a book matches; None if none does.

    The socket's hash covers the last trade price, which it may not send; without one all possible prices are
    tried.
    """
    sent = book.last_trade_price
    if any(found == book.hash for _, found in _hashes(book, _GRID if sent is None else [sent])):
        return CURRENT_RECIPE
    older = (recipe for recipe in RECIPES if recipe != CURRENT_RECIPE)
    return next((recipe for recipe in older if book_hash(book, recipe) == book.hash), None)


def verify_book(book: ClobBook) -> tuple[Verdict, str]:
    """Return whether the hash of a book matches, and by which recipe.

    The recipe is "" when none matches.
    """
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
    """Verify a book as received, whatever its prices; most need no decoding.

    If the received bytes, with the hash left empty, give the hash, the book is proven; the last key shows the
    recipe. Any other book is decoded. Returns as `verify_book`. Raises ParseError.
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
