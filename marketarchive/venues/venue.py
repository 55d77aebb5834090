"""Types with which a venue declares to the rest of the project all that is particular to it."""

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
from marketarchive.venues.table_rows import ColumnarRows, TableRow


class RowMaker:
    """Base class of makers of table rows from a feed's archived messages, verified in the same pass.

    One instance serves one run, and gets the messages in the order received, so it may keep state between
    them.
    """

    verify: bool = True
    """False: hashes and checksums are not computed and rows are `unchecked`. Set before the first message."""
    reads_ahead: bool = False
    """True: `connect` is called for all connection lines of a day, of every run, before the first message."""

    def rows(self, received: Received) -> Iterable[TableRow | ColumnarRows]:
        """Return the table rows of a frame, or of an answer with status 200. Raises ParseError."""
        raise NotImplementedError

    def restore(self, received: Received, key: str) -> Iterable[TableRow]:  # noqa: ARG002
        """Return the table rows of a `book_state` line.

        The line holds the book of `key` as a session wrote it when a segment ended. Called before the first
        frame of the connection that the book does not yet contain. Raises ParseError.
        """
        return ()

    def connect(self, line: ConnectionLine) -> None:
        """Apply a connection line: a connection was opened or closed, or its subscriptions changed."""

    def books(self) -> Iterable[KeptBook]:
        """Return the books of the open connections after the last message.

        They are live objects, which the next message changes.
        """
        return ()


class Decimals(NamedTuple):
    """Decimal types of prices and sizes in the tables `books`, `book_changes`, `quotes`.

    Each is (number of digits, decimals among them), with at most 38 digits.
    """

    price: tuple[int, int] = (38, 18)
    size: tuple[int, int] = (38, 18)


WIDEST = Decimals()


def no_keys(texts: Sequence[Any]) -> tuple[str, ...]:  # noqa: ARG001  (a venue's interface)
    """Return no keys, for feeds of which archives of schema 1 have no connections."""
    return ()


@dataclass(frozen=True)
class Feed:
    """Declaration of a feed: what is archived under one name of a venue, and what is made of it."""

    # tables made in addition to `gaps`: books, book_changes, trades, quotes, reference_prices, ...
    tables: tuple[str, ...] = ()
    # creates the maker of table rows for one run; None: the feed has no tables
    rows: Callable[[], RowMaker] | None = None
    # increased when `rows` makes other rows of the same messages; all tables are then made again
    rows_version: int = 1
    decimals: Decimals = WIDEST
    # lowest and highest plausible price of its books; None: not checked
    price_range: tuple[int, int] | None = None
    books_per_market: int = 1  # a second of a market is observed once so many of its books have come
    # a book with a greater `age_ms` does not count as observed; None: any age counts
    age_max_ms: int | None = None
    titles: Mapping[str, str] = field(default_factory=dict)
    """Titles of its markets in a report: topic -> title for markets named `topic:symbol`, "" -> title for
    others. Without titles a report says venue and feed."""
    # one sequence number counts the books of all markets of a connection, so a missing one shows
    is_numbered: bool = False
    # True: received as answers to requests; False: sent on a socket or fetched by a page
    is_polled: bool = False
    has_markets: bool = False  # True: its answers contain markets, for the market master
    rowless: frozenset[str] = frozenset()  # keys of its connections that appear in no table
    market_mark: bytes = b""  # bytes in each of its frames that speaks of markets; b"": none does
    keys: Callable[[Sequence[Any]], tuple[str, ...]] = no_keys
    """Returns the keys that texts of a connection line subscribe, each text as sent or decoded. Needed for
    archives of schema 1, whose lines do not list the keys."""


@dataclass(frozen=True)
class MarketFacts:
    """The facts of a market: its asset, and when it opens and ends (wall clock, ns); None: unknown."""

    asset: str | None = None
    start_ns: int | None = None
    end_ns: int | None = None


def no_facts(name: str) -> MarketFacts:  # noqa: ARG001  (a venue's interface)
    """Return no facts, for venues whose market names imply none."""
    return MarketFacts()


def no_next_page(query: Query, parsed: Parsed) -> Query | None:  # noqa: ARG001  (a venue's interface)
    """Return None, for venues whose answers have no further pages."""
    return None


def no_headers(query: Query, now_ns: int) -> Mapping[str, str]:  # noqa: ARG001  (a venue's interface)
    """Return no headers, for venues that require none."""
    return {}


@dataclass(frozen=True)
class Venue:
    """Declaration of a venue: everything that the venue-neutral packages need to know of it.

    A package `marketarchive/venues/<name>` assigns it to `VENUE` in its module `venue`, where it is
    discovered.
    """

    name: str
    feeds: Mapping[str, Feed]
    parse: Callable[[Received], Parsed]
    """Parses a frame, or an answer that `judge` accepts. Raises ParseError."""
    next_page: Callable[[Query, Parsed], Query | None] = no_next_page
    judge: Callable[[Answered], Failure | None] = judge_status
    headers: Callable[[Query, int], Mapping[str, str]] = no_headers
    """Returns the headers of a request for an attempt at a wall time (ns), such as a signature or a
    version."""
    market_facts: Callable[[str], MarketFacts] = no_facts
    """Returns what the name of a market (a slug, a ticker) implies; no facts for a name of another venue."""
    probe: Probe | None = None
    catalogue: Catalogue | None = None
    perps: Perps | None = None
    addresses: tuple[Address, ...] = ()
