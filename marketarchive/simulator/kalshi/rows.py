"""JSON rows of the simulated Kalshi, as recorded on 2026-08-17 and 2026-10-06: keys in alphabetical order."""

from __future__ import annotations

from typing import Any

import msgspec

from marketarchive.simulator.kalshi.books import EMPTY, Books, SimTrade, dollars
from marketarchive.simulator.kalshi.rounds import DIGITS, INDICES, LIVE_S, SERIES, Rounds, SimRound
from marketarchive.times import MICROSECOND, SECOND, iso, utc
from marketarchive.venues.kalshi.tickers import EASTERN

RANGES = [
    {"end": "0.1000", "start": "0.0000", "step": "0.0010"},
    {"end": "0.9000", "start": "0.1000", "step": "0.0100"},
    {"end": "1.0000", "start": "0.9000", "step": "0.0010"},
]
SECONDARY = (
    "Not all cryptocurrency price data is the same. At the last minute before expiration, 60 RTI prices are "
    "collected. The official and final value is the average of these prices, rounded to the nearest {digits} "
    "decimal places."
)


class Rows:
    """Writer of the JSON rows of rounds as of a Unix second."""

    def __init__(self, rounds: Rounds, books: Books) -> None:
        self._rounds = rounds
        self._books = books

    def market(self, each: SimRound, second: int) -> dict[str, Any]:
        """Return the JSON row of a round at a Unix second."""
        status = each.status(second)
        has_strike = each.strike_from is not None and second >= each.strike_from
        book = self._books.at(each, second) if status in ("active", "inactive") else EMPTY
        bid, ask = book.yes_bid, book.yes_ask
        was_quoted = second > each.start + 2
        yes_bid = bid[0] if bid else "0.0000"
        yes_ask = ask[0] if ask else "1.0000" if was_quoted else "0.0000"
        trades = self._books.trades_until(each, second * 1_000_000) if second >= each.start else ()
        volume = self._books.volume(each, second)
        row = {
            "can_close_early": True,
            "close_time": time(each.end),
            "created_time": time(each.created),
            "custom_strike": {"round_digits": str(DIGITS[each.asset])},
            "event_ticker": each.event,
            "exchange_index": 2,
            "expected_expiration_time": time(each.end + 300),
            "expiration_time": time(each.end + 7 * 86_400),
            "expiration_value": str(each.final) if status in ("determined", "finalized") else "",
            "last_price_dollars": dollars(trades[-1].price) if trades else "0.0000",
            "latest_expiration_time": time(each.end + 7 * 86_400),
            "market_type": "binary",
            "no_ask_dollars": _other(yes_bid),
            "no_bid_dollars": _other(yes_ask),
            "no_sub_title": "Target price: TBD",
            "notional_value_dollars": "1.0000",
            "occurrence_datetime": time(each.end + 300),
            "open_interest_fp": volume,
            "open_time": time(each.start),
            "previous_price_dollars": "0.0000",
            "previous_yes_ask_dollars": "0.0000",
            "previous_yes_bid_dollars": "0.0000",
            "price_level_structure": "tapered_deci_cent",
            "price_ranges": RANGES,
            "result": each.result if status in ("determined", "finalized") else "",
            "rules_primary": rules_of(each),
            "rules_secondary": SECONDARY.format(digits=DIGITS[each.asset]),
            "settlement_bounds_type": "default",
            "settlement_timer_seconds": 1,
            "status": status,
            "ticker": each.ticker,
            "title": f"{each.asset} price up in next 15 mins?",
            "updated_time": time(max(each.created, min(second, each.start + 1))),
            "volume_24h_fp": volume,
            "volume_fp": volume,
            "yes_ask_dollars": yes_ask,
            "yes_ask_size_fp": ask[1] if ask else "0.00",
            "yes_bid_dollars": yes_bid,
            "yes_bid_size_fp": bid[1] if bid else "0.00",
            "yes_sub_title": title_of(each) if has_strike else "Target price: TBD",
        }
        if has_strike:
            row["floor_strike"] = msgspec.Raw(str(each.strike).encode())
            row["strike_type"] = "greater_or_equal"
        else:
            del row["custom_strike"]
        if status in ("determined", "finalized"):
            row["settlement_value_dollars"] = f"{each.value:.4f}"
        if status == "finalized" and each.finalized is not None:
            row["settlement_ts"] = time(each.finalized)
        return dict(sorted(row.items()))

    def event(self, each: SimRound, second: int, *, nested: bool) -> dict[str, Any]:
        """Return the JSON row of a round's event, whose only market is the round.

        nested: True = contain the market, unless the cutoff has passed it.
        """
        row: dict[str, Any] = {
            "category": "Crypto",
            "collateral_return_type": "",
            "event_ticker": each.event,
            "exchange_index": 2,
            "last_updated_ts": "0001-01-01T00:00:00Z",
            "mutually_exclusive": False,
            "series_ticker": each.series,
            "settlement_sources": [{"name": "CF Benchmarks", "url": "https://www.cfbenchmarks.com/"}],
            "strike_period": "",
            "sub_title": f"{each.asset} 15 minutes",
            "title": f"{each.asset} price up in next 15 mins?",
        }
        if nested:
            row["markets"] = [self.market(each, second)] if each.end > second - LIVE_S else []
        return dict(sorted(row.items()))


def series_row(series: str) -> dict[str, Any]:
    """Return the JSON row of a series."""
    return {
        "additional_prohibitions": None,
        "categories": ["Crypto"],
        "category": "Crypto",
        "contract_terms_url": "https://assets.kalshi.com/contract_terms/CRYPTO.pdf",
        "contract_url": "https://assets.kalshi.com/contract_terms/CRYPTO.pdf",
        "exchange_index": 2,
        "fee_multiplier": 1,
        "fee_type": "quadratic",
        "frequency": "fifteen_min",
        "last_updated_ts": "0001-01-01T00:00:00Z",
        "product_metadata": None,
        "settlement_sources": [{"name": "CF Benchmarks", "url": "https://www.cfbenchmarks.com/"}],
        "tags": None,
        "ticker": series,
        "title": f"{SERIES[series]} Up or Down - 15 minutes",
    }


def trade_row(trade: SimTrade) -> dict[str, Any]:
    """Return the JSON row of a trade."""
    return {
        "count_fp": trade.size,
        "created_time": iso(trade.at_us * MICROSECOND),
        "is_block_trade": False,
        "no_price_dollars": dollars(1000 - trade.price),
        "taker_book_side": "bid" if trade.taker == "yes" else "ask",
        "taker_outcome_side": trade.taker,
        "taker_side": trade.taker,
        "ticker": trade.ticker,
        "trade_id": trade.id,
        "yes_price_dollars": dollars(trade.price),
    }


def combination(number: int, second: int) -> dict[str, Any]:
    """Return the JSON row of a market that combines others; they flood unfiltered lists (demo, 2026-06-11).

    It has the fields that the specification of 2026-08-22 requires of every market; no recording was
    available.
    """
    event = f"KXMVECROSSCATEGORY-S2026{number:08X}"
    title = f"yes combination {number}"
    hour = second // 3600 * 3600
    return {
        "can_close_early": True,
        "close_time": time(hour + 86_400),
        "created_time": time(hour - number),
        "event_ticker": event,
        "exchange_index": 1,
        "expected_expiration_time": time(hour + 86_400),
        "expiration_time": time(hour + 2 * 86_400),
        "expiration_value": "",
        "last_price_dollars": "0.0000",
        "latest_expiration_time": time(hour + 2 * 86_400),
        "market_type": "binary",
        "mve_collection_ticker": "KXMVECROSSCATEGORY-R",
        "mve_selected_legs": [],
        "no_ask_dollars": "1.0000",
        "no_bid_dollars": "0.0000",
        "no_sub_title": title,
        "notional_value_dollars": "1.0000",
        "open_interest_fp": "0.00",
        "open_time": time(hour - number),
        "previous_price_dollars": "0.0000",
        "previous_yes_ask_dollars": "0.0000",
        "previous_yes_bid_dollars": "0.0000",
        "price_level_structure": "deci_cent",
        "price_ranges": [{"end": "1.0000", "start": "0.0000", "step": "0.0010"}],
        "result": "",
        "rules_primary": "",
        "rules_secondary": "",
        "settlement_bounds_type": "default",
        "settlement_timer_seconds": 5,
        "status": "active",
        "strike_type": "custom",
        "ticker": f"{event}-{number:011X}",
        "title": title,
        "updated_time": time(hour - number),
        "volume_24h_fp": "0.00",
        "volume_fp": "0.00",
        "yes_ask_dollars": "1.0000",
        "yes_ask_size_fp": "0.00",
        "yes_bid_dollars": "0.0000",
        "yes_bid_size_fp": "0.00",
        "yes_sub_title": title,
    }


def time(second: int) -> str:
    """Return a Unix second in the venue's format: `2026-08-17T05:00:00Z`."""
    return f"{iso(second * SECOND)[:19]}Z"


def _other(price: str) -> str:
    return dollars(1000 - round(float(price) * 1000))


def title_of(each: SimRound) -> str:
    """Return the title of the round's YES side, which contains the strike once that is set."""
    return f"Target Price: ${each.strike:,}"


def rules_of(each: SimRound) -> str:
    """Return the rule that decides a round, as its row states it."""
    index = INDICES[each.asset]
    closes, opens = (utc(at * SECOND).astimezone(EASTERN) for at in (each.end, each.start))
    mean = f"the simple average of the sixty seconds of CF Benchmarks' {index} before"
    return (
        f"If {mean} {closes:%I:%M %p %Z} on {closes:%b %d, %Y} is at least {mean} {opens:%I:%M %p %Z} on "
        f"{opens:%B %d, %Y}, then the market resolves to Yes."
    )
