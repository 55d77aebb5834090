"""What joins the messages of named venues into data of its own, and may import these venues.

A package here is one. If its module `product` has a `PRODUCT`, reports show it; if its module `frame` has a
function `frame`, it is a method of `Archive`, called like the package: nothing else has to be told.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from marketarchive.venues import declared

if TYPE_CHECKING:
    import pandas as pd

    from marketarchive.research.report.part import Product


@cache
def products() -> tuple[Product, ...]:
    """Return every product that reports show, by its name."""
    return tuple(
        import_module(f"{__name__}.{name}.product").PRODUCT
        for name in declared(__name__, __path__, "product")
    )


def products_of(feeds: Collection[tuple[str, str]]) -> list[Product]:
    """Return the products that join a venue of `feeds` (venue, feed)."""
    there = {venue for venue, _ in feeds}
    return [product for product in products() if there & product.venues]


def frame_of(name: str) -> Callable[..., pd.DataFrame] | None:
    """Return what reads a product, given the folder of an archive first; None where there is no such."""
    if name not in declared(__name__, __path__, "frame"):
        return None
    made: Callable[..., pd.DataFrame] = import_module(f"{__name__}.{name}.frame").frame
    return made
