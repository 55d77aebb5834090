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
The state of each tracked second of each round or price. <b>Observed</b>: its data arrived in time.
<b>Quiet</b>: proven unchanged. <b>Gapped</b>: a recorded gap concerns it. <b>Unknown</b>: none of these. Each
bar covers {bin} and all rounds of an asset, and shows the share of seconds in each state. A
red mark above a bar: at least one second is gapped. An amber mark: none is gapped, and at least one is
unknown. White: nothing was tracked."""
_GAPS = """\
Times in which something should have been observed and was not, as the collector recorded them, by venue, feed
and reason. Point at a gap to see its scope and detail. There is no gap for times in which no collector ran,
nor for losses that cannot be detected from the messages. Where several runs recorded a feed at the same time,
only what all of them missed is a gap."""
_RECORDERS = """\
Pairs of runs that recorded the same feed at the same time. <b>Both</b>: messages that both runs received.
<b>Missed</b>: messages that only the other run received. <b>Its gaps</b>: recorded gaps of the run, in
seconds summed over markets. <b>Closed</b>: the part of them that other runs prove; sections 2 and 3 do not
count it as missing. All assets are included."""
RECORDERS = 12
"""Most pairs of runs that are compared: with runs that overlap by design there are many."""
_VERIFIED = """\
Snapshots and deltas state a hash of the whole book; here it is recomputed from the archived bytes.
<b>Ok</b>: it matches. <b>Failed</b>: it does not, so an earlier message was missed, or the message is wrong.
<b>Unchecked</b>: no snapshot came before it, or it is a repeat. <b>Not available</b>: no hash was stated.
Each bar covers {bin} and shows shares of messages; a red mark: at least one failed. A hash cannot show that
messages are missing after the last one received; section 2 does."""


def coverage(found: Shares, scope: ReportScope, notes: Sequence[str] = ()) -> Section:
    title = "2. How much was observed"
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
        text += paragraph(f"The chart shows the longest {len(drawn):,} of {len(found):,} gaps.")
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
        ("causes", "cause, where it is known"),
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
            f"The {RECORDERS} of {pairs:,} pairs of runs that recorded together longest are shown."
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
        "6. Books verified by the venue's hash",
        paragraph(_VERIFIED.format(bin=length(found.bin_s))),
    )
    if not found.counts:
        return Section(
            "verified", title, text + nothing("No snapshot and no delta was received in this time.")
        )
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
