"""The notebook's view of an archive: pandas frames of what was observed, and of what was missing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from marketarchive.clock import from_iso, iso
from marketarchive.exceptions import ArchiveError, ArgumentError
from marketarchive.research import books_query, gaps
from marketarchive.research.engine import connect, require, run, stored, text
from marketarchive.research.names import master_rows, names
from marketarchive.research.normalize import normalize
from marketarchive.research.partitions import BOOK_FEEDS, feeds, files
from marketarchive.venues.polymarket import updown

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

Moment = str | datetime | None
"""ISO 8601 text or a datetime (a pandas Timestamp is one); without an offset it is UTC."""

_BOOK_FEEDS = sorted(BOOK_FEEDS)
_AMOUNTS = {
    "best_bid": "best_bid",
    "best_bid_size": "best_bid_size",
    "best_ask": "best_ask",
    "best_ask_size": "best_ask_size",
    "mid": "(best_bid + best_ask) * 0.5",
    "spread": "best_ask - best_bid",
    "bid_depth": "bid_depth",
    "ask_depth": "ask_depth",
}
_KEPT = "bid_levels, ask_levels, verified, recipe, is_sorted, is_crossed, is_in_range, is_positive"
_IDENTITY = "hash, route, venue, feed, run, seq, position"


class Archive:
    """An OUTPUT_DIR. Tables that are not up to date are made first, from sealed segments only."""

    def __init__(self, path: str | Path = "pipelines_out", *, master_url: str | None = None) -> None:
        """`master_url`: where the market master is, by default the SQLite file in the archive."""
        require()
        self.root = Path(path).expanduser().absolute()
        self._master_url = master_url
        if not self.root.is_dir():
            raise ArgumentError(f"there is no folder {self.root}")

    def books(
        self,
        market: str | Sequence[str] | None = None,
        asset: str | None = None,
        token: str | Sequence[str] | None = None,
        start: Moment = None,
        end: Moment = None,
        *,
        levels: bool = False,
        exact: bool = False,
        distinct: bool = False,
    ) -> pd.DataFrame:
        """One row per book received in `start` <= received_at < `end`, by time of receipt.

        `market` is a slug or condition id, `asset` that of up/down rounds ("BTC"). Prices are dollars per
        share, sizes and depths shares: floats, or Decimal with `exact`; what an empty side lacks is null.
        `levels` adds `bids` and `asks`, best first, each a list of {price, size} in Decimal. `distinct` keeps
        the first receipt of each state of a book (token, event_time, hash).

        `gap_before`: since the row before it of the same token in this frame, a gap that concerns it was
        recorded; nothing may be carried across. `attrs["gaps"]` has the gaps themselves, as a list of dicts.
        """
        first, last = _ns(start), _ns(end)
        where = _times(first, last)
        if market is not None:
            given = ", ".join(map(text, _many(market)))
            where.append(f"(slug IN ({given}) OR market IN ({given}))")
        if asset is not None:
            where.append(f"asset = {text(asset)}")
        if token is not None:
            where.append(f"token IN ({', '.join(map(text, _many(token)))})")
        self._bring_up_to_date(_BOOK_FEEDS, ("books",), first, last)
        self._bring_up_to_date(_BOOK_FEEDS, ("gaps",), first, None)  # a crash is noticed long after it
        connection = connect(self.root / "tables" / ".spill")
        try:
            self._view_books(connection, first, last)
            state = "PARTITION BY venue, token, event_time, hash ORDER BY received_at, run, seq, position"
            run(
                connection,
                f"""CREATE TEMP TABLE chosen AS SELECT *, row_number() OVER (ORDER BY received_at, token, run,
                    seq, position) AS place FROM books WHERE {" AND ".join(where)}
                    {f"QUALIFY row_number() OVER ({state}) = 1" if distinct else ""}""",
            )
            self._view_gaps(connection, first, last)
            amounts = ", ".join(
                f"({formula}){'' if exact else '::DOUBLE'} AS {name}" for name, formula in _AMOUNTS.items()
            )
            frame = connection.sql(
                f"""SELECT received_at, event_time, slug, outcome, market, token, {amounts}, {_KEPT},
                    place IN ({_AFTER_A_GAP}) AS gap_before, {_IDENTITY} {", bids, asks" if levels else ""}
                    FROM chosen ORDER BY place"""
            ).to_arrow_table()
            missing = connection.sql(
                f"""SELECT * FROM gaps WHERE (venue, feed) IN ({", ".join(map(str, _BOOK_FEEDS))})
                    ORDER BY "from", run, seq"""
            ).to_arrow_table()
        finally:
            connection.close()
        found: pd.DataFrame = frame.to_pandas()
        found.attrs["gaps"] = missing.to_pylist()
        return found

    def gaps(self, feed: str | None = None, start: Moment = None, end: Moment = None) -> pd.DataFrame:
        """One row per recorded gap that touches `start` <= time < `end`, by its beginning.

        `to` is null where the end is not known: until the next line of that feed and scope (a crash). `scope`
        is JSON; `markets` and `token` are taken out of it. No row means: no gap was recorded, which for a
        time when nothing ran says nothing.
        """
        first, last = _ns(start), _ns(end)
        self._bring_up_to_date(feeds(self.root), ("gaps",), first, None)
        connection = connect()
        try:
            self._view_gaps(connection, first, last)
            where = "" if feed is None else f"WHERE feed = {text(feed)}"
            query = f'SELECT * FROM gaps {where} ORDER BY "from", venue, feed, run, seq'
            found: pd.DataFrame = connection.sql(query).to_arrow_table().to_pandas()
            return found
        finally:
            connection.close()

    def markets(self) -> pd.DataFrame:
        """Every market of the market master, as it is known now; raises MasterError."""
        import pandas as pd

        return pd.DataFrame(list(master_rows(self.root, self._master_url)))

    def _bring_up_to_date(
        self,
        wanted: Sequence[tuple[str, str]],
        tables: Sequence[str],
        first: int | None,
        last: int | None,
    ) -> None:
        present = [f"{venue}/{feed}" for venue, feed in feeds(self.root) if (venue, feed) in wanted]
        if not present:
            return
        done = normalize(self.root, present, first, last, tables=tables, master_url=self._master_url)
        if done.failed:
            path, why = next(iter(done.failed.items()))
            raise ArchiveError(f"{path} cannot be brought up to date: {why}")

    def _view_books(self, connection: duckdb.DuckDBPyConnection, first: int | None, last: int | None) -> None:
        """`books` with the columns that the files' names give, and slugs as known by now."""
        import pyarrow as pa

        known = [
            {"token": token, "slug": slug, "outcome": outcome, "asset": _asset(slug)}
            for token, (slug, outcome) in names(self.root, self._master_url).items()
        ]
        kinds = [(name, pa.string()) for name in ("token", "slug", "outcome", "asset")]
        connection.register("names", pa.Table.from_pylist(known, pa.schema(kinds)))
        run(
            connection,
            f"""CREATE VIEW books AS SELECT stored.* REPLACE (coalesce(names.slug, stored.slug) AS slug,
                coalesce(names.outcome, stored.outcome) AS outcome), names.asset AS asset
                FROM {_files(files(self.root, "books", first, last), books_query.nothing())} AS stored
                LEFT JOIN names ON names.token = stored.token""",
        )

    def _view_gaps(self, connection: duckdb.DuckDBPyConnection, first: int | None, last: int | None) -> None:
        """`gaps` that touch the time; those of a crash are noticed long after it."""
        connection.register("no_gaps", gaps.nothing())
        where = [f'"from" < {_literal(last)}'] if last is not None else ["true"]
        if first is not None:
            where.append(f'("to" IS NULL OR "to" > {_literal(first)})')
        run(
            connection,
            f"""CREATE VIEW gaps AS SELECT * EXCLUDE (date)
                FROM {_files(files(self.root, "gaps", first), "no_gaps")} WHERE {" AND ".join(where)}""",
        )


# rows between which and the row before them something was missed: by the row's own recording, or by one that
# ended there without saying until when, and no other recording saw the token meanwhile
_AFTER_A_GAP = """
    SELECT place FROM (
        SELECT place, venue, feed, run, slug, token, received_at,
               lag(received_at) OVER (PARTITION BY venue, feed, token, run ORDER BY place) AS own,
               lag(received_at) OVER (PARTITION BY venue, feed, token ORDER BY place) AS latest
        FROM chosen) AS seen
    JOIN gaps ON gaps.venue = seen.venue AND gaps.feed = seen.feed AND gaps."from" < seen.received_at
        AND CASE WHEN gaps.run = seen.run THEN coalesce(gaps."to", 'infinity') > seen.own
                 ELSE gaps."to" IS NULL AND gaps."from" >= seen.latest END
        AND (gaps.markets IS NULL OR list_contains(gaps.markets, seen.slug))
        AND (gaps.token IS NULL OR gaps.token = seen.token)"""


def _files(paths: Sequence[Path], nothing: str) -> str:
    return stored(*paths, hive=True) if paths else nothing


def _asset(slug: str) -> str | None:
    found = updown.of_slug(slug)
    return None if found is None else found[0]


def _many(given: str | Sequence[str]) -> Sequence[str]:
    return [given] if isinstance(given, str) else given


def _ns(moment: Moment) -> int | None:
    try:
        return None if moment is None else from_iso(moment if isinstance(moment, str) else moment.isoformat())
    except ValueError as error:
        raise ArgumentError(f"{moment!r} is not a time like 2026-11-21T10:15:00Z") from error


def _times(first: int | None, last: int | None) -> list[str]:
    where = [f"received_at >= {_literal(first)}"] if first is not None else []
    where += [f"received_at < {_literal(last)}"] if last is not None else []
    return where or ["true"]


def _literal(ns: int) -> str:
    return f"{text(iso(ns))}::TIMESTAMPTZ"
