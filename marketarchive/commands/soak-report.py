"""`scrapy soak-report`: report whether a soak kept its thresholds, from its journal and the archive."""

# ruff: noqa: N999  (Scrapy names a command after its file)
from __future__ import annotations

import argparse
import json

from marketarchive.archive.soak.journal import named_soak
from marketarchive.collecting.exit_codes import FINISHED
from marketarchive.collecting.master_settings import master_url
from marketarchive.offline import OfflineCommand
from marketarchive.progress import Bar


class Command(OfflineCommand):
    def short_desc(self) -> str:
        return "Report whether a soak met its thresholds, with the gate and its reasons"

    def long_desc(self) -> str:
        return (
            "Reads the journal of `scrapy soak`, ledger, manifests and segments, brings the tables coverage "
            "and gaps up to date, verifies the archive and writes reports/soak_test_<day>.md with plots "
            "beside it. Without the extra `research`, the report lists what could not be measured. The exit "
            "code is 0 whatever the gate."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument("--soak", metavar="ID", help="id of the soak (default: the newest)")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def work(self, args: list[str], opts: argparse.Namespace) -> int:
        from marketarchive.research.soak.report import soak_report

        assert self.settings is not None
        soak = named_soak(self.root, opts.soak)
        with Bar() as bar:
            done = soak_report(self.root, soak, master_url(self.settings), bar)
        print(json.dumps(done.as_dict()) if opts.json else done.text())
        return FINISHED
