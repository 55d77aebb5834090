"""Names of assets at each venue: `venues/<venue>/symbols.csv`, one line for each asset.

The column `asset` has the common name (BTC); the others have the venue's names, empty where unknown.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from marketarchive.venues import venues


@cache
def symbols(venue: str) -> Mapping[str, Mapping[str, str]]:
    """Return asset -> column -> text from a venue's `symbols.csv`; empty when the venue has no such file."""
    path = files("marketarchive.venues") / venue / "symbols.csv"
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return {row.pop("asset"): row for row in csv.DictReader(lines)}


def known_assets() -> tuple[str, ...]:
    """Return the assets that at least one venue has a symbol for."""
    return tuple(dict.fromkeys(asset for venue in venues() for asset in symbols(venue)))
