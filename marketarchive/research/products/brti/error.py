"""`scrapy brti-error`: error of the BRTI proxy against the means that Kalshi publishes with each round.

`floor_strike` is the mean of the 60 seconds before a round's open, `expiration_value` that of the 60 before
its close: two exact means of the real index, free of charge. If an API key let `kalshi_stream` archive the
index itself, the proxy is compared with the index second by second, too.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from statistics import fmean, median
from typing import Any, Literal

from marketarchive.exceptions import ArgumentError
from marketarchive.field_docs import FieldDoc
from marketarchive.invocation import command
from marketarchive.research.derived import NullProgress, Progress
from marketarchive.research.labels.label import touches
from marketarchive.research.products.brti.means import Boundary, ProxyMinute, proxy_minutes
from marketarchive.research.products.kalshi_rounds import terms
from marketarchive.research.products.kalshi_rounds.index_means import index_minutes
from marketarchive.research.products.kalshi_rounds.labels import IMPLAUSIBLE
from marketarchive.research.products.kalshi_rounds.terms import KalshiRound
from marketarchive.times import SECOND, iso
from marketarchive.venues.brti import MEAN_S, PARAMETERS
from marketarchive.venues.kalshi.tickers import ROUND_NS, assets_of_indices

Kind = Literal["floor_strike", "expiration_value"]
KINDS: tuple[Kind, ...] = ("floor_strike", "expiration_value")
DEFINITIONS = {"(T-60s, T]": True, "[T-60s, T)": False}
"""Definition of the 60 seconds of a mean that ends at T -> whether the second T is among them."""


@dataclass(frozen=True, slots=True)
class MeanWindow:
    """A published mean and the proxy's mean of the same 60 seconds, by one definition of the 60."""

    asset: str
    market_id: str
    kind: Kind
    definition: str
    at: str  # T, ISO 8601
    published: Decimal
    seconds: int  # how many of the 60 seconds have a value of the proxy
    proxy: Decimal | None  # mean of the proxy; None if a second has no value
    dollars: Decimal | None  # proxy - published
    bps: float | None  # `dollars` in basis points of the published mean
    is_implausible: bool  # the published mean is off by too much to be meant: it counts in no figure


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """Errors of the proxy for an asset, kind of mean and definition; all but the bias are absolute."""

    asset: str
    kind: Kind
    definition: str
    windows: int  # rounds that state such a mean
    recorded: int  # of them, those with a value of the proxy in any of the 60 seconds
    whole: int  # of them, those with a value in all 60: the errors are of these
    implausible: int
    median_seconds: float | None  # median number of seconds with a value, over the recorded ones
    bias_dollars: float | None = None
    median_dollars: float | None = None
    p95_dollars: float | None = None
    max_dollars: float | None = None
    median_bps: float | None = None
    p95_bps: float | None = None
    max_bps: float | None = None


@dataclass(frozen=True, slots=True)
class IndexErrorRow:
    """Errors of the proxy against the archived index, per second of the last minutes before round closes."""

    asset: str
    minutes: int  # minutes of which the index was archived
    index_seconds: int  # seconds that have a value of the index
    seconds: int  # of them, those with a value of the proxy too: the errors are of these
    bias_dollars: float | None = None  # mean of proxy - index
    median_dollars: float | None = None
    p95_dollars: float | None = None
    max_dollars: float | None = None
    median_bps: float | None = None
    p95_bps: float | None = None
    max_bps: float | None = None


_NONE_WHOLE = "`whole` is 0"

FIELDS: Mapping[str, FieldDoc] = {
    "asset": FieldDoc("`BTC`, ..."),
    "kind": FieldDoc(
        "`floor_strike`: the mean before the open, `expiration_value`: that before the close", type="str"
    ),
    "definition": FieldDoc("which 60 seconds: `(T-60s, T]` or `[T-60s, T)`"),
    "windows": FieldDoc("rounds that state the mean", "rounds"),
    "recorded": FieldDoc("of them, those with any second of the proxy", "rounds"),
    "whole": FieldDoc(
        "of them, those with all 60 seconds of the proxy: only these have an error, since a mean of fewer "
        "seconds is another number",
        "rounds",
    ),
    "implausible": FieldDoc(
        "published values that differ by more than 5 % from the proxy and are left out", "rounds"
    ),
    "median_seconds": FieldDoc(
        "median number of seconds that the proxy has in a round (`n of 60`)",
        "seconds",
        "nothing was recorded",
    ),
    "bias_dollars": FieldDoc("mean of proxy - published", "dollars", _NONE_WHOLE),
    "median_dollars": FieldDoc("median of the absolute error", "dollars", _NONE_WHOLE),
    "p95_dollars": FieldDoc(
        "95th percentile of the absolute error (nearest rank: one that occurred)", "dollars", _NONE_WHOLE
    ),
    "max_dollars": FieldDoc("largest absolute error", "dollars", _NONE_WHOLE),
    "median_bps": FieldDoc("as in dollars", "basis points of the published mean", _NONE_WHOLE),
    "p95_bps": FieldDoc("as in dollars", "basis points of the published mean", _NONE_WHOLE),
    "max_bps": FieldDoc("as in dollars", "basis points of the published mean", _NONE_WHOLE),
}
"""Field of an `ErrorRow` -> its description in docs/BRTI.md."""


@dataclass
class BrtiErrors:
    """Result of `brti_errors`; if it holds no error at all, `nothing` states the reason and the remedy."""

    rows: list[ErrorRow] = field(default_factory=list)
    windows: list[MeanWindow] = field(default_factory=list)
    index_rows: list[IndexErrorRow] = field(default_factory=list)
    nothing: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the result as a JSON object; decimals of `windows` are text."""
        return {
            "rows": [asdict(row) for row in self.rows],
            "windows": [
                {name: str(value) if isinstance(value, Decimal) else value for name, value in one.items()}
                for one in map(asdict, self.windows)
            ],
            "index_rows": [asdict(row) for row in self.index_rows],
            "nothing": self.nothing,
        }


def brti_errors(
    root: Path,
    since: int | None = None,
    until: int | None = None,
    *,
    assets: Collection[str] | None = None,
    progress: Progress | None = None,
) -> BrtiErrors:
    """Return the errors (dollars) of the BRTI proxy at the starts and ends of rounds.

    since, until: rounds that touch `since` <= time < `until` (ns) count, None: no bound; assets: by default
    all that have a proxy. Only sealed segments are read. Raises ArgumentError, ArchiveError, CorruptError,
    DiskError, OSError.
    """
    if unknown := sorted(set(assets or ()) - PARAMETERS.keys()):
        raise ArgumentError(f"there is no proxy of {unknown[0]}, only of {', '.join(PARAMETERS)}")
    shown = progress or NullProgress()
    rounds, _ = terms.rounds(terms.stated(root, terms.segments(root), NullProgress()))
    chosen = [
        each
        for each in rounds
        if each.asset in (assets or PARAMETERS) and touches(each.start_ns, each.end_ns, since, until)
    ]
    means = list(_published(chosen))
    archived = _archived(root, since, until, assets or PARAMETERS)
    wanted = {(each.asset, close) for each, _, close, _ in means} | archived.keys()
    shown.total(len(wanted))
    shown.begin("proxy")
    minutes = proxy_minutes(root, wanted, shown)
    windows = [
        _window(each, kind, close, value, minutes.get((each.asset, close)), definition)
        for each, kind, close, value in means
        for definition in DEFINITIONS
    ]
    rows = list(_rows(windows))
    index_rows = list(_index_rows(archived, minutes))
    nothing = None if any(each.seconds for each in index_rows) else _nothing(chosen, windows)
    return BrtiErrors(rows, windows, index_rows, nothing)


def _archived(
    root: Path, since: int | None, until: int | None, assets: Collection[str]
) -> dict[Boundary, dict[int, Decimal]]:
    """Return (asset, Unix second of the close) -> second -> archived index value in the minute before.

    A value belongs to the second that its time rounds up to. Only rounds that touch the requested time count.
    """
    found: dict[Boundary, dict[int, Decimal]] = {}
    for (index, close), minute in index_minutes(root).items():
        asset, end = assets_of_indices().get(index), close * SECOND
        if asset is not None and asset in assets and touches(end - ROUND_NS, end, since, until):
            found[asset, close] = {-(-ms // 1000): value for ms, value in minute.values.items()}
    return found


def _index_rows(
    archived: Mapping[Boundary, Mapping[int, Decimal]], minutes: Mapping[Boundary, ProxyMinute]
) -> Iterator[IndexErrorRow]:
    for asset in sorted({asset for asset, _ in archived}):
        of_asset = {boundary: values for boundary, values in archived.items() if boundary[0] == asset}
        pairs = [
            (proxy, value)
            for boundary, values in of_asset.items()
            for second, value in values.items()
            if value > 0
            and boundary in minutes
            and (proxy := minutes[boundary].values.get(second)) is not None
        ]
        counts = IndexErrorRow(asset, len(of_asset), sum(map(len, of_asset.values())), len(pairs))
        dollars = [float(proxy - value) for proxy, value in pairs]
        bps = [float(10_000 * (proxy - value) / value) for proxy, value in pairs]
        yield IndexErrorRow(**(asdict(counts) | _figures(dollars, bps))) if pairs else counts


def _published(chosen: Sequence[KalshiRound]) -> Iterator[tuple[KalshiRound, Kind, int, Decimal]]:
    """Yield (round, kind, Unix second at which the mean ends, published mean) of each round."""
    for each in chosen:
        if each.strike is not None:
            yield each, "floor_strike", each.start_ns // SECOND, each.strike
        if each.settlement is not None:
            yield each, "expiration_value", each.end_ns // SECOND, each.settlement


def _window(
    each: KalshiRound, kind: Kind, close: int, published: Decimal, minute: ProxyMinute | None, definition: str
) -> MeanWindow:
    with_close = DEFINITIONS[definition]
    rough = None if minute is None else minute.rough_mean()
    proxy = None if minute is None else minute.mean(with_close=with_close)
    is_implausible = published <= 0 or (rough is not None and abs(published / rough - 1) > IMPLAUSIBLE)
    error = None if proxy is None else proxy - published
    return MeanWindow(
        each.asset,
        each.ticker,
        kind,
        definition,
        f"{iso(close * SECOND)[:19]}Z",
        published,
        0 if minute is None else minute.count(with_close=with_close),
        proxy,
        error,
        None if error is None or published <= 0 else float(10_000 * error / published),
        is_implausible,
    )


def _rows(windows: Sequence[MeanWindow]) -> Iterator[ErrorRow]:
    for asset in sorted({each.asset for each in windows}):
        for kind in KINDS:
            for definition in DEFINITIONS:
                key = asset, kind, definition
                found = [each for each in windows if (each.asset, each.kind, each.definition) == key]
                if found:
                    yield _row(asset, kind, definition, found)


def _row(asset: str, kind: Kind, definition: str, found: Sequence[MeanWindow]) -> ErrorRow:
    recorded = [each.seconds for each in found if each.seconds]
    whole = [each for each in found if each.dollars is not None and not each.is_implausible]
    row = ErrorRow(
        asset,
        kind,
        definition,
        windows=len(found),
        recorded=len(recorded),
        whole=len(whole),
        implausible=sum(each.is_implausible for each in found),
        median_seconds=median(recorded) if recorded else None,
    )
    if not whole:
        return row
    dollars = [float(each.dollars) for each in whole if each.dollars is not None]
    bps = [each.bps for each in whole if each.bps is not None]
    return ErrorRow(**(asdict(row) | _figures(dollars, bps)))


def _figures(dollars: Sequence[float], bps: Sequence[float]) -> dict[str, float]:
    """Return the fields of an error row from signed errors: bias, and statistics of the absolute errors."""
    figures = {"bias_dollars": fmean(dollars)}
    for unit, signed in (("dollars", dollars), ("bps", bps)):
        values = sorted(map(abs, signed))
        figures |= {
            f"median_{unit}": median(values),
            f"p95_{unit}": values[math.ceil(0.95 * len(values)) - 1],  # nearest rank: one that occurred
            f"max_{unit}": values[-1],
        }
    return figures


def _nothing(chosen: Sequence[KalshiRound], windows: Sequence[MeanWindow]) -> str | None:
    """Return why there is no error to show, and the remedy; None where there is an error."""
    if any(each.dollars is not None and not each.is_implausible for each in windows):
        return None
    if not chosen:
        return (
            "no archived answer speaks of a round of an asset that there is a proxy of: "
            f"run `{command('crawl')} kalshi_resolutions`, or choose another time"
        )
    if not windows:
        return (
            f"none of {len(chosen):,} rounds states a mean yet: run `{command('crawl')} kalshi_resolutions` "
            "when they are over"
        )
    fullest = max(each.seconds for each in windows)
    if not fullest:
        return (
            f"no spot books are archived in the minute before any of {len(windows) // len(DEFINITIONS):,} "
            f"published means: run `{command('collect')} spot` while rounds open and close (an hour of it "
            "has four boundaries an asset), and stop it, or wait for its hourly seal"
        )
    return (
        f"no minute is whole: the fullest has {fullest} of {MEAN_S} seconds, and a mean of fewer is another "
        f"number. A second needs two books that count: `{command('status')}` says which feeds came, "
        f"`{command('report')}` where their gaps are"
    )
