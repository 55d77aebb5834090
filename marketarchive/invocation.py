"""Command line of this process, so that a command named in a message can be copied and works."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

PROGRAM = "marketarchive"
PROGRAMS = ("scrapy", PROGRAM)
KEPT = ("OUTPUT_DIR", "SIMULATOR_URL")
"""Settings that a named command repeats; others may hold a secret (the password in MASTER_URL)."""


def command(*words: str, root: Path | None = None) -> str:
    """Return the command line `words` with what the user typed: program, profile, configuration, settings.

    words: may set one of these settings itself, with `-s`.
    root: the OUTPUT_DIR to name where no command line was typed, as in a notebook.
    """
    typed = _program()
    if not typed:
        where = () if root is None else ("-s", f"OUTPUT_DIR={root}")
        return shlex.join((PROGRAM, *words, *where))
    profile = _profile(sys.argv) if Path(typed[-1]).name == PROGRAM else ()
    settings = {**_settings(sys.argv), **_settings(words)}
    kept = [word for value in settings.values() if value not in words for word in ("-s", value)]
    config = tuple(_values(sys.argv, ("--config",)))[-1:]
    named = ("--config", *config) if config else ()
    project = os.environ.get("SCRAPY_PROJECT", "default")
    environment = "" if project == "default" or profile else f"SCRAPY_PROJECT={shlex.quote(project)} "
    return environment + shlex.join((*typed, *words, *profile, *named, *kept))


def program() -> list[str]:
    """Return the words that start this program again, with its profile."""
    typed = _program()
    is_module = len(typed) > 1 or not typed
    words = [sys.executable, "-m", typed[-1] if typed else PROGRAM] if is_module else [*typed]
    profile = _profile(sys.argv) if Path(words[-1]).name == PROGRAM else ()
    return [*words, *profile]


def _program() -> tuple[str, ...]:
    """Return the words that were typed before the command's name.

    Empty where it was neither Scrapy's program nor ours.
    """
    words = sys.orig_argv
    at = words.index("-m") if "-m" in words[:-1] else 0
    if at and words[at + 1] in PROGRAMS:
        return words[0], "-m", words[at + 1]
    path = sys.argv[0]
    name = Path(path).name
    if name not in PROGRAMS:
        return ()
    return (name,) if shutil.which(name) == path else (path,)


def _profile(argv: Sequence[str]) -> tuple[str, ...]:
    """Return `--profile X` as our program accepts it; Scrapy's option of that name profiles."""
    given = tuple(_values(argv, ("--profile",)))
    return ("--profile", given[-1]) if given else ()


def _settings(argv: Sequence[str]) -> dict[str, str]:
    """Name -> NAME=VALUE of those that are kept; the last counts."""
    given = {value.partition("=")[0]: value for value in _values(argv, ("-s", "--set"))}
    return {name: value for name, value in given.items() if name in KEPT}


def _values(argv: Sequence[str], options: Sequence[str]) -> Iterator[str]:
    """Yield the values given to these options, in all ways that argparse accepts."""
    words = iter(argv)
    for word in words:
        for option in options:
            if word == option:
                yield next(words, "")
            elif option.startswith("--") and word.startswith(f"{option}="):
                yield word.removeprefix(f"{option}=")
            elif not option.startswith("--") and word.startswith(option) and not word.startswith("--"):
                yield word.removeprefix(option)
