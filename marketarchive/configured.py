"""Shared base of all commands: it reads the user's configuration file (option --config)."""

from __future__ import annotations

import argparse

from scrapy.commands import ScrapyCommand, ScrapyHelpFormatter
from scrapy.exceptions import UsageError

from marketarchive.collecting.config_file import VARIABLE, apply_configuration
from marketarchive.exceptions import ConfigurationError


class HelpFormatter(ScrapyHelpFormatter):
    """Formatter that underlines headings only: Scrapy's takes a line that wraps after a colon for one."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return [f"{line} " if line.endswith(":") else line for line in super()._split_lines(text, width)]


class ConfiguredCommand(ScrapyCommand):
    """Command whose settings also come from environment variables and from the user's configuration file."""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        parser.formatter_class = HelpFormatter
        super().add_options(parser)
        parser.add_argument(
            "--config",
            metavar="FILE",
            help=f"configuration file in TOML (default: the environment variable {VARIABLE})",
        )

    def process_options(self, args: list[str], opts: argparse.Namespace) -> None:
        super().process_options(args, opts)
        assert self.settings is not None
        try:
            apply_configuration(self.settings, opts.config)
        except ConfigurationError as error:
            raise UsageError(str(error), print_help=False) from error
