"""Check of a probe that the open round of every asset and duration exists under its computed slug."""

from __future__ import annotations

from functools import partial

from marketarchive.items import Market
from marketarchive.times import SECOND, to_seconds
from marketarchive.venues.endpoint import Query
from marketarchive.venues.polymarket import queries
from marketarchive.venues.polymarket.updown import ASSETS, DURATIONS, SECONDS, of_series, of_slug, slug_of
from marketarchive.venues.probing import Check, Exchange, Findings, NotRequestedError, unexpected

COMPUTED = ("5m", "15m")
"""Durations whose slugs can be computed from the time; the others follow a US Eastern grid."""
_CHANGE_OF_CLOCKS_S = 3600


def _ids(series: dict[str, str]) -> dict[tuple[str, str], str]:
    """Return (asset, duration) -> id of the series; of several series the first one listed.

    series: slug of each series -> its id.
    """
    ids: dict[tuple[str, str], str] = {}
    for slug, number in series.items():
        if (key := of_series(slug)) is not None:
            ids.setdefault(key, number)
    return ids


def _request_rounds_of(asset: str, duration: str, findings: Findings) -> Query:
    listed = findings.passed("gamma_series_of_all")
    number = _ids(listed[0].series).get((asset, duration)) if listed else None
    if number is None:
        raise NotRequestedError("no such series")
    now_ns = findings.now_ns
    if duration in COMPUTED:
        return queries.market(_slug(asset, duration, now_ns))
    latest = now_ns + (SECONDS[duration] + _CHANGE_OF_CLOCKS_S) * SECOND
    return queries.rounds(number, closed=False, ended_since_ns=now_ns, ends_until_ns=latest)


def _is_found(asset: str, duration: str, exchange: Exchange, findings: Findings) -> str:
    slug = _slug(asset, duration, findings.now_ns) if duration in COMPUTED else None
    if slug and exchange.status == 404:
        raise unexpected(f"{slug} is not listed")
    listed = [each for each in findings.parse(exchange).items if isinstance(each, Market)]
    found = [each for each in listed if _is_open(each, to_seconds(findings.now_ns))]
    if slug and (not found or [each.slug for each in listed] != [slug]):
        raise unexpected(f"the market listed as {slug} is not that round, or not open")
    if not found:
        raise unexpected(f"none of the {len(listed)} rounds listed is open")
    if of_slug(found[0].slug or "") != (asset, duration):
        raise unexpected(f"{found[0].slug} is not what slugs of {asset} {duration} were like")
    return f"{found[0].slug}, {found[0].status}, ends {found[0].end_at:%Y-%m-%dT%H:%M:%SZ}"


def _slug(asset: str, duration: str, now_ns: int) -> str:
    second = now_ns // SECOND
    return slug_of(asset, duration, second - second % SECONDS[duration])


def _is_open(market: Market, now_s: float) -> bool:
    if market.start_at is None or market.end_at is None:
        return False
    return market.start_at.timestamp() <= now_s < market.end_at.timestamp()


ROUNDS = (
    Check("gamma_series_of_all", "rounds", queries.series(ASSETS, DURATIONS)),
    *(
        Check(
            f"round_{asset.lower()}_{duration}",
            "rounds",
            partial(_request_rounds_of, asset, duration),
            partial(_is_found, asset, duration),
        )
        for asset in ASSETS
        for duration in DURATIONS
    ),
)
