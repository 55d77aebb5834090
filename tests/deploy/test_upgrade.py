"""The guide's installation, upgrade and rollback, run as they are typed, in a folder in place of `/`.

Real are bash, git, the environments, the links and the program. In place of pip the package is copied,
systemctl notes what it is told, and systemd-run runs it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from marketarchive.version import __version__
from tests.archive.writing import cron
from tests.deploy.units import ROOT

GUIDE = (ROOT / "docs" / "VPS_DEPLOYMENT.md").read_text(encoding="utf-8")
BLOCKS: list[str] = re.findall(r"^(```sh ?\w*\n.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
"""Of its commands, each with the line before it."""
NEWER = "99.0.0"
COPIED = {
    "deploy/systemd/marketarchive-collect.service": "etc/systemd/system/marketarchive-collect.service",
    "deploy/cron/run_cycle.sh": "usr/local/lib/marketarchive/run_cycle.sh",
}
"""File of the checkout -> where the guide puts it."""

AROUND = f"""
set -euo pipefail
systemctl() {{ echo "$(readlink opt/marketarchive/current): $*" >> calls; }}
systemd-run() {{
    while [[ $1 == -* ]]; do shift; done
    (cd var/lib/marketarchive && SCRAPY_PROJECT=vps "$@")
}}
python3() {{ {sys.executable} "$@" --without-pip; cp pip "$3/bin/pip"; }}
"""
PIP = """#!/bin/sh
folder=$(dirname "$0")
cp -r "${3%\\[*}/marketarchive" "$folder/../lib"
cp program "$folder/marketarchive"
"""
PROGRAM = f"""#!/bin/sh
PYTHONPATH=$(dirname "$0")/../lib \\
exec {sys.executable} -c 'from marketarchive.command_line import main; main()' "$@"
"""


def block(text: str) -> str:
    """Return the block of the guide that has this text."""
    [found] = [each for each in BLOCKS if text in each]
    return found


def git(folder: Path, *words: str) -> None:
    author = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", "-C", folder, *author, *words], check=True, capture_output=True, timeout=60)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a repository that has this version, `old`."""
    made = tmp_path / "repository"
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("marketarchive", "deploy"):
        shutil.copytree(ROOT / name, made / name, ignore=ignored)
    git(made, "init", "--quiet")
    git(made, "add", ".")
    git(made, "commit", "--quiet", "--message", "old")
    git(made, "tag", "old")
    return made


def release(repository: Path) -> None:
    """Add the version `new`: of the program, a unit and a script."""
    version = repository / "marketarchive" / "version.py"
    version.write_text(version.read_text().replace(__version__, NEWER))
    for name in COPIED:
        with (repository / name).open("a") as file:
            file.write("# newer\n")
    git(repository, "commit", "--quiet", "--all", "--message", "new")
    git(repository, "tag", "new")


@pytest.mark.process
def test_an_upgrade_and_the_way_back(repository: Path, tmp_path: Path) -> None:
    root = tmp_path / "machine"
    for name in ("systemd/system", "marketarchive"):
        (root / "etc" / name).mkdir(parents=True)
    for name in ("opt/marketarchive", "usr/local/lib/marketarchive"):
        (root / name).mkdir(parents=True)
    cron(root / "var/lib/marketarchive/pipelines_out")
    for name, text in (("pip", PIP), ("program", PROGRAM)):
        (root / name).write_text(text)
        (root / name).chmod(0o755)
    current, calls = root / "opt/marketarchive/current", root / "calls"

    def run(*commands: str) -> list[str]:
        """Run commands in one shell; return what was printed."""
        typed = re.sub("^```.*", "", "\n".join(commands), flags=re.MULTILINE)
        text = re.sub(r"(?<![\w.])/(etc|opt|usr/local|var)/", rf"{root}/\1/", typed)
        calls.write_text("")
        shell = ["bash", "-c", f"{AROUND}REPOSITORY={repository} VERSION=old NEW=new\n{text}"]
        done = subprocess.run(shell, cwd=root, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    archive = block("archive() {")
    assert f"marketarchive {__version__}" in run(
        block("git clone"), block("restart systemd-journald"), archive
    )
    assert current.readlink() == Path("old")

    release(repository)
    archive = archive.partition("archive version")[0]
    assert f"marketarchive {NEWER}" in run(archive, block("```sh upgrade"))
    assert current.readlink() == Path("new")
    assert all((root / name).read_text().endswith("# newer\n") for name in COPIED.values())
    restarted = ["daemon-reload", "try-restart marketarchive-*.service"]
    assert calls.read_text().splitlines() == [f"new: {call}" for call in restarted]

    assert f"marketarchive {__version__}" in run(
        archive, block("```sh rollback"), "archive version", "archive verify"
    )
    assert current.readlink() == Path("old")
    for name, copy in COPIED.items():
        assert (root / copy).read_bytes() == (ROOT / name).read_bytes()
    assert calls.read_text().splitlines() == [f"old: {call}" for call in restarted]
