"""Base classes, for any venue, of spiders that look up markets repeatedly and poll those that are open."""

from __future__ import annotations

from marketarchive.clock import sleep
from marketarchive.collecting.polling import PollingSpider
from marketarchive.collecting.sweep import SweepSpider

LOOK_UP_S = 60
"""Seconds between two look-ups of markets."""


class LookUpSpider(SweepSpider):
    """Base class of spiders whose markets change during the run: a subclass implements `look_up`."""

    async def look_up(self) -> None:
        """Update the tracked markets: add those that the venue lists now, remove those that are closed."""
        raise NotImplementedError

    async def keep_discovering(self) -> None:
        """Call `look_up` every LOOK_UP_S until the run stops; the first look-up is the caller's."""
        while await sleep(self.run.clock, LOOK_UP_S, self.run.stop):
            if self.run.counted_from is not None:  # the first look-up is done
                await self.look_up()


class TrackingPollingSpider(LookUpSpider, PollingSpider):
    """Base class of spiders that send the same request for every chosen market while it is open."""

    async def prepare(self) -> None:
        await self.look_up()

    async def main(self) -> None:
        looking_up = self.spawn(self.keep_discovering())
        try:
            await super().main()
        finally:
            looking_up.cancel()
