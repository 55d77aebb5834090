"""Shared base of all commands: it reads the user's configuration file (option --config)."""

from __future__ import annotations

import argparse

from scrapy.commands import ScrapyCommand
from scrapy.exceptions import UsageError

from marketarchive.collecting.config_file import VARIABLE, apply_configuration
from marketarchive.exceptions import ConfigurationError


class ConfiguredCommand(ScrapyCommand):
    """Command whose settings also come from environment variables and from the user's configuration file."""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
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
