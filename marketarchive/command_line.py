"""The program `marketarchive`: Scrapy's commands and this project's, with the package's own settings.

It works in any folder. It reads neither scrapy.cfg nor SCRAPY_SETTINGS_MODULE, so that another Scrapy project
in the folder or the environment has no effect.
"""

from __future__ import annotations

import argparse
import difflib
import os
import pkgutil
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

from marketarchive.interrupts import report_interrupts
from marketarchive.settings import PROFILES, profile_settings

if TYPE_CHECKING:
    from scrapy.commands import ScrapyCommand
    from scrapy.settings import Settings

PACKAGES = ("scrapy.commands", "marketarchive.commands")
"""Packages that hold commands; if two commands have the same name, the later package's is used."""
PROFILE_HELP = "base settings: live (the venues), simulator, or vps (a small server); default: live"
WRONG = 2


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run one command line and exit with the command's exit code; argv: its words, None for `sys.argv`."""
    report_interrupts("marketarchive")
    words = list(sys.argv[1:] if argv is None else argv)
    profile, words = _profile(words)
    name = next((word for word in words if not word.startswith("-")), None)
    modules = _modules()
    if name is None:
        _print_commands(modules, profile)
        sys.exit(0)
    if name not in modules:
        near = difflib.get_close_matches(name, modules, 1)
        _refuse(f"there is no command {name!r}" + (f"; do you mean {near[0]}?" if near else ""))
    words.remove(name)
    command = _load(modules[name])
    _run(command, name, words, profile_settings(profile))
    sys.exit(command.exitcode)


def _profile(words: Sequence[str]) -> tuple[str, list[str]]:
    """Return (profile named by --profile or SCRAPY_PROJECT, the words of the command line without --profile).

    Exits with code 2 for an unknown profile.
    """
    parser = argparse.ArgumentParser(prog="marketarchive", add_help=False, allow_abbrev=False)
    parser.add_argument("--profile")
    opts, rest = parser.parse_known_args(words)
    named = os.environ.get("SCRAPY_PROJECT", "default")
    source, profile = ("SCRAPY_PROJECT=", named) if opts.profile is None else ("--profile ", opts.profile)
    profile = "live" if (source, profile) == ("SCRAPY_PROJECT=", "default") else profile
    if profile not in PROFILES:
        _refuse(f"{source}{profile} is not a profile; use one of {', '.join(PROFILES)}")
    return profile, rest


def _modules() -> dict[str, str]:
    """Return name of each command -> path of the module that defines it."""
    return {
        found.name: f"{package}.{found.name}"
        for package in PACKAGES
        for found in pkgutil.iter_modules(import_module(package).__path__)
    }


def _load(module: str) -> ScrapyCommand:
    command: ScrapyCommand = import_module(module).Command()
    return command


def _run(command: ScrapyCommand, name: str, words: Sequence[str], settings: Settings) -> None:
    """Run a command as Scrapy's own command line does, with `marketarchive` as the program's name.

    words: of the command line after the command's name. See scrapy.cmdline.execute of Scrapy 2.19.
    """
    from scrapy.cmdline import ScrapyArgumentParser
    from scrapy.commands import ScrapyHelpFormatter
    from scrapy.crawler import AsyncCrawlerProcess
    from scrapy.exceptions import UsageError

    parser = ScrapyArgumentParser(
        prog=f"marketarchive {name}",
        usage=f"marketarchive {name} {command.syntax()}",
        description=command.long_desc(),
        formatter_class=ScrapyHelpFormatter,
        conflict_handler="resolve",
    )
    settings.setdict(command.default_settings, priority="command")
    if "EDITOR" in os.environ:
        settings.set("EDITOR", os.environ["EDITOR"], priority="project")
    command.settings = settings
    command.add_options(parser)
    parser.add_argument("--profile", choices=PROFILES, help=PROFILE_HELP)
    opts, args = parser.parse_known_args(words)
    try:
        command.process_options(args, opts)
        if command.requires_crawler_process:
            command.crawler_process = AsyncCrawlerProcess(settings)
        command.run(args, opts)
    except UsageError as error:
        if str(error):
            parser.error(str(error))
        if error.print_help:
            parser.print_help()
        sys.exit(WRONG)


def _print_commands(modules: dict[str, str], profile: str) -> None:
    print(f"Usage: marketarchive COMMAND [--profile {'|'.join(PROFILES)}] [options]   (profile: {profile})\n")
    for name, module in sorted(modules.items()):
        print(f"  {name:<15} {_load(module).short_desc()}")
    print("\nmarketarchive COMMAND -h prints its options.")


def _refuse(why: str) -> NoReturn:
    print(f"marketarchive: {why}", file=sys.stderr)
    sys.exit(WRONG)
