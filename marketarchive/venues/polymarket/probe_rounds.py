"""A probe's look for the rounds under way: one of every asset and duration, under the slug it should have."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from marketarchive.exceptions import ParseError
from marketarchive.items import Market
from marketarchive.times import SECOND, iso, to_seconds
from marketarchive.venues.endpoint import Query
from marketarchive.venues.messages import Parsed
from marketarchive.venues.polymarket import queries
from marketarchive.venues.polymarket.parse import parse
from marketarchive.venues.polymarket.updown import ASSETS, DURATIONS, SECONDS, of_series, of_slug, slug_of
from marketarchive.venues.probing import Exchange, Findings, Questions, Reader

COMPUTED = ("5m", "15m")
"""Durations whose slugs follow from the time; those of the others stand on a US Eastern grid."""
_CHANGE_OF_CLOCKS_S = 3600


def look_for_rounds(findings: Findings, now_ns: int) -> Questions:
    """One check for each asset and duration of which there is a series."""
    ids: dict[tuple[str, str], str] = {}

    def take(exchange: Exchange) -> str:
        for slug, number in _parsed(exchange).series.items():
            if (key := of_series(slug)) is not None:
                ids.setdefault(key, number)
        if not ids:
            raise _wrong("no series of rounds is listed")
        return f"{len(ids)} series of {len({asset for asset, _ in ids})} assets"

    yield from findings.ask("gamma_series_of_all", "rounds", queries.series(ASSETS, DURATIONS), take)
    for asset in ASSETS:
        missing = [duration for duration in DURATIONS if (asset, duration) not in ids]
        if missing:
            findings.not_asked[f"round_{asset.lower()}"] = f"no series of {', '.join(missing)}"
        for duration in DURATIONS:
            if (number := ids.get((asset, duration))) is not None:
                query, read = _question(asset, duration, number, now_ns)
                yield from findings.ask(f"round_{asset.lower()}_{duration}", "rounds", query, read)


def _question(asset: str, duration: str, series_id: str, now_ns: int) -> tuple[Query, Reader]:
    if duration in COMPUTED:
        second = now_ns // SECOND
        slug = slug_of(asset, duration, second - second % SECONDS[duration])
        return queries.market(slug), partial(_read_named, slug, now_ns)
    query = queries.rounds(series_id, closed=False, ended_since_ns=now_ns)
    latest = now_ns + (SECONDS[duration] + _CHANGE_OF_CLOCKS_S) * SECOND
    query = replace(query, params={**query.params, "end_date_max": f"{iso(latest)[:19]}Z"})
    return query, partial(_read_listed, asset, duration, now_ns)


def _read_named(slug: str, now_ns: int, exchange: Exchange) -> str:
    if exchange.status == 404:
        raise _wrong(f"{slug} is not listed")
    found = [each for each in _parsed(exchange).items if isinstance(each, Market)]
    if [each.slug for each in found] != [slug] or not _is_under_way(found[0], now_ns):
        raise _wrong(f"what is listed as {slug} is not that round, or not under way")
    return _told(found[0])


def _read_listed(asset: str, duration: str, now_ns: int, exchange: Exchange) -> str:
    listed = [each for each in _parsed(exchange).items if isinstance(each, Market)]
    found = [each for each in listed if _is_under_way(each, now_ns)]
    if not found:
        raise _wrong(f"none of the {len(listed)} rounds listed is under way")
    if of_slug(found[0].slug or "") != (asset, duration):
        raise _wrong(f"{found[0].slug} is not what slugs of {asset} {duration} were like")
    return _told(found[0])


def _is_under_way(market: Market, now_ns: int) -> bool:
    now = to_seconds(now_ns)
    return (
        market.start_at is not None
        and market.end_at is not None
        and market.start_at.timestamp() <= now < market.end_at.timestamp()
    )


def _told(market: Market) -> str:
    return f"{market.slug}, {market.status}, ends {market.end_at:%Y-%m-%dT%H:%M:%SZ}"


def _parsed(exchange: Exchange) -> Parsed:
    return parse(exchange.received("polymarket"))


def _wrong(text: str) -> ParseError:
    return ParseError("Probe", text)
