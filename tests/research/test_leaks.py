"""The leak report of training exports finds every planted answer, and nothing that only looks like one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from marketarchive.items import Headline, Market, Resolution
from marketarchive.research.products.catalog.leaks import Text, leak_report, stated_texts
from marketarchive.times import utc
from tests.exporting import export
from tests.master.markets import SECOND, START, market, resolved
from tests.research.catalogue_master import headline, put

ANSWER = "Ann Lee"


def row(group: str, **said: Any) -> dict[str, Any]:
    plain = dict.fromkeys(("title", "subtitle", "description", "resolution", "resolution_label"))
    return {"platform": "p", "market_id": group, "group": group, **plain, **said}


def found(*rows: dict[str, Any], chosen: Any = None) -> list[tuple[str, str, str, bool]]:
    """Answers, in which row, where, and whether in another split."""
    report = leak_report(rows, map(stated_texts, rows), chosen or ["train", "test"] * len(rows))
    return [(each.answer, rows[each.place]["market_id"], each.where, each.is_across) for each in report.leaks]


def won(label: str = "Yes", subtitle: str | None = ANSWER, group: str = "a", **said: Any) -> dict[str, Any]:
    is_yes = label != "No"
    return row(group, subtitle=subtitle, resolution="YES" if is_yes else "NO", resolution_label=label, **said)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("title", "Will Ann Lee resign?"),
        ("subtitle", "ann lee"),
        ("description", "Resolves to Yes if ANN LÉE's party wins."),
        ("group", "will-ann-lee-resign"),
    ],
)
def test_an_answer_is_found_in_every_text_of_another_event(name: str, text: str) -> None:
    assert found(won(), {**row("b"), name: text}) == [(ANSWER, "b", name, True)]
    assert found(won(), {**row("b"), name: text}, chosen=["test", "test"]) == [(ANSWER, "b", name, False)]
    assert found(won(), {**row("b"), name: text}, chosen=["test", None]) == [(ANSWER, "b", name, False)]


def test_an_answer_is_found_in_what_an_alert_names() -> None:
    alerts = [{"outcome": "Ann Lee (yes)"}, {"outcome": None}]
    assert found(won(), row("b", whale_alerts=alerts)) == [(ANSWER, "b", "whale alert", True)]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (won("Yes", None), "Yes, will it? Yes or no"),
        (won("No"), "Will Ann Lee resign?"),  # Ann Lee did not win: her name answers nothing
        (won("Yes", "70° or above"), "Will it be 70 or above?"),
        (won("Yes", "70° or above"), "More than 70"),
        (won("Yes", "$100,000"), "Bitcoin at $100,000?"),
        (won("Yes", "Before March 15"), "Rain before March 15?"),
        (won("Up", None), "Bitcoin up or down?"),
        (won("Yes", "Other"), "Will the other party win?"),
        (won(), "Will Ann Leeds or Lee Ann resign?"),
        (won(), "Will Joann Lee resign?"),
        (won(), "Will Ann resign? Will Bob Lee?"),
    ],
    ids=["yes", "lost", "number", "same number", "price", "date", "up", "other", "longer", "within", "apart"],
)
def test_what_only_looks_like_an_answer_is_not_reported(answer: dict[str, Any], text: str) -> None:
    assert found(answer, row("b", title=text, description=text)) == []


def test_markets_of_one_event_name_each_other() -> None:
    sibling = won("No", "Bob Ray", title="Will Bob Ray win?", description="Candidates: Ann Lee, Bob Ray")
    assert found(won(title="Will Ann Lee win?"), {**sibling, "market_id": "sibling"}) == []
    assert found(won(), {**sibling, "platform": "other"}) == [(ANSWER, "a", "description", True)]


def test_a_label_that_names_the_winner_is_its_answer() -> None:
    match = row("a", title="FaZe or illwill", subtitle="Map 1", resolution="YES", resolution_label="FaZe")
    assert found(match, row("b", title="faze or navi")) == [("FaZe", "b", "title", True)]
    assert found(match, row("b", title="Map 1")) == []


def test_a_report_counts_answers_once_and_names_some() -> None:
    rows = [won(), *(row(name, title="Ann Lee", description="Ann Lee") for name in "bcdef")]
    report = leak_report(rows, map(stated_texts, rows), ["train", "test", *["train"] * 4])
    first, *others = report.lines(rows)
    assert first == (
        "of 1 answers with a name 1 stand in a text of another event (description 1, title 1), "
        "1 in another split's"
    )
    assert others == [
        "'Ann Lee', the answer of p a, stands in the title of p b",
        "'Ann Lee', the answer of p a, stands in the description of p b",
    ]
    assert leak_report(rows, [[Text("title", "x")]] * 6, [None] * 6).lines(rows) == [
        "of 1 answers with a name 0 stand in a text of another event"
    ]


NAMES = dict(
    zip(
        ("title", "rules", "news", "link", "alert", "old", "older", "late news", "late alert", "late rules"),
        ("Adams", "Baker", "Clark", "Davis", "Evans", "Foster", "Grant", "Hayes", "Irwin", "Jones"),
        strict=True,
    )
)
"""Of each planted leak the winner whose name it gives away."""


def plant(root: Path) -> None:
    """Make a master in which each name stands once in a text of another event, some after its end."""

    def listed(t: float, name: str, **said: Any) -> Market:
        said = {"title": f"Will {name} come?", "outcomes": ("Yes", "No"), "event_id": name, **said}
        return market(t, market_id=name, status="active", **said)

    def over(t: float, name: str) -> Resolution:
        ended = utc(START + round(t * SECOND))
        return resolved(t, market_id=name, payouts=("1", "0"), resolution_state="final", resolved_at=ended)

    for winner in NAMES.values():
        put(root, listed(0, f"of {winner}", title="Who wins?", subtitle=winner), over(50, f"of {winner}"))
    given = {name: f"As {winner} said" for name, winner in NAMES.items()}
    link = headline(20, "Vote", "link").model_dump() | {"url": f"https://x.test/{NAMES['link']}"}
    put(
        root,
        listed(1, "title", title=given["title"]),
        listed(1, "rules", description=given["rules"]),
        *(listed(1, name, description=given[name]) for name in ("old", "older")),
        *(listed(2, name, description="Edited") for name in ("old", "older")),
        *(listed(1, name) for name in ("news", "link", "alert", "late news", "late alert")),
        listed(1, "late rules", description="Not edited yet"),
        headline(20, given["news"], "news"),
        Headline.model_validate(link),
        headline(100, given["late news"], "late news"),
        *(over(100, name) for name in NAMES),
        listed(300, "late rules", description=given["late rules"]),
    )
    with closing(sqlite3.connect(root / "w.db")) as alerts, alerts:
        columns = "platform TEXT, market_id TEXT, action TEXT, value REAL, outcome TEXT, created_at INTEGER"
        alerts.execute(f"CREATE TABLE alerts (id INTEGER PRIMARY KEY, {columns})")
        for row, (name, t) in enumerate({"alert": 20, "late alert": 100}.items()):
            values = (row, "Polymarket", name, "BUY", 9.0, given[name], START // SECOND + t)
            alerts.execute("INSERT INTO alerts VALUES (?, ?, ?, ?, ?, ?, ?)", values)


def test_an_export_reports_what_is_planted_in_it_and_no_more(tmp_path: Path) -> None:
    plant(tmp_path)
    for form, descriptions, leaking in (("parquet", 2, 6), ("prompts", 3, 7)):
        wanted = {"wwatcher": tmp_path / "w.db", "options": {"split": "50,50"}}
        made = export(tmp_path, "catalog", tmp_path / form, form, **wanted)
        [first] = [line for line in made.remarks if line.startswith("of ")]
        assert first == (
            f"of {len(NAMES)} answers with a name {leaking} stand in a text of another event (description "
            f"{descriptions}, headline 2, title 1, whale alert 1), {leaking} in another split's"
        )
