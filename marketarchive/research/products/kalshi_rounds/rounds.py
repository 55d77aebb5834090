"""Declaration of Kalshi's rounds for `scrapy ground-truth`.

Windows, rules, published means and results come from archived answers, the index from archived frames, the
proxy from the books of spot exchanges.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from marketarchive.archive.ledger import Entry
from marketarchive.research.derived import NullProgress, Progress
from marketarchive.research.labels.label import Label
from marketarchive.research.labels.source import RoundSource
from marketarchive.research.products.brti import means
from marketarchive.research.products.brti.means import Boundary, ProxyMinute, proxy_minutes
from marketarchive.research.products.kalshi_rounds import index_means, terms
from marketarchive.research.products.kalshi_rounds.index_means import index_minutes
from marketarchive.research.products.kalshi_rounds.labels import Evidence, label
from marketarchive.research.products.kalshi_rounds.terms import KalshiRound
from marketarchive.research.tables.partitions import stamp_of
from marketarchive.times import SECOND
from marketarchive.venues.exchange import SPOT
from marketarchive.venues.kalshi.venue import VENUE

PLATFORM = VENUE.name


def published_means(chosen: Iterable[KalshiRound]) -> dict[Boundary, Decimal]:
    """Return boundary at which a mean ends -> mean that is published there as a final value, dollars."""
    return {
        (each.asset, each.end_ns // SECOND): each.settlement for each in chosen if each.settlement is not None
    }


def boundaries(chosen: Iterable[KalshiRound]) -> set[Boundary]:
    """Return the starts and ends of the rounds as boundaries (asset, Unix second)."""
    return {(each.asset, at // SECOND) for each in chosen for at in (each.start_ns, each.end_ns)}


def _windows(root: Path, entries: Sequence[Entry], progress: Progress) -> tuple[list[KalshiRound], int]:
    return terms.rounds(terms.stated(root, entries, progress))


def _prepare(root: Path, chosen: Sequence[KalshiRound], progress: Progress) -> None:
    """Replay the spot books in the minutes before round boundaries and store the proxy.

    Raises ArchiveError, CorruptError, OSError.
    """
    wanted = boundaries(chosen)
    progress.total(len(wanted))
    progress.begin("proxy")
    proxy_minutes(root, wanted, progress)


def _inputs(root: Path) -> Mapping[str, str]:
    found = {entry["path"]: entry["sha256"] for entry in (*means.segments(root), *index_means.segments(root))}
    for path in sorted((root / "tables" / "gaps").glob(f"venue=*/feed={SPOT}/date=*/*.parquet")):
        stamp = stamp_of(path)
        found[str(path.relative_to(root))] = "" if stamp is None else stamp.key
    return found


def _label(root: Path, chosen: Sequence[KalshiRound], newest: int, estimate: bool) -> list[Label]:
    every, _ = terms.rounds(terms.stated(root, terms.segments(root), NullProgress()))
    published, minutes = published_means(every), index_minutes(root)
    proxies = proxy_minutes(root, boundaries(chosen))
    errors = _errors(proxies, published)
    evidence = Evidence(
        index=lambda index, close: minutes.get((index, close)),
        proxy=lambda asset, close: proxies.get((asset, close)),
        published=lambda asset, close: published.get((asset, close)),
        error=errors.get,
    )
    return [label(each, evidence, newest, estimate=estimate) for each in chosen]


def _errors(
    proxies: Mapping[Boundary, ProxyMinute], published: Mapping[Boundary, Decimal]
) -> dict[str, Decimal]:
    """Return asset -> largest absolute error of its proxy against a published mean, dollars."""
    found: dict[str, Decimal] = {}
    for boundary, proxy in proxies.items():
        mean, known = proxy.mean(with_close=True), published.get(boundary)
        if mean is not None and known is not None:
            found[boundary[0]] = max(found.get(boundary[0], Decimal(0)), abs(mean - known))
    return found


SOURCE = RoundSource(
    platform=PLATFORM,
    versions={"terms": terms.VERSION, "index": index_means.VERSION, "proxy": means.VERSION},
    segments=terms.segments,
    windows=_windows,
    prepare=_prepare,
    inputs=_inputs,
    label=_label,
)
