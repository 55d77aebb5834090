"""Assets' names at each venue: `venues/<venue>/symbols.csv`, a line an asset.

The first column is `asset`, as everybody calls it (BTC); the others are the venue's own, empty where unknown.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from marketarchive.venues import venues


@cache
def symbols(venue: str) -> Mapping[str, Mapping[str, str]]:
    """Return asset -> column -> text of a venue's file, in its order; empty where it has none."""
    path = files("marketarchive.venues") / venue / "symbols.csv"
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return {row.pop("asset"): row for row in csv.DictReader(lines)}


def known_assets() -> tuple[str, ...]:
    """Return the assets that any venue has a symbol for."""
    return tuple(dict.fromkeys(asset for venue in venues() for asset in symbols(venue)))
