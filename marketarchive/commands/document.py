"""`scrapy document`: writes the reference pages from docstrings and settings; `--check` only compares."""

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

SPIDERS, SETTINGS = Path("docs/SPIDERS.md"), Path("docs/SETTINGS.md")
SPIDERS_HEAD = """# Spiders

Written by `scrapy document` from the docstrings; change those. Arguments are explained in the README.
"""
SETTINGS_HEAD = """# Settings

Written by `scrapy document` from the comments of `settings/base.py`; change those. Set one for a run with
`-s NAME=VALUE`, or in a settings file of your own (see POLYMARKET_COLLECTOR).
"""


class Command(ScrapyCommand):
    requires_project = True
    requires_crawler_process = False
    default_settings = {"LOG_ENABLED": False}  # noqa: RUF012  (Scrapy's own form)

    def short_desc(self) -> str:
        return "Write docs/SPIDERS.md and docs/SETTINGS.md from the code"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 when it differs")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        if args:
            raise UsageError("document takes no argument", print_help=False)
        assert self.settings is not None
        loader = get_spider_loader(self.settings)
        spiders = [loader.load(name) for name in sorted(loader.list())]
        pages = {
            SPIDERS: document([spider for spider in spiders if issubclass(spider, ArchiveSpider)]),
            SETTINGS: settings_page(Path("settings/base.py").read_text(encoding="utf-8")),
        }
        for path, text in pages.items():
            if not opts.check:
                path.write_text(text, encoding="utf-8")
            elif not path.exists() or path.read_text(encoding="utf-8") != text:
                print(f"{path} is not what the code says; run `scrapy document`", file=sys.stderr)
                self.exitcode = 1


def document(spiders: list[type[ArchiveSpider]]) -> str:
    """The page for these spiders."""
    return "\n".join([SPIDERS_HEAD, *map(_section, spiders)])


def _section(spider: type[ArchiveSpider]) -> str:
    doc = inspect.getdoc(spider) or ""
    summary, _, rest = doc.partition("\n")
    rows = [f"| {key} | {value} |" for key, value in re.findall(r"^(\w+): (.*)$", rest, re.MULTILINE)]
    feeds = ", ".join(f"`raw/venue={spider.venue}/feed={feed}`" for feed in spider.feeds)
    return "\n".join(
        [f"## {spider.name}", summary, "", "| | |", "|---|---|", *rows, f"| Writes | {feeds} |", ""]
    )


def settings_page(source: str) -> str:
    """The page of a settings file: sections by its ruled comments, meaning by comments above or beside."""
    parts, above = [SETTINGS_HEAD], list[str]()
    for line in source.splitlines():
        if ruled := re.fullmatch(r"# -{3,} (.*?) -+", line):
            title = ruled[1]
            parts.append(f"## {title[0].upper()}{title[1:]}\n")
            parts.append("| setting | value | meaning |\n|---|---|---|")
            above = []
        elif line.startswith("# "):
            above.append(line[2:])
        elif found := re.fullmatch(r"([A-Z_]+) = (.*?)(?:  # (.*))?", line):
            meaning = " ".join([*above, *filter(None, [found[3]])])
            if meaning:
                parts.append(f"| `{found[1]}` | `{found[2]}` | {meaning} |")
            above = []
        elif not line:
            above = []
    return "\n".join(parts).replace("|\n## ", "|\n\n## ") + "\n"
