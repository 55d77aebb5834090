"""Table rows of perpetuals one by one, whether a parse function makes them singly or by columns."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from msgspec import structs

from marketarchive.venues.messages import Parsed
from marketarchive.venues.table_rows import TableRow, single_rows

AMOUNTS = ("open", "high", "low", "close", "volume", "volume_quote", "rate", "index_price", "amount")


def singly(parsed: Parsed) -> Parsed:
    """The same content with its rows one by one, and amounts as numbers."""
    return replace(parsed, statements=list(map(_in_numbers, single_rows(parsed.statements))))


def _in_numbers(row: TableRow) -> TableRow:
    amounts = {name: getattr(row, name, None) for name in AMOUNTS}
    texts = {name: Decimal(each) for name, each in amounts.items() if isinstance(each, str)}
    return structs.replace(row, **texts)
