"""The units say what the documents say, and systemd finds nothing to complain about."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from marketarchive.collecting import exit_codes
from marketarchive.collecting.shutdown import END_S
from marketarchive.settings import profile_settings
from tests.deploy.units import COMMON, PROGRAM, ROOT, SERVICES, SYSTEMD, TIMERS, Unit, installed
from tests.spiders_under_test import spiders

GUIDE = (ROOT / "docs" / "VPS_DEPLOYMENT.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "OPERATIONS.md").read_text(encoding="utf-8")
LONG_RUNNING = ("collect", "orderbook", "catalog", "kxbtc15m")
TEMPLATES = ("crawl@", "shard@")
UNTIL_DONE = (*TEMPLATES, "soak")
CODES = range(exit_codes.BLOCKED + 1)


def unit(name: str) -> Unit:
    return Unit(SYSTEMD / f"marketarchive-{name}.service")


def ids(path: Path) -> str:
    return path.stem.removeprefix("marketarchive-")


def table(page: str, heading: str) -> list[list[str]]:
    """Cells of the rows of the first table below a heading."""
    part = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


# ---- exit codes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", CODES)
def test_each_exit_code_restarts_as_the_guide_says(code: int) -> None:
    rows = {row[0][0]: row[1:] for row in table(GUIDE, "What starts again, and when") if row[0][0].isdigit()}
    assert sorted(rows) == [str(each) for each in CODES]
    always, template, timed = rows[str(code)]
    for names, said in ((LONG_RUNNING, always), (UNTIL_DONE, template)):
        for name in names:
            is_said = (always if said == "the same" else said).startswith("after 30 s")
            assert unit(name).restarts(code) == is_said, (name, code)
            assert unit(name).value("RestartSec") == "30"
    for path in SERVICES:
        if ids(path) not in (*LONG_RUNNING, *UNTIL_DONE):
            assert not Unit(path).restarts(code)
    assert timed.startswith("ended" if code == 0 else "alert")


def test_the_code_that_only_a_person_can_mend_is_the_one_of_operations() -> None:
    [never] = [row for row in table(OPERATIONS, "Exit codes") if "do not restart automatically" in row[2]]
    for name in (*LONG_RUNNING, *UNTIL_DONE):
        assert [code for code in CODES if code and not unit(name).restarts(code)] == [int(never[0])]


@pytest.mark.parametrize("name", [*LONG_RUNNING, *TEMPLATES])
def test_a_service_outlives_whatever_ends_it(name: str) -> None:
    found = unit(name)
    assert (found.value("Type"), found.value("NotifyAccess")) == ("notify", "main")
    assert found.value("StartLimitIntervalSec") == "0"  # no number of failures is the last one
    assert found.value("WatchdogSec") == "3min"
    stall_s = profile_settings("vps").getfloat("ARCHIVE_STALL_S")
    assert stall_s + END_S < 180  # a disk that hangs is exit code 3, the watchdog comes later
    assert float(found.value("TimeoutStopSec")) > END_S
    assert float(found.value("TimeoutAbortSec")) > END_S
    assert found.value("WatchdogSignal") == "SIGTERM"
    assert found.value("KillMode") == "mixed"


def test_the_catalogue_is_told_where_its_configuration_is() -> None:
    assert "COLLECTOR_CONFIG=/etc/marketarchive/config.toml" in unit("catalog").values["Environment"]


# ---- what is started -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SERVICES, ids=ids)
def test_each_unit_starts_what_there_is(path: Path) -> None:
    words = shlex.split(Unit(path).value("ExecStart"))
    if ids(path) == "alert@":
        assert words == ["/usr/local/lib/marketarchive/alert", "%i"]
        return
    assert words[0] == PROGRAM
    command = ROOT / "marketarchive" / "commands" / f"{words[1]}.py"
    assert command.exists()
    if words[1] == "crawl" and words[2].islower() and words[2].isidentifier():
        assert words[2] in spiders() or words[2] == "kxbtc15m"
    assert Unit(path).value("OnFailure") == "marketarchive-alert@%n.service"


@pytest.mark.parametrize("path", TIMERS, ids=ids)
def test_each_timer_has_its_service(path: Path) -> None:
    assert path.with_suffix(".service") in SERVICES
    assert Unit(path).value("OnCalendar")
    assert Unit(path.with_suffix(".service")).value("Type") == "oneshot"


def test_every_unit_is_in_the_guide() -> None:
    for path in (*SERVICES, *TIMERS):
        name = ids(path)
        assert re.search(rf"`(marketarchive)?-{re.escape(name)}", GUIDE) or (
            path.suffix == ".service" and path.with_suffix(".timer") in TIMERS
        ), name


# ---- what systemd says -----------------------------------------------------------------------------------

ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(not ANALYZE, reason="systemd-analyze is not here: apt-get install systemd")


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(ANALYZE), *words], capture_output=True, text=True, timeout=300)


INSTANCES = {
    "crawl@": "polymarket_stream",
    "shard@": "0-3",
    "pass@": "polymarket_markets",
    "alert@": "x.service",
}


def instances() -> list[str]:
    """Names of all units, templates with an instance."""
    paths = (*SERVICES, *TIMERS)
    return [f"{path.stem}{INSTANCES.get(ids(path), '')}{path.suffix}" for path in paths]


@needs_systemd
@pytest.mark.process
def test_systemd_has_nothing_to_complain_about(tmp_path: Path) -> None:
    root = installed(tmp_path)
    done = analyze("verify", "--man=no", "--recursive-errors=yes", f"--root={root}", *instances())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_systemd
@pytest.mark.process
def test_a_key_that_systemd_does_not_know_would_be_found(tmp_path: Path) -> None:
    root = installed(tmp_path)
    common = root / "etc/systemd/system" / COMMON.relative_to(SYSTEMD)
    common.write_text("[Service]\nProtectEverything=yes\n")
    done = analyze("verify", "--man=no", f"--root={root}", "marketarchive-collect.service")
    assert "ProtectEverything" in done.stderr


@needs_systemd
@pytest.mark.process
def test_every_service_is_less_exposed_than_three(tmp_path: Path) -> None:
    root = installed(tmp_path)
    services = [name for name in instances() if name.endswith(".service")]
    found = exposures(root, *services)
    assert sorted(found) == sorted(services)
    collect = "marketarchive-collect.service"
    assert f"gives {found[collect]} for `marketarchive-collect`" in GUIDE
    example = root / "etc/systemd/system" / f"{collect}.d" / "chainlink-pages.conf.example"
    example.rename(example.with_suffix(""))
    pages = exposures(root, collect)[collect]
    assert f"with `chainlink-pages.conf` {pages}." in GUIDE


def exposures(root: Path, *services: str) -> dict[str, str]:
    """Exposure of each service; fails where one is over 3.0."""
    options = ("--offline=yes", "--threshold=30", "--no-pager", f"--root={root}")
    done = analyze("security", *options, *services)
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(re.findall(r"Overall exposure level for (\S+): ([\d.]+)", done.stdout))
