"""Messages of exchanges about markets, in one form: a venue decodes its own frames into it.

Times are ns since the Unix epoch. Prices and sizes are the venue's text, digit for digit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

import msgspec

from marketarchive.venues.book import BookSide

_AMOUNT = r"^[0-9]{1,20}(\.[0-9]{1,18})?$"
Amount: TypeAlias = Annotated[str, msgspec.Meta(pattern=_AMOUNT)]
"""A price or size as text, in the wire models of venues that send it so."""
Level: TypeAlias = tuple[str, str]
"""(price, size)."""
SentLevel: TypeAlias = tuple[Amount, Amount]
"""The same, in wire models."""


class BookMessage(msgspec.Struct, frozen=True, gc=False):
    """A whole book, or levels of one that are set anew."""

    market: str  # as the venue calls it
    at: int  # the venue's time; of receipt where it has none
    bids: Sequence[Level]  # of a snapshot best first; of a delta a size of zero removes its level
    asks: Sequence[Level]
    is_snapshot: bool = False
    is_dated: bool = True  # False: `at` is the time of receipt
    checksum: int | None = None  # as stated of the book after it
    is_relative: bool = False  # of a delta: sizes are to be added to those held, not set
    first: int | None = None  # numbers of the market's updates that it covers, where they are numbered
    last: int | None = None
    state: str = ""  # names the book after it, where the venue does


class TradeMessage(msgspec.Struct, frozen=True, gc=False):
    """One trade."""

    market: str
    at: int
    side: Literal["BUY", "SELL"]  # of the taker
    price: str
    size: str
    id: str
    number: int | None = None  # among the trades of its market, without holes, where the venue counts them
    is_backfill: bool = False  # sent on subscription: it may have been sent before


class QuoteMessage(msgspec.Struct, frozen=True, gc=False):
    """Best bid and ask as a ticker states them; None on an empty side."""

    market: str
    at: int
    bid: str | None
    ask: str | None
    last: str | None = None  # price of the newest trade
    volume: str | None = None  # contracts traded so far, where the ticker says it
    open_interest: str | None = None


class Mean(NamedTuple):
    """A mean of an index's prices that the venue publishes beside the newest one."""

    name: str  # as the venue calls it
    value: str
    prices: int  # how many it is of
    from_ns: int
    to_ns: int


class IndexMessage(msgspec.Struct, frozen=True, gc=False):
    """An index as it was observed at a moment."""

    market: str  # topic:symbol
    at: int  # of the observation
    value: str
    published_at: int
    means: Sequence[Mean] = ()


class MarketEvent(msgspec.Struct, frozen=True, gc=False):
    """An event of a market as a whole: it was made, decided, paid."""

    market: str
    at: int
    event: str  # in the venue's word
    said: Any  # in the venue's own form


MarketMessage: TypeAlias = BookMessage | TradeMessage | QuoteMessage | IndexMessage | MarketEvent


class Decoded(msgspec.Struct, frozen=True, gc=False):
    """The content of one frame."""

    messages: Sequence[MarketMessage] = ()
    number: int | None = None  # of the frame in its sequence, where the venue counts them
    at: int = 0  # the venue's time of the frame; 0 where it has none
    is_renewal: bool = False  # the venue wants its connection to be replaced
    sequence: str = ""  # which frames its number counts; "" = all of the connection


@dataclass(frozen=True)
class WireFormat:
    """The protocol of a venue's socket: subscriptions to send, frames to decode."""

    decode: Callable[[bytes, int], Decoded]
    """Given a payload and its receipt (ns). Raises ParseError."""
    subscribe: Callable[[Sequence[str]], list[str]]
    unsubscribe: Callable[[Sequence[str]], list[str]]
    resync: Callable[[Sequence[str]], list[str]] = lambda markets: []  # noqa: ARG005  (impossible)
    """Texts that request new snapshots on the same connection."""
    checksum: Callable[[BookSide, BookSide], int] | None = None
    """Of bids and asks, as the venue states it."""
    recipe: str = ""  # how a book is proven, in a word: crc32, sequence
    depth: int | None = None  # levels a side that a book is cut to after each message


def check_levels(levels: Iterable[Level]) -> None:
    """Check that each price and size is an `Amount`. Raises msgspec.ValidationError.

    For books that come whole in every frame: a text of the frames before is matched no second time, which
    decoding them as `SentLevel` would do.
    """
    for text in chain.from_iterable(levels):
        if not _is_amount(text):
            raise msgspec.ValidationError(f"{text[:40]!r} is no price or size")


@lru_cache(maxsize=1 << 14)
def _is_amount(text: str) -> bool:
    return re.search(_AMOUNT, text) is not None


def amount(raw: bytes | msgspec.Raw) -> str:
    """Return the text of a JSON number, digit for digit. Raises ValueError for anything else."""
    text = bytes(raw).decode("ascii")
    if not text[:1].isdigit():
        raise ValueError(f"{text[:40]!r} is no price or size")
    return text
