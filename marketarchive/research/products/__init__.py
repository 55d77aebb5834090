"""What joins the messages of named venues into data of its own, and may import these venues.

A package here whose module `product` has a `PRODUCT` is one: nothing else has to be told of it.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Collection
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from marketarchive.research.report.part import Product


@cache
def products() -> tuple[Product, ...]:
    """Return every product, by its name."""
    return tuple(
        import_module(f"{__name__}.{module.name}.product").PRODUCT
        for module in pkgutil.iter_modules(__path__)
        if module.ispkg
    )


def products_of(feeds: Collection[tuple[str, str]]) -> list[Product]:
    """Return the products that join a venue of `feeds` (venue, feed)."""
    there = {venue for venue, _ in feeds}
    return [product for product in products() if there & product.venues]
