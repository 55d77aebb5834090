"""Spider that requests a venue's list of perpetual contracts, and nothing else."""

from __future__ import annotations

from typing import cast

from marketarchive.collecting.perps import PerpsSpider


async def _main(spider: PerpsSpider) -> None:
    await spider.list_instruments()


def instruments_spider(spider: type[PerpsSpider]) -> type[PerpsSpider]:
    """Return a spider class that requests only the list of contracts, with limits and feed of `spider`."""
    return cast("type[PerpsSpider]", type(spider.__name__, (spider,), {"main": _main}))
