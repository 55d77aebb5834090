"""Products: packages that join messages of named venues into data of their own, and may import these venues.

A package here is one, and nothing else has to name it. If its module `product` has a `PRODUCT`,
reports show it; if its module `rounds` has a `SOURCE`, `scrapy ground-truth` labels its rounds; if its module
`checks` has `CHECKS`, `scrapy validate` makes them; if its module `exports` has `EXPORTS`, `scrapy export`
writes them; if its module `frame` has a function `table`, it is a method of `Archive`, called like the
package.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from marketarchive.venues import declared

if TYPE_CHECKING:
    import pyarrow as pa

    from marketarchive.research.checks.check import ProductChecks
    from marketarchive.research.exports.table import ExportedTable
    from marketarchive.research.labels.source import RoundSource
    from marketarchive.research.report.part import Product


@cache
def products() -> tuple[Product, ...]:
    """Return every product that reports show, by its name."""
    return tuple(
        import_module(f"{__name__}.{name}.product").PRODUCT
        for name in declared(__name__, __path__, "product")
    )


def products_of(feeds: Collection[tuple[str, str]]) -> list[Product]:
    """Return the products that join one of `feeds` (venue, feed)."""
    return [product for product in products() if any(product.joins(*each) for each in feeds)]


@cache
def round_sources() -> tuple[RoundSource[Any], ...]:
    """Return the sources of rounds that products declare, in the order of the packages' names."""
    return tuple(
        import_module(f"{__name__}.{name}.rounds").SOURCE for name in declared(__name__, __path__, "rounds")
    )


@cache
def product_checks() -> tuple[ProductChecks, ...]:
    """Return the checks that products add to the validation report, by the names of their packages."""
    return tuple(
        import_module(f"{__name__}.{name}.checks").CHECKS for name in declared(__name__, __path__, "checks")
    )


@cache
def exported_tables() -> dict[str, ExportedTable]:
    """Return the tables that products let `scrapy export` write, by their names."""
    return {
        each.name: each
        for name in declared(__name__, __path__, "exports")
        for each in import_module(f"{__name__}.{name}.exports").EXPORTS
    }


def table_of(name: str) -> Callable[..., pa.Table] | None:
    """Return the reader of a product, called with archive folder and master URL; None: no such product."""
    if name not in declared(__name__, __path__, "frame"):
        return None
    made: Callable[..., pa.Table] = import_module(f"{__name__}.{name}.frame").table
    return made
