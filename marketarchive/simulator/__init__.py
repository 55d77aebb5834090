"""Venues on loopback, speaking their own protocols, with a known truth and faults to order.

`https://HOST/PATH` is served at `http://127.0.0.1:PORT/HOST/PATH`. A package here with a function `simulated`
is a simulated venue: nothing else has to be told of it.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from marketarchive.simulator.messages import SimulatedVenue


def simulated_venues(seed: int) -> list[SimulatedVenue]:
    """Return every simulated venue, in a world that depends on the seed alone."""
    packages = sorted(module.name for module in pkgutil.iter_modules(__path__) if module.ispkg)
    return [import_module(f"{__name__}.{name}").simulated(seed) for name in packages]
