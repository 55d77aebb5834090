"""Lines for cron, in `deploy/cron` and in documents, run as Debian's cron runs them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.deploy.units import PROGRAM, ROOT

CYCLE = "/usr/local/lib/marketarchive/run_cycle.sh"
OF_A_CHECKOUT = "/srv/marketarchive/.venv/bin/scrapy"
HOME = "/var/lib/marketarchive"
CRONTAB = ROOT / "deploy" / "cron" / "marketarchive"
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
NAME = re.compile(r"[A-Za-z0-9_-]+")
"""Of a file in /etc/cron.d: cron(8) ignores all others, those with a dot among them."""
LINE = re.compile(r"(?:^| `)(?:[*/,0-9-]+ +){5}(?P<command>\S[^`\n]*)", re.MULTILINE)


class Job(NamedTuple):
    """A line for cron."""

    where: str
    user: str
    command: str


def jobs() -> list[Job]:
    """Every line for cron: on the guide's folders with a user, as in /etc/cron.d; of a checkout without."""
    found = []
    for path in (CRONTAB, *PAGES):
        for match in LINE.finditer(path.read_text(encoding="utf-8")):
            command, user = match["command"], ""
            if not command.startswith("cd /srv/"):
                user, _, command = command.partition(" ")
            found.append(Job(path.name, user, command.strip()))
    return found


def test_every_file_of_cron_has_a_name_that_cron_reads() -> None:
    installed = {"cron": CRONTAB.name}
    for path in (CRONTAB, *PAGES):
        for name in re.findall(r"/etc/cron\.d/([^\s`,;):]+)", path.read_text(encoding="utf-8")):
            installed[f"{path.name}: {name}"] = name
    assert len(installed) > 1
    for where, name in installed.items():
        assert NAME.fullmatch(name), where
    kept = {path.name for path in CRONTAB.parent.iterdir()}
    assert {name for name in kept if not NAME.fullmatch(name)} == {"run_cycle.sh"}


def run(job: Job, root: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a line below `root` in place of `/`, as cron does; its program notes in `ran`, ends with `code`."""
    for program in (PROGRAM, CYCLE, OF_A_CHECKOUT):
        path = root / program[1:]
        path.parent.mkdir(parents=True, exist_ok=True)
        notes = f'echo "$PWD $0 $SCRAPY_PROJECT $1" >> {root}/ran'
        path.write_text(f'#!/bin/sh\n{notes}\necho "says $1"\nexit {code}\n')
        path.chmod(0o755)
    (root / HOME[1:]).mkdir(parents=True)
    command = re.sub(r"(?<![\w.])/(opt|srv|usr/local|var)/", rf"{root}/\1/", job.command)
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(root / HOME[1:]), "SHELL": "/bin/sh"}
    shell = ["/bin/sh", "-c", command]
    return subprocess.run(shell, cwd="/", env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.process
@pytest.mark.parametrize("job", jobs(), ids=lambda job: f"{job.where}: {job.command[-40:]}")
def test_a_line_runs_with_what_cron_gives_it(job: Job, tmp_path: Path) -> None:
    assert job.user in ("", "marketarchive")
    assert "%" not in job.command  # cron makes a new line of it
    done = run(job, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    [ran] = (tmp_path / "ran").read_text().splitlines()
    folder, program, *words = ran.replace(str(tmp_path), "").split()
    if program == CYCLE:  # it knows its folder and its profile
        return
    assert folder == (HOME if job.user else "/srv/marketarchive")
    *profile, command = words
    assert profile == (["vps"] if job.user else [])
    assert command == "crawl" or (ROOT / "marketarchive" / "commands" / f"{command}.py").exists()


@pytest.mark.process
@pytest.mark.parametrize(("code", "printed"), [(0, ""), (1, "says status\n")])
def test_a_check_says_what_is_wrong_and_nothing_else(code: int, printed: str, tmp_path: Path) -> None:
    [check] = [job for job in jobs() if " status --check" in job.command]
    assert run(check, tmp_path, code).stdout == printed
