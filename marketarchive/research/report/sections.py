"""Sections of a report that every archive has, as text and charts; pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from marketarchive.research.report import charts, recorded_gaps
from marketarchive.research.report.page import Section, table
from marketarchive.research.report.recorded_gaps import ReportedGap
from marketarchive.research.report.scope import ReportScope
from marketarchive.research.report.shares import Shares
from marketarchive.times import SECOND, from_datetime, iso

_MS = SECOND // 1000

_COVERAGE = """\
Of each tracked second of each round, or of a price, whether it was <b>observed</b>: data came in time;
<b>quiet</b>: a look-up proved that nothing had changed; <b>gapped</b>: a recorded gap that concerns it
touches it; <b>unknown</b>: none of these. A bar shows what share of the seconds was which; {bin} each, all
rounds of an asset together. A red mark above a bar: at least one second is gapped; an amber one: none is,
and at least one is unknown. White: nothing was to be seen, since no recording ran."""
_GAPS = """\
What could have been observed and was not, as the recording itself noticed it, by venue, feed and reason.
Point at one for its scope and detail. A time in which no recording ran has no gap, and neither has what the
messages cannot show as lost. Where several recorded a feed at once, a gap is what all of them missed."""
_RECORDERS = """\
Where two runs recorded a feed at once: the messages that <b>both</b> received, and those that a run
<b>missed</b>, since the other one received them. Of its gaps, in seconds of each market, what others proved
is <b>closed</b>: above, it is missing no more. All assets are counted."""
RECORDERS = 12
"""Most pairs of runs that are compared: with runs that overlap by design there are many."""
_VERIFIED = """\
Each whole book and each change states a hash of the whole book, recomputed here from the very bytes.
<b>ok</b>: it comes out; <b>failed</b>: it does not, so something before it was missed, or it is wrong;
<b>unchecked</b>: no whole book came before it, or it was sent twice; <b>not available</b>: none was stated.
Shares of messages, {bin} a bar; a red mark: at least one failed. It cannot tell what is missing after the
last message of a stretch; section 2 does."""


def coverage(found: Shares, scope: ReportScope, notes: Sequence[str] = ()) -> Section:
    title = "2. How much was seen"
    text = paragraph(_COVERAGE.format(bin=length(found.bin_s)))
    text += "".join(paragraph(note, soft=True) for note in notes)
    if not found.counts:
        return Section("coverage", title, text + nothing("No round and no price was tracked in this time."))
    return Section("coverage", title, text, charts.shares(found, scope))


def gaps(found: Sequence[ReportedGap], scope: ReportScope) -> Section:
    title, text = "3. Recorded gaps", paragraph(_GAPS)
    if not found:
        return Section("gaps", title, text + nothing("No gap was recorded in this time."))
    drawn = recorded_gaps.drawn(found)
    if len(drawn) < len(found):
        text += paragraph(f"Of {len(found):,} gaps the longest {len(drawn):,} are drawn.")
    groups: dict[str, list[ReportedGap]] = {}
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
        ("causes", "whose fault, as far as that is known"),
    ]
    chart = charts.timeline([each.row(scope) for each in drawn], scope)
    return Section("gaps", title, text, chart, table(columns, rows))


def recorders(found: Sequence[Mapping[str, Any]], pairs: int) -> Section:
    """Return the section that compares runs of the same feed.

    found: rows of `recorders.recorders`, at least one; pairs: number of pairs of runs there are.
    """
    text = paragraph(_RECORDERS)
    if pairs > RECORDERS:
        text += paragraph(
            f"Of {pairs:,} pairs of runs the {RECORDERS} that recorded together longest are shown."
        )
    rows = [
        {
            "feed": f"{each['venue']} {each['feed']}",
            "run": each["run"],
            "other": each["other"],
            "times": f"{_moment(each['time'])} to {_moment(each['until'])}",
            "both": each["both"],
            "missed": each["missed"],
            "gapped": f"{each['gapped_s']:,.1f} s",
            "closed": f"{each['closed_s']:,.1f} s",
        }
        for each in found
    ]
    columns = [
        ("feed", "feed"),
        ("missed", "missed"),
        ("both", "both"),
        ("gapped", "its gaps"),
        ("closed", "closed"),
        ("run", "run"),
        ("other", "beside"),
        ("times", "recorded together, UTC"),
    ]
    return Section("recorders", "Recorders of the same feed", text, extra=table(columns, rows))


def verified(found: Shares, scope: ReportScope) -> Section:
    title, text = (
        "6. Books that are what the venue hashed",
        paragraph(_VERIFIED.format(bin=length(found.bin_s))),
    )
    if not found.counts:
        return Section("verified", title, text + nothing("No book and no change came in this time."))
    return Section("verified", title, text, charts.shares(found, scope))


def paragraph(text: str, *, soft: bool = False) -> str:
    return f'<p class="soft">{text}</p>' if soft else f"<p>{text}</p>"


def nothing(text: str) -> str:
    return f"<p><b>{text}</b></p>"


def _moment(at: datetime) -> str:
    return iso(from_datetime(at))[:19].replace("T", " ")


def length(seconds: int) -> str:
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            count = seconds // size
            return f"{count} {name}{'s' if count > 1 else ''}"
    return f"{seconds} s"
