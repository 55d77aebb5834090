"""`scrapy genspider -t sweep|polling|stream|page NAME DOMAIN`: Scrapy's; it names the class as the file."""

from __future__ import annotations

import argparse
from typing import Any

from scrapy.commands import genspider

from marketarchive.checkout import checkout
from marketarchive.configured import ConfiguredCommand

FORMER_NAMES = {"cadence": "polling"}


class Command(ConfiguredCommand, genspider.Command):
    def short_desc(self) -> str:
        return "Write the skeleton of a new spider into a checkout (-t sweep, polling, stream or page)"

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        assert self.settings is not None
        if args and self.settings["NEWSPIDER_MODULE"]:
            checkout("genspider")
        opts.template = FORMER_NAMES.get(opts.template, opts.template)
        opts.dump = FORMER_NAMES.get(opts.dump, opts.dump)
        super().run(args, opts)

    def _generate_template_variables(
        self, module: str, name: str, url: str, template_name: str
    ) -> dict[str, Any]:
        variables = super()._generate_template_variables(module, name, url, template_name)
        venue, _, feed = module.partition("_")
        classname = "".join(part.capitalize() for part in module.split("_"))
        return {**variables, "classname": classname, "venue": venue, "feed": feed or module}
