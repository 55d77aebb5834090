"""The resolved markets of the catalogue, with the moment at which each stopped being a forecast."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from marketarchive.research.exports.table import ExportRequest
from marketarchive.research.products.catalog.frame import frame, reading
from marketarchive.research.products.catalog.observed import (
    ENDS,
    MarketHistory,
    PricePoint,
    SeenHeadline,
    observed,
    read_revisions,
)
from marketarchive.research.products.catalog.splits import (
    first_of_each_question,
    leaks,
    shares_of,
    splits,
)
from marketarchive.research.products.whales.whales import whale_columns
from marketarchive.times import MICROSECOND, from_datetime, iso

if TYPE_CHECKING:
    import pandas as pd

AT_ONCE = 500
"""Markets whose prices are held at a time."""
_PENDING = ("proposed", "disputed")
"""States of a result that may be another tomorrow."""


@dataclass(frozen=True)
class ResolvedMarket:
    """A market with its result: the row of `Archive.catalog()`, whale columns, prices and headlines received.

    `ended_at` (microseconds UTC) is the first of its close, determination, resolution by the venue's clock
    and of our receipt of the result: nothing at or after it is in its prices or headlines.
    """

    row: dict[str, Any]
    ended_at: int
    prices: Sequence[PricePoint]
    headlines: Sequence[SeenHeadline]
    history: MarketHistory  # also what came after the end
    volume: float | None
    liquidity: float | None

    @property
    def price_at_close(self) -> float | None:
        """Return the last mid before the end, None where nobody saw one."""
        return next((each.price for each in reversed(self.prices) if each.price is not None), None)

    def price_at_open(self, cycle_us: int) -> float | None:
        """Return the first mid, if it was seen within `cycle_us` of the market's opening."""
        start = microseconds(self.row["start_at"])
        if start is None:
            return None
        after = (each for each in self.prices if each.price is not None and each.at >= start)
        first = next(after, None)
        return first.price if first is not None and first.at <= start + cycle_us else None


def resolved_markets(
    request: ExportRequest, remarks: list[str], *, with_revisions: bool = False
) -> Iterator[list[ResolvedMarket]]:
    """Yield the wanted markets that have a result, some hundred at a time.

    remarks: lines about rows left out are added; with_revisions: `history` has texts' revisions and the first
    end.

    A result that is only proposed, or disputed, does not count. Raises ArgumentError, ConfigurationError,
    MasterError.
    """
    catalogue = _catalogue(request, remarks)
    wanted = _split(catalogue[_is_wanted(catalogue, request)], request, remarks)
    least = request.options.get("min_volume")
    with reading(request.root, request.master_url) as master:
        for place in range(0, len(wanted), AT_ONCE):
            rows = [
                {str(name): plain(value) for name, value in row.items()}
                for row in wanted.iloc[place : place + AT_ONCE].to_dict("records")
            ]
            seen = observed(master, [(row["platform"], row["market_id"]) for row in rows])
            if with_revisions:
                as_of = request.options.get("as_of")
                read_revisions(master, seen, None if as_of is None else as_of // MICROSECOND)
            made = [_market(row, seen[row["platform"], row["market_id"]]) for row in rows]
            yield [each for each in made if least is None or (each.volume or 0) >= least]


def plain(value: Any) -> Any:
    """Return the value of a cell, None for each kind of null."""
    import pandas as pd

    return value if isinstance(value, list | dict | tuple) or not pd.isna(value) else None


def microseconds(at: pd.Timestamp | None) -> int | None:
    """Return a time as microseconds since the epoch; None stays None."""
    return None if at is None else from_datetime(at) // MICROSECOND


def _catalogue(request: ExportRequest, remarks: list[str]) -> pd.DataFrame:
    """Return all markets with their ends and whale columns.

    Open ones too, since they make titles ambiguous.
    """
    as_of = request.options.get("as_of")
    found = frame(request.root, request.master_url, None if as_of is None else iso(as_of))
    found["ended_at"] = found[[*ENDS, "resolution_seen_at"]].min(axis=1)
    found["settled_at"] = (
        found["resolved_at"].fillna(found["determined_at"]).fillna(found["resolution_seen_at"])
    )
    whales = whale_columns(request.wwatcher, found, found["ended_at"])
    if whales.unmatched_share is not None:
        remarks.append(f"whale alerts without a market: {whales.unmatched_share:.1%}")
    return found.join(whales.frame)


def _is_wanted(catalogue: pd.DataFrame, request: ExportRequest) -> pd.Series[bool]:
    import pandas as pd

    wanted = catalogue["resolution_seen_at"].notna() & ~catalogue["resolution_state"].isin(_PENDING)
    if request.since is not None:
        wanted &= catalogue["settled_at"] >= pd.Timestamp(request.since, tz="UTC")
    if request.until is not None:
        wanted &= catalogue["settled_at"] < pd.Timestamp(request.until, tz="UTC")
    if (categories := request.options.get("category")) is not None:
        wanted &= catalogue["category"].str.casefold().isin([each.casefold() for each in categories])
    return wanted


def _split(wanted: pd.DataFrame, request: ExportRequest, remarks: list[str]) -> pd.DataFrame:
    """Return the markets without repeated questions, and with their splits, where these are wanted."""
    import pandas as pd

    names = ["platform", "group", "series", "settled_at", "title", "subtitle", "resolution"]
    found = wanted[[*names, "resolution_label"]].to_dict("records")
    rows = [{str(name): plain(value) for name, value in row.items()} for row in found]
    if request.options.get("dedupe"):
        kept = first_of_each_question(rows)
        remarks.append(f"left out {kept.count(False):,} markets: the same question as an earlier one")
        wanted = wanted[kept]
        rows = [row for row, keep in zip(rows, kept, strict=True) if keep]
    if (percents := request.options.get("split")) is not None:
        chosen = splits(rows, shares_of(percents))
        count, leaking, across = leaks(rows, chosen)
        remarks.append(
            f"in no split: {chosen.count(None):,} markets at a border; of {count:,} answers with a name "
            f"{leaking:,} stand in another row's text, {across:,} in another split's"
        )
        wanted = wanted.assign(split=pd.Series(chosen, index=wanted.index, dtype="object"))
    return wanted


def _market(row: dict[str, Any], seen: MarketHistory) -> ResolvedMarket:
    ended_at = microseconds(row["ended_at"])
    assert ended_at is not None, "a result has a time of receipt"
    prices = [each for each in seen.prices if each.at < ended_at]
    return ResolvedMarket(
        row,
        ended_at,
        prices,
        [each for each in seen.headlines if each.at < ended_at],
        seen,
        next((each.volume for each in reversed(prices) if each.volume is not None), None),
        next((each.liquidity for each in reversed(prices) if each.liquidity is not None), None),
    )
