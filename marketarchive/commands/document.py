"""`scrapy document`: write the reference pages of docs/ from the code, or compare them with `--check`."""

from __future__ import annotations

import argparse
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from scrapy.commands import ScrapyCommand
from scrapy.exceptions import UsageError
from scrapy.settings import Settings
from scrapy.spiderloader import get_spider_loader

from marketarchive.checkout import checkout
from marketarchive.collecting.config_file import VARIABLE, keys
from marketarchive.collecting.plan_spider import PlanSpider
from marketarchive.collecting.spider import ArchiveSpider
from marketarchive.configured import ConfiguredCommand
from marketarchive.field_docs import END
from marketarchive.invocation import command
from marketarchive.venues import venues
from marketarchive.venues.channel import Channel

COMMANDS, SPIDERS, SETTINGS = "docs/COMMANDS.md", "docs/SPIDERS.md", "docs/SETTINGS.md"
MONITORING = "docs/MONITORING.md"  # only what stands between BEGIN and END
PERPS = "docs/PERPS.md"  # only what stands between BEGIN and END
METHODOLOGY = "docs/METHODOLOGY.md"  # only what stands between BEGIN and END
BEGIN = "<!-- written by `scrapy document` -->\n"
COMMANDS_HEAD = """# Commands

Written by `scrapy document` from what `marketarchive COMMAND -h` prints; change that. In a checkout,
`scrapy COMMAND` is the same. Every command takes `-s OUTPUT_DIR=DIR`; exit codes stand in
[Operations](OPERATIONS.md). Scrapy's own commands (`shell`, `fetch`, ...) are described by Scrapy.
"""
SPIDERS_HEAD = """# Spiders

Written by `scrapy document` from what spiders declare; change that. Arguments are given with `-a NAME=VALUE`:
"""
SETTINGS_HEAD = """# Settings

Written by `scrapy document` from the comments of `marketarchive/settings/live.py`, what venues declare, and
the keys of the configuration file; change those. Set one for a run with `-s NAME=VALUE`, or for all runs of a
checkout in its `settings/base.py`.
"""
ADDRESSES_HEAD = """
## URLs of venues

A URL here is requested in place of the venue's own; raw lines then have both: `url` and `canonical_url`.

| setting | in place of | meaning |
|---|---|---|
"""
CONFIG_HEAD = f"""
## The configuration file

`--config FILE`, which every command takes, or the variable `{VARIABLE}` names a file in TOML with a few
keys: [config.example.toml](../config.example.toml). Of a value that is given several times the command
line's counts, then the environment's (a variable, or a line in `.env`, named like the setting), then the
file's, then that of `settings/`. A key that is not known, or of another type, is an error (exit code 2).
Paths are relative to the folder in which the command is run. It holds no secrets.

| section | key | value | setting | meaning |
|---|---|---|---|---|
"""


class Command(ConfiguredCommand):
    requires_project = True
    requires_crawler_process = False
    default_settings = {"LOG_ENABLED": False}  # noqa: RUF012  (Scrapy's own form)

    def short_desc(self) -> str:
        return (
            f"Write {COMMANDS}, {SPIDERS}, {SETTINGS}, tables of {METHODOLOGY}, {MONITORING} and {PERPS}, "
            "and the lists of fields in other pages, from the code"
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 when it differs")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        if args:
            raise UsageError("document takes no argument, only options", print_help=False)
        from marketarchive.field_lists import field_lists, with_lists  # needs the extra `research`

        root = checkout("document")
        assert self.settings is not None
        loader = get_spider_loader(self.settings)
        spiders = [loader.load(name) for name in sorted(loader.list())]
        pages = {
            COMMANDS: commands_page(self.settings),
            SPIDERS: document([spider for spider in spiders if issubclass(spider, ArchiveSpider)])
            + "".join(_plan_section(spider) for spider in spiders if issubclass(spider, PlanSpider)),
            SETTINGS: settings_page((root / "marketarchive/settings/live.py").read_text(encoding="utf-8"))
            + addresses_table()
            + config_table(),
            METHODOLOGY: methodology_page((root / METHODOLOGY).read_text(encoding="utf-8"), spiders),
            MONITORING: _between(
                (root / MONITORING).read_text(encoding="utf-8"), MONITORING, metrics_table()
            ),
            PERPS: _between((root / PERPS).read_text(encoding="utf-8"), PERPS, perps_tables()),
        }
        for name, lists in field_lists().items():
            page = pages.get(name) or (root / name).read_text(encoding="utf-8")
            pages[name] = with_lists(page, name, lists)
        for name, text in pages.items():
            path = root / name
            if not opts.check:
                path.write_text(text, encoding="utf-8")
            elif not path.exists() or path.read_text(encoding="utf-8") != text:
                print(f"{name} differs from the code; run `{command('document')}`", file=sys.stderr)
                self.exitcode = 1


class _Parser(argparse.ArgumentParser):
    """Parser that collects in `own` the options that a command adds, without -h."""

    def __init__(self) -> None:
        self.own: list[argparse.Action] = []
        super().__init__(conflict_handler="resolve")

    def add_argument(self, *names: Any, **how: Any) -> argparse.Action:
        action = super().add_argument(*names, **how)
        if action.dest != "help":
            self.own.append(action)
        return action


def commands_page(settings: Settings) -> str:
    """Return docs/COMMANDS.md: a section for each command of this project, as Markdown."""
    package = import_module("marketarchive.commands")
    names = sorted(found.name for found in pkgutil.iter_modules(package.__path__))
    return "\n".join([COMMANDS_HEAD, *(_command_section(package.__name__, name, settings) for name in names)])


def _command_section(package: str, name: str, settings: Settings) -> str:
    command: ScrapyCommand = import_module(f"{package}.{name}").Command()
    command.settings, parser = settings, _Parser()
    if type(command).add_options.__module__.startswith("marketarchive"):  # Scrapy describes its own
        command.add_options(parser)
    text = [f"## {name}", f"{command.short_desc()}.", ""]
    if command.long_desc() != command.short_desc():
        text += [command.long_desc(), ""]
    text += ["```", f"marketarchive {name} {command.syntax()}".rstrip(), "```"]
    return "\n".join([*text, *_options_table(parser.own), ""])


def _options_table(options: Iterable[argparse.Action]) -> list[str]:
    rows = []
    for option in options:
        value = option.metavar or ("|".join(map(str, option.choices)) if option.choices else "")
        if not value and option.nargs != 0:
            value = option.dest.upper()
        named = ", ".join(f"`{f'{each} {value}'.strip()}`" for each in option.option_strings)
        meaning = (option.help or "") % {"default": option.default}
        rows.append(f"| {named.replace('|', chr(92) + '|')} | {meaning} |")
    return ["", "| option | meaning |", "|---|---|", *rows] if rows else []


def document(spiders: list[type[ArchiveSpider]]) -> str:
    """Return docs/SPIDERS.md as Markdown, with a section for each of `spiders`."""
    found = {each.name: each for spider in spiders for each in spider.accepts}
    rows = [f"| `{name}={each.example}` | {each.meaning} |" for name, each in sorted(found.items())]
    table = ["| argument | meaning |", "|---|---|", *rows, ""]
    return "\n".join([SPIDERS_HEAD, *table, *map(_section, spiders)])


def _section(spider: type[ArchiveSpider]) -> str:
    doc = inspect.getdoc(spider) or ""
    summary, _, rest = doc.partition("\n")
    rows = [f"| {key} | {value} |" for key, value in re.findall(r"^(\w+): (.*)$", rest, re.MULTILINE)]
    feeds = ", ".join(f"`raw/venue={spider.venue}/feed={feed}`" for feed in spider.feeds)
    return "\n".join(
        [f"## {spider.name}", summary, "", "| | |", "|---|---|", *rows, f"| Writes | {feeds} |", ""]
    )


def _plan_section(spider: type[PlanSpider]) -> str:
    about = (
        f"Starts the plan `{spider.plan}`: its arguments are the options of `scrapy collect {spider.plan}`."
    )
    return "\n".join(["", f"## {spider.name}", inspect.getdoc(spider) or "", "", about, ""])


def settings_page(source: str) -> str:
    """Return docs/SETTINGS.md as Markdown, made from the source text of a settings file.

    Comments of the form `# ---- title ----` begin sections; the comments above and beside a setting are its
    meaning.
    """
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


def addresses_table() -> str:
    """Return the section of docs/SETTINGS.md on the venues' URLs that settings can replace."""
    rows = (
        [f"`{each.setting}`", "nothing" if each.is_own_server else f"`{each.url}`", each.meaning]
        for venue in venues().values()
        for each in venue.addresses
    )
    return ADDRESSES_HEAD + "".join(map(_row, rows))


def config_table() -> str:
    """Return the section of docs/SETTINGS.md on the keys of the configuration file."""
    rows = (
        [f"`[{each.section}]`", f"`{each.name}`", each.form, f"`{each.setting}`", each.meaning]
        for each in keys()
    )
    return CONFIG_HEAD + "".join(map(_row, rows))


def methodology_page(page: str, spiders: Iterable[type[Any]]) -> str:
    """Return the text of docs/METHODOLOGY.md with a table per streamed channel of how gaps are noticed.

    page: its present text; spiders: all spider classes, of which those of streams are used.
    """
    from marketarchive.collecting.streams.stream import StreamSpider

    streams = {
        channel.endpoint: (spider.venue, channel)
        for spider in spiders
        if issubclass(spider, StreamSpider)
        for channel in spider.channels()
    }
    tables = [_channel_section(venue, channel) for venue, channel in streams.values()]
    return _between(page, METHODOLOGY, tables)


def _between(page: str, name: str, parts: Iterable[str]) -> str:
    """Return a page's text with `parts` in place of its generated part.

    page: its present text; name: its path, for errors. Raises ValueError for a page without the marks.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{name} has no place between {BEGIN!r} and {END!r}")
    return "".join((before, begin, *parts, "\n", end, after))


def metrics_table() -> Iterable[str]:
    """Yield the lines of a Markdown table of all exported metrics."""
    from marketarchive.collecting.metric_figures import METRICS

    yield "\n" + _row(["metric", "labels", "what"]) + _row(["---"] * 3)
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        yield _row([f"`{metric.exported}`", labels, metric.help])


def perps_tables() -> Iterable[str]:
    """Yield Markdown: a table of the origin of each perpetuals column by venue, and a section per venue."""
    declared = {name: venue.perps for name, venue in venues().items() if venue.perps is not None}
    columns = list(dict.fromkeys(column for perps in declared.values() for column in perps.columns))
    yield "\n" + _row(["column", *declared]) + _row(["---"] * (len(declared) + 1))
    for column in columns:
        found = [perps.columns.get(column) for perps in declared.values()]
        yield _row([f"`{column}`", *("null" if each is None else each.origin for each in found)])
    for name, perps in declared.items():
        yield f"\n### {name}\n" + _row(["column", "", "how"]) + _row(["---"] * 3)
        yield from (
            _row([f"`{column}`", each.origin, each.how.replace("|", "\\|")])
            for column, each in perps.columns.items()
        )
        if perps.fee_schedule_date is not None:
            fees = f"taker {perps.taker_bps}, maker {perps.maker_bps} basis points"
            yield f"\nFees by the schedule of {perps.fee_schedule_date}: {fees}.\n"
        if perps.unproven:
            yield "\nNot proven:\n\n"
        for route, why in perps.unproven.items():
            yield f"- {route}: {why}.\n"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _channel_section(venue: str, channel: Channel) -> str:
    from marketarchive.collecting.streams.detection import table

    title = f"### {venue}, {channel.endpoint.name} (proof: {channel.proof})"
    return "\n".join(["", title, *table(channel), ""])
