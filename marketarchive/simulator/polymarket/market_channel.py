"""Frames of the market channel, a pure function of (market, time), the same on every connection.

A delta is one `price_change` for both tokens; a trade is `last_trade_price` and both whole books; a finer
tick size is `tick_size_change` and both whole books. `best_bid_ask`, `new_market` and `market_resolved` are
sent on connections with the custom feature, the last two for all markets.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

import msgspec

from marketarchive.simulator.noise import bits
from marketarchive.simulator.polymarket.books import BookStep, SimBooks
from marketarchive.simulator.polymarket.ladder import price_names, size_text, tick_text
from marketarchive.simulator.polymarket.levels import SimTop
from marketarchive.simulator.polymarket.markets import SimMarket
from marketarchive.simulator.polymarket.rounds import LISTED_AHEAD_S
from marketarchive.simulator.polymarket.world import World
from marketarchive.simulator.sockets import Frame
from marketarchive.times import SECOND

CUSTOM = frozenset({"best_bid_ask", "new_market", "market_resolved"})
_SECONDS_KEPT = 1024
_MS = SECOND // 1000
_HASH = re.compile(rb'"hash":"([0-9a-f]{40})"')


class MarketChannel:
    """Source of the channel's frames; those of the last seconds are cached for other connections."""

    def __init__(self, books: SimBooks) -> None:
        self.world = books.world
        self.books = books
        self._seconds: dict[tuple[int, int], tuple[Frame, ...]] = {}
        self._minutes: dict[int, list[Frame]] = {}

    def frames(self, market: SimMarket, second: int) -> tuple[Frame, ...]:
        """Return a market's frames after a Unix second, up to and including the next one."""
        steps = self.books.steps(market, second)
        if not steps:
            return ()
        key = (market.number, second)
        if (found := self._seconds.get(key)) is None:
            found = self._seconds[key] = tuple(
                frame for step in steps for frame in _frames(market, step, market.slug)
            )
            if len(self._seconds) > _SECONDS_KEPT:
                del self._seconds[next(iter(self._seconds))]
        return found

    def of_all(self, second: int) -> list[Frame]:
        """Return the frames for all connections with the custom feature, due in the second after `second`."""
        minute = second // 60
        if minute not in self._minutes:
            if len(self._minutes) > 4:
                del self._minutes[next(iter(self._minutes))]
            self._minutes[minute] = sorted(_of_minute(self.world, minute), key=lambda frame: frame.ns)
        low = second * SECOND
        return [frame for frame in self._minutes[minute] if low < frame.ns <= low + SECOND]

    def first(self, markets: list[SimMarket], now_ns: int) -> Frame:
        """Return the first frame after a subscription: an array with the book of each token.

        now_ns: simulated wall clock, ns.
        """
        ms = now_ns // _MS
        books = [self._first(market, side, ms) for market in markets for side in (0, 1)]
        return Frame(
            ns=now_ns,
            kind="books" if books else "nothing",
            payload=b"[" + b",".join(books) + b"]",
            markets=tuple(market.slug for market in markets),
            tokens=tuple(token for market in markets for token in market.tokens),
        )

    def dated_ahead(self, frame: Frame, ns: int) -> bytes:
        """Return the payload of a frame dated `ns` later.

        Its hashes are recomputed, because they cover the date.
        """
        payload = frame.payload
        for token in frame.tokens:
            if (known := self.world.by_token(token)) is not None:
                market, side = known
                body = self.books.body_at(market, side, frame.ns // _MS)
                old = _HASH.search(body)
                text = _HASH.sub(b'"hash":""', _later(body, ns), count=1)
                new = hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()
                payload = payload if old is None else payload.replace(old[1], new)
        return _later(payload, ns)

    def _first(self, market: SimMarket, side: int, ms: int) -> bytes:
        """Return a first snapshot: the book in the JSON of /book, without min_order_size and neg_risk.

        side: 0 or 1, the token; ms: Unix ms.
        """
        head, _, rest = self.books.body_at(market, side, ms).partition(b',"min_order_size":')
        tick = rest.partition(b'"tick_size":')[2].partition(b",")[0]
        last = rest.rpartition(b":")[2]
        return b'%b,"tick_size":%b,"event_type":"book","last_trade_price":%b' % (head, tick, last)


def frames(
    books: SimBooks, market: SimMarket, from_ns: int, to_ns: int, *, custom: bool = True
) -> Iterator[tuple[int, bytes]]:
    """Yield (simulated ns, payload) of a market's messages with from_ns < ns <= to_ns.

    First snapshots and frames for all connections are left out. custom: True = with the events of the custom
    feature.
    """
    channel = MarketChannel(books)
    for second in range(max(from_ns // SECOND, market.listed_at), -(-to_ns // SECOND)):
        if market.is_closed(second):
            return
        for frame in channel.frames(market, second):
            if from_ns < frame.ns <= to_ns and (custom or frame.kind not in CUSTOM):
                yield frame.ns, frame.payload


def global_frames(books: SimBooks, from_ns: int, to_ns: int) -> Iterator[tuple[int, bytes]]:
    """Yield (simulated ns, payload) of new_market and market_resolved with from_ns < ns <= to_ns."""
    channel = MarketChannel(books)
    for second in range(from_ns // SECOND, -(-to_ns // SECOND)):
        for frame in channel.of_all(second):
            if from_ns < frame.ns <= to_ns:
                yield frame.ns, frame.payload


def _later(text: bytes, ns: int) -> bytes:
    def later(found: re.Match[bytes]) -> bytes:
        return b'"timestamp":"%d"' % (int(found[1]) + ns // _MS)

    return re.sub(rb'"timestamp":"(\d+)"', later, text)


# --- of one market ---------------------------------------------------------------------------------------


def _frames(market: SimMarket, step: BookStep, slug: str) -> Iterator[Frame]:
    def made(kind: str, text: str | bytes, tokens: tuple[str, ...] = market.tokens) -> Frame:
        payload = text.encode() if isinstance(text, str) else text
        return Frame(step.ms * _MS, kind, payload, (slug,), tokens)

    if step.kind == "change":
        yield made("price_change", _price_change(market, step))
    else:
        if step.trade is not None:
            token = market.tokens[step.trade.token]
            yield made("last_trade_price", _last_trade_price(market, step), (token,))
        else:
            for token in market.tokens:
                yield made("tick_size_change", _tick_size_change(market, token, step), (token,))
        for side, token in enumerate(market.tokens):
            yield made("book", _refresh(market, side, step), (token,))
    if step.top != step.before:
        for side, token in enumerate(market.tokens):
            yield made("best_bid_ask", _best_bid_ask(market, side, step), (token,))


def _best(top: SimTop, side: int) -> tuple[str, str]:
    """Return the best bid and ask of a token as text; "" for an empty side. side: 0 or 1, the token."""
    names = price_names(top.ticks)
    bid, ask = top.bid, top.ask
    if side == 1:
        bid, ask = (None if each is None else top.ticks - each for each in (ask, bid))
    return "" if bid is None else names[bid], "" if ask is None else names[ask]


def _price_change(market: SimMarket, step: BookStep) -> str:
    names, ticks, size = price_names(step.top.ticks), step.top.ticks, size_text(step.size)
    legs = []
    for side, token in enumerate(market.tokens):
        level = step.level if side == 0 else ticks - step.level
        word = "BUY" if step.is_bid == (side == 0) else "SELL"
        bid, ask = _best(step.top, side)
        legs.append(
            f'{{"asset_id":"{token}","price":"{names[level]}","size":"{size}","side":"{word}",'
            f'"hash":"{step.hashes[side]}","best_bid":"{bid}","best_ask":"{ask}"}}'
        )
    return (
        f'{{"market":"{market.condition_id}","price_changes":[{",".join(legs)}],'
        f'"timestamp":"{step.ms}","event_type":"price_change"}}'
    )


def _refresh(market: SimMarket, side: int, step: BookStep) -> bytes:
    """Return the snapshot of a token after a trade or a change of tick size.

    Its keys have another order than in first snapshots, and it lacks tick size and last trade price.
    """
    bids, asks = step.sides[side]
    head = f'{{"market":"{market.condition_id}","asset_id":"{market.tokens[side]}","bids":['
    tail = f'],"hash":"{step.hashes[side]}","timestamp":"{step.ms}","event_type":"book"}}'
    return b"".join((head.encode(), bids, b'],"asks":[', asks, tail.encode()))


def _last_trade_price(market: SimMarket, step: BookStep) -> str:
    trade = step.trade
    if trade is None:
        raise AssertionError("a trade's frame is made of a trade")
    level = trade.level if trade.token == 0 else trade.ticks - trade.level
    return (
        f'{{"market":"{market.condition_id}","asset_id":"{market.tokens[trade.token]}",'
        f'"price":"{price_names(trade.ticks)[level]}","size":"{size_text(trade.hundredths)}",'
        f'"fee_rate_bps":"0","side":"{trade.side}","timestamp":"{step.ms}",'
        f'"event_type":"last_trade_price","transaction_hash":"{trade.transaction_hash}"}}'
    )


def _tick_size_change(market: SimMarket, token: str, step: BookStep) -> str:
    return (
        f'{{"market":"{market.condition_id}","asset_id":"{token}",'
        f'"old_tick_size":"{tick_text(step.before.ticks)}","new_tick_size":"{tick_text(step.top.ticks)}",'
        f'"timestamp":"{step.ms}","event_type":"tick_size_change"}}'
    )


def _best_bid_ask(market: SimMarket, side: int, step: BookStep) -> str:
    bid, ask = _best(step.top, side)
    width = None if step.top.bid is None or step.top.ask is None else step.top.ask - step.top.bid
    spread = "" if width is None else price_names(step.top.ticks)[width]
    return (
        f'{{"market":"{market.condition_id}","asset_id":"{market.tokens[side]}","best_bid":"{bid}",'
        f'"best_ask":"{ask}","spread":"{spread}","timestamp":"{step.ms}","event_type":"best_bid_ask"}}'
    )


# --- of all markets --------------------------------------------------------------------------------------


def _of_minute(world: World, minute: int) -> Iterator[Frame]:
    """Yield the frames about rounds that are listed or close within a minute. minute: Unix seconds / 60."""
    low, high = minute * 60, minute * 60 + 60
    for market in world.rounds_between(low + LISTED_AHEAD_S - 300, high + LISTED_AHEAD_S + 300):
        if low <= market.listed_at < high:
            ms = _published_ms(world, market, "new_market", market.listed_at)
            yield _global(market, "new_market", ms, _new_market(market, ms))
    for market in world.rounds_between(low - 60, high):
        if market.closed_at is not None and low <= market.closed_at < high:
            ms = _published_ms(world, market, "market_resolved", market.closed_at)
            document = _market_resolved(market, ms, world.payouts(market) or ())
            yield _global(market, "market_resolved", ms, document)


def _published_ms(world: World, market: SimMarket, kind: str, second: int) -> int:
    """Return when an announcement is sent, Unix ms: within the second after `second`."""
    return second * 1000 + 1 + bits(world.seed, kind, market.number) % 900


def _global(market: SimMarket, kind: str, ms: int, document: dict[str, object]) -> Frame:
    return Frame(ms * _MS, kind, msgspec.json.encode(document), (market.slug,), market.tokens)


def _new_market(market: SimMarket, ms: int) -> dict[str, object]:
    return {
        "id": str(market.number),
        "question": market.question,
        "market": market.condition_id,
        "slug": market.slug,
        "description": market.description,
        "assets_ids": market.tokens,
        "outcomes": market.outcomes,
        "event_message": {
            "id": str(market.group.number),
            "ticker": market.group.slug,
            "slug": market.group.slug,
            "title": market.group.title,
            "description": market.description,
        },
        "timestamp": str(ms),
        "event_type": "new_market",
        "tags": [],
        "condition_id": market.condition_id,
        "active": False,
        "clob_token_ids": market.tokens,
        "sports_market_type": "",
        "line": "",
        "game_start_time": "",
        "order_price_min_tick_size": "0.01",
        "group_item_title": "",
        "taker_base_fee": "1000",
        "fees_enabled": True,
        "fee_schedule": {"exponent": "1", "rate": "0.07", "taker_only": True, "rebate_rate": "0.2"},
    }


def _market_resolved(market: SimMarket, ms: int, payouts: tuple[str, ...]) -> dict[str, object]:
    won = payouts.index("1")
    return {
        "id": str(market.number),
        "market": market.condition_id,
        "assets_ids": market.tokens,
        "winning_asset_id": market.tokens[won],
        "winning_outcome": (market.outcomes or ("", ""))[won],
        "timestamp": str(ms),
        "event_type": "market_resolved",
        "tags": [],
    }
