"""Access of the project's middleware and pipelines to their crawler's run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scrapy.exceptions import NotConfigured

from marketarchive.collecting.run import Run, run_of

if TYPE_CHECKING:
    from scrapy.crawler import Crawler


def needed_run(crawler: Crawler) -> Run:
    """Return the run that RunExtension opened for this crawler.

    Raises NotConfigured without a run, so that Scrapy leaves the component out: Scrapy's own commands
    (`fetch`, `shell`, `bench`) and spiders that do not archive work without a run.
    """
    run = run_of(crawler)
    if run is None:
        raise NotConfigured
    return run
