"""The notebook's view of an archive: frames of what was observed, and of what was missing."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketarchive.exceptions import ArchiveError, ArgumentError
from marketarchive.invocation import command
from marketarchive.master.fields import microseconds
from marketarchive.research import views
from marketarchive.research.book_at import BookAt
from marketarchive.research.books_at import books_of
from marketarchive.research.engine import connect, of_feeds, reading_tables, require, run, stored, text
from marketarchive.research.fills import Fill, fill, latency_ns, side_of, size_of
from marketarchive.research.labels.label import Label
from marketarchive.research.labels.label_files import read_labels
from marketarchive.research.many import books_table, fills_table, moments_of, orders_of
from marketarchive.research.names import master_rows
from marketarchive.research.overlay import overlay
from marketarchive.research.pandas_frames import TRUTHS, labels_table, markets_table, rounds_table
from marketarchive.research.products import table_of
from marketarchive.research.products.updown.canonical.columns import COLUMNS, HINDSIGHT, Clock
from marketarchive.research.products.updown.canonical.dataset import canonical, is_partitioned, stored_files
from marketarchive.research.recorders import recorders
from marketarchive.research.results import Frames, Results
from marketarchive.research.selection import (
    OneOrMany,
    Wanted,
    check,
    check_feeds,
    check_one_venue,
    check_rows,
    columns_of,
    conditions,
    feeds_given,
    span,
    token_of,
    wanted,
)
from marketarchive.research.tables import gap_scope, schemas
from marketarchive.research.tables.copies import CAUSES
from marketarchive.research.tables.normalize import bring_gaps_up_to_date, bring_up_to_date
from marketarchive.research.tables.partitions import days, feeds, feeds_with
from marketarchive.research.tables.simultaneous import around, simultaneous
from marketarchive.research.tables.soundness import CROSSED
from marketarchive.research.views import Moment, ns, sql_list
from marketarchive.times import DAY, SECOND, utc

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

_BOOK = {
    "best_bid": "best_bid",
    "best_bid_size": "best_bid_size",
    "best_ask": "best_ask",
    "best_ask_size": "best_ask_size",
    "mid": "(best_bid + best_ask) * 0.5",
    "spread": "best_ask - best_bid",
    "bid_depth": "bid_depth",
    "ask_depth": "ask_depth",
}
_QUOTE = {name: _BOOK[name] for name in ("best_bid", "best_ask", "mid", "spread")}
_TRADE = {name: name for name in ("price", "size", "fee_rate_bps")}
_WHAT = {
    "time": "received_at",
    "event_time": "event_time",
    "market": "coalesce(slug, market)",
    "market_id": "market",
    **{name: name for name in ("outcome", "asset", "token")},
}
_SUBJECT = "market, asset, token"
"""Columns that together name the book or market that a row is about."""
_OF_A_GAP = ("venue", "feed", "run", "connection", "received_at")
"""Columns of a row that decide which recorded gaps concern it."""
_PLACE = ("venue", "feed", "run", "seq", "connection", "index", "position")
_CLOCKS_DIFFER_NS = 60 * SECOND
"""Greatest lead of a venue's clock over ours: a trade may be dated so much later than its receipt."""


class Archive:
    """Archive of one OUTPUT_DIR, read as data frames.

    Each method first makes the tables that are not up to date, from sealed segments only. Tables that an
    earlier version of the program made are read as they are, with a warning.

    Every frame has the rows with `start` <= time < `end`, and a column's name means the same in all frames.
    `time` comes first, in UTC and microseconds: the receipt of a message, or the beginning of a round, day or
    gap. `market` is the slug, or the venue's id of a market without one; `market_id` is the venue's id.

    Arguments choose rows, each by one name or a list of names: `market` by slug or id, `asset` by the
    underlying ("BTC"), `token` by one outcome of a market that has a book per outcome, `venue` by name.
    Amounts are floats, with `exact` Arrow's decimals. `columns`, one name or a list, are all that is read and
    returned, in the given order. A name that nothing in the archive has, or a `start` after `end`, raises
    ArgumentError.

    `gap_before` is true where a recorded gap lies between a row and the previous row of the same token in the
    frame: no value may be carried forward across it. `attrs["gaps"]` lists the recorded gaps that concern the
    requested rows, as dicts with times in ISO 8601; their `run` and `seq` find them in `gaps()`. An Arrow
    table has the list as JSON in its metadata "gaps", a DuckDB relation has no list.
    """

    def __init__(
        self,
        path: str | Path = "pipelines_out",
        *,
        master_url: str | None = None,
        cache: str | Path | None = None,
        frames: Frames = "pandas",
    ) -> None:
        """Open the archive in the folder `path`, an OUTPUT_DIR. Raises ArgumentError, ConfigurationError.

        frames: what methods return rows as: "pandas" frames, "arrow" tables, or "duckdb" relations, which are
        computed when they are read, and spill to the disk where memory does not suffice. master_url:
        SQLAlchemy URL of the market master, by default of the SQLite file in the archive. cache: a folder for
        everything derived, so that the archive itself is only read. Without a cache, an archive that cannot
        be written, such as a snapshot or a share, has its tables in a temporary folder, made again each time.
        """
        require()
        archive = Path(path).expanduser().absolute()
        self._master_url = master_url
        self._results = Results(frames)
        self._is_former_reported = False
        if not archive.is_dir():
            raise ArgumentError(f"there is no folder {archive}")
        if cache is None and not os.access(archive, os.W_OK):
            cache = tempfile.mkdtemp(prefix="marketarchive-")
            user = type(self) if self._results.is_lazy else self  # a relation may outlive its archive
            weakref.finalize(user, shutil.rmtree, cache, ignore_errors=True)
            warnings.warn(
                f"{archive} cannot be written: tables are made in a temporary folder, and again each time; "
                "Archive(..., cache=FOLDER) keeps them",
                stacklevel=2,
            )
        self.root = archive if cache is None else overlay(archive, Path(cache).expanduser().absolute())

    def __getattr__(self, name: str) -> Callable[..., pd.DataFrame]:
        """Return the method of a product, e.g. `pairs()`: see `marketarchive.research.products`."""
        table = table_of(name)
        if table is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

        @wraps(table)
        def frame(*given: Any, columns: OneOrMany = None, **named: Any) -> pd.DataFrame:
            return self._results.of_table(table(self.root, self._master_url, *given, **named), columns)

        return frame

    def days(self, start: Moment = None, end: Moment = None) -> Iterator[tuple[datetime, datetime]]:
        """Yield (start, end) of each UTC day on which something was received, clipped to `start` and `end`.

        Reading a frame per day keeps only one day in memory, however many there are.
        """
        first, last = span(start, end)
        for day in days(self.root, first, last):
            begins = day if first is None else max(day, first)
            yield utc(begins), utc(day + DAY if last is None else min(day + DAY, last))

    def books(
        self,
        market: OneOrMany = None,
        asset: OneOrMany = None,
        token: OneOrMany = None,
        start: Moment = None,
        end: Moment = None,
        *,
        venue: OneOrMany = None,
        feed: OneOrMany = None,
        levels: bool = False,
        exact: bool = False,
        distinct: bool = False,
        columns: OneOrMany = None,
    ) -> pd.DataFrame:
        """Return one row per snapshot of a book received, polled or streamed, by time of receipt.

        Prices are dollars per share, sizes and depths shares; what an empty side lacks is null. levels: adds
        `bids` and `asks`, best first, each a list of {price, size} in Decimal. distinct: keeps only the first
        receipt of each state of a book (token, event_time, hash), and every state that has no hash.
        """
        marks = ("verified", "recipe", "is_sorted", "is_crossed", "is_in_range", "is_positive")
        shown = _WHAT | _amounts(_BOOK, exact=exact) | _as_stored("bid_levels", "ask_levels", *marks)
        shown |= {"age_s": "age_ms / 1000"} | _as_stored("gap_before", "hash", "route", *_PLACE)
        known = shown | _as_stored("bids", "asks")
        chosen = columns_of(columns, known) if columns is not None else list(known if levels else shown)
        order = "ORDER BY received_at, run, seq, index, position"
        state = f"PARTITION BY venue, {_SUBJECT}, event_time, hash {order}"
        only = f"QUALIFY hash IS NULL OR row_number() OVER ({state}) = 1" if distinct else ""
        given = wanted(market=market, asset=asset, token=token, venue=venue, feed=feed)
        return self._rows("books", given, span(start, end), known, chosen, only=only)

    def quotes(
        self,
        market: OneOrMany = None,
        asset: OneOrMany = None,
        token: OneOrMany = None,
        start: Moment = None,
        end: Moment = None,
        *,
        venue: OneOrMany = None,
        exact: bool = False,
        columns: OneOrMany = None,
    ) -> pd.DataFrame:
        """Return one row per change of the best bid or ask on a connection, by time of receipt.

        Unsound states are included: `verified` is the verdict on the state of the book, `is_crossed` says
        that bid and ask overlap or touch.
        """
        known = _WHAT | _amounts(_QUOTE, exact=exact) | {"verified": "verified", "is_crossed": CROSSED}
        known |= _as_stored("source", "gap_before", *_PLACE)
        given = wanted(market=market, asset=asset, token=token, venue=venue)
        return self._rows("quotes", given, span(start, end), known, columns_of(columns, known))

    def trades(
        self,
        market: OneOrMany = None,
        asset: OneOrMany = None,
        token: OneOrMany = None,
        start: Moment = None,
        end: Moment = None,
        *,
        venue: OneOrMany = None,
        source: OneOrMany = None,
        exact: bool = False,
        columns: OneOrMany = None,
    ) -> pd.DataFrame:
        """Return one row per trade and feed, by time of its first receipt; `side` is the taker's.

        A trade that was first received before `start` is left out, so adjacent time ranges have each trade
        once. A trade that both the socket and the Data API reported has a row in each feed: choose by
        `source` ("market_channel"; "v2/trades", "trades").
        """
        given = wanted(market=market, asset=asset, token=token, venue=venue, source=source)
        first, last = span(start, end)
        identity = ("trade_id", "transaction_hash", "number", "wallet", "source")
        known = _WHAT | {"side": "side"} | _amounts(_TRADE, exact=exact)
        known |= _as_stored(*identity, "gap_before", *_PLACE)
        chosen = columns_of(columns, known)
        since = None if first is None else self._oldest_trade(given, first, last)
        only = f"QUALIFY {views.IS_FIRST_TRADE}"
        return self._rows("trades", given, (first, last), known, chosen, only=only, since=since)

    def reference(
        self,
        symbol: OneOrMany = None,
        asset: OneOrMany = None,
        topic: OneOrMany = None,
        start: Moment = None,
        end: Moment = None,
        *,
        venue: OneOrMany = None,
        exact: bool = False,
        distinct: bool = False,
        columns: OneOrMany = None,
    ) -> pd.DataFrame:
        """Return one row per reference price received, by time of receipt.

        `event_time` is when the price was observed. `symbol` is written as the venue does ("btc/usd"),
        `asset` is "BTC". distinct: keeps only the first receipt of each observation, which a subscription may
        repeat or two connections may both receive.
        """
        first, last = span(start, end)
        given = wanted(symbol=symbol, asset=asset, topic=topic, venue=venue)
        check_feeds(given, feeds(self.root))
        order = "ORDER BY received_at, run, seq, index"
        point = f"PARTITION BY venue, topic, symbol, asset, event_time, value {order}"
        shown = {"time": "received_at"}
        shown |= _as_stored("event_time", "published_at", "topic", "symbol", "asset", "instrument")
        shown |= _amounts({name: name for name in ("value", "bid", "ask")}, exact=exact)
        shown |= _as_stored("window_s", "is_backfill", "gap_before", *_PLACE[:-1])
        chosen = {name: shown[name] for name in columns_of(columns, shown)}
        of_table = sorted(feeds_with("reference_prices"))
        shared = self._bring_rows_up_to_date(of_table, "reference_prices", first, last)
        with self._connected() as connection:
            known = views.view_names(connection, self.root, self._master_url)
            views.view_plain(connection, self.root, "reference_prices", first, last)
            views.merge_copies(
                connection, self.root, "reference_prices", shared, (first, last), where=conditions(given)
            )
            where = _all_of([*conditions(given), *views.received(first, last)])
            only = f"QUALIFY event_time IS NULL OR row_number() OVER ({point}) = 1" if distinct else ""
            subject, names = "topic, symbol, asset", gap_scope.SYMBOL_NAMES
            _choose(
                connection,
                "reference_prices",
                f"(SELECT * FROM reference_prices WHERE {where} {only})",
                "received_at, topic, symbol, run, seq, index",
                [subject, names, *conditions(given), *chosen.values()],
            )
            check_rows(connection, self.root, "reference_prices", "chosen", given, known)
            return self._frame(
                connection, chosen, of_table, (first, last), given, subject=subject, names=names
            )

    def coverage(
        self,
        market: OneOrMany = None,
        feed: OneOrMany = None,
        start: Moment = None,
        end: Moment = None,
        *,
        asset: OneOrMany = None,
        venue: OneOrMany = None,
        columns: OneOrMany = None,
    ) -> pd.DataFrame:
        """Return one row per feed, market and UTC day that touches `start` <= time < `end`.

        `time` is the beginning of the day. Columns count its tracked seconds, and how many of them were
        observed, quiet, gapped, unknown. For reference prices `market` is topic:symbol.
        """
        first, last = span(start, end)
        given = wanted(market=market, asset=asset, venue=venue, feed=feed)
        check_feeds(given, feeds(self.root))
        self._bring_up_to_date(sorted(feeds_with("coverage")), ("coverage",), first, last)
        with self._connected() as connection:
            known = views.view_names(connection, self.root, self._master_url)
            views.view_plain(connection, self.root, "coverage", first, last)
            run(
                connection,
                f"CREATE TEMP TABLE chosen AS SELECT * FROM coverage WHERE {_all_of(conditions(given))}",
            )
            check_rows(connection, self.root, "coverage", "chosen", given, known)
            rows = """SELECT date::TIMESTAMPTZ AS time, venue, feed, coalesce(slug, market) AS market,
                market AS market_id, * EXCLUDE (date, venue, feed, market, slug) FROM chosen"""
            order = "time, venue, feed, first_tracked, market"
            return self._results.of_rows(connection, rows, order, columns)

    def canonical(
        self,
        market: OneOrMany = None,
        asset: OneOrMany = None,
        start: Moment = None,
        end: Moment = None,
        *,
        features_only: bool = False,
        columns: OneOrMany = None,
    ) -> pd.DataFrame:
        """Return one row per second of each labelled round whose day touches `start` <= time < `end`.

        The day is the UTC day on which the round starts.

        By default rows are on the observation clock (what was valid at the venue then), with labels.
        features_only: rows are on the received clock (what a live reader knew then), without the columns that
        are only known afterwards (settlement, Y, gap).

        The dataset files are first brought up to date with the options they were made with: `--carry`, and by
        day where they are `--partitioned` and not one file.
        """
        given = wanted(market=market, asset=asset)
        return self._canonical(given, span(start, end), columns, features_only=features_only)

    def _canonical(
        self,
        given: Wanted,
        times: tuple[int | None, int | None],
        columns: OneOrMany,
        *,
        features_only: bool,
        only: str = "true",
    ) -> pd.DataFrame:
        """Return the rows of `canonical` that fulfil the SQL condition `only`; times: its bounds in ns."""
        clock: Clock = "received" if features_only else "observation"
        first, last = times
        labels = read_labels(self.root)
        names = {each.market_id: dict(_all_names_of(each)) for each in labels}
        for name, chosen in given.items():
            check(name, chosen, {value for of in names.values() for value in of[name]})
        done = canonical(
            self.root,
            first,
            last,
            clock=clock,
            partitioned=is_partitioned(self.root, clock),
            master_url=self._master_url,
        )
        files = stored_files(self.root, done.path)
        if not files:
            raise ArchiveError(
                f"there is no canonical dataset: run `{command('ground-truth', root=self.root)}` first"
            )
        shown = [
            f"{name}::BOOLEAN AS {name}" if name in TRUTHS else f"stored.{name}"
            for name in COLUMNS
            if name not in ("time", "market_id") and (not features_only or name not in HINDSIGHT)
        ]
        of_days = [
            each.market_id
            for each in labels
            if all(not names[each.market_id][name].isdisjoint(chosen) for name, chosen in given.items())
            and (first is None or each.start_ns // DAY * DAY + DAY > first)
            and (last is None or each.start_ns // DAY * DAY < last)
        ]
        with self._connected() as connection:
            connection.register("rounds", rounds_table(labels))
            rows = f"""SELECT rounds.start + to_seconds(t) AS time, slug AS market, rounds.market_id, venue,
                    {", ".join(shown)}
                FROM {stored(*files)} AS stored JOIN rounds ON rounds.slug = stored.market_id
                WHERE slug IN ({sql_list(of_days or "")}) AND {only}"""
            return self._results.of_rows(connection, rows, "time - to_seconds(t), market, t", columns)

    def as_of(self, t: Moment, *, columns: OneOrMany = None) -> pd.DataFrame:
        """Return the row of each labelled round open at `t`, as known live at the last whole second."""
        at = ns(t)
        if at is None:
            raise ArgumentError("as_of needs a time")
        second = at // SECOND
        ages = {
            each.market_id: second - each.start_ns // SECOND
            for each in read_labels(self.root)
            if each.start_ns <= second * SECOND <= each.end_ns
        }
        first = min((second - age for age in ages.values()), default=second)
        rows = ", ".join(f"({text(name)}, {age})" for name, age in ages.items())
        return self._canonical(
            wanted(market=list(ages) or None),
            (first * SECOND, at + 1000),
            columns,
            features_only=True,
            only=f"(slug, t) IN ({rows})" if ages else "false",
        )

    def book_at(
        self,
        token: str,
        t: Moment,
        *,
        outcome: str | None = None,
        venue: OneOrMany = None,
        exact: bool = False,
    ) -> BookAt | None:
        """Return the book of a token as received by `t`; None before its first snapshot.

        token: a token, or a market by slug or venue's id: then the book is that of its first outcome (Up,
        Yes), or of `outcome`. venue: needed where several venues use the name. exact: levels are Decimal,
        else float.

        The book is replayed from the last snapshot of the connection that has the newest data. Its `gap` is
        true where something may be missing between that data and `t`. Raises ArgumentError.
        """
        at = ns(t)
        if at is None:
            raise ArgumentError("book_at needs a time")
        [(_, book)] = self._books([(token, at)], outcome, venue)
        return book if book is None or exact else book.as_floats()

    def books_at(
        self,
        token: OneOrMany,
        times: Iterable[Moment] | Moment,
        *,
        levels: int = 0,
        outcome: str | None = None,
        venue: OneOrMany = None,
        columns: OneOrMany = None,
    ) -> pd.DataFrame:
        """Return the book of each token at each time as a row, by `time`, then in the given order of tokens.

        Each book is replayed once for all times. token, times: one or many; tokens are named as in `book_at`;
        venue: likewise, of all of them.
        `received_at`, `verified`, `is_tracked` and `gap` are those of the book; before its first snapshot
        they are null, but `is_tracked` is false and `gap` true. levels: this many levels of `bids` and
        `asks`, best first, each side a list of {price, size}; 0 adds no such columns.
        """
        listed = sorted(moments_of(times))
        given = wanted(token=token).get("token")
        if given is None or not listed:
            raise ArgumentError("books_at needs a token and a time")
        requests = [(name, at) for at in listed for name in given]
        books = self._books(requests, outcome, venue)
        found = [(at, *each) for (_, at), each in zip(requests, books, strict=True)]
        return self._results.of_table(books_table(found, levels), columns)

    def fills(
        self,
        token: OneOrMany,
        side: OneOrMany,
        size: Iterable[Decimal | float | str] | Decimal | float | str,
        at: Iterable[Moment] | Moment,
        *,
        latency: timedelta | float = 0,
        outcome: str | None = None,
        venue: OneOrMany = None,
        columns: OneOrMany = None,
    ) -> pd.DataFrame:
        """Return the fill of each of many market orders as a row, in the order of the orders.

        Each argument is one value for all orders, or one per order; they mean the same as in `fill`. `time`
        is `at` + `latency`: the moment whose book the order meets. `value` is in dollars, `average` and
        `worst` in dollars per share, null where nothing was filled; `gap` is true where the book was not
        known.
        """
        orders = orders_of(token, side, size, at)
        delay = latency_ns(latency)
        requests = [(order.token, order.at + delay) for order in orders]
        books = self._books(requests, outcome, venue)
        made = []
        for order, (_, moment), (name, book) in zip(orders, requests, books, strict=True):
            age = None if book is None else utc(moment) - book.received_at
            made.append((moment, fill(name, order.side, order.size, book, age)))
        return self._results.of_table(fills_table(made), columns)

    def _books(
        self, requests: Sequence[tuple[str, int]], outcome: str | None, venue: OneOrMany
    ) -> list[tuple[str, BookAt | None]]:
        """Return (token, book) of each request (token or market, ns); None before its first snapshot.

        venue: of the tokens; None is the one that has them.
        """
        given = wanted(venue=venue)
        check_feeds(given, feeds(self.root))
        venues = given.get("venue")
        if not requests:
            return []
        times = [at for _, at in requests]
        first, last = min(times) - DAY, max(times) + 1000  # a book is written at least once a segment
        of_books = sorted(feed for feed in feeds_with("books") if venues is None or feed[0] in venues)
        self._bring_up_to_date(of_books, ("books", "book_changes", "coverage"), first, last)
        shared = self._bring_gaps_up_to_date(of_books, first, last)
        with reading_tables(), closing(self._connect()) as connection:
            known = views.view_names(connection, self.root, self._master_url)
            for table in ("books", "book_changes"):
                views.view_rows(connection, self.root, table, first, last, venues=venues)
            views.view_plain(connection, self.root, "coverage", min(times), last)
            views.view_gaps(connection, self.root, first, last, is_named=True)
            views.close_gaps(connection, self.root, shared, first, last)
            tokens = {
                name: token_of(connection, self.root, known, name, outcome, venues)
                for name in dict.fromkeys(name for name, _ in requests)
            }
            check_one_venue(connection, set(tokens.values()))
            of_tokens = [(tokens[name], at) for name, at in requests]
            found = dict(books_of(connection, of_tokens))
            return [(token, found[place]) for place, (token, _) in enumerate(of_tokens)]

    def book_changes(
        self,
        market: OneOrMany = None,
        asset: OneOrMany = None,
        token: OneOrMany = None,
        start: Moment = None,
        end: Moment = None,
        *,
        venue: OneOrMany = None,
        exact: bool = False,
        columns: OneOrMany = None,
    ) -> pd.DataFrame:
        """Return one row per book level that a message set, by time of receipt; size 0 removes the level.

        `side` is BUY for bids; `best_bid` and `best_ask` are those that the message states, null where it
        states none. `is_stale` marks a delta older than the book held: it changes nothing.
        """
        amounts = {name: name for name in ("price", "size", "best_bid", "best_ask")}
        known = _WHAT | {"side": "side"} | _amounts(amounts, exact=exact)
        known |= _as_stored("is_stale", "verified", "gap_before", "hash", *_PLACE)
        given = wanted(market=market, asset=asset, token=token, venue=venue)
        return self._rows("book_changes", given, span(start, end), known, columns_of(columns, known))

    def gaps(
        self,
        feed: OneOrMany = None,
        start: Moment = None,
        end: Moment = None,
        *,
        venue: OneOrMany = None,
        columns: OneOrMany = None,
    ) -> pd.DataFrame:
        """Return one row per recorded gap that touches `start` <= time < `end`, by its beginning.

        `time` is its beginning, as is `from`. `to` is null where the end is not known (a crash): until the
        next line of that feed and scope. Subjects that the JSON `scope` names are also in columns of their
        own. No row means that no gap was recorded; for a time when nothing ran this proves nothing.
        """
        first, last = span(start, end)
        given = wanted(venue=venue, feed=feed)
        check_feeds(given, feeds(self.root))
        self._bring_up_to_date(feeds(self.root), ("gaps",), first, None)
        with self._connected() as connection:
            views.view_names(connection, self.root, self._master_url)
            views.view_gaps(connection, self.root, first, last, is_named=True)
            rows = f'SELECT "from" AS time, * FROM gaps WHERE {_all_of(conditions(given))}'
            return self._results.of_rows(connection, rows, "time, venue, feed, run, seq", columns)

    def recorders(
        self,
        feed: OneOrMany = None,
        start: Moment = None,
        end: Moment = None,
        *,
        venue: OneOrMany = None,
        columns: OneOrMany = None,
    ) -> pd.DataFrame:
        """Return two rows per pair of runs that recorded a feed at the same time: what each of them missed.

        From `time` until `until` both runs recorded the feed. `both` counts messages that both received;
        `missed` those that run `other` received and `run` did not, in markets that both had. `gapped_s` is
        the seconds of recorded gaps of `run`, summed over markets, `closed_s` those of them that other runs
        prove complete.
        """
        first, last = span(start, end)
        given = wanted(venue=venue, feed=feed)
        check_feeds(given, feeds(self.root))
        found = recorders(self.root, first, last, master_url=self._master_url)
        with closing(self._connect()) as connection:
            connection.register("recorders", found)
            chosen = connection.sql(
                f"FROM recorders WHERE {_all_of(conditions(given))} ORDER BY time, venue, feed, run, other"
            ).to_arrow_table()
        return self._results.of_table(chosen, columns)

    def fill(
        self,
        token: str,
        side: str,
        size: Decimal | float | str,
        at: Moment,
        *,
        latency: timedelta | float = 0,
        outcome: str | None = None,
        venue: OneOrMany = None,
    ) -> Fill:
        """Return the fill of a market order of `size` shares: "buy" walks the asks, "sell" the bids.

        token, outcome, venue: as in `book_at`; latency: seconds or a timedelta.

        The book is the one that a live reader knew at `at` + `latency`, by time of receipt. The order does
        not move the book, and fees are not counted. Only the fill's `gap`, whether a recorded gap reaches
        that moment, uses hindsight. Raises ArgumentError.
        """
        moment, way, shares = ns(at), side_of(side), size_of(size)
        if moment is None:
            raise ArgumentError("fill needs a time")
        known = utc(moment + latency_ns(latency))
        book = self.book_at(token, known, outcome=outcome, venue=venue, exact=True)
        return fill(
            token if book is None else book.token,
            way,
            shares,
            book,
            None if book is None else known - book.received_at,
        )

    def labels(
        self,
        market: OneOrMany = None,
        asset: OneOrMany = None,
        duration: OneOrMany = None,
        start: Moment = None,
        end: Moment = None,
        *,
        venue: OneOrMany = None,
        exact: bool = False,
        columns: OneOrMany = None,
    ) -> pd.DataFrame:
        """Return one row per label of `scrapy ground-truth` as made last.

        A label is included if its round touches `start` <= time < `end`; `time` is when the round starts.
        `strike_e18` and `settlement_e18` are the prices as exact integers of 10**-18 dollars.
        """
        first, last = span(start, end)
        given = wanted(market=market, asset=asset, duration=duration, venue=venue)
        labels = [(each, dict(_all_names_of(each))) for each in read_labels(self.root)]
        for name, names in given.items():
            check(name, names, {value for _, of in labels for value in of[name]})
        found = [
            each
            for each, of in labels
            if all(not of[name].isdisjoint(names) for name, names in given.items())
            and _touches(each.start_ns, each.end_ns, first, last)
        ]
        return self._results.of_table(labels_table(found, exact=exact), columns)

    def markets(
        self,
        asset: OneOrMany = None,
        duration: OneOrMany = None,
        start: Moment = None,
        end: Moment = None,
        *,
        venue: OneOrMany = None,
        exact: bool = False,
        columns: OneOrMany = None,
    ) -> pd.DataFrame:
        """Return the markets of the market master, as known now.

        A market is included if the time between its start and end touches `start` <= time < `end`; one whose
        times are unknown only if neither bound is given. Raises MasterError.
        """
        first, last = span(start, end)
        given = wanted(asset=asset, duration=duration, platform=venue)
        rows = list(master_rows(self.root, self._master_url))
        for name, names in given.items():
            check("venue" if name == "platform" else name, names, {row[name] for row in rows})
        found = [
            row
            for row in rows
            if all(row[name] in names for name, names in given.items())
            and _touches(_ns_of(row["start_at"]), _ns_of(row["end_at"]), first, last)
        ]
        return self._results.of_table(markets_table(found, exact=exact), columns)

    def _connect(self) -> duckdb.DuckDBPyConnection:
        return connect(self.root / "tables" / ".spill")

    @contextmanager
    def _connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a DuckDB connection; close it afterwards, unless a returned relation needs it."""
        connection = self._connect()
        try:
            with reading_tables():
                yield connection
        except BaseException:
            connection.close()
            raise
        if not self._results.is_lazy:
            connection.close()

    def _bring_up_to_date(
        self,
        wanted: Iterable[tuple[str, str]],
        tables: Sequence[str],
        first: int | None,
        last: int | None,
    ) -> None:
        done = bring_up_to_date(self.root, set(wanted), tables, first, last, master_url=self._master_url)
        if done.former and not self._is_former_reported:
            self._is_former_reported = True
            warnings.warn(
                f"{done.former[0]} and perhaps others were made by an earlier version: columns that it did "
                f"not have are null; `{command('normalize', root=self.root)}` makes them again",
                stacklevel=4,
            )

    def _bring_rows_up_to_date(
        self, wanted: Sequence[tuple[str, str]], table: str, first: int | None, last: int | None
    ) -> set[tuple[str, str]]:
        """Bring a table and what merging its copies needs up to date; return the feeds recorded twice.

        wanted: (venue, feed)s; first, last: receipt in ns, None for no bound.
        """
        self._bring_up_to_date(wanted, (table,), first, last)
        shared = simultaneous(self.root, first, last) & set(wanted)
        if shared:
            tables = (table, *CAUSES) if table == "quotes" else (table,)
            self._bring_up_to_date(shared, tables, *around(first, last))
        return shared

    def _bring_gaps_up_to_date(
        self, wanted: Iterable[tuple[str, str]], first: int | None, last: int | None
    ) -> set[tuple[str, str]]:
        """Bring gaps and the tables that close them up to date; return the feeds that two runs recorded.

        wanted: (venue, feed)s; first, last: ns, None for no bound.
        """
        return bring_gaps_up_to_date(self.root, set(wanted), first, last, master_url=self._master_url)

    def _oldest_trade(self, given: Wanted, first: int, last: int | None) -> int:
        """Return the earliest possible receipt (ns) of trades that were received in `first` <= time < `last`.

        A trade may have been received before `first` already, but hardly before it was made.
        """
        self._bring_up_to_date(sorted(feeds_with("trades")), ("trades",), first, last)
        with reading_tables(), closing(self._connect()) as connection:
            views.view_names(connection, self.root, self._master_url)
            views.view_rows(connection, self.root, "trades", first, last)
            where = _all_of([*conditions(given), *views.received(first, last)])
            [(oldest,)] = run(connection, f"SELECT epoch_us(min(event_time)) FROM trades WHERE {where}")
        return first if oldest is None else min(first, oldest * 1000 - _CLOCKS_DIFFER_NS)

    def _rows(
        self,
        table: str,
        given: Wanted,
        times: tuple[int | None, int | None],
        known: Mapping[str, str],
        columns: Sequence[str],
        *,
        only: str = "",
        since: int | None = None,
    ) -> pd.DataFrame:
        """Return the chosen rows of a table whose rows name markets, such as `books`, `quotes`, `trades`.

        given: names that choose rows; times: bounds of the receipt in ns; known: SQL of each column; columns:
        those that are wanted; only: a QUALIFY clause, computed over the rows received since `since` (ns), by
        default since the beginning of `times`.
        """
        check_feeds(given, feeds(self.root))
        first, last = times
        of_table = sorted(feeds_with(table))
        earliest = first if since is None else since
        shared = self._bring_rows_up_to_date(of_table, table, earliest, last)
        chosen = {name: known[name] for name in columns}
        with self._connected() as connection:
            names = views.view_names(connection, self.root, self._master_url)
            views.view_rows(connection, self.root, table, earliest, last)
            views.merge_copies(
                connection, self.root, table, shared, (earliest, last), where=conditions(given)
            )
            where = _all_of([*conditions(given), *views.received(earliest, last)])
            _choose(
                connection,
                table,
                f"(SELECT * FROM {table} WHERE {where} {only}) WHERE {_all_of(views.received(first, last))}",
                "received_at, token, run, seq, index, position",
                [_SUBJECT, gap_scope.MARKET_NAMES, *conditions(given), *chosen.values()],
            )
            check_rows(connection, self.root, table, "chosen", given, names)
            return self._frame(
                connection,
                chosen,
                of_table,
                times,
                given,
                subject=_SUBJECT,
                names=gap_scope.MARKET_NAMES,
            )

    def _frame(
        self,
        connection: duckdb.DuckDBPyConnection,
        columns: Mapping[str, str],
        of_table: Sequence[tuple[str, str]],
        times: tuple[int | None, int | None],
        given: Wanted,
        *,
        subject: str,
        names: str,
    ) -> pd.DataFrame:
        """Return the rows of the table `chosen` in order, with the recorded gaps that concern them.

        columns: SQL by name; times: bounds in ns; subject, names: as in `views.after_a_gap`.
        """
        shared = self._bring_gaps_up_to_date(of_table, *times)
        views.view_gaps(connection, self.root, *times, is_named=True)
        views.close_gaps(connection, self.root, shared, *times)
        is_after = {"gap_before": f"place IN ({views.after_a_gap(subject, names)})"}
        listed = ", ".join(f"{is_after.get(name, formula)} AS {name}" for name, formula in columns.items())
        query = f"SELECT {listed} FROM chosen ORDER BY place"
        concerned = views.gaps_of_chosen(names, [name for of in given.values() for name in of])
        missing = f"""SELECT DISTINCT * EXCLUDE (open_for) FROM gaps
            WHERE {of_feeds(of_table)}
            AND {_all_of(conditions(feeds_given(given)))} AND {concerned if given else "true"}
            ORDER BY "from", run, seq"""
        return self._results.of_query(connection, query, missing)


def _amounts(formulas: Mapping[str, str], *, exact: bool) -> dict[str, str]:
    return {name: f"({formula}){'' if exact else '::DOUBLE'}" for name, formula in formulas.items()}


def _as_stored(*names: str) -> dict[str, str]:
    return {name: name for name in names}


def _choose(
    connection: duckdb.DuckDBPyConnection, table: str, rows: str, order: str, used: Iterable[str]
) -> None:
    """Create the table `chosen`: the relation `rows` (SQL), numbered as `place` by `order`.

    It has only those columns of `table` that occur in the SQL texts `used`, and those that gaps need.
    """
    words = set(re.findall(r"\w+", " ".join([*used, order, *_OF_A_GAP])))
    kept = [name for name in ("venue", "feed", *schemas.COLUMNS[table]) if name in words]
    run(
        connection,
        f"""CREATE TEMP TABLE chosen AS
            SELECT {", ".join(kept)}, row_number() OVER (ORDER BY {order}) AS place FROM {rows}""",
    )


def _all_of(where: Sequence[str]) -> str:
    return " AND ".join(where) or "true"


def _all_names_of(label: Label) -> Iterator[tuple[str, set[str]]]:
    """Yield (argument of `labels`, names by which it chooses this label)."""
    yield "market", {label.market_id, label.condition_id}
    yield "asset", {label.asset}
    yield "duration", {label.duration}
    yield "venue", {label.platform}


def _touches(begins: int | None, ends: int | None, first: int | None, last: int | None) -> bool:
    """Return whether [begins, ends) overlaps [first, last), ns; a bound of None is unlimited.

    An unknown `begins` or `ends` overlaps only what is unlimited on that side.
    """
    after = first is None or (ends is not None and ends > first)
    return after and (last is None or (begins is not None and begins < last))


def _ns_of(moment: datetime | None) -> int | None:
    return None if moment is None else microseconds(moment) * 1000
