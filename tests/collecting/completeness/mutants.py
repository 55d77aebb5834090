"""Completeness with one rule switched off: the source replaced and executed in modules of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from marketarchive.collecting import streams

PACKAGE = "marketarchive.collecting.streams"
MODULES = ("axis", "history", "track", "witness", "coverage", "effects", "connection_set", "completeness")
"""In the order of their imports."""


@contextmanager
def mutant(module: str, old: str, new: str) -> Iterator[Any]:
    """Yield the module `completeness` as it is when `old` in `module` is replaced by `new`."""
    directory = Path(streams.__path__[0])
    real = {name: sys.modules.get(f"{PACKAGE}.{name}") for name in MODULES}
    try:
        changed: dict[str, ModuleType] = {}
        for name in MODULES:
            if name in ("axis", "effects"):
                continue  # the model holds objects of these
            text = (directory / f"{name}.py").read_text(encoding="utf-8")
            if name == module:
                assert text.count(old) == 1, f"{old!r} is not there once"
                text = text.replace(old, new)
            fresh = ModuleType(f"{PACKAGE}.{name}")
            sys.modules[f"{PACKAGE}.{name}"] = changed[name] = fresh
            exec(compile(text, f"{name}.py", "exec"), fresh.__dict__)
        yield changed["completeness"]
    finally:
        for name, loaded in real.items():
            if loaded is not None:
                sys.modules[f"{PACKAGE}.{name}"] = loaded
