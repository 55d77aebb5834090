"""Rows as Gamma writes them: JSON inside strings, numbers as strings, missing keys."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from marketarchive.simulator.noise import bits, unit
from marketarchive.simulator.polymarket.books import SimBooks
from marketarchive.simulator.polymarket.markets import Group, SimMarket
from marketarchive.simulator.polymarket.world import World
from marketarchive.simulator.prices import E18

REFRESH_S = 10
"""Seconds between two updates of the prices in Gamma's rows; meanwhile the bytes of a row do not change."""
METADATA_AFTER_S = 90
"""Seconds after the close at which eventMetadata appears."""


def iso(second: int, fraction: int = 0) -> str:
    text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{fraction:06d}Z" if fraction else f"{text}Z"


def space_time(second: int) -> str:
    """Return a Unix second in the format of closedTime: `2026-07-24 00:50:52+00`."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M:%S+00")


class GammaRows:
    """Source of the rows of markets and events at a moment."""

    def __init__(self, world: World, books: SimBooks) -> None:
        self._world = world
        self._books = books

    def market(self, market: SimMarket, second: int, *, with_event: bool = True) -> dict[str, Any]:
        """Return a row of /markets at a Unix second.

        with_event: False = without `events`, for a row inside an event.
        """
        seen = second - second % REFRESH_S
        draw = bits(self._world.seed, "row", market.number)
        row: dict[str, Any] = {
            "id": str(market.number),
            "question": market.question,
            "conditionId": market.condition_id,
            "slug": market.slug,
            "resolutionSource": market.resolution_source,
            "endDate": iso(market.end),
            "startDate": iso(market.listed_at, 1 + draw % 999_999),
            "description": market.description,
            "active": True,
            "closed": market.is_closed(second),
            "createdAt": iso(market.listed_at - 60, 1 + draw % 999_999),
            "updatedAt": iso(max(seen, market.listed_at), 1 + bits(draw, seen) % 999_999),
            "new": False,
            "featured": False,
            "archived": False,
            "restricted": True,
            "groupItemThreshold": "0",
            "questionID": f"0x{draw:064x}",
            "enableOrderBook": True,
            "orderMinSize": 5,
            "endDateIso": iso(market.end)[:10],
            "startDateIso": iso(market.listed_at)[:10],
            "hasReviewedDates": True,
            "makerBaseFee": 1000,
            "takerBaseFee": 1000,
            "negRisk": market.neg_risk,
            "negRiskOther": False,
            "ready": False,
            "funded": False,
            "cyom": False,
            "competitive": 0,
            "approved": True,
            "rewardsMinSize": 50,
            "rewardsMaxSpread": 4.5,
            "automaticallyActive": True,
            "umaResolutionStatuses": json.dumps(market.uma_statuses),
            "rfqEnabled": False,
            "feesEnabled": True,
            "feeSchedule": {"rate": 0.07, "exponent": 1, "takerOnly": True, "rebateRate": 0.2},
            "acceptingOrdersTimestamp": iso(market.listed_at - 40),
        }
        if "market" in market.hides_end:
            del row["endDate"], row["endDateIso"]
        if market.label:
            row["groupItemTitle"] = market.label
        if market.outcomes is not None:
            row["outcomes"] = json.dumps(market.outcomes, ensure_ascii=False)
        if market.version is not None:
            row["version"] = market.version
        self._ids(market, row)
        if market.start is not None:
            row["eventStartTime"] = iso(market.start)
        if market.twap_s is not None and market.asset and market.duration:
            asset = market.asset.lower()
            row["cryptoMarketConfigId"] = f"{asset}-{market.duration}-twap-{market.twap_s}"
            row["cryptoMarketConfig"] = {
                "id": row["cryptoMarketConfigId"],
                "asset": asset,
                "duration": market.duration,
                "twapEnabled": True,
                "twapLookbackSeconds": market.twap_s,
            }
        if market.kind == "round":
            row["feeType"] = "crypto_fees_v2"
        self._state(market, second, seen, row)
        if with_event:
            row["events"] = [self.event(market.group, (), second, rounds=(market,))]
        return row

    def _ids(self, market: SimMarket, row: dict[str, Any]) -> None:
        """Add the ids in the form of the market's protocol version to `row`.

        v1 has them as JSON in a string; v2 as an array, beside a v1 list of something else.
        """
        ids = json.dumps(market.tokens)
        if market.version == "v2":
            row["positionIds"] = list(market.tokens)
            row["clobTokenIds"] = json.dumps([token[::-1] for token in market.tokens])
        else:
            row["clobTokenIds"] = ids

    def _state(self, market: SimMarket, second: int, seen: int, row: dict[str, Any]) -> None:
        volume = self.volume(market, seen if market.life else min(seen, market.end))
        if volume:
            row |= {"volume": str(volume), "volumeNum": volume, "volume24hr": volume, "volumeClob": volume}
        if market.closed_at is not None and market.closed_at <= second:
            payouts = self._world.payouts(market)
            row |= {
                "acceptingOrders": market.accepts_after_close,
                "outcomePrices": json.dumps(payouts or market.shown_prices or ("0", "0")),
                "closedTime": space_time(market.closed_at),
                "umaEndDate": iso(market.closed_at if market.uma_end is None else market.uma_end),
                "umaResolutionStatus": "resolved",
                "orderPriceMinTickSize": 1 / self._world.ticks(market, market.end),
                "liquidity": "0",
                "liquidityNum": 0,
                "automaticallyResolved": True,
            }
            return
        if market.uma_statuses:
            row["umaResolutionStatus"] = market.uma_statuses[-1]
        seen = max(seen, market.listed_at)
        top = self._books.top(market, seen)
        low, high = top.bid or 0, top.ticks if top.ask is None else top.ask
        mid = top.mid
        liquidity = self._liquidity(market, seen)
        row |= {
            "acceptingOrders": second < market.end,
            "outcomePrices": json.dumps([f"{mid:g}", f"{1 - mid:g}"]),
            "orderPriceMinTickSize": 1 / top.ticks,
            "spread": round((high - low) / top.ticks, 3),
            "bestAsk": round(high / top.ticks, 3),
            "liquidity": str(liquidity),
            "liquidityNum": liquidity,
        }
        if low:
            row["bestBid"] = round(low / top.ticks, 3)
        if market.life is None and (last := self._books.last_trade(market, seen)):
            row["lastTradePrice"] = float(last)

    def _liquidity(self, market: SimMarket, second: int) -> float:
        if market.life is not None:
            return market.life.liquidity(second)
        return round(20_000 * (0.5 + unit(self._world.seed, "liquidity", market.number, second // 60)), 4)

    def volume(self, market: SimMarket, second: int) -> float:
        """Return the dollars traded by a Unix second, with the venue's rounding noise.

        0 before the first trade.
        """
        if market.life is not None:
            return market.life.volume(second)
        first = market.listed_at if market.kind == "other" else (market.start or 0) - 7200
        done = (second - first) / (market.end - first)
        return 90_000 * unit(self._world.seed, "volume", market.number) * min(max(done, 0.0), 1.0)

    def event(
        self, group: Group, markets: Sequence[SimMarket], second: int, rounds: Sequence[SimMarket] = ()
    ) -> dict[str, Any]:
        """Return a row of /events with `markets` at a Unix second.

        rounds: markets of the event for its short form, which a market row contains; then without `markets`.
        """
        every = [*markets, *rounds]
        start = every[0].start
        row: dict[str, Any] = {
            "id": str(group.number),
            "ticker": group.slug,
            "slug": group.slug,
            "title": group.title,
            "startDate": iso(every[0].listed_at, 1),
            "creationDate": iso(every[0].listed_at - 60, 1),
            "endDate": iso(max(market.end for market in every)),
            "active": True,
            "closed": all(market.is_closed(second) for market in every),
            "archived": False,
            "restricted": True,
            "liquidity": 20328.3747,
            "volume": 9.999997,
            "openInterest": 0,
            "negRisk": group.neg_risk,
            "commentCount": 0,
        }
        if "event" in every[0].hides_end:
            del row["endDate"]
        if start is not None:
            row["startTime"] = iso(start)
        if group.series_slug is not None:
            row["seriesSlug"] = group.series_slug
            row["series"] = [self.series(group)]
        metadata = self._metadata(every[0], second)
        if metadata is not None:
            row["eventMetadata"] = metadata
        if markets:
            row["tags"] = [
                {"id": number, "label": label, "slug": label.lower().replace(" ", "-")}
                for number, label in group.tags
            ]
            row["markets"] = [
                self.market(market, second, with_event=False)
                for market in self._in_some_order(markets, second)
            ]
        return row

    def _in_some_order(self, markets: Sequence[SimMarket], second: int) -> Sequence[SimMarket]:
        """Return the markets of an event; those of the catalogue in an order that changes between calls."""
        if markets[0].life is None:
            return markets
        return sorted(markets, key=lambda market: bits(self._world.seed, "order", market.number, second))

    def series(self, group: Group) -> dict[str, Any]:
        return {
            "id": group.series_id,
            "ticker": group.series_slug,
            "slug": group.series_slug,
            "title": group.series_title,
            "seriesType": "single",
            "active": True,
            "closed": False,
            "archived": False,
            "competitive": "0",
        }

    def _metadata(self, market: SimMarket, second: int) -> dict[str, Any] | None:
        """Return a round's two boundary prices as JSON numbers; None until they are stated."""
        if market.kind == "other":
            return {"context_description": "Traders weigh the news.", "context_requires_regen": False}
        if market.closed_at is None or second < market.closed_at + METADATA_AFTER_S:
            return None
        strike, settlement = self._world.strike(market), self._world.settlement(market)
        if strike is None or settlement is None:
            raise AssertionError(f"{market.slug} closed without prices")
        return {"priceToBeat": strike / E18, "finalPrice": settlement / E18}
