"""The validation report as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from marketarchive.research.checks.check import CheckResult

SHOWN = 50
"""Most rows of a table in the Markdown; the JSON has all."""

_RESULT = {"pass": "pass", "warn": "**warn**", "fail": "**FAIL**", "nothing to check": "nothing to check"}
_MEANING = """\
- pass: the rule holds for everything that could be checked.
- warn: the archive itself records something that is worth knowing.
- fail: the archive, or a file made from it, states something untrue, or hides missing data.
- nothing to check: there is no data of this kind. This is not a pass.
"""
_BLIND_SPOTS = """
- What happened in untracked seconds, and whether anything happened in the seconds of recorded gaps.
- Losses that cannot be detected from the messages: `docs/METHODOLOGY.md` lists them, message by message.
- Whether outcomes of restated, estimated and not provable rounds are right: they rest on the venue's
  statement, on other prices, or on nothing.
- Whether the venue's own statements are right. Labels, strikes and books are compared with official outcomes,
  published strikes and hashes; there is no other outside source. An error that raw, tables and dataset share
  is not detected.
- Whether the bytes on the disk are those that were written: `verify` reads them again.
- What a live reader knew at a given time: this report checks the dataset on the observation clock.
  `canonical --clock received` makes the other one.
"""


def markdown(document: Mapping[str, Any], checks: Sequence[CheckResult]) -> str:
    looked = document["looked_at"]
    unseen = document.get("not_looked_at", ())
    made, span = _second(document["made_at_utc"]), "none"
    if looked["rounds"]:
        span = f"{_second(looked['first_start'])} to {_second(looked['last_end'])}"
    rows = [[_link(each), _RESULT[each.state], each.figure] for each in checks]
    return "\n".join(
        [
            "# Validation report",
            "",
            f"**{document['state'].upper()}** · {document['collector']} · made {made}"
            + (" · strict" if document["strict"] else ""),
            "",
            *_table(["check", "result", "figure"], rows),
            "",
            _MEANING,
            "## What was checked",
            *_table(
                ["", ""],
                [
                    ["time range", f"{document['since'] or 'the beginning'} to {document['until'] or 'now'}"],
                    ["rounds", f"{looked['rounds']:,}: {span}"],
                    *(
                        [["left out", f"{before:,} labelled rounds that ended before the recording began"]]
                        if (before := looked.get("rounds_before_the_recording", 0))
                        else []
                    ),
                    ["UTC days of round starts", _days(looked["days"])],
                    ["assets", _counted(looked["assets"])],
                    ["durations", _counted(looked["durations"])],
                    ["dataset", f"`{looked['dataset']}`, {looked['rows']:,} rows of these rounds"],
                    ["versions", _counted(document["versions"])],
                    ["ledger", f"`{document['ledger']['count']}:{document['ledger']['head']}`"],
                    *([["**not checked**", ", ".join(unseen)]] if unseen else []),
                    [
                        "inputs",
                        f"{len(document['inputs']):,} files, listed in the JSON with checksums or keys",
                    ],
                ],
            ),
            "",
            *(line for each in checks for line in _section(each)),
            "## What this report cannot show",
            _BLIND_SPOTS,
        ]
    )


def _section(check: CheckResult) -> list[str]:
    lines = [f"## {check.title}", "", f"{_RESULT[check.state]}: {check.figure}", "", f"*Rule.* {check.rule}"]
    if check.figures:
        lines += ["", *_table(["figure", "value"], [[name, value] for name, value in check.figures.items()])]
    if check.notes:
        lines += ["", *(f"- {note}" for note in check.notes)]
    if check.offenders:
        lines += ["", "Worst offenders:", "", *_records(check.offenders)]
    if check.details:
        lines += ["", "In detail:", "", *_records(check.details)]
    return [*lines, ""]


def _records(found: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = _table(list(found[0]), [list(one.values()) for one in found[:SHOWN]])
    return [*lines, "", f"... and {len(found) - SHOWN:,} more"] if len(found) > SHOWN else lines


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    lines = [_row(head), "|" + "---|" * len(head)]
    return ["", *lines, *map(_row, rows)] if not any(head) else [*lines, *map(_row, rows)]


def _row(cells: Sequence[Any]) -> str:
    return "| " + " | ".join(map(_cell, cells)) + " |"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value).replace("|", "\\|").replace("\n", " ")


def _link(check: CheckResult) -> str:
    anchor = "".join(each for each in check.title.lower() if each.isalnum() or each in " -").replace(" ", "-")
    return f"[{check.title}](#{anchor})"


def _second(moment: str) -> str:
    return moment[:19] + "Z"


def _days(days: Sequence[str]) -> str:
    return ", ".join(days) if len(days) <= 7 else f"{len(days):,}, from {days[0]} to {days[-1]}"


def _counted(found: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in found.items()) or "none"
