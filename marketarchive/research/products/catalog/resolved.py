"""Resolved markets of the catalogue, each with the time at which it stopped being a forecast."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from marketarchive.master.known import newest_change
from marketarchive.research.exports.table import ExportRequest
from marketarchive.research.products.catalog.frame import frame, reading
from marketarchive.research.products.catalog.leaks import STATED, Text, leak_report, stated_texts
from marketarchive.research.products.catalog.observed import (
    ENDS,
    Identity,
    MarketHistory,
    SeenHeadline,
    observed,
    read_revisions,
)
from marketarchive.research.products.catalog.price_points import Cut, PricePoints, SeenPrices, portions
from marketarchive.research.products.catalog.splits import (
    first_of_each_question,
    shares_of,
    splits,
)
from marketarchive.research.products.whales.whales import whale_columns
from marketarchive.research.selection import check
from marketarchive.times import MICROSECOND, from_datetime, iso

if TYPE_CHECKING:
    import pandas as pd

AT_ONCE = 2000
"""Number of markets held in memory at a time; fewer if they have many prices."""
_PENDING = ("proposed", "disputed")
"""Values of `resolution_state` of results that may still change."""


@dataclass(frozen=True)
class ResolvedMarket:
    """A market with its result, and the prices and headlines received before its end.

    `row` is its row of `Archive.catalog()` with whale columns. `ended_at` (microseconds UTC) is the earliest
    of its close, determination and resolution by the venue's clock and of our receipt of the result; nothing
    received at or after it is in `seen` or `headlines`.
    """

    row: dict[str, Any]
    ended_at: int
    seen: SeenPrices  # prices before the end
    headlines: Sequence[SeenHeadline]
    history: MarketHistory  # all that was received, also after the end

    def price_at_open(self, cycle_us: int) -> float | None:
        """Return the first price, dollars per share; None unless seen within `cycle_us` of the opening."""
        start, first = microseconds(self.row["start_at"]), self.seen.first_at
        if start is None or first is None or first > start + cycle_us:
            return None
        return self.seen.first_price


@dataclass(frozen=True)
class ResolvedMarkets:
    """Some markets, and all price snapshots of them, also those after their ends."""

    markets: Sequence[ResolvedMarket]
    points: PricePoints


def resolved_markets(
    request: ExportRequest, remarks: list[str], *, with_revisions: bool = False
) -> Iterator[ResolvedMarkets]:
    """Yield the requested markets that have a result, some at a time.

    remarks: sentences about rows left out are appended; with_revisions: `history` has the revisions of texts
    and the first end. A result that is only proposed or disputed does not count. Raises ArgumentError,
    ConfigurationError, MasterError.
    """
    catalogue = _catalogue(request, remarks)
    wanted = _without_repeated(catalogue[_is_wanted(catalogue, request)], request, remarks)
    least = request.options.get("min_volume")
    as_of_ns = request.options.get("as_of")
    as_of = None if as_of_ns is None else as_of_ns // MICROSECOND
    with reading(request.root, request.master_url) as master:
        newest = newest_change(master)
        if as_of is not None and newest is not None and as_of > newest:
            latest = iso(newest * MICROSECOND)
            remarks.append(f"--as-of: nothing that was received after {latest} changed a market")
        if (percents := request.options.get("split")) is not None:
            texts = _texts(master, wanted, as_of, with_revisions=with_revisions)
            wanted = _split(wanted, shares_of(percents), texts, remarks)
        for place in range(0, len(wanted), AT_ONCE):
            rows = {
                (row["platform"], row["market_id"]): row for row in _rows(wanted[place : place + AT_ONCE])
            }
            for identities in portions(master, list(rows)):
                points, history = PricePoints.read(master, identities), observed(master, identities)
                if with_revisions:
                    read_revisions(master, history, as_of)
                made = _markets([rows[identity] for identity in identities], points, history)
                yield ResolvedMarkets(
                    [each for each in made if least is None or (each.seen.volume or 0) >= least], points
                )


def plain(value: Any) -> Any:
    """Return the value of a pandas cell, None for each kind of null."""
    import pandas as pd

    return value if isinstance(value, list | dict | tuple) or not pd.isna(value) else None


def microseconds(at: pd.Timestamp | None) -> int | None:
    """Return a time as microseconds since the epoch; None stays None."""
    return None if at is None else from_datetime(at) // MICROSECOND


def _catalogue(request: ExportRequest, remarks: list[str]) -> pd.DataFrame:
    """Return a row per market with its end and whale columns.

    Open markets are included, since a title that they share is ambiguous for whale alerts.
    """
    as_of = request.options.get("as_of")
    found = frame(request.root, request.master_url, None if as_of is None else iso(as_of))
    found["ended_at"] = found[[*ENDS, "resolution_seen_at"]].min(axis=1)
    found["settled_at"] = (
        found["resolved_at"].fillna(found["determined_at"]).fillna(found["resolution_seen_at"])
    )
    _check_categories(request, found["category"])
    whales = whale_columns(request.wwatcher, found, found["ended_at"])
    if whales.unmatched_share is not None:
        remarks.append(f"whale alerts without a market: {whales.unmatched_share:.1%}")
    return found.join(whales.frame)


def _check_categories(request: ExportRequest, known: pd.Series[str]) -> None:
    """Raise ArgumentError for a requested category that no market has, not even later."""
    given, there = request.options.get("category", ()), set(known.dropna())
    if "as_of" in request.options and not _folded(given) <= _folded(there):  # known later, it is none yet
        there = set(frame(request.root, request.master_url)["category"].dropna())
    folded = _folded(there)
    check("category", [each for each in given if each.casefold() not in folded], there)


def _folded(names: Iterable[str]) -> set[str]:
    return {each.casefold() for each in names}


def _is_wanted(catalogue: pd.DataFrame, request: ExportRequest) -> pd.Series[bool]:
    import pandas as pd

    wanted = catalogue["resolution_seen_at"].notna() & ~catalogue["resolution_state"].isin(_PENDING)
    if request.since is not None:
        wanted &= catalogue["settled_at"] >= pd.Timestamp(request.since, tz="UTC")
    if request.until is not None:
        wanted &= catalogue["settled_at"] < pd.Timestamp(request.until, tz="UTC")
    if (categories := request.options.get("category")) is not None:
        wanted &= catalogue["category"].str.casefold().isin(_folded(categories))
    return wanted


def _without_repeated(wanted: pd.DataFrame, request: ExportRequest, remarks: list[str]) -> pd.DataFrame:
    """Return `wanted` without markets that repeat an earlier question, if the request says so."""
    if not request.options.get("dedupe"):
        return wanted
    kept = first_of_each_question(_rows(wanted[["title", "settled_at"]]))
    remarks.append(f"left out {kept.count(False):,} markets: the same question as an earlier one")
    return wanted[kept]


def _split(
    wanted: pd.DataFrame, shares: Sequence[float], texts: Iterable[Iterable[Text]], remarks: list[str]
) -> pd.DataFrame:
    """Return the markets with a column `split`, and append the leak report to `remarks`.

    shares: fraction of the rows by split; texts: the exported texts of each market.
    """
    import pandas as pd

    names = ["platform", "market_id", "group", "series", "settled_at", "subtitle", "resolution"]
    rows = _rows(wanted[[*names, "resolution_label"]])
    chosen = splits(rows, shares)
    remarks.append(f"in no split: {chosen.count(None):,} markets at a border")
    remarks += leak_report(rows, texts, chosen).lines(rows)
    return wanted.assign(split=pd.Series(chosen, index=wanted.index, dtype="object"))


def _texts(
    master: Connection, wanted: pd.DataFrame, as_of: int | None, *, with_revisions: bool
) -> Iterator[list[Text]]:
    """Yield for each market the texts that its export contains.

    with_revisions: all texts stated up to the market's end, as prompts need; else the last ones.
    """
    for place in range(0, len(wanted), AT_ONCE):
        rows = _rows(wanted[place : place + AT_ONCE])
        history = observed(master, [(row["platform"], row["market_id"]) for row in rows])
        if with_revisions:
            read_revisions(master, history, as_of)
        for row in rows:
            of, ended_at = history[row["platform"], row["market_id"]], microseconds(row["ended_at"])
            assert ended_at is not None, "a result has a time of receipt"
            found = stated_texts(row, ("group",) if with_revisions else STATED)
            for name in ("title", "description"):
                said = of.revisions.get(name, ())
                found += [Text(name, text) for at, text in said if text and at < ended_at]
            for each in of.headlines:
                if each.at < ended_at:
                    named = (each.headline, each.source, each.url)
                    found += [Text("headline", text) for text in named if text]
            yield found


def _markets(
    rows: Sequence[dict[str, Any]], points: PricePoints, history: Mapping[Identity, MarketHistory]
) -> list[ResolvedMarket]:
    ends: list[int] = []
    cuts: list[Cut] = []
    for row in rows:
        ended_at = microseconds(row["ended_at"])
        assert ended_at is not None, "a result has a time of receipt"
        ends.append(ended_at)
        cuts.append(Cut(row["platform"], row["market_id"], ended_at, microseconds(row["start_at"])))
    made = []
    for row, ended_at, seen in zip(rows, ends, points.before(cuts), strict=True):
        of = history[row["platform"], row["market_id"]]
        headlines = [each for each in of.headlines if each.at < ended_at]
        made.append(ResolvedMarket(row, ended_at, seen, headlines, of))
    return made


def _rows(found: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): plain(value) for name, value in row.items()} for row in found.to_dict("records")]
