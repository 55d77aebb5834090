"""What the guide tells to type is there, and what it copies is sound."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from marketarchive.collecting.config_file import keys
from marketarchive.settings import profile_settings
from tests.deploy.units import ALERT, COMMON, PROGRAM, ROOT, SERVICES, Unit

GUIDE = (ROOT / "docs" / "VPS_DEPLOYMENT.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh ?\w*\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
SCRIPTS = [ROOT / "deploy" / "alert", ROOT / "deploy" / "cron" / "run_cycle.sh"]
LOGROTATE = "/usr/sbin/logrotate"
CHECKOUT = "/opt/marketarchive/src/"


def test_every_file_that_is_copied_is_in_the_checkout() -> None:
    named = set(re.findall(rf"{CHECKOUT}([\w./-]+)", "\n".join(BLOCKS)))
    assert len(named) >= 6
    for name in named:
        assert (ROOT / name).exists(), name
    for name in re.findall(r"`(deploy/[^`]+)`", GUIDE):
        assert (ROOT / name).exists(), name


def test_every_unit_that_is_started_is_there() -> None:
    text = "\n".join(BLOCKS)
    expanded = [
        text.replace(group, part)
        for group in re.findall(r"\{[\w,]+\}", text)
        for part in group.strip("{}").split(",")
    ]
    named = {
        name for each in expanded for name in re.findall(r"marketarchive-[a-z0-9]+\.(?:service|timer)", each)
    }
    assert len(named) > 5
    for name in named:
        assert (ROOT / "deploy" / "systemd" / name).exists(), name


def test_commands_are_those_of_the_program() -> None:
    for name in re.findall(r"^archive (\w+)", "\n".join(BLOCKS), re.MULTILINE):
        assert (ROOT / "marketarchive" / "commands" / f"{name}.py").exists(), name


@pytest.mark.process
def test_blocks_can_be_read_by_bash() -> None:
    assert len(BLOCKS) > 8
    done = subprocess.run(["bash", "-n"], input="\n".join(BLOCKS), capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.process
def test_commands_by_hand_have_what_units_have() -> None:
    """A transient unit has the drop-in of the names that begin as its own does: systemd.unit(5)."""
    [archive] = [block.partition("archive version")[0] for block in BLOCKS if "archive() {" in block]
    given = ["crawl", "a b", "c=$HOME", "$$", '"%n"', ""]
    shell = ["bash", "-c", f'systemd-run() {{ printf \'%s\\0\' "$@"; }}\n{archive}\narchive "$@"\n' * 2]
    done = subprocess.run([*shell, "bash", *given], capture_output=True, text=True, check=True, timeout=60)
    words = done.stdout.split("\0")[:-1]
    size = len(words) // 2
    units = set()
    for told in (words[:size], words[size:]):
        at = told.index(PROGRAM)
        options = dict(word.removeprefix("--").partition("=")[::2] for word in told[:at])
        assert {"wait", "pipe"} <= set(options)  # its exit code, its standard streams
        assert options["unit"].startswith(COMMON.parent.name.removesuffix(".service.d"))
        assert [word.replace("$$", "$") for word in told[at + 1 :]] == given  # systemd expands $NAME
        units.add(options["unit"])
    assert len(units) == 2
    common = Unit(COMMON)
    assert common.value("EnvironmentFile") == "-/etc/marketarchive/environment"
    assert common.value("User") == options["uid"]


@pytest.mark.process
def test_a_folder_on_another_disk_can_be_written_by_all_units(tmp_path: Path) -> None:
    [typed] = [block for block in BLOCKS if "ReadWritePaths=" in block]
    disk, drop_ins = tmp_path / "mnt" / "large", f"etc/systemd/system/{COMMON.parent.name}"
    moved = tmp_path / "var/lib/marketarchive/pipelines_out/raw/venue=polymarket"
    for folder in (disk, moved, tmp_path / drop_ins):
        folder.mkdir(parents=True)
    (moved / "segment").write_text("")
    played = f'systemctl() {{ echo "$1" >> {tmp_path}/told; }}\ninstall() {{ mkdir -p "${{@: -1}}"; }}\n'
    here = re.sub(r"(?<![\w.])/(etc|var)/", rf"{tmp_path}/\1/", typed)
    shell = ["bash", "-euc", f"{played}DISK={disk}\n{here}"]
    subprocess.run(shell, check=True, capture_output=True, timeout=60)
    assert moved.is_symlink()
    assert (moved / "segment").exists()
    [drop_in] = (tmp_path / drop_ins).iterdir()
    assert drop_in.suffix == ".conf"
    assert not (COMMON.parent / drop_in.name).exists()  # an upgrade would overwrite it
    section, given = drop_in.read_text().splitlines()
    assert (section, given) == ("[Service]", f"ReadWritePaths={disk}")
    assert moved.resolve().is_relative_to(disk)
    assert (tmp_path / "told").read_text().split() == ["stop", "daemon-reload", "start"]


def test_folders_are_the_same_everywhere() -> None:
    installs = "\n".join(BLOCKS)
    assert f'ln -sfn "$VERSION" {Path(PROGRAM).parents[1]}' in installs
    assert str(Path(ALERT).parent) in installs
    for path in SERVICES:
        assert f"useradd --system --home-dir {Unit(path).value('WorkingDirectory')} " in installs
        assert re.search(rf"^useradd .* {Unit(path).value('User')}$", installs, re.MULTILINE)


def test_figures_of_the_profile_are_the_guides() -> None:
    for name in ("DISK_WARN_FREE_MB", "DISK_STOP_FREE_MB"):
        value = profile_settings("vps").getint(name)
        assert f"below `{name}` (profile `vps`: {value})" in GUIDE


def test_the_configuration_has_keys_that_there_are() -> None:
    text = (ROOT / "deploy" / "config.toml").read_text(encoding="utf-8")
    known = {(key.section, key.name) for key in keys()} | {("polymarket", "enabled"), ("kalshi", "enabled")}
    section = ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif "=" in line and not line.startswith("#"):
            assert (section, line.partition(" =")[0]) in known, line


def test_the_journal_is_bounded() -> None:
    config = ConfigParser()
    config.read(ROOT / "deploy" / "journald" / "marketarchive.conf")
    assert config["Journal"]["SystemMaxUse"] == "500M"


@pytest.mark.process
@pytest.mark.skipif(
    not shutil.which("shellcheck"), reason="shellcheck is not here: apt-get install shellcheck"
)
def test_shellcheck_has_nothing_to_complain_about() -> None:
    done = subprocess.run(["shellcheck", *map(str, SCRIPTS)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_stop_at_their_first_fault(path: Path) -> None:
    assert path.stat().st_mode & 0o111
    assert path.read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n")
    assert "\nset -euo pipefail\n" in path.read_text(encoding="utf-8")


@pytest.mark.process
@pytest.mark.skipif(not Path(LOGROTATE).exists(), reason="apt-get install logrotate")
def test_logrotate_takes_its_file(tmp_path: Path) -> None:
    text = (ROOT / "deploy" / "logrotate" / "marketarchive").read_text(encoding="utf-8")
    file = tmp_path / "marketarchive"
    user = "root root" if Path.home() == Path("/root") else "nobody nogroup"
    file.write_text(text.replace("su marketarchive marketarchive", f"su {user}"))
    file.chmod(0o644)
    line = [LOGROTATE, "--debug", "--state", str(tmp_path / "state"), str(file)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr
    assert "rotating pattern: /var/lib/marketarchive/logs/*.log" in done.stderr


@pytest.mark.process
def test_an_alert_reaches_whoever_is_named(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/unit\ncat > {tmp_path}/lines\n')
    alert = str(SCRIPTS[0])
    environment = {"MARKETARCHIVE_ALERT": str(own)}
    alone = subprocess.run([alert, "x.service"], env=environment, capture_output=True, text=True, timeout=60)
    assert alone.returncode == 0  # nobody is named: the journal alone
    assert alone.stdout.startswith("<1>marketarchive: x.service failed on ")
    own.chmod(0o755)
    subprocess.run([alert, "x.service"], env=environment, capture_output=True, check=True, timeout=60)
    assert (tmp_path / "unit").read_text() == "x.service\n"
    assert (tmp_path / "lines").exists()
    own.write_text("#!/bin/sh\nexit 7\n")
    failed = subprocess.run([alert, "x.service"], env=environment, capture_output=True, timeout=60)
    assert failed.returncode == 7


def test_the_container_copies_what_there_is() -> None:
    text = (ROOT / "deploy" / "container" / "Containerfile").read_text(encoding="utf-8")
    joined = re.sub(r"\\\n\s*", "", text)
    words = [line.split(maxsplit=1) for line in joined.splitlines() if line and not line.startswith("#")]
    known = {"FROM", "RUN", "WORKDIR", "COPY", "ENV", "USER", "VOLUME", "STOPSIGNAL", "ENTRYPOINT", "CMD"}
    assert {word for word, _ in words} <= known
    assert words[0][0] == "FROM"
    users = [rest for word, rest in words if word == "USER"]
    assert users == ["10001"]  # not root
    for word, rest in words:
        if word == "COPY" and not rest.startswith("--from"):
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source


@pytest.mark.process
def test_the_linter_of_containers_has_nothing_to_complain_about() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    file = ROOT / "deploy" / "container" / "Containerfile"
    done = subprocess.run([linter, "--no-color", file], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")
