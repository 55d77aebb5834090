"""Words of a command line that look like options without dashes, and how they are written right."""

from __future__ import annotations

import shlex
from collections.abc import Sequence


def sort_words(words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return the words that are no option, and the options' values by name.

    An option is written `a=b`, `--a=b` or `--a b`.
    """
    alone: list[str] = []
    arguments: dict[str, str] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if word.startswith("--") and not equals and rest and not rest[0].startswith("-"):
            equals, value = "=", rest.pop(0)
        if equals and name.strip("-"):
            arguments[name.strip("-")] = value
        else:
            alone.append(word)
    return alone, arguments


def as_spider_arguments(arguments: dict[str, str]) -> str:
    """Return spider arguments as text for a command line, like `-a assets=BTC -a durations=5m`."""
    return shlex.join(word for name, value in arguments.items() for word in ("-a", f"{name}={value}"))


def as_options(arguments: dict[str, str]) -> str:
    """Return options as text for a command line, like `--assets BTC --durations 5m`."""
    return shlex.join(word for name, value in arguments.items() for word in (f"--{name}", value))
