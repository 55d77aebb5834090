"""Trades in answers of the Data API: numbers are sent as numbers, whose text DuckDB would not keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketarchive.archive.reader import Message, read_segment
from marketarchive.exceptions import ParseError
from marketarchive.research.tables.extract import AMOUNT, Made, amount_fits
from marketarchive.research.tables.partitions import Partition
from marketarchive.venues.polymarket import wire
from marketarchive.venues.polymarket.endpoints import DATA

if TYPE_CHECKING:
    import pyarrow as pa

NO_TRADES = "the answer is not what /trades or /v2/trades promise"
_BATCH = 50_000  # rows kept before they are written

# name of a column -> key in a row, for each version
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


def make(root: Path, partition: Partition, target: Path) -> Made:
    """Writes the trades of the day's answers to `target`, as often as they were told."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    made, schema = Made(), _schema()
    found: list[dict[str, Any]] = []
    with pq.ParquetWriter(target, schema) as file:
        for entry in partition.entries:
            for message in read_segment(root, entry):
                if _is_answer(message) and partition.first_ns <= message.received_at < partition.until_ns:
                    found += _rows(message, made)
                if len(found) >= _BATCH:
                    file.write_table(pa.Table.from_pylist(found, schema))
                    found.clear()
        file.write_table(pa.Table.from_pylist(found, schema))
    return made


def _is_answer(message: Message) -> bool:
    return (
        message.kind == "response" and message.envelope["status"] == 200 and message.canonical_url in _ROUTES
    )


def _rows(message: Message, made: Made) -> list[dict[str, Any]]:
    source, key, names = _ROUTES[message.canonical_url]
    try:
        sent = wire.rows(wire.decode(message.payload, "Trade"), key, "Trade")
    except ParseError as error:
        made.miss(NO_TRADES, str(error), message, 0)
        return []
    found = []
    for position, row in enumerate(sent, 1):
        try:
            with wire.reading("Trade"):
                known = _row(wire.mapping(row, "Trade"), names)
        except ParseError as error:
            made.miss(", ".join(error.fields) or "not a trade", str(error), message, position)
            continue
        place = {"run": message.run, "seq": message.seq, "index": 1, "position": position}
        found.append(known | place | {"received_at": message.received_at // 1000, "source": source})
    return found


def _row(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Raises ParseError when a value is missing or cannot stand in its column exactly."""
    timestamp = row.get("timestamp")
    if not isinstance(timestamp, int) or isinstance(timestamp, bool) or not 0 <= timestamp < 10**11:
        raise wire.bad("timestamp", timestamp, "is not seconds")
    side = row.get("side")
    if side not in ("BUY", "SELL"):
        raise wire.bad("side", side, "is neither BUY nor SELL")
    return {
        "market": _needed(wire.text, row, names["market"]),
        "token": _needed(wire.identifier, row, names["token"]),
        "wallet": wire.text(row, names["wallet"]),
        "transaction_hash": wire.text(row, names["transaction_hash"]),
        "slug": wire.text(row, "slug"),
        "outcome": wire.text(row, "outcome"),
        "event_time": timestamp * 1_000_000,
        "side": side,
        "price": _amount(row, "price"),
        "size": _amount(row, "size"),
    }


def _needed(reads: Callable[[Mapping[str, Any], str], str | None], row: Mapping[str, Any], name: str) -> str:
    found = reads(row, name)
    if found is None:
        raise wire.bad(name, row.get(name), "is missing")
    return found


def _amount(row: Mapping[str, Any], name: str) -> Decimal:
    found = wire.number(row.get(name), name, low=None)
    if not amount_fits(f"{found:f}"):
        raise wire.bad(name, row.get(name), f"does not fit {AMOUNT}")
    return found


def _schema() -> pa.Schema:
    import pyarrow as pa

    moment, text, amount = pa.timestamp("us", tz="UTC"), pa.string(), pa.decimal128(38, 18)
    return pa.schema(
        [
            ("market", text),
            ("token", text),
            ("event_time", moment),
            ("received_at", moment),
            ("run", text),
            ("seq", pa.int64()),
            ("connection", text),
            ("index", pa.int32()),
            ("position", pa.int32()),
            ("source", text),
            ("slug", text),
            ("outcome", text),
            ("side", text),
            ("price", amount),
            ("size", amount),
            ("transaction_hash", text),
            ("wallet", text),
            ("fee_rate_bps", amount),
        ]
    )
