"""Sections of a report about rounds, as text and charts; pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from marketarchive.research.labels.label import Label
from marketarchive.research.products.updown.report import outcomes
from marketarchive.research.report import charts, recorded_gaps
from marketarchive.research.report.page import Section, table
from marketarchive.research.report.recorded_gaps import ReportedGap
from marketarchive.research.report.scope import ReportScope
from marketarchive.research.report.sections import length, nothing, paragraph
from marketarchive.times import SECOND

_MS = SECOND // 1000

PAGES = """\
Chainlink's stream pages were recorded too. They are not in this chart, since nothing states when a page
should have shown a price."""
_ROUND = """\
Chainlink's price against the strike K, and the mid price of Up's book, by the time at which they were valid.
<b>Solid</b>: observed in that second, or (books) proven unchanged. <b>Dashed grey</b>: the last value,
carried forward for at most 60 s. No line: no value is known, or (books) a side was empty. <b>Shaded</b>: a
recorded gap of that stream. Orange: Chainlink's time-weighted average, where the rule of the round uses it
and it was received; it is never carried forward. The strip shows the state of every second."""
_THINNED = """\
Long rounds show only every n-th second; n is stated at the round. Values between these seconds are not drawn.
The strip and the dashes show the worst state within each n seconds; gaps are drawn exactly."""
_DEPTH = """\
Books of Up in open rounds, per {step}: the line is the median of the states received, the band spans the
middle 80 %. Depth is the sum of all shares on a side (bids green, asks red); only snapshots state it. Medians
are taken over messages, not over time, so busy seconds weigh more. Without messages there is no line. Red
shade: a gap of at least one of the asset's books."""
_OUTCOMES = """\
Whether the official outcome follows from both boundary prices of the exact instrument that the round's rule
names. <b>Reproduced</b> and <b>differs</b> are proven. <b>Restated</b> rests on the venue's own later
statement, <b>estimated</b> on other prices. <b>Not provable</b>: something is missing. <b>Pending</b>: the
round has not ended, or has no official outcome yet. All rounds that overlap this time are counted."""

_PICK = """
<div class="pick"><label>Asset <select id="round-asset"></select></label>
<label>Round <select id="round-market"></select></label>
<button id="round-before">earlier</button><button id="round-after">later</button></div>
<div id="round-title"></div><p class="soft" id="round-note"></p><div id="round"></div>
"""


def one_round(rounds: Sequence[Mapping[str, Any]], labels: int) -> Section:
    title, text = "4. One round: price, K and Up", paragraph(_ROUND)
    if not labels:
        return Section("one", title, text + nothing("No round of this time is known."))
    if not rounds:
        return Section(
            "one", title, text + nothing("No price and no book was received for a round of this time.")
        )
    return Section("one", title, text + paragraph(_THINNED, soft=True) + _PICK)


def spread_and_depth(
    rows: Sequence[dict[str, Any]], found: Sequence[ReportedGap], scope: ReportScope
) -> Section:
    title, text = "5. Spread and depth", paragraph(_DEPTH.format(step=length(scope.step_s)))
    if not rows:
        return Section("depth", title, text + nothing("No book of an open round was received in this time."))
    shaded = [
        {"asset": asset, "x": start // _MS, "x2": end // _MS}
        for asset in sorted({row["asset"] for row in rows})
        for start, end in recorded_gaps.over_books(found, asset, scope, "polymarket")
    ]
    return Section("depth", title, text, charts.spread_and_depth(rows, shaded, scope))


def reproduced(labels: Sequence[Label], scope: ReportScope) -> Section:
    title, text = "7. Outcomes", paragraph(_OUTCOMES)
    if not labels:
        why = "No round of this time is known: the market lists of the venue were not recorded."
        return Section("outcomes", title, text + nothing(why))
    columns = [
        ("asset", "asset"),
        ("duration", "duration"),
        ("rounds", "rounds"),
        *((each, each.replace("_", " ")) for each in outcomes.SHOWN),
    ]
    extra = table(columns, outcomes.counted(labels, scope.until))
    if without := outcomes.without_proof(labels, scope.until):
        listed = without[: outcomes.LISTED]
        names = ("market", "start", "verdict", "computed", "official", "reason")
        extra += paragraph(f"{len(without):,} rounds differ or are not proven:")
        if len(listed) < len(without):
            extra += paragraph(
                f"The first {len(listed):,} are listed here, all of them in research/market_master.json."
            )
        extra += f'<div class="long">{table([(name, name) for name in names], listed)}</div>'
    return Section("outcomes", title, text, extra=extra)


def validation(document: Mapping[str, Any] | None) -> str:
    """Return a summary of a validation report as HTML; document: its JSON, None: there is none."""
    if document is None:
        return paragraph("There is no validation report; <code>scrapy validate</code> writes one.", soft=True)
    requested = f"{document['since'] or 'the beginning'} to {document['until'] or 'the end'}"
    head = (
        f"<b>scrapy validate: {escape(document['state'])}</b>, made {escape(document['made_at_utc'][:19])}Z, "
        f"for rounds that start in {escape(requested)}."
    )
    columns = [("state", "result"), ("title", "check"), ("figure", "figure")]
    return paragraph(head) + table(columns, document["checks"])
