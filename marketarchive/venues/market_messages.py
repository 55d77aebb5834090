"""Messages about markets in one form for all exchanges, into which each venue decodes its frames.

Times are ns since the Unix epoch. Prices and sizes are the venue's text, digit for digit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from itertools import chain
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.venues.book import BookSide

_AMOUNT = r"^[0-9]{1,20}(\.[0-9]{1,18})?$"
Amount: TypeAlias = Annotated[str, msgspec.Meta(pattern=_AMOUNT)]
"""A price or size as text, for the wire models of venues that send them as text."""
Level: TypeAlias = tuple[str, str]
"""A level of a book as (price, size)."""
SentLevel: TypeAlias = tuple[Amount, Amount]
"""A level of a book as (price, size), for wire models, which check the texts."""


class SubscriptionError(ParseError):
    """Raised for a frame in which the venue refuses a subscription, or a request that may have been one."""

    numbered: Decoded | None = None  # the frame's number, which is counted; None: it has none
    taken: Sequence[Any] = ()  # what that number shows, as `ExchangeBooks.apply` returns it


class BookMessage(msgspec.Struct, frozen=True, gc=False):
    """A snapshot of a market's book, or a delta that sets some of its levels."""

    market: str  # name of the market at the venue
    at: int  # venue's time; receipt when the venue states none
    bids: Sequence[Level]  # snapshot: best price first; delta: a size of zero removes the level
    asks: Sequence[Level]
    is_snapshot: bool = False
    is_dated: bool = True  # False: `at` is the receipt
    checksum: int | None = None  # venue's checksum of the book after this message; None: it states none
    is_relative: bool = False  # delta: sizes are added to those held instead of replacing them
    # numbers of the first and last update that this message contains; None: the venue has no numbers
    first: int | None = None
    last: int | None = None
    state: str = ""  # names the book after it, where the venue does


class TradeMessage(msgspec.Struct, frozen=True, gc=False):
    """One trade."""

    market: str
    at: int
    side: Literal["BUY", "SELL"]  # side of the taker
    price: str
    size: str
    id: str
    # consecutive number among the trades of its market; None: the venue has no numbers
    number: int | None = None
    is_backfill: bool = False  # True: sent on subscription, so an earlier connection may have sent it already


class QuoteMessage(msgspec.Struct, frozen=True, gc=False):
    """Best bid and ask as a ticker states them; None for an empty side."""

    market: str
    at: int
    bid: str | None
    ask: str | None
    last: str | None = None  # price of the newest trade; None: the ticker does not state it
    volume: str | None = None  # contracts traded so far; None: the ticker does not state it
    open_interest: str | None = None


class Mean(NamedTuple):
    """A mean of an index's values that the venue publishes beside the newest value."""

    name: str  # name of the mean at the venue
    value: str
    prices: int  # number of values that the mean is of
    from_ns: int
    to_ns: int


class IndexMessage(msgspec.Struct, frozen=True, gc=False):
    """The value of an index at one observation."""

    market: str  # `topic:symbol`
    at: int  # time of the observation
    value: str
    published_at: int
    means: Sequence[Mean] = ()


class MarketEvent(msgspec.Struct, frozen=True, gc=False):
    """An event in the life of a market, such as its creation, its decision or its settlement."""

    market: str
    at: int
    event: str  # name of the event at the venue
    said: Any  # content of the event in the venue's own form


MarketMessage: TypeAlias = BookMessage | TradeMessage | QuoteMessage | IndexMessage | MarketEvent


class Decoded(msgspec.Struct, frozen=True, gc=False):
    """The messages in one frame, with what the frame says as a whole."""

    messages: Sequence[MarketMessage] = ()
    # consecutive number of the frame in its sequence; None: the venue has no numbers
    number: int | None = None
    at: int = 0  # venue's time of the frame; 0: it states none
    is_renewal: bool = False  # True: the venue asks to have the connection replaced
    sequence: str = ""  # which frames its number counts; "" = all of the connection


@dataclass(frozen=True)
class WireFormat:
    """Protocol of a venue's socket: how subscriptions are written and frames are decoded."""

    decode: Callable[[bytes, int], Decoded]
    """Decodes a frame. Called with its payload and receipt (ns since the Unix epoch). Raises ParseError."""
    subscribe: Callable[[Sequence[str]], list[str]]
    unsubscribe: Callable[[Sequence[str]], list[str]]
    resync: Callable[[Sequence[str]], list[str]] = lambda markets: []  # noqa: ARG005  (impossible)
    """Returns the texts to send to request new snapshots on the open connection; by default none."""
    checksum: Callable[[BookSide, BookSide], int] | None = None
    """Computes the venue's checksum from bids and asks; None: the venue has no checksum."""
    recipe: str = ""  # how a book is proven, in a word: crc32, sequence
    depth: int | None = None  # levels per side that a book is cut to after each message; None: all are kept


def check_levels(levels: Iterable[Level]) -> None:
    """Check that each price and size is an `Amount`. Raises msgspec.ValidationError.

    Used for venues that send a whole book in every frame. Most texts repeat those of the frame before;
    checked texts are remembered here, whereas decoding as `SentLevel` would match every text again.
    """
    for text in chain.from_iterable(levels):
        if not _is_amount(text):
            raise msgspec.ValidationError(f"{text[:40]!r} is not a price or size")


@lru_cache(maxsize=1 << 14)
def _is_amount(text: str) -> bool:
    return re.search(_AMOUNT, text) is not None


def amount(raw: bytes | msgspec.Raw) -> str:
    """Return the text of a JSON number, digit for digit.

    Raises ValueError when `raw` is no number, or one that no column of a table can hold.
    """
    text = bytes(raw).decode("ascii")
    is_short = len(text) <= 20 and "e" not in text and "E" not in text
    if not text[:1].isdigit() or not (is_short or _is_held(text)):
        raise ValueError(f"{text[:40]!r} is not a price or size")
    return text


def _is_held(text: str) -> bool:
    """Return whether a number has no more digits than an `Amount`, written out: 20 and 18 decimals."""
    try:
        number = Decimal(text)
    except InvalidOperation:  # an exponent of more digits than Decimal has
        return False
    exponent = number.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -18 and number.adjusted() < 20
