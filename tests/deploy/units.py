"""Units as systemd reads them: sections, each key with all its values, drop-ins included."""

from __future__ import annotations

import shutil
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
SYSTEMD = ROOT / "deploy" / "systemd"
COMMON = SYSTEMD / "marketarchive-.service.d" / "10-common.conf"
PROGRAM = "/opt/marketarchive/current/bin/marketarchive"
ALERT = "/usr/local/lib/marketarchive/alert"

SERVICES = sorted(SYSTEMD.glob("*.service"))
TIMERS = sorted(SYSTEMD.glob("*.timer"))


class Unit:
    """One unit file with the drop-in for all services."""

    def __init__(self, path: Path) -> None:
        self.values: dict[str, list[str]] = defaultdict(list)
        for each in (path, *([COMMON] if path.suffix == ".service" else [])):
            for line in each.read_text().splitlines():
                if line and line[0] not in "#[":
                    name, sign, value = line.partition("=")
                    assert sign, f"{each}: {line}"
                    self.values[name].append(value)

    def value(self, name: str, default: str = "") -> str:
        """The last value of a key."""
        return self.values[name][-1] if self.values[name] else default

    def restarts(self, code: int) -> bool:
        """Whether the service is started again after this exit code: systemd.service(5), Restart=."""
        if str(code) in self.value("RestartPreventExitStatus").split():
            return False
        return {"no": False, "always": True, "on-failure": code != 0}[self.value("Restart", "no")]


def installed(folder: Path) -> Path:
    """A root folder in which the units and the programs that they start are installed."""
    units = folder / "etc" / "systemd" / "system"
    shutil.copytree(SYSTEMD, units)
    for program in (PROGRAM, ALERT, "/usr/bin/true"):
        path = folder / program[1:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    shutil.copytree("/lib/systemd/system", folder / "lib" / "systemd" / "system", symlinks=True)
    return folder
