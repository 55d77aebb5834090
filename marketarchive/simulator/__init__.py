"""Simulated venues on 127.0.0.1, with the real protocols, a known truth and injected faults.

`https://HOST/PATH` is served at `http://127.0.0.1:PORT/HOST/PATH`. A package here with a function `simulated`
is a simulated venue, and is found by discovery.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from marketarchive.simulator.messages import SimulatedVenue


def simulated_venues(
    seed: int, catalog_markets: int = 0, assets: Sequence[str] | None = None
) -> list[SimulatedVenue]:
    """Return every simulated venue, in a world that depends on the arguments alone.

    seed: determines all data; catalog_markets: long-running markets that are open at any moment on each venue
    that has a catalogue, 0: no catalogue; assets: those whose rounds are listed, None: all. Raises
    ConfigurationError.
    """
    from marketarchive.simulator.messages import CatalogVenue, RoundsVenue

    packages = sorted(module.name for module in pkgutil.iter_modules(__path__) if module.ispkg)
    venues: list[SimulatedVenue] = [import_module(f"{__name__}.{name}").simulated(seed) for name in packages]
    for venue in venues:
        if catalog_markets and isinstance(venue, CatalogVenue):
            venue.open_catalog(catalog_markets)
        if assets is not None and isinstance(venue, RoundsVenue):
            venue.list_rounds(assets)
    return venues
