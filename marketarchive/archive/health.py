"""Health of an archive: dead and failed runs, feeds without recent data, low disk space.

A run that ended normally is no problem, and its feeds need no new data: a spider that cron starts is quiet
between two runs. The caller names feeds that need data whether or not a run is alive (`Expected`). A time
later than the status is of a clock that was ahead, and proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from marketarchive.archive.disk_budget import DiskBudget
from marketarchive.archive.locks import read_identity
from marketarchive.archive.newest_data import newest_data
from marketarchive.archive.paths import lock_path
from marketarchive.archive.status import RunStatus, Status
from marketarchive.archive.tree import NO_ARCHIVE, is_archive
from marketarchive.times import SECOND, from_seconds, iso, to_seconds

FAILED_WITHIN_NS = 86_400 * SECOND
"""ns; a run that failed longer ago is not reported any more."""
INTERVALS = 2
"""Polling intervals added to a feed's age limit: one until the next poll, one by which it may be late."""


@dataclass(frozen=True)
class Expected:
    """A feed whose newest data must not be older than `max_age_s` seconds, whether or not a run is alive."""

    venue: str
    feed: str
    max_age_s: float


Finding = Mapping[str, Any]
"""One problem: its `kind` (`stale_feed`, `dead_run`, `disk_low`, ...) and fields that depend on the kind."""


def problems(
    found: Status,
    expected: Sequence[Expected],
    max_age_s: float,
    budget: DiskBudget,
    *,
    only_expected: bool,
) -> list[Finding]:
    """Return all problems of an archive; an empty list when it is healthy.

    found: the archive's status; expected: feeds with age limits of their own; max_age_s: age limit of the
    newest data of living runs' feeds; budget: limits of free disk space; only_expected: check no feed but
    `expected`.
    """
    free, folder = found.room
    awaited = {} if only_expected else dict(_of_living_runs(found, max_age_s))
    for each in expected:
        awaited[each.venue, each.feed] = (from_seconds(each.max_age_s), None)
    return [
        *_missing(found),
        *({"kind": "ledger", "message": text} for text in found.problems),
        *_runs(found),
        *_stale(found, awaited),
        *(
            [{"kind": "disk_low", "free_bytes": free, "folder": str(folder), "level": level}]
            if (level := budget.level(free)) != "ok"
            else []
        ),
    ]


def _missing(found: Status) -> Iterator[Finding]:
    if not is_archive(found.root):
        yield {"kind": "no_archive", "message": f"{found.root} {NO_ARCHIVE}"}


def _runs(found: Status) -> Iterator[Finding]:
    newest: dict[str, RunStatus] = {}
    for run in found.runs:
        known = newest.get(run.spider)
        if known is None or _proven(known.started, found) < _proven(run.started, found):
            newest[run.spider] = run
        if run.state in ("dead", "unknown"):
            yield _run(f"{run.state}_run", run)
    for run in newest.values():
        has_failed = run.state == "recovered" or (run.state == "done" and run.exit_code not in (0, None))
        if has_failed and run.ended is not None and found.at - run.ended < FAILED_WITHIN_NS:
            yield {**_run("failed_run", run), "exit_reason": run.exit_reason, "exit_code": run.exit_code}


def _proven(time: int | None, found: Status) -> int:
    """Return a time (wall ns) that is not later than the status; 0 for another, or None."""
    return time if time is not None and time <= found.at else 0


def _run(kind: str, run: RunStatus) -> dict[str, Any]:
    return {"kind": kind, "spider": run.spider, "run": run.run}


Awaited = tuple[int, int | None]
"""(age limit of a feed's newest data, start of the living run that collects it or None), both in ns."""


def _of_living_runs(found: Status, max_age_s: float) -> Iterator[tuple[tuple[str, str], Awaited]]:
    """Yield ((venue, feed), its age limit and start) of each living run's first feed."""
    for run in found.runs:
        if run.state != "alive":
            continue
        try:
            identity, _ = read_identity(run.name, found.root / lock_path(run.name), run.venue)
        except (FileNotFoundError, PermissionError):
            continue  # it has ended meanwhile
        interval = identity["arguments"].get("interval") or 0
        limit = from_seconds(max_age_s + INTERVALS * float(interval))
        for feed in identity["feeds"][:1]:
            yield (str(run.venue), feed), (limit, run.started)


def _stale(found: Status, awaited: Mapping[tuple[str, str], Awaited]) -> Iterator[Finding]:
    for (venue, feed), (limit, since) in sorted(awaited.items()):
        last = newest_data(found.root, venue, feed, found.at)
        if found.at - max(_proven(last, found), _proven(since, found)) > limit:
            yield {
                "kind": "stale_feed",
                "venue": venue,
                "feed": feed,
                "last_data_utc": None if last is None else iso(last),
                "age_s": None if last is None else round(to_seconds(found.at - last), 1),
                "limit_s": to_seconds(limit),
            }
