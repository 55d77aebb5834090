"""A venue as the rest of the project sees it: one object that declares all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from marketarchive.venues.answers import Answered, Failure, judge_status
from marketarchive.venues.book import KeptBook
from marketarchive.venues.catalogue import Catalogue
from marketarchive.venues.endpoint import Address, Query
from marketarchive.venues.messages import ConnectionLine, Parsed, Received
from marketarchive.venues.perps import Perps
from marketarchive.venues.probing import Probe
from marketarchive.venues.table_rows import TableRow


class RowMaker:
    """Makes rows of tables from a feed's archived messages and verifies them in the same pass; one a run.

    Subclass it. Messages come in their order, so state may be held from one to the next.
    """

    verify: bool = True
    """Whether to recompute what proves a message; else its rows are `unchecked`. Set before the first one."""
    reads_ahead: bool = False
    """Whether `connect` is told the lines of a whole day, of all its runs, before the first message."""

    def rows(self, received: Received) -> Iterable[TableRow]:
        """Return the rows of an answer with status 200 or of a frame. Raises ParseError."""
        raise NotImplementedError

    def restore(self, received: Received, key: str) -> Iterable[TableRow]:  # noqa: ARG002
        """Return the rows of a `book_state` line: the book of `key` as the session wrote it at a rotation.

        It comes before the first frame of its connection that it does not hold. Raises ParseError.
        """
        return ()

    def connect(self, line: ConnectionLine) -> None:
        """Note that a connection was opened or closed, or that its subscriptions changed."""

    def books(self) -> Iterable[KeptBook]:
        """Return the books of the open connections as they stand after the last message.

        They change with the next one.
        """
        return ()


class Decimals(NamedTuple):
    """Decimal types of `books`, `book_changes`, `quotes`: (digits, of them decimals) each; at most 38."""

    price: tuple[int, int] = (38, 18)
    size: tuple[int, int] = (38, 18)


WIDEST = Decimals()


def no_keys(texts: Sequence[Any]) -> tuple[str, ...]:  # noqa: ARG001  (a venue's interface)
    """Return no keys: no archive of schema 1 has connections of this feed."""
    return ()


@dataclass(frozen=True)
class Feed:
    """A feed: what is archived under one name of a venue, and what is made of it."""

    tables: tuple[str, ...] = ()  # beside `gaps`: books, book_changes, trades, quotes, reference_prices, ...
    rows: Callable[[], RowMaker] | None = None  # one for each run of a feed
    rows_version: int = 1  # raised when `rows` makes other rows of the same messages: all are then made again
    decimals: Decimals = WIDEST
    price_range: tuple[int, int] | None = None  # within which all prices of its books should lie
    books_per_market: int = 1  # a second of a market is observed when all of its books came
    age_max_ms: int | None = None  # a book whose state may be older (`age_ms`) does not count as observed
    titles: Mapping[str, str] = field(default_factory=dict)
    """What its markets are called in a report: by topic, those of a `topic:symbol`; the others by "". Without
    any: by venue and feed."""
    is_numbered: bool = False  # books of all markets of a connection are counted together: none is missing
    is_polled: bool = False  # by requests; else what is sent on a socket or by a page
    has_markets: bool = False  # its answers speak of markets: for the market master
    rowless: frozenset[str] = frozenset()  # keys of its connections that no table has rows of
    market_mark: bytes = b""  # bytes in each of its frames that speaks of markets; b"": none does
    keys: Callable[[Sequence[Any]], tuple[str, ...]] = no_keys
    """What the texts of a connection line subscribe, each as sent or decoded: archives of schema 1 have only
    them."""


@dataclass(frozen=True)
class MarketFacts:
    """The facts of a market: its asset, and from when until when it is open, wall ns."""

    asset: str | None = None
    start_ns: int | None = None
    end_ns: int | None = None


def no_facts(name: str) -> MarketFacts:  # noqa: ARG001  (a venue's interface)
    """Return no facts: the venue's names of markets imply none."""
    return MarketFacts()


def no_next_page(query: Query, parsed: Parsed) -> Query | None:  # noqa: ARG001  (a venue's interface)
    """Return None: answers are whole."""
    return None


def no_headers(query: Query, now_ns: int) -> Mapping[str, str]:  # noqa: ARG001  (a venue's interface)
    """Return no headers: the venue requires none of its own."""
    return {}


@dataclass(frozen=True)
class Venue:
    """Declaration of a venue: all that the venue-neutral packages need.

    A package `marketarchive/venues/<name>` has it as `VENUE` in its module `venue`, where it is discovered.
    """

    name: str
    feeds: Mapping[str, Feed]
    parse: Callable[[Received], Parsed]
    """What an answer says that `judge` lets pass with status 200. Raises ParseError."""
    next_page: Callable[[Query, Parsed], Query | None] = no_next_page
    judge: Callable[[Answered], Failure | None] = judge_status
    headers: Callable[[Query, int], Mapping[str, str]] = no_headers
    """Headers of a request at an attempt at this wall time (ns): a signature, a version."""
    market_facts: Callable[[str], MarketFacts] = no_facts
    """What the name of a market (a slug, a ticker) says by itself; nothing of a name of another venue."""
    probe: Probe | None = None
    catalogue: Catalogue | None = None
    perps: Perps | None = None
    addresses: tuple[Address, ...] = ()
