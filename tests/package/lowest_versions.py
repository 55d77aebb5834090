"""Prints a pip constraints file with the lowest version that pyproject.toml allows of each dependency.

`make lowest` installs those and runs the tests that start no process.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
_LOWEST = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?>=([0-9.]+)")


def lowest() -> Iterator[str]:
    """`name==version` of every dependency and extra that states a lowest version."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    for wanted in (
        *project["dependencies"],
        *(one for extra in project["optional-dependencies"].values() for one in extra),
    ):
        if found := _LOWEST.match(wanted):
            yield f"{found[1]}=={found[2]}"


if __name__ == "__main__":
    print(*dict.fromkeys(lowest()), sep="\n")
