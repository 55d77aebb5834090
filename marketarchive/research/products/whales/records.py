"""Win rates of wallets: the share of their earlier alerts that won, as known when they traded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from heapq import heappop, heappush

from marketarchive.research.products.whales.joining import WhaleMatch

LEAST = 5
"""Least number of decided alerts for which a wallet has a rate."""


def known_rates(matches: Iterable[WhaleMatch], least: int = LEAST) -> dict[int, float]:
    """Return number of an alert's row -> share of its wallet's earlier alerts that won, 0 to 1.

    An earlier alert counts if its side is known and, by the time of this alert's trade, it was written and
    its market decided. least: an alert with fewer such alerts before it has no rate.
    """
    wallets: dict[str, list[WhaleMatch]] = defaultdict(list)
    for match in matches:
        if match.alert.wallet is not None:
            wallets[match.alert.wallet].append(match)
    rates: dict[int, float] = {}
    for theirs in wallets.values():
        rates |= _rates(theirs, least)
    return rates


def _rates(matches: Iterable[WhaleMatch], least: int) -> dict[int, float]:
    """Return the rates of one wallet's alerts, as `known_rates` does for all wallets."""
    rates = {}
    undecided: list[tuple[int, bool]] = []  # (ns from which the alert counts, whether it won)
    right = decided = 0
    for match in sorted(matches, key=lambda each: each.alert.at):
        alert, market = match.alert, match.market
        while undecided and undecided[0][0] <= alert.at:
            right += heappop(undecided)[1]
            decided += 1
        if decided >= least:
            rates[alert.row] = right / decided
        side = market.side(alert)
        if side is None or market.winner is None or market.decided_at is None:
            continue
        if alert.at < market.decided_at and market.is_open(alert.at):
            heappush(undecided, (max(market.decided_at, alert.known_at), side == market.winner))
    return rates
