"""Part of a report about up/down rounds: what is made for it, its sections, figures and facts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from marketarchive.exceptions import ArchiveError
from marketarchive.invocation import command
from marketarchive.json_lines import NOT_JSON
from marketarchive.research.checks.check import share
from marketarchive.research.derived import Progress
from marketarchive.research.labels.ground_truth import ground_truth
from marketarchive.research.labels.label import Label
from marketarchive.research.labels.label_files import PARQUET
from marketarchive.research.products.updown.canonical.dataset import canonical, path_of
from marketarchive.research.products.updown.report import depth, outcomes, rounds, sections
from marketarchive.research.products.updown.report.round_chart import one_round
from marketarchive.research.products.updown.rounds import VENUES, labels_of, recorded
from marketarchive.research.products.updown.validation.validate import JSON as VALIDATION
from marketarchive.research.report.part import Found, Product, ReportPart
from marketarchive.research.report.scope import ReportScope
from marketarchive.times import from_iso
from marketarchive.venues import venues


def prepare(root: Path, since: int, until: int, master_url: str | None, progress: Progress) -> None:
    """Bring labels and dataset up to date for rounds that touch `since` <= time < `until` (ns)."""
    ground_truth(root, since, until, progress=progress)
    canonical(root, since, until, master_url=master_url, progress=progress)


def part(found: Found) -> ReportPart:
    """Return the part of a report about up/down rounds: sections, charts and findings."""
    about, labels = found.scope, _labels(found.scope)
    shown = rounds.rounds(found.connection, about, labels, found.known.tokens)
    levels = depth.spread_and_depth(found.connection, about, labels)
    validation = _validation(about)
    feeds = venues()["polymarket"].feeds
    seen = rounds.observed(found.connection, about, labels, found.known.tokens)
    reproduced = sum(each.verdict == "reproduced" for each in labels)
    differing = sum(each.verdict == "differs" for each in labels)
    proven = reproduced + differing
    pending = sum(outcomes.shown_verdict(each, about.until) == outcomes.PENDING for each in labels)
    assets = ", ".join(sorted({each.asset for each in labels})) or "no asset"
    return ReportPart(
        sections=[
            (4, sections.one_round(shown, len(labels))),
            (5, sections.spread_and_depth(levels, found.gaps, about)),
            (7, sections.reproduced(labels, about)),
        ],
        figures=[
            (1, share(seen["pm"], seen["seconds"]), "of the rounds' seconds with both books observed"),
            (1, share(seen["cl"], seen["seconds"]), "of the rounds' seconds with a Chainlink price observed"),
            (
                5,
                f"{reproduced:,} of {proven:,}",
                f"outcomes reproduced; {len(labels) - proven - pending:,} not proven, {pending:,} pending",
            ),
        ],
        facts=[("rounds", f"{len(labels):,} of {assets}")],
        notes=[sections.PAGES] if "chainlink/pages" in found.there.feeds else [],
        kinds=frozenset(title for feed in feeds.values() for title in feed.titles.values()),
        validation=sections.validation(validation),
        validation_state=None if validation is None else validation["state"],
        differing=differing,
        rounds=shown,
        round_chart=one_round(),
    )


def _labels(about: ReportScope) -> list[Label]:
    return [
        each
        for each in recorded(about.root, labels_of(about.root))
        if each.start_ns < about.until and each.end_ns > about.since and about.has(each.asset)
    ]


def _validation(about: ReportScope) -> dict[str, Any] | None:
    """Return the validation report as a JSON object; None unless it covers rounds of the report's time."""
    try:
        document: dict[str, Any] = msgspec.json.decode((about.root / VALIDATION).read_bytes())
    except FileNotFoundError:
        return None
    except NOT_JSON as error:
        raise ArchiveError(
            f"{VALIDATION} is no JSON: {error}; let `{command('validate')}` write it again"
        ) from error
    looked = document["looked_at"]
    if not looked["rounds"]:
        return None
    touches = from_iso(looked["first_start"]) < about.until and from_iso(looked["last_end"]) > about.since
    return document if touches else None


PRODUCT = Product(
    name="updown",
    venues=VENUES,
    prepare=prepare,
    part=part,
    inputs=(PARQUET, path_of("observation"), VALIDATION),
)
