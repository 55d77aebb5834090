"""The documents say what the code does, and nothing about the place they were written at."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from marketarchive.archive.config import ArchiveConfig
from marketarchive.collecting import reconnect
from marketarchive.collecting.polymarket.live_rows import QUIET_S, ROW_GRACE_S
from marketarchive.collecting.polymarket.market_stream import STATEMENT_S
from marketarchive.collecting.streams.completeness import (
    DRAIN_S,
    PAUSE_S,
    RESYNC_EVERY_S,
)
from marketarchive.collecting.streams.connection import MISSED_PONGS
from marketarchive.collecting.streams.connection_set import (
    RENEW_JITTER,
    RENEW_PAUSE_MAX_S,
    RENEW_PAUSE_S,
)
from marketarchive.collecting.streams.history import HISTORY_S
from marketarchive.collecting.streams.stream import QUEUE_MAX
from marketarchive.items import GapReason
from marketarchive.simulator.pace import ALLOWED_NS, HIGHEST, PAGE_ALLOWED_NS
from marketarchive.time_page import SILENT_NS
from marketarchive.times import MILLISECOND, SECOND
from marketarchive.venues.polymarket.live_books import KEPT_CHANGES
from marketarchive.venues.polymarket.sockets import MARKETS, TOPIC_CHANNEL
from tests.spiders_under_test import spiders

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def tracked() -> list[Path]:
    """Text files of the project."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.process
def test_nothing_is_called_ready_for_what_it_was_not_tried_at() -> None:
    claim = re.compile("production" + r"[- ]?(ready|grade)", re.IGNORECASE)
    gate = '- no "production' + '-ready" before a 24 h soak\n'
    assert gate in (ROOT / "AGENTS.md").read_text(encoding="utf-8")
    for path in tracked():
        text = path.read_text(encoding="utf-8", errors="replace")
        assert not claim.search(text.replace(gate, "") if path.name == "AGENTS.md" else text), path


@pytest.mark.process
def test_the_project_stands_alone() -> None:
    outside = re.compile(r"\.\./shared|(?<![\w.])/work/|(?<![\w.])/farm/")
    for path in tracked():
        if "conformance" not in path.parts and path != Path(__file__):
            assert not outside.search(path.read_text(encoding="utf-8", errors="replace")), path


@pytest.mark.parametrize("path", [*sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("*.md"))], ids=str)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            page = path.parent / target if target else path
            assert page.exists(), target
            assert not anchor or anchor in anchors(page), f"{target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to headings."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {name for name in pages if f"]({name}" not in index} == set()


def test_the_glossary_defines_each_word_once() -> None:
    page = (ROOT / "docs" / "GLOSSARY.md").read_text(encoding="utf-8")
    words = re.findall(r"^\| (?!word )([^|]+) \| [^|]+ \| [^|]*\|$", page, re.MULTILINE)
    assert len(words) > 40
    assert len(words) == len(set(words))


def test_the_readme_fits_its_readers() -> None:
    assert len(README.splitlines()) < 150
    assert "make demo" in README
    assert "make test" in README


def test_every_command_is_described() -> None:
    commands = {path.stem for path in (ROOT / "marketarchive" / "commands").glob("*.py")} - {"__init__"}
    page = (ROOT / "docs" / "COMMANDS.md").read_text(encoding="utf-8")
    assert len(commands) > 15
    for command in commands:
        assert f"\nmarketarchive {command}" in page, command


def test_every_spider_and_argument_is_described() -> None:
    page = (ROOT / "docs" / "SPIDERS.md").read_text(encoding="utf-8")
    pages = [
        *sorted((ROOT / "docs").glob("*_COLLECTOR.md")),
        *(ROOT / "docs" / name for name in ("PERPS.md", "CATALOG.md", "BACKFILL.md")),
    ]
    collector = "\n".join(each.read_text(encoding="utf-8") for each in pages)
    for name, spider in spiders().items():
        assert f"scrapy crawl {name}" in collector
        for argument in spider.accepts:
            assert f"`{argument.name}=" in page, argument


def test_every_setting_that_the_code_reads_is_explained() -> None:
    page = (ROOT / "docs" / "SETTINGS.md").read_text(encoding="utf-8")
    read = set(re.findall(r"settings(?:\.get\w*\(|\[)\s*\"([A-Z_]+)\"", code()))
    read |= {f"ARCHIVE_{field.upper()}" for field in ArchiveConfig.__dataclass_fields__}
    assert len(read) >= 20
    for name in read:
        assert f"| `{name}` |" in page, name


def code() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "marketarchive").rglob("*.py"))


OPERATIONS = (ROOT / "docs" / "OPERATIONS.md").read_text(encoding="utf-8")


def test_every_stat_is_explained() -> None:
    stats = re.findall(r"(?:inc|set)_value\(\s*f?\"([^\"{]+)", code())
    assert len(stats) > 15
    for stat in set(stats):
        assert f"`{stat}" in OPERATIONS, stat


def test_no_stat_is_explained_that_there_is_not() -> None:
    written = set(re.findall(r"(?:inc|set)_value\(\s*f?\"([^\"{]+)", code())) | {"retry/"}  # Scrapy's
    table = OPERATIONS.partition("\n## Stats\n")[2].partition("\n## ")[0]
    explained = re.findall(r"`(\w+/[^`<.]*)", "".join(re.findall(r"^\|([^|]*)\|", table, re.MULTILINE)))
    assert len(explained) > 50
    for stat in explained:
        assert stat.startswith(tuple(written)), stat


def test_every_close_reason_and_gap_reason_is_explained() -> None:
    reasons = set(re.findall(r"close_reason = \"(\w+)\"|request_stop\(\"(\w+)\"\)", code()))
    assert len(reasons) >= 4
    for reason in [first or second for first, second in reasons]:
        assert f"`{reason}`" in OPERATIONS, reason
    for reason in get_args(GapReason):
        assert f"`{reason}`" in OPERATIONS, reason


def test_every_exit_code_is_explained_where_users_look() -> None:
    from marketarchive.collecting import exit_codes

    codes = {value for name, value in vars(exit_codes).items() if name.isupper()}
    assert codes == set(range(5))
    assert all(f"| {code} |" in OPERATIONS for code in codes)
    assert "(OPERATIONS.md#exit-codes)" in (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")


@pytest.mark.process
def test_the_generated_page_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scrapy", "document", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_figures_of_simulated_time_are_those_of_the_code() -> None:
    text = " ".join((ROOT / "docs" / "SIMULATOR.md").read_text(encoding="utf-8").split())
    assert f"Past {HIGHEST:g} no speed is granted" in text
    assert (ALLOWED_NS, PAGE_ALLOWED_NS, SILENT_NS) == (150 * MILLISECOND, SECOND // 2, 2 * SECOND)
    for figure in (
        "so that 150 simulated milliseconds pass",
        "more than half a simulated second",
        "for 2 s of",
    ):
        assert figure in text
    source = (ROOT / "marketarchive" / "commands" / "simulate.py").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "SIMULATOR.md").read_text(encoding="utf-8")
    assert set(re.findall(r'"(--[a-z-]+)"', source)) == set(
        re.findall(r"^\| `(--[a-z-]+)", page, re.MULTILINE)
    )


def words(name: str) -> str:
    """A document, each space and line break one space."""
    return " ".join((ROOT / "docs" / name).read_text(encoding="utf-8").split())


def test_the_figures_of_what_proves_a_stream_are_those_of_the_code() -> None:
    text, each = words("METHODOLOGY.md"), MARKETS
    assert f"alone falls silent: within {each.weak_max_s:g} s)" in words("DATA_CONTRACT.md")
    renew_s = each.renew_s or 0
    for figure in (
        f"up to {each.axis_error_s:g} s before its own time. That counts for {each.weak_max_s:g} s after",
        f"nothing was proven for {each.silent_s:g} s is requested over REST, and again every",
        f"A token in outage is requested every {RESYNC_EVERY_S:g} s",
        f"not answered within {STATEMENT_S:g} s is given up",
        f"noticed within {each.weak_max_s:g} s of the first change that did",
        f"not come, and not before {each.in_flight_s:g} s",
        f"nothing happened until {each.statement_lag_s:g} s before the request",
        f"that state has {each.in_flight_s:g} s to arrive",
        f"the last {KEPT_CHANGES} of a token",
        f"nothing has proven further for {each.patience_s:g} s has an open gap",
        f"delivered nothing within {each.first_data_s:g} s is closed",
        f"A token without a first book after {each.first_data_s:g} s",
        f"three heartbeats ({MISSED_PONGS * each.heartbeat_s:g} s)",
        f"replaced after {renew_s * (1 - RENEW_JITTER) / 60:g} to {renew_s / 60:g} min",
        f"more than {each.ahead_s:g} s slow",
        f"more than {each.patience_s:g} s fast",
        f"a step of more than {TOPIC_CHANNEL.cadence_s:g} s is a gap",
        f"seen on it, for {TOPIC_CHANNEL.patience_s:g} s is a gap `stall`",
    ):
        assert figure in text, figure


def test_the_figures_of_streams_are_those_of_the_code() -> None:
    text, each = words("ARCHITECTURE.md"), MARKETS
    for figure in (
        f"reported, for {HISTORY_S} s at least",
        f"`axis_error` ({each.axis_error_s:g} s)",
        f"`ahead` ({each.ahead_s:g} s)",
        f"`weak_max` ({each.weak_max_s:g} s)",
        f"`patience` ({each.patience_s:g} s)",
        f"`in_flight` ({each.in_flight_s:g} s)",
        f"up to {each.statement_lag_s:g} s before the request",
        f"doubles from {reconnect.FIRST_S:g} s to {reconnect.MAX_S:g} s, up to half of it random",
        f"from {reconnect.BLOCKED_FIRST_S / 60:g} min to {reconnect.BLOCKED_MAX_S / 3600:g} h",
        f"has lived for {each.lived_s:g} s",
        f"When more than {PAUSE_S} s have passed between two events, nothing is judged for {DRAIN_S} s",
        f"the output queue ({QUEUE_MAX} items)",
        f"made {ROW_GRACE_S:g} s later",
        f"nothing was proven for {QUIET_S} s",
        f"after {RENEW_PAUSE_S} s, twice that, ... up to every {RENEW_PAUSE_MAX_S // 60} min",
    ):
        assert figure in text, figure
    assert reconnect.JITTER == 0.5


def test_the_documented_check_is_the_one_the_demo_prints() -> None:
    from marketarchive.demo import CHECK

    assert CHECK in (ROOT / "docs" / "DATA_CONTRACT.md").read_text(encoding="utf-8")
    assert "(docs/DATA_CONTRACT.md#check-the-files-without-this-program)" in README


def test_every_line_kind_has_its_place_in_the_contract() -> None:
    contract = (ROOT / "docs" / "DATA_CONTRACT.md").read_text(encoding="utf-8")
    for kind in ("segment", "response", "frame", "connection", "book_state", "gap", "invalid", "part", "end"):
        assert f"`{kind}`" in contract
