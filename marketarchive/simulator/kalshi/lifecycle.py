"""Events of the simulated venue's markets on the lifecycle channel, pure functions of the second.

A round is created, gets its strike, is determined and settled. The channel reports all of the venue's
markets; the other ones exist in the simulator only as such events.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from marketarchive.simulator.kalshi.rounds import DIGITS, LISTED_AHEAD_S, ROUND_S, Rounds, SimRound
from marketarchive.simulator.kalshi.rows import RANGES, SECONDARY, rules_of, title_of

LIFECYCLE = "market_lifecycle_v2"
OTHERS_EVERY_S = 15
"""Seconds between two frames about other markets; the real venue sent about 3 a second (2026-07-19)."""


class LifeEvent(NamedTuple):
    """One lifecycle event of a market."""

    second: int
    ticker: str
    message: dict[str, Any]


class Lifecycle:
    """Source of the lifecycle events of a seed's rounds."""

    def __init__(self, rounds: Rounds) -> None:
        self._rounds = rounds
        self._of_quarter = lru_cache(maxsize=64)(self._quarter)

    def at(self, second: int) -> list[LifeEvent]:
        """Return the events of a Unix second, in order."""
        others = [_other(second)] if second % OTHERS_EVERY_S == 0 else []
        return [*self._of_quarter(second // ROUND_S).get(second, ()), *others]

    def _quarter(self, quarter: int) -> dict[int, list[LifeEvent]]:
        """Return second -> events for one quarter of an hour. quarter: Unix seconds divided by 900."""
        begin = quarter * ROUND_S
        ahead = begin + ROUND_S + LISTED_AHEAD_S + ROUND_S
        found: dict[int, list[LifeEvent]] = {}
        for each in self._rounds.between(begin - ROUND_S, ahead):
            for second, message in _life(each):
                if begin <= second < begin + ROUND_S:
                    found.setdefault(second, []).append(LifeEvent(second, each.ticker, message))
        return found


def _life(each: SimRound) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (Unix second, message) of each event of a round."""
    yield each.created, _message(each.ticker, "created", **_made(each))
    if each.strike_from is not None:
        yield (
            each.strike_from,
            _message(
                each.ticker,
                "metadata_updated",
                strike_type="greater_or_equal",
                floor_strike=msgspec.Raw(str(each.strike).encode()),
                custom_strike={"round_digits": str(DIGITS[each.asset])},
                yes_sub_title=title_of(each),
            ),
        )
    if each.determined is not None:
        yield (
            each.determined,
            _message(
                each.ticker,
                "determined",
                determination_ts=each.determined,
                result=each.result,
                settlement_value=f"{each.value:.4f}",
            ),
        )
    if each.finalized is not None:
        yield each.finalized, _message(each.ticker, "settled", settled_ts=each.finalized)


def _made(each: SimRound) -> dict[str, Any]:
    return {
        "exchange_index": 2,
        "open_ts": each.start,
        "close_ts": each.end,
        "price_level_structure": "tapered_deci_cent",
        "price_ranges": RANGES,
        "additional_metadata": {
            "name": f"{each.asset} price up in next 15 mins?",
            "title": f"{each.asset} price up in next 15 mins?",
            "yes_sub_title": "Target price: TBD",
            "no_sub_title": "Target price: TBD",
            "rules_primary": rules_of(each),
            "rules_secondary": SECONDARY.format(digits=DIGITS[each.asset]),
            "can_close_early": True,
            "event_ticker": each.event,
            "expected_expiration_ts": each.end + 300,
        },
    }


def _other(second: int) -> LifeEvent:
    ticker = f"KXHIGHNY-{second // 86_400}-B{second % 86_400}.5"
    return LifeEvent(second, ticker, _message(ticker, "close_date_updated", close_ts=second + 86_400))


def _message(ticker: str, event: str, **more: Any) -> dict[str, Any]:
    return {"market_ticker": ticker, "event_type": event, **more}
