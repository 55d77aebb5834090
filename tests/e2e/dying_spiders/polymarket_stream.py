from __future__ import annotations

import asyncio
from typing import ClassVar

from marketarchive.clock import sleep
from marketarchive.spiders.polymarket_stream import PolymarketStream as Sound


class PolymarketStream(Sound):
    runs: ClassVar[int] = 0
    listens_s: ClassVar[float] = 60.0

    async def main(self) -> None:
        """The first run listens for a while, the second not at all, the third is sound."""
        PolymarketStream.runs += 1
        if self.runs == 2:
            raise RuntimeError("this one fails before it listens")
        listening = asyncio.ensure_future(super().main())
        if self.runs == 1:
            await sleep(self.run.clock, self.listens_s)
            listening.cancel()
            raise RuntimeError("this one fails while it listens")
        await listening
