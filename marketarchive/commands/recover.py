"""`scrapy recover`: seal the open segments of dead runs, enter them in the ledger, record their gaps."""

from __future__ import annotations

import argparse

from marketarchive.archive.config import ArchiveConfig, files_from_settings
from marketarchive.archive.recover import recover
from marketarchive.collecting.exit_codes import FAILED
from marketarchive.offline import OfflineCommand


class Command(OfflineCommand):
    def short_desc(self) -> str:
        return "Seal the open segments of dead runs and record their gaps; living runs are not touched"

    def work(self, args: list[str], opts: argparse.Namespace) -> int:
        assert self.settings is not None
        config, files = ArchiveConfig.from_settings(self.settings), files_from_settings(self.settings)
        found = recover(self.archive, self.clock, files, config)
        for run in found.runs:
            print(f"{run.name}: {run.reason}, manifest {run.manifest}")
            for what, paths in (("sealed", run.sealed), ("recovered", run.recovered), ("kept", run.torn)):
                for path in paths:
                    print(f"  {what:9} {path}")
        for warning in found.warnings:
            print(f"warning  {warning}")
        for failure in found.failures:
            print(f"FAILED   {failure}; the next start or `recover` retries it")
        print(f"{len(found.runs)} dead runs")
        return FAILED if found.failures else 0
