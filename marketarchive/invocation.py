"""The command line of this process, so that commands named in messages can be copied and run."""

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
"""Settings that a command in a message repeats; others may hold a secret (the password in MASTER_URL)."""


def command(*words: str, root: Path | None = None) -> str:
    """Return a command line to show in a message, with the program, profile and settings of this process.

    words: the command and its arguments, which may include `-s NAME=VALUE`; root: the OUTPUT_DIR to name
    where this process has no command line of the program, as in a notebook.
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
    """Return the words of a command line that starts this program again, with its profile."""
    typed = _program()
    is_module = len(typed) > 1 or not typed
    words = [sys.executable, "-m", typed[-1] if typed else PROGRAM] if is_module else [*typed]
    profile = _profile(sys.argv) if Path(words[-1]).name == PROGRAM else ()
    return [*words, *profile]


def _program() -> tuple[str, ...]:
    """Return the words before the command's name in this process's command line, such as ("scrapy",).

    Empty where the process was started by neither `scrapy` nor `marketarchive`.
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
    """Return ("--profile", X) from a command line of `marketarchive`, () without it.

    Scrapy's own option of that name is for profiling.
    """
    given = tuple(_values(argv, ("--profile",)))
    return ("--profile", given[-1]) if given else ()


def _settings(argv: Sequence[str]) -> dict[str, str]:
    """Return name -> "NAME=VALUE" of the settings in KEPT that a command line sets; the last one counts."""
    given = {value.partition("=")[0]: value for value in _values(argv, ("-s", "--set"))}
    return {name: value for name, value in given.items() if name in KEPT}


def _values(argv: Sequence[str], options: Sequence[str]) -> Iterator[str]:
    """Yield the values that a command line gives to `options`, in all forms that argparse accepts."""
    words = iter(argv)
    for word in words:
        for option in options:
            if word == option:
                yield next(words, "")
            elif option.startswith("--") and word.startswith(f"{option}="):
                yield word.removeprefix(f"{option}=")
            elif not option.startswith("--") and word.startswith(option) and not word.startswith("--"):
                yield word.removeprefix(option)
