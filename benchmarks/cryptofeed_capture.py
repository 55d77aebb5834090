"""cryptofeed's raw capture of Coinbase's books and trades: `cryptofeed_capture.py PORT FRAMES FOLDER`.

It runs in an environment of its own (benchmarks/cryptofeed.txt) and prints one JSON object: seconds of CPU
and of the wall from the open connection until every frame was taken and the rest of the file written.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from cryptofeed import FeedHandler
from cryptofeed.defines import COINBASE, L2_BOOK, TRADES
from cryptofeed.exchanges import Coinbase
from cryptofeed.raw_data_collection import AsyncFileCallback
from cryptofeed.symbols import Symbol, Symbols

ASSETS = ("BTC", "ETH", "SOL", "XRP")
CONFIG = {
    "coinbase": {"key_id": "none", "key_secret": "none"},  # it signs its subscriptions
    "log": {"filename": "/dev/null", "level": "ERROR"},
}


async def nothing(*_: Any) -> None:
    """Take what cryptofeed makes of a message: a book or a trade."""


class LocalCoinbase(Coinbase):  # type: ignore[misc]  # the library is not installed where types are checked
    """Coinbase at a port of this machine, that ends after so many frames.

    What the library calls before it connects to sign an address says here where to connect instead.
    """

    port = frames = 0
    capture: AsyncFileCallback
    began: tuple[float, float]
    taken = 0

    websocket_endpoints: ClassVar = [
        replace(Coinbase.websocket_endpoints[0], authentication=True, options={"compression": None})
    ]

    async def _ws_authentication(self, address: str, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return where to connect instead."""
        del address
        type(self).began = (time.process_time(), time.perf_counter())
        return f"ws://127.0.0.1:{self.port}/", options

    async def message_handler(self, msg: str, conn: Any, timestamp: float) -> None:
        await super().message_handler(msg, conn, timestamp)
        type(self).taken += 1
        if self.taken == self.frames:
            self.capture.stop()  # it writes what it holds
            cpu, wall = self.began
            print(json.dumps({"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}))
            sys.stdout.flush()
            os._exit(0)  # it would connect again


def main() -> None:
    """Capture."""
    port, frames, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    folder.mkdir(parents=True)
    symbols = [Symbol(asset, "USD") for asset in ASSETS]
    Symbols.set(
        COINBASE,
        {each.normalized: each.normalized for each in symbols},
        defaultdict(dict, instrument_type={each.normalized: each.type for each in symbols}),
    )
    LocalCoinbase.port, LocalCoinbase.frames = port, frames
    LocalCoinbase.capture = AsyncFileCallback(str(folder))
    handler = FeedHandler(config=CONFIG, raw_data_collection=LocalCoinbase.capture)
    handler.add_feed(
        LocalCoinbase(
            config=CONFIG,
            symbols=[each.normalized for each in symbols],
            channels=[L2_BOOK, TRADES],
            callbacks={L2_BOOK: nothing, TRADES: nothing},
        )
    )
    handler.run()


if __name__ == "__main__":
    main()
