"""Lines for cron, in `deploy/cron` and in documents, as Debian's cron reads them."""

from __future__ import annotations

import re

from tests.deploy.units import ROOT

CRONTAB = ROOT / "deploy" / "cron" / "marketarchive"
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
NAME = re.compile(r"[A-Za-z0-9_-]+")
"""Of a file in /etc/cron.d: cron(8) ignores all others, those with a dot among them."""


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
