"""`scrapy document`: writes docs/SPIDERS.md from the spiders' own docstrings; `--check` only compares."""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from pathlib import Path

from scrapy.commands import ScrapyCommand
from scrapy.exceptions import UsageError
from scrapy.spiderloader import get_spider_loader

from marketarchive.collecting.spider import ArchiveSpider

TARGET = Path("docs/SPIDERS.md")
HEAD = """# Spiders

Written by `scrapy document` from the docstrings; change those. Arguments are explained in the README.
"""


class Command(ScrapyCommand):
    requires_project = True
    requires_crawler_process = False
    default_settings = {"LOG_ENABLED": False}  # noqa: RUF012  (Scrapy's own form)

    def short_desc(self) -> str:
        return "Write docs/SPIDERS.md from the spiders' docstrings"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 when it differs")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        if args:
            raise UsageError("document takes no argument", print_help=False)
        assert self.settings is not None
        loader = get_spider_loader(self.settings)
        spiders = [loader.load(name) for name in sorted(loader.list())]
        text = document([spider for spider in spiders if issubclass(spider, ArchiveSpider)])
        if not opts.check:
            TARGET.write_text(text, encoding="utf-8")
        elif not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text:
            print(f"{TARGET} is not what the docstrings say; run `scrapy document`", file=sys.stderr)
            self.exitcode = 1


def document(spiders: list[type[ArchiveSpider]]) -> str:
    """The page for these spiders."""
    return "\n".join([HEAD, *map(_section, spiders)])


def _section(spider: type[ArchiveSpider]) -> str:
    doc = inspect.getdoc(spider) or ""
    summary, _, rest = doc.partition("\n")
    rows = [f"| {key} | {value} |" for key, value in re.findall(r"^(\w+): (.*)$", rest, re.MULTILINE)]
    feeds = ", ".join(f"`raw/venue={spider.venue}/feed={feed}`" for feed in spider.feeds)
    return "\n".join(
        [f"## {spider.name}", summary, "", "| | |", "|---|---|", *rows, f"| Writes | {feeds} |", ""]
    )
