from __future__ import annotations

from marketarchive.spiders.polymarket_trades import PolymarketTrades as Sound


class PolymarketTrades(Sound):
    async def main(self) -> None:
        raise RuntimeError("this one always fails")
