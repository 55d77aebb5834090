"""Access of our middleware and pipelines to their crawler's run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scrapy.exceptions import NotConfigured

from marketarchive.collecting.run import Run, run_of

if TYPE_CHECKING:
    from scrapy.crawler import Crawler


def needed_run(crawler: Crawler) -> Run:
    """Return the run that RunExtension opened for this crawler.

    Raises NotConfigured, which leaves the component out, where there is none: Scrapy's own commands
    (`fetch`, `shell`, `bench`) and spiders that are not of the archive work without one.
    """
    run = run_of(crawler)
    if run is None:
        raise NotConfigured
    return run
