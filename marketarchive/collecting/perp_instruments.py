"""The spider that requests which contracts a venue lists, and nothing else."""

from __future__ import annotations

from typing import cast

from marketarchive.collecting.perps import PerpsSpider


async def _main(spider: PerpsSpider) -> None:
    await spider.list_instruments()


def instruments_spider(spider: type[PerpsSpider]) -> type[PerpsSpider]:
    """Return a spider like one of perpetuals, with its limits and its feed."""
    return cast("type[PerpsSpider]", type(spider.__name__, (spider,), {"main": _main}))
