"""Rows of `trades` from answers of the Data API; a trade in several answers has several rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from marketarchive.exceptions import ParseError
from marketarchive.times import SECOND
from marketarchive.venues.messages import Received
from marketarchive.venues.polymarket import wire
from marketarchive.venues.polymarket.endpoints import DATA
from marketarchive.venues.table_rows import TableRow, TradesRow, UnreadableRow
from marketarchive.venues.venue import RowMaker

NO_TRADES = "the answer is not what /trades or /v2/trades promise"

# version of the route -> column -> key in a row of the answer
_V2 = {
    "market": "condition_id",
    "token": "token_id",
    "wallet": "proxy_wallet",
    "transaction_hash": "transaction_hash",
}
_V1 = {
    "market": "conditionId",
    "token": "asset",
    "wallet": "proxyWallet",
    "transaction_hash": "transactionHash",
}
_ROUTES: dict[str, tuple[str, str | None, Mapping[str, str]]] = {
    f"{DATA}/v2/trades": ("v2/trades", "data", _V2),
    f"{DATA}/trades": ("trades", None, _V1),
}


class AnsweredTrades(RowMaker):
    """Maker of `trades` rows from the answers of /trades and /v2/trades."""

    def rows(self, received: Received) -> list[TableRow]:
        """Return one row for each trade in an answer; an `UnreadableRow` for one that cannot be parsed."""
        if received.canonical_url not in _ROUTES:
            return []
        source, key, names = _ROUTES[received.canonical_url]
        try:
            sent = wire.rows(wire.decode(received.payload, "Trade"), key, "Trade")
        except ParseError as error:
            return [UnreadableRow("trades", ParseError(error.item, str(error)), 0, NO_TRADES)]
        found: list[TableRow] = []
        for position, row in enumerate(sent, 1):
            try:
                with wire.reading("Trade"):
                    found.append(_row(wire.mapping(row, "Trade"), names, source, position))
            except ParseError as error:
                found.append(UnreadableRow("trades", error, position, "not a trade"))
        return found


def _row(row: Mapping[str, Any], names: Mapping[str, str], source: str, position: int) -> TradesRow:
    """Return the table row of one trade.

    names: column -> key in `row`; source: text for the column of that name; position: place in the answer,
    from 1. Raises ParseError for a missing or impossible value.
    """
    timestamp = row.get("timestamp")
    if not isinstance(timestamp, int) or isinstance(timestamp, bool) or not 0 <= timestamp < 10**11:
        raise wire.bad("timestamp", timestamp, "is not seconds")
    side = row.get("side")
    if side not in ("BUY", "SELL"):
        raise wire.bad("side", side, "is neither BUY nor SELL")
    return TradesRow(
        market=_needed(wire.text, row, names["market"]),
        token=_needed(wire.identifier, row, names["token"]),
        wallet=wire.text(row, names["wallet"]),
        transaction_hash=wire.text(row, names["transaction_hash"]),
        slug=wire.text(row, "slug"),
        outcome=wire.text(row, "outcome"),
        event_time=timestamp * SECOND,
        source=source,
        side=side,
        price=_amount(row, "price"),
        size=_amount(row, "size"),
        verified="not_available",
        position=position,
    )


def _needed(reads: Callable[[Mapping[str, Any], str], str | None], row: Mapping[str, Any], name: str) -> str:
    found = reads(row, name)
    if found is None:
        raise wire.bad(name, row.get(name), "is missing")
    return found


def _amount(row: Mapping[str, Any], name: str) -> Decimal:
    return wire.number(row.get(name), name, low=None)
