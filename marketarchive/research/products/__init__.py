"""Products: packages that join messages of named venues into data of their own; they may import these venues.

A package is found by its modules; no list names it. Reports show the `PRODUCT` of its module `product`;
`scrapy ground-truth` labels the rounds of `SOURCE` in `rounds`; `scrapy validate` makes the `CHECKS` in
`checks`; `scrapy export` writes the tables `EXPORTS` in `exports`; `Archive` has the function `table` in
`frame` as a method called like the package.
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
    """Return the products that reports show, sorted by package name."""
    return tuple(
        import_module(f"{__name__}.{name}.product").PRODUCT
        for name in declared(__name__, __path__, "product")
    )


def products_of(feeds: Collection[tuple[str, str]]) -> list[Product]:
    """Return the products that use at least one of `feeds`, each a (venue, feed)."""
    return [product for product in products() if any(product.joins(*each) for each in feeds)]


@cache
def round_sources() -> tuple[RoundSource[Any], ...]:
    """Return the round sources that products declare, sorted by package name."""
    return tuple(
        import_module(f"{__name__}.{name}.rounds").SOURCE for name in declared(__name__, __path__, "rounds")
    )


@cache
def product_checks() -> tuple[ProductChecks, ...]:
    """Return the checks that products add to the validation report, sorted by package name."""
    return tuple(
        import_module(f"{__name__}.{name}.checks").CHECKS for name in declared(__name__, __path__, "checks")
    )


@cache
def exported_tables() -> dict[str, ExportedTable]:
    """Return name -> table that a product lets `scrapy export` write."""
    return {
        each.name: each
        for name in declared(__name__, __path__, "exports")
        for each in import_module(f"{__name__}.{name}.exports").EXPORTS
    }


def table_of(name: str) -> Callable[..., pa.Table] | None:
    """Return the function that reads a product's table; None: no product called `name` has one.

    The function takes the archive's folder and the master's URL, then arguments of its own.
    """
    if name not in declared(__name__, __path__, "frame"):
        return None
    made: Callable[..., pa.Table] = import_module(f"{__name__}.{name}.frame").table
    return made
