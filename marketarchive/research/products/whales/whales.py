"""Whale columns of the training exports: the whale alerts of each market before a cut."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from marketarchive.field_docs import FieldDoc
from marketarchive.research.engine import require
from marketarchive.research.products.whales.alerts import RubbishRow, WhaleAlert
from marketarchive.research.products.whales.database import read_alerts
from marketarchive.research.products.whales.joining import THRESHOLD, WhaleJoin, WhaleMatch, join_alerts
from marketarchive.research.products.whales.markets import TradedMarket, markets_of
from marketarchive.research.products.whales.records import known_rates
from marketarchive.research.views import Moment, ns
from marketarchive.times import iso

if TYPE_CHECKING:
    import pandas as pd

_UNWATCHED = "nobody watched the market: see below"

FIELDS: Mapping[str, FieldDoc] = {
    "whale_alerts": FieldDoc(
        "the alerts that count, by time: `at`, `known_at`, `side`, `action`, `outcome`, `value`, `price`, "
        "`win_rate`, `match`, `score`",
        "dollars; times as ISO 8601 text",
        _UNWATCHED,
        type="list of objects",
    ),
    "whale_count": FieldDoc("how many", "alerts", _UNWATCHED, type="integer"),
    "whale_net_direction": FieldDoc(
        "the side with more dollars, YES or NO; NEUTRAL where equal or none", "", _UNWATCHED, type="text"
    ),
    "whale_avg_win_rate": FieldDoc(
        "mean win rate of the traders", "0 to 1", "no rate is known", type="float"
    ),
    "whale_win_rate_source": FieldDoc(
        "`stated`: in the file; `computed`: see below", "", "no rate is known", type="text"
    ),
    "whale_max_value": FieldDoc("the largest alert", "dollars", "there is no alert", type="float"),
}
"""Column of a `WhaleSummary` -> its description in docs/CATALOG.md."""

COLUMNS = tuple(FIELDS)
Direction = Literal["YES", "NO", "NEUTRAL"]
RateSource = Literal["stated", "computed"]
"""Source of a win rate: stated in wwatcher's file, or computed from the wallet's own earlier alerts."""


@dataclass(frozen=True, slots=True)
class WhaleSummary:
    """Whale columns of one market: its alerts before a cut, in the order of their trades."""

    whale_alerts: Sequence[Mapping[str, Any]]
    whale_count: int
    whale_net_direction: Direction  # side with more dollars; alerts of an unknown side are left out
    whale_avg_win_rate: float | None  # mean over alerts with a rate, 0 to 1
    whale_win_rate_source: RateSource | None
    whale_max_value: float | None  # dollars


@dataclass(frozen=True)
class WhaleColumns:
    """Whale columns with a row per market, and the rows of wwatcher's file that belong to no market."""

    frame: pd.DataFrame  # COLUMNS, on the catalogue's index
    unmatched: pd.DataFrame  # a row per alert without a market: its fields, `reason`, `score`
    rubbish: Sequence[RubbishRow]
    counts: Mapping[str, int]  # kind of match, or reason of none -> number of alerts
    unmatched_share: float | None  # share of alerts without a market, 0 to 1; None: no alerts


def whale_columns(
    path: Path | None,
    catalogue: pd.DataFrame,
    cut: Moment | pd.Series[Any] = None,
    *,
    threshold: float = THRESHOLD,
) -> WhaleColumns:
    """Return the whale columns of a catalogue, joined with wwatcher's alerts.

    path: WWATCHER_DB_PATH, None: there is no file, all columns are null; catalogue: a frame of
    `Archive.catalog()`, whose index the result has; cut: only alerts written before it and before the
    market's end count, one time for all markets or a Series on that index, None or NaT: the end; threshold:
    least similarity of titles, 0 to 100.

    A market that ended, or was cut, before the file's first alert of its platform has nulls: nobody watched
    it. Raises ArgumentError, ConfigurationError.
    """
    require()
    import pandas as pd

    if path is None:
        return _columns(catalogue, [None] * len(catalogue), WhaleJoin([], []), ())
    file = read_alerts(path)
    markets = markets_of(catalogue)
    joined = join_alerts(file.alerts, markets, threshold)
    rates = known_rates(joined.matches)
    first: dict[str, int] = {}
    for alert in file.alerts:
        first[alert.platform] = min(alert.known_at, first.get(alert.platform, alert.known_at))
    matches: dict[tuple[str, str], list[WhaleMatch]] = defaultdict(list)
    for match in joined.matches:
        matches[match.market.platform, match.market.market_id].append(match)
    cuts: Sequence[int | None]
    if isinstance(cut, pd.Series):
        moments = pd.to_datetime(cut.reindex(catalogue.index), utc=True)
        cuts = [None if pd.isna(each) else ns(each) for each in moments]
    else:
        cuts = [ns(cut)] * len(markets)
    summaries = [
        summary(matches[market.platform, market.market_id], before, rates)
        if _is_watched(market, first.get(market.platform), before)
        else None
        for market, before in zip(markets, cuts, strict=True)
    ]
    return _columns(catalogue, summaries, joined, file.rubbish)


def summary(
    matches: Sequence[WhaleMatch], cut: int | None, rates: Mapping[int, float] | None = None
) -> WhaleSummary:
    """Return the whale columns of one market from its alerts before a cut (ns; None: its end).

    rates: as `known_rates` returns them. If any alert states a win rate itself, only stated ones count. An
    alert without a side is counted, but has no direction.
    """
    before = [each for each in matches if _counts(each, cut)]
    before.sort(key=lambda each: (each.alert.at, each.alert.row))
    stated = [each.alert.win_rate for each in before if each.alert.win_rate is not None]
    computed = [rates[each.alert.row] for each in before if rates and each.alert.row in rates]
    used = stated or computed
    signs = {"YES": 1, "NO": -1, None: 0}
    net = round(math.fsum(signs[each.market.side(each.alert)] * each.alert.value for each in before), 2)
    return WhaleSummary(
        [_listed(each, rates or {}) for each in before],
        len(before),
        "YES" if net > 0 else "NO" if net < 0 else "NEUTRAL",
        math.fsum(used) / len(used) if used else None,
        "stated" if stated else "computed" if computed else None,
        max((each.alert.value for each in before), default=None),
    )


def _counts(match: WhaleMatch, cut: int | None) -> bool:
    """Return whether an alert was written before the cut and before its market's end."""
    limits = [limit for limit in (cut, match.market.end) if limit is not None]
    return all(match.alert.known_at < limit for limit in limits)


def _is_watched(market: TradedMarket, first: int | None, cut: int | None) -> bool:
    """Return whether the platform's first alert was written before the market's end and the cut.

    first, cut: ns; first: None: the platform has no alert.
    """
    limits = [limit for limit in (cut, market.end) if limit is not None]
    return first is not None and all(first < limit for limit in limits)


def _listed(match: WhaleMatch, rates: Mapping[int, float]) -> dict[str, Any]:
    """Return an alert as an object of the column `whale_alerts`, with JSON values."""
    alert = match.alert
    return {
        "at": iso(alert.at),
        "known_at": iso(alert.known_at),
        "side": match.market.side(alert),
        "action": alert.action or None,
        "outcome": alert.outcome,
        "value": alert.value,
        "price": alert.price,
        "win_rate": rates.get(alert.row) if alert.win_rate is None else alert.win_rate,
        "match": match.kind,
        "score": round(match.score, 2),
    }


def _columns(
    catalogue: pd.DataFrame,
    summaries: Sequence[WhaleSummary | None],
    joined: WhaleJoin,
    rubbish: Sequence[RubbishRow],
) -> WhaleColumns:
    import pandas as pd

    kinds = {"whale_count": "Int64", "whale_avg_win_rate": "float64", "whale_max_value": "float64"}
    frame = pd.DataFrame(
        {
            name: pd.Series(
                [None if each is None else getattr(each, name) for each in summaries],
                index=catalogue.index,
                dtype=kinds.get(name, "object"),
            )
            for name in COLUMNS
        }
    )
    return WhaleColumns(frame, _unmatched(joined), rubbish, joined.counts, joined.unmatched_share)


def _unmatched(joined: WhaleJoin) -> pd.DataFrame:
    import pandas as pd

    fields = [*WhaleAlert.__dataclass_fields__, "reason", "score"]
    rows = [{**asdict(each.alert), "reason": each.reason, "score": each.score} for each in joined.unmatched]
    found = pd.DataFrame(rows, columns=fields)
    for name in ("at", "known_at"):
        found[name] = pd.to_datetime(found[name].astype("int64"), unit="ns", utc=True)
    return found
