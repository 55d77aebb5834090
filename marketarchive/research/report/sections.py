"""The report's sections in words and charts, each out of what was found. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from marketarchive.research.labels.labels import VERDICTS, Label
from marketarchive.research.report import charts, holes, outcomes
from marketarchive.research.report.holes import Hole
from marketarchive.research.report.page import Section, table
from marketarchive.research.report.scope import Scope
from marketarchive.research.report.shares import Shares
from marketarchive.times import SECOND

_MS = SECOND // 1000

_COVERAGE = """\
Of each tracked second of each round, or of a price, whether it was <b>observed</b>: data came in time;
<b>quiet</b>: a look-up proved that nothing had changed; <b>gapped</b>: a recorded gap that concerns it
touches it; <b>unknown</b>: none of these. A bar shows what share of the seconds was which; {bin} each, all
rounds of an asset together. A red mark above a bar: at least one second is gapped; an amber one: none is,
and at least one is unknown. White: nothing was to be seen, since no recording ran."""
_PAGES = """\
Chainlink's stream pages were recorded too. Nothing says when one of them should have shown a price, so they
have no share."""
_GAPS = """\
What could have been observed and was not, as the recording itself noticed it, by venue, feed and reason.
Point at one for its scope and detail. A time in which no recording ran has no gap, and neither has what the
messages cannot show as lost."""
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
_VERIFIED = """\
Each whole book and each change states a hash of the whole book, recomputed here from the very bytes.
<b>ok</b>: it comes out; <b>failed</b>: it does not, so something before it was missed, or it is wrong;
<b>unchecked</b>: no whole book came before it, or it was sent twice; <b>not available</b>: none was stated.
Shares of messages, {bin} a bar; a red mark: at least one failed. It cannot tell what is missing after the
last message of a stretch; section 2 does."""
_OUTCOMES = """\
Whether the official outcome follows from both boundary prices of the very instrument that the round's rule
names. <b>Reproduced</b> and <b>differs</b> are proofs; <b>restated</b> rests on the venue's own later
statement, <b>estimated</b> on other prices; <b>not provable</b>: something is missing. All rounds that
touch this time are counted, also those that it cuts."""

_PICK = """
<div class="pick"><label>Asset <select id="round-asset"></select></label>
<label>Round <select id="round-market"></select></label>
<button id="round-before">earlier</button><button id="round-after">later</button></div>
<div id="round-title"></div><p class="soft" id="round-note"></p><div id="round"></div>
"""


def coverage(found: Shares, scope: Scope, *, has_pages: bool) -> Section:
    title = "2. How much was seen"
    told = _p(_COVERAGE.format(bin=_length(found.bin_s))) + (_p(_PAGES, soft=True) if has_pages else "")
    if not found.counts:
        return Section("coverage", title, told + _nothing("No round and no price was tracked in this time."))
    return Section("coverage", title, told, charts.shares(found, scope))


def gaps(found: Sequence[Hole], scope: Scope) -> Section:
    title, told = "3. Recorded gaps", _p(_GAPS)
    if not found:
        return Section("gaps", title, told + _nothing("No gap was recorded in this time."))
    drawn = holes.drawn(found)
    if len(drawn) < len(found):
        told += _p(f"Of {len(found):,} gaps the longest {len(drawn):,} are drawn.")
    groups: dict[str, list[Hole]] = {}
    for each in found:
        groups.setdefault(each.lane, []).append(each)
    rows = [
        {
            "lane": lane,
            "count": len(of),
            "longest": f"{max(each.end - each.start for each in of) / SECOND:,.1f} s",
            "causes": ", ".join(
                f"{cause} {count:,}" for cause, count in Counter(each.cause for each in of).most_common()
            ),
        }
        for lane, of in sorted(groups.items())
    ]
    columns = [
        ("lane", "feed and reason"),
        ("count", "gaps"),
        ("longest", "longest"),
        ("causes", "whose fault, as far as that can be told"),
    ]
    chart = charts.timeline([each.row(scope) for each in drawn], scope)
    return Section("gaps", title, told, chart, table(columns, rows))


def one_round(rounds: Sequence[Mapping[str, Any]], labels: int) -> Section:
    title, told = "4. One round: price, K and Up", _p(_ROUND)
    if not labels:
        return Section("one", title, told + _nothing("No round of this time is known."))
    if not rounds:
        return Section("one", title, told + _nothing("No price and no book of a round of this time came."))
    return Section("one", title, told + _p(_THINNED, soft=True) + _PICK)


def spread_and_depth(rows: Sequence[dict[str, Any]], found: Sequence[Hole], scope: Scope) -> Section:
    title, told = "5. Spread and depth", _p(_DEPTH.format(step=_length(scope.step_s)))
    if not rows:
        return Section("depth", title, told + _nothing("No book of a round under way came in this time."))
    shaded = [
        {"asset": asset, "x": start // _MS, "x2": end // _MS}
        for asset in sorted({row["asset"] for row in rows})
        for start, end in holes.over_books(found, asset, scope)
    ]
    return Section("depth", title, told, charts.spread_and_depth(rows, shaded, scope))


def verified(found: Shares, scope: Scope) -> Section:
    title, told = "6. Books that are what the venue hashed", _p(_VERIFIED.format(bin=_length(found.bin_s)))
    if not found.counts:
        return Section("verified", title, told + _nothing("No book and no change came in this time."))
    return Section("verified", title, told, charts.shares(found, scope))


def reproduced(labels: Sequence[Label]) -> Section:
    title, told = "7. Outcomes", _p(_OUTCOMES)
    if not labels:
        why = "No round of this time is known: the market lists of the venue were not recorded."
        return Section("outcomes", title, told + _nothing(why))
    columns = [
        ("asset", "asset"),
        ("duration", "duration"),
        ("rounds", "rounds"),
        *((each, each.replace("_", " ")) for each in VERDICTS),
    ]
    extra = table(columns, outcomes.counted(labels))
    if without := outcomes.without_proof(labels):
        listed = without[: outcomes.LISTED]
        names = ("market", "start", "verdict", "computed", "official", "reason")
        extra += _p(f"{len(without):,} rounds that differ or are not proven:")
        if len(listed) < len(without):
            extra += _p(f"The first {len(listed):,} are listed, all stand in research/market_master.json.")
        extra += f'<div class="long">{table([(name, name) for name in names], listed)}</div>'
    return Section("outcomes", title, told, extra=extra)


def validation(document: Mapping[str, Any] | None) -> str:
    """The last validation report in short, as HTML."""
    if document is None:
        return _p("There is no validation report: <code>scrapy validate</code> makes one.", soft=True)
    asked = f"{document['since'] or 'the beginning'} to {document['until'] or 'the end'}"
    head = (
        f"<b>scrapy validate: {escape(document['state'])}</b>, made {escape(document['made_at_utc'][:19])}Z, "
        f"of rounds that start from {escape(asked)}."
    )
    columns = [("state", "result"), ("title", "check"), ("figure", "figure")]
    return _p(head) + table(columns, document["checks"])


def _p(text: str, *, soft: bool = False) -> str:
    return f'<p class="soft">{text}</p>' if soft else f"<p>{text}</p>"


def _nothing(text: str) -> str:
    return f"<p><b>{text}</b></p>"


def _length(seconds: int) -> str:
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            count = seconds // size
            return f"{count} {name}{'s' if count > 1 else ''}"
    return f"{seconds} s"
