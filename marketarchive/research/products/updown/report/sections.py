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
Chainlink's stream pages were recorded too. Nothing says when one of them should have shown a price, so they
have no share."""
_ROUND = """\
Chainlink's price against the strike K, and the mid of Up's book, by the time at which they were valid.
<b>Solid</b>: observed in that second, or, of books, proven unchanged. <b>Dashed grey</b>: the last value
carried on, for 60 s at most. No line: nothing was known, or, of books, a side was empty. <b>Shaded</b>: a
recorded gap of that stream. Orange: Chainlink's time-weighted mean, where it decides the round and came; it
is never carried. The strip has the state of every stretch."""
_THINNED = """\
Long rounds are thinned to one second in n, as said at the round; what happened between two such seconds is
not drawn. The strip and the dashes show the worst second of each n, and gaps are exact."""
_DEPTH = """\
Of the books of Up in rounds under way, per {step}: the line is the median of the states that came, the band
holds the middle 80 %. Depth is all shares on a side (bids green, asks red), told by whole books only.
Medians are over messages, not over time: busy seconds count more. Where nothing came there is no line; red
shade: a gap of at least one of the asset's books."""
_OUTCOMES = """\
Whether the official outcome follows from both boundary prices of the very instrument that the round's rule
names. <b>Reproduced</b> and <b>differs</b> are proofs; <b>restated</b> rests on the venue's own later
statement, <b>estimated</b> on other prices; <b>not provable</b>: something is missing; <b>pending</b>: only
its end or the official outcome, which are still to come. All rounds that touch this time are counted, also
those that it cuts."""

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
        return Section("one", title, text + nothing("No price and no book of a round of this time came."))
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
        extra += paragraph(f"{len(without):,} rounds that differ or are not proven:")
        if len(listed) < len(without):
            extra += paragraph(
                f"The first {len(listed):,} are listed, all stand in research/market_master.json."
            )
        extra += f'<div class="long">{table([(name, name) for name in names], listed)}</div>'
    return Section("outcomes", title, text, extra=extra)


def validation(document: Mapping[str, Any] | None) -> str:
    """Return a summary of a validation report as HTML; document: its JSON, None: there is none."""
    if document is None:
        return paragraph("There is no validation report: <code>scrapy validate</code> makes one.", soft=True)
    requested = f"{document['since'] or 'the beginning'} to {document['until'] or 'the end'}"
    head = (
        f"<b>scrapy validate: {escape(document['state'])}</b>, made {escape(document['made_at_utc'][:19])}Z, "
        f"of rounds that start from {escape(requested)}."
    )
    columns = [("state", "result"), ("title", "check"), ("figure", "figure")]
    return paragraph(head) + table(columns, document["checks"])
