"""Section of a report about Kalshi's rounds: the observed seconds of their books, and their labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from marketarchive.research.derived import Progress
from marketarchive.research.labels.ground_truth import ground_truth
from marketarchive.research.labels.label import Label
from marketarchive.research.labels.label_files import PARQUET, read_labels
from marketarchive.research.products.updown.report import outcomes
from marketarchive.research.report.page import Section, table
from marketarchive.research.report.part import Found, Product, ReportPart
from marketarchive.research.report.scope import ReportScope
from marketarchive.research.report.sections import nothing, paragraph
from marketarchive.research.report.shares import observed
from marketarchive.venues.kalshi.venue import VENUE

_TEXT = """\
Whether the result of each of Kalshi's 15-minute rounds follows from the two means that its rule names. Only
archived values of the index prove it (<b>reproduced</b>, <b>differs</b>). The means that the venue publishes
with the round restate it; the proxy estimates it. <b>Flags</b> state why a round is not graded, or that its
result differs from its own values (contradicted). <b>Pending</b>: the round has not ended, or has no result
yet."""


def prepare(root: Path, since: int, until: int, master_url: str | None, progress: Progress) -> None:
    """Bring the labels of rounds in `since` <= time < `until` (ns) up to date."""
    del master_url
    ground_truth(root, since, until, progress=progress)


def part(found: Found) -> ReportPart:
    """Return the part of a report about Kalshi's 15-minute rounds."""
    about = found.scope
    labels = [
        each
        for each in read_labels(about.root)
        if each.platform == VENUE.name
        and each.start_ns < about.until
        and each.end_ns > about.since
        and about.has(each.asset)
    ]
    titles = frozenset(title for feed in VENUE.feeds.values() for title in feed.titles.values())
    proven = Counter(each.verdict for each in labels)
    differing = proven["differs"]
    books = found.seen.total(titles)
    seen = [(1, observed(books), "of seconds of Kalshi's books observed")] if books else []
    return ReportPart(
        sections=[(7, _section(labels, about))],
        figures=[
            *seen,
            (
                5,
                f"{proven['reproduced']:,} of {proven['reproduced'] + differing:,}",
                f"outcomes of Kalshi reproduced; {proven['restated']:,} restated by its published means",
            ),
        ],
        facts=[("rounds of Kalshi", f"{len(labels):,}")],
        kinds=titles,
        differing=differing,
    )


def _section(labels: Sequence[Label], scope: ReportScope) -> Section:
    title, text = "8. Outcomes: Kalshi", paragraph(_TEXT)
    if not labels:
        why = "No round of this time is known: the venue's lists of markets were not recorded."
        return Section("kalshi", title, text + nothing(why))
    columns = [(name, name.replace("_", " ")) for name in ("asset", "duration", "rounds", *outcomes.SHOWN)]
    extra = table(columns, outcomes.counted(labels, scope.until))
    flags = Counter(each.flag for each in labels if each.flag is not None)
    if flags:
        listed = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in sorted(flags.items()))
        extra += paragraph(f"Flags: {listed}.")
    odd = [each for each in labels if each.flag is not None or each.verdict == "differs"]
    if rows := outcomes.without_proof(odd, scope.until)[: outcomes.LISTED]:
        names = ("market", "start", "verdict", "computed", "official", "reason")
        extra += f'<div class="long">{table([(name, name) for name in names], rows)}</div>'
    return Section("kalshi", title, text, extra=extra)


PRODUCT = Product(
    name="kalshi_rounds",
    venues=frozenset({VENUE.name}),
    prepare=prepare,
    part=part,
    inputs=(PurePosixPath(PARQUET),),
)
