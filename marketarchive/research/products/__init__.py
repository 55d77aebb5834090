"""What joins the messages of named venues into data of its own, and may import these venues.

A package here is one. If its module `product` has a `PRODUCT`, reports show it: nothing else has to be told.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from marketarchive.venues import declared

if TYPE_CHECKING:
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
