"""What -h prints, of every command."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import pytest
from scrapy.cmdline import ScrapyArgumentParser
from scrapy.commands import ScrapyHelpFormatter
from scrapy.settings import Settings

from marketarchive import commands


@pytest.mark.parametrize("name", sorted(found.name for found in pkgutil.iter_modules(commands.__path__)))
def test_headings_alone_are_underlined(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However wide the terminal is: an option's text may wrap after a colon."""
    command = import_module(f"{commands.__name__}.{name}").Command()
    command.settings = Settings()
    parser = ScrapyArgumentParser(formatter_class=ScrapyHelpFormatter, conflict_handler="resolve")
    command.add_options(parser)
    for columns in range(70, 140, 3):
        monkeypatch.setenv("COLUMNS", str(columns))
        lines = parser.format_help().splitlines()
        headings = [lines[place - 1] for place, line in enumerate(lines) if line and not line.strip("=-")]
        assert {"Usage", "Global Options"} < set(headings)
        assert not [heading for heading in headings if heading.startswith(" ")]
