from __future__ import annotations

from marketarchive.collecting.plan_spider import PlanSpider


class Kxbtc15m(PlanSpider):
    """A record of 15-minute rounds, one line per second: prices, index, spot prices, strikes, results."""

    name = "kxbtc15m"
    plan = "kxbtc15m"
