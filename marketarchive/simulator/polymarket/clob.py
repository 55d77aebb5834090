"""The routes of clob.polymarket.com that need no key."""

from __future__ import annotations

import base64
import binascii
import random
import re
from collections.abc import Callable
from typing import Any

import msgspec

from marketarchive.simulator.messages import Reply, SimRequest, json_reply
from marketarchive.simulator.polymarket.books import MIN_ORDER_SIZE, SimBooks, SimTop
from marketarchive.simulator.polymarket.gamma_rows import iso
from marketarchive.simulator.polymarket.markets import SimMarket
from marketarchive.simulator.polymarket.price_history import PriceHistory
from marketarchive.simulator.polymarket.world import World

NO_BOOK = json_reply({"error": "No orderbook exists for the requested token id"}, 404)
NO_TOKEN = json_reply({"error": "Invalid token id"}, 400)
NO_MARKET = json_reply({"error": "market not found"}, 404)
BAD_PAYLOAD = json_reply({"error": "Invalid payload"}, 400)

_IDS_MAX = 500
_PAGE = 1000
_END_CURSOR = "LTE="  # base64 of -1

_Open = tuple[SimMarket, int, str]  # market, side, token


class Clob:
    """The order book's REST interface; it answers a request as of a moment."""

    def __init__(self, world: World, books: SimBooks) -> None:
        self._world = world
        self._books = books
        self._history = PriceHistory(world, books)
        self._of_token: dict[str, Callable[[_Open, int, SimRequest], Reply]] = {
            "/book": lambda found, ms, _: Reply(self._books.body_at(found[0], found[1], ms)),
            "/midpoint": lambda found, ms, _: json_reply({"mid": self._mid(found, ms)}),
            "/price": self._price,
            "/spread": lambda found, ms, _: json_reply({"spread": self._spread(found, ms)}),
            "/last-trade-price": lambda found, ms, _: json_reply(self._last(found, ms)),
            "/tick-size": lambda found, ms, _: json_reply(
                {"minimum_tick_size": 1 / self._books.top_at(found[0], ms).ticks}
            ),
            "/neg-risk": lambda found, _, __: json_reply({"neg_risk": found[0].neg_risk}),
            "/fee-rate": lambda _, __, ___: json_reply({"base_fee": 1000}),
        }
        self._of_tokens: dict[str, Callable[[list[_Open], int], Reply]] = {
            "/books": self._many_books,
            "/midpoints": lambda found, ms: json_reply({each[2]: self._mid(each, ms) for each in found}),
            "/spreads": lambda found, ms: json_reply({each[2]: self._spread(each, ms) for each in found}),
            "/last-trades-prices": lambda found, ms: json_reply(
                [{"token_id": each[2], **self._last(each, ms)} for each in found]
            ),
        }

    def answer(self, request: SimRequest, ms: int) -> Reply:
        second = ms // 1000
        path = request.path.rstrip("/") or "/"
        if request.method == "POST":
            return self._posted(path, request, ms)
        if path in self._of_token:
            token = request.first("token_id")
            if not token:
                return NO_TOKEN
            found = self._open(token, second)
            return NO_BOOK if found is None else self._of_token[path](found, ms, request)
        match path.strip("/").split("/"):
            case ["prices-history"]:
                return self._history.one(request, second)
            case ["time"]:
                return Reply(str(second).encode(), content_type="text/plain; charset=utf-8")
            case ["ok"]:
                return Reply(b'"OK"')
            case ["version"]:
                return json_reply({"version": 2})
            case [
                "markets" | "simplified-markets" | "sampling-markets" | "sampling-simplified-markets" as which
            ]:
                return self._list(request, which, second)
            case ["markets", condition_id]:
                market = self._listed(condition_id, second)
                return NO_MARKET if market is None else json_reply(self._market(market, second))
            case ["clob-markets", condition_id]:
                market = self._listed(condition_id, second)
                return NO_MARKET if market is None else json_reply(self._short(market, second))
            case ["markets-by-token", token]:
                return self._by_token(token)
        return json_reply({"error": "not found"}, 404)

    # --- tokens ------------------------------------------------------------------------------------------

    def _open(self, token: str, second: int) -> _Open | None:
        """Return the open market of a token; None for an unknown and for a closed token alike."""
        found = self._world.by_token(token)
        if found is None:
            return None
        market = self._world.as_of(found[0], second)
        if not market.is_listed(second) or market.is_closed(second):
            return None
        return market, found[1], token

    def _posted(self, path: str, request: SimRequest, ms: int) -> Reply:
        if path == "/batch-prices-history":
            return self._history.batch(request, ms // 1000)
        if path not in self._of_tokens and path != "/prices":
            return json_reply({"error": "not found"}, 404)
        try:
            wanted = [
                (str(each["token_id"]), str(each.get("side", "")))
                for each in msgspec.json.decode(request.body)
            ]
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
            return BAD_PAYLOAD
        if len(wanted) > _IDS_MAX:
            return BAD_PAYLOAD
        if path == "/prices":
            return self._prices(wanted, ms)
        tokens = dict.fromkeys(token for token, _ in wanted)
        return self._of_tokens[path](
            [found for each in tokens if (found := self._open(each, ms // 1000))], ms
        )

    def _many_books(self, found: list[_Open], ms: int) -> Reply:
        """Answer with several books, in an order that changes each second: the venue guarantees none.

        ms: Unix ms.
        """
        shuffled = random.Random(f"{self._world.seed}/{ms // 1000}").sample(found, len(found))
        bodies = [self._books.body_at(market, side, ms) for market, side, _ in shuffled]
        return Reply(b"[" + b",".join(bodies) + b"]")

    def _sides(self, found: _Open, ms: int) -> tuple[SimTop, int | None, int | None]:
        """Return the best prices of the market, and the best bid and ask of this token in ticks.

        Bid and ask are None for an empty side. ms: Unix ms.
        """
        market, side, _ = found
        top = self._books.top_at(market, ms)
        if side == 0:
            return top, top.bid, top.ask
        bid = None if top.ask is None else top.ticks - top.ask
        return top, bid, None if top.bid is None else top.ticks - top.bid

    def _mid(self, found: _Open, ms: int) -> str:
        top, bid, ask = self._sides(found, ms)
        low, high = bid or 0, top.ticks if ask is None else ask
        return f"{(low + high) / 2 / top.ticks:g}"

    def _spread(self, found: _Open, ms: int) -> str:
        top, bid, ask = self._sides(found, ms)
        low, high = bid or 0, top.ticks if ask is None else ask
        return f"{(high - low) / top.ticks:g}"

    def _last(self, found: _Open, ms: int) -> dict[str, str]:
        return {"price": self._books.last_trade_at(found[0], ms), "side": "BUY"}

    def _best(self, found: _Open, side: str, ms: int) -> str | None:
        top, bid, ask = self._sides(found, ms)
        best = {"BUY": bid, "SELL": ask}[side]
        return None if best is None else f"{best / top.ticks:g}"

    def _price(self, found: _Open, ms: int, request: SimRequest) -> Reply:
        """Answer the request for a price: the best bid for BUY, the best ask for SELL. ms: Unix ms."""
        side = request.first("side").upper()
        if side not in ("BUY", "SELL"):
            return json_reply({"error": "Invalid side"}, 400)
        price = self._best(found, side, ms)
        return NO_BOOK if price is None else json_reply({"price": price})

    def _prices(self, wanted: list[tuple[str, str]], ms: int) -> Reply:
        prices: dict[str, dict[str, str]] = {}
        for token, side in wanted:
            found = self._open(token, ms // 1000)
            if found is None or side not in ("BUY", "SELL"):
                continue
            if (price := self._best(found, side, ms)) is not None:
                prices.setdefault(token, {})[side] = price
        return json_reply(prices)

    # --- markets -----------------------------------------------------------------------------------------

    def _listed(self, condition_id: str, second: int) -> SimMarket | None:
        market = self._world.by_condition(condition_id)
        if market is None or not market.is_listed(second):
            return None
        return self._world.as_of(market, second)

    def _market(self, market: SimMarket, second: int) -> dict[str, Any]:
        closed = market.is_closed(second)
        return {
            "enable_order_book": not closed,
            "active": True,
            "closed": closed,
            "archived": False,
            "accepting_orders": market.accepts_after_close if closed else second < market.end,
            "accepting_order_timestamp": iso(market.listed_at - 40),
            "minimum_order_size": int(MIN_ORDER_SIZE),
            "minimum_tick_size": 1 / self._world.ticks(market, min(second, market.end)),
            "condition_id": market.condition_id,
            "question": market.question,
            "description": market.description,
            "market_slug": market.slug,
            "end_date_iso": iso(market.end),
            "game_start_time": None if market.start is None else iso(market.start),
            "seconds_delay": 0,
            "maker_base_fee": 1000,
            "taker_base_fee": 1000,
            "neg_risk": market.neg_risk,
            "rewards": {"rates": None, "min_size": 50, "max_spread": 4.5},
            "is_50_50_outcome": closed and self._world.payouts(market) == ("0.5", "0.5"),
            "tokens": self._tokens(market, second),
            "tags": [label for _, label in market.group.tags],
        }

    def _tokens(self, market: SimMarket, second: int) -> list[dict[str, Any]]:
        payouts = self._world.payouts(market) if market.is_closed(second) else None
        prices = payouts or (
            self._price_numbers(market, second) if not market.is_closed(second) else ("0", "0")
        )
        return [
            {
                "token_id": token,
                "outcome": outcome,
                "price": float(price),
                "winner": bool(payouts) and price == "1",
            }
            for token, outcome, price in zip(market.tokens, market.outcomes or ("", ""), prices, strict=False)
        ]

    def _price_numbers(self, market: SimMarket, second: int) -> tuple[str, str]:
        mid = self._books.top(market, second).mid
        return f"{mid:g}", f"{1 - mid:g}"

    def _short(self, market: SimMarket, second: int) -> dict[str, Any]:
        return {
            "c": market.condition_id,
            "mos": int(MIN_ORDER_SIZE),
            "mts": 1 / self._world.ticks(market, min(second, market.end)),
            "mbf": 1000,
            "tbf": 1000,
            "nr": market.neg_risk,
            "fd": {"r": 0.07, "e": 1, "to": True},
            "t": [
                {"t": token, "o": outcome}
                for token, outcome in zip(market.tokens, market.outcomes or ("", ""), strict=False)
            ],
        }

    def _by_token(self, token: str) -> Reply:
        found = self._world.by_token(token)
        if found is None:
            return NO_MARKET
        first, other = found[0].tokens
        return json_reply(
            {"condition_id": found[0].condition_id, "primary_token_id": first, "secondary_token_id": other}
        )

    def _list(self, request: SimRequest, which: str, second: int) -> Reply:
        """Return a page of markets; its cursor is the base64 of an offset, the filter `closed` is ignored.

        which: the route's list; second: Unix seconds.
        """
        try:
            text = base64.b64decode(request.first("next_cursor") or "MA==", validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            text = ""
        if not re.fullmatch(r"\d{1,9}", text):
            return json_reply({"error": "invalid next_cursor"}, 400)
        offset = int(text)
        markets = self._world.listed(second)
        if which.startswith("sampling"):
            markets = [market for market in markets if not market.is_closed(second)]
        page = markets[offset : offset + _PAGE]
        render = self._simplified if "simplified" in which else self._market
        following = offset + len(page)
        return json_reply(
            {
                "data": [render(market, second) for market in page],
                "next_cursor": (
                    _END_CURSOR
                    if following >= len(markets)
                    else base64.b64encode(str(following).encode()).decode()
                ),
                "limit": _PAGE,
                "count": len(page),
            }
        )

    def _simplified(self, market: SimMarket, second: int) -> dict[str, Any]:
        whole = self._market(market, second)
        return {
            key: whole[key]
            for key in (
                "condition_id",
                "rewards",
                "tokens",
                "active",
                "closed",
                "archived",
                "accepting_orders",
            )
        }
