"""`scrapy genspider -t sweep|cadence|stream|page NAME DOMAIN`: Scrapy's, the class named as the file is."""

from __future__ import annotations

from typing import Any

from scrapy.commands import genspider


class Command(genspider.Command):
    def _generate_template_variables(
        self, module: str, name: str, url: str, template_name: str
    ) -> dict[str, Any]:
        variables = super()._generate_template_variables(module, name, url, template_name)
        venue, _, feed = module.partition("_")
        classname = "".join(part.capitalize() for part in module.split("_"))
        return {**variables, "classname": classname, "venue": venue, "feed": feed or module}
