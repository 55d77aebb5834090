"""Canonical text of the values in the master: equal values have equal texts, on every database.

Merging, the journal and comparisons work on these texts. Kinds of fields:

    text      as sent (U+0000, which PostgreSQL cannot store, becomes U+FFFD)
    decimal   plain notation without superfluous zeros: `0.5`, `35024.42854499998`, `0`
    time      ISO 8601 UTC with microseconds: `2026-11-21T10:15:00.000112Z`
    json      compact JSON, keys sorted: `["Up","Down"]`, `{"Down":"2","Up":"1"}`
    flag      `true`, `false`
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal

Kind = Literal["text", "decimal", "time", "json", "flag"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

# The place of a field is its bit in `markets.recent`: only append.
FIELDS: Final[dict[str, Kind]] = {
    "slug": "text",
    "title": "text",
    "description": "text",
    "category": "text",
    "outcomes": "json",
    "tokens": "json",
    "asset": "text",
    "series": "text",
    "duration": "text",
    "start_at": "time",
    "end_at": "time",
    "volume": "decimal",
    "liquidity": "decimal",
    "status": "text",
    "strike": "decimal",
    "strike_source": "text",
    "settlement": "decimal",
    "settlement_source": "text",
    "stated_resolution": "text",
    "payouts": "json",
    "resolution_source": "text",
    "rule": "text",
    "resolved_at": "time",
    "protocol_version": "text",
    "tick_size": "decimal",
    "listed_outcome": "json",
    "reported_outcome": "json",
    "event_id": "text",
    "subtitle": "text",
    "expected_end_at": "time",
    "strike_type": "text",
    "strike_cap": "decimal",
    "result_kind": "text",
    "resolution_state": "text",
    "neg_risk": "flag",
    "group": "text",
    "closed_at": "time",
    "determined_at": "time",
    "volume_unit": "text",
    "liquidity_unit": "text",
    "resolution_kind": "text",
    "reopened_at": "time",
    "contract_size": "decimal",
    "funding_interval_s": "decimal",
}
PRICES_BIT: Final = 1  # a price snapshot
BITS: Final = {name: 2 << place for place, name in enumerate(FIELDS)}

UNJOURNALED: Final = frozenset({"volume", "liquidity"})  # they move with every trade
JOURNALED: Final = tuple(name for name in FIELDS if name not in UNJOURNALED)
JOURNALED_BITS: Final = sum(BITS[name] for name in JOURNALED)

# Made of the statements of each source (`outcome.Standing`); no message states them by itself.
OUTCOME: Final = (
    "status",
    "stated_resolution",
    "payouts",
    "resolution_source",
    "resolved_at",
    "result_kind",
    "resolution_state",
)
DERIVED: Final = (*OUTCOME, "resolution_kind", "reopened_at")
STATEMENTS: Final = ("listed_outcome", "reported_outcome")
CONTENT: Final = tuple(name for name in JOURNALED if name not in STATEMENTS)

PRICES: Final = ("yes_price", "no_price", "volume", "liquidity", "spread")


def microseconds(moment: datetime) -> int:
    """Convert a datetime to microseconds since the Unix epoch, exactly.

    One without an offset is taken as UTC.
    """
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return (aware - EPOCH) // MICROSECOND


def iso_us(us: int) -> str:
    """Format microseconds since the Unix epoch as `2026-11-21T10:15:00.000112Z`; years 1 to 9999."""
    return f"{(EPOCH + us * MICROSECOND).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def decimal_text(value: Decimal) -> str:
    """Return the canonical text of a decimal, exact and in plain notation: `0.50` and `5E-1` give `0.5`."""
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def encode(kind: Kind, value: Any) -> str:
    """Return the canonical text of an item's value; kind: of the field, see FIELDS."""
    match kind:
        case "decimal":
            return decimal_text(value)
        case "time":
            return iso_us(microseconds(value))
        case "json":
            clean = (
                {_storable(k): _storable(v) for k, v in value.items()}
                if isinstance(value, dict)
                else [_storable(v) for v in value]
            )
            return json.dumps(clean, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        case "flag":
            return "true" if value else "false"
        case "text":
            return _storable(value)


def to_column(kind: Kind, text: str | None) -> Any:
    """Convert a canonical text to the value of a column of `markets`; None stays None.

    The value is a Decimal, integer microseconds, a bool, or the text itself, by the `kind` of the field.
    """
    if text is None:
        return None
    match kind:
        case "decimal":
            return Decimal(text)
        case "time":
            return microseconds(datetime.fromisoformat(text))
        case "flag":
            return text == "true"
        case _:
            return text


def from_column(kind: Kind, value: Any) -> str | None:
    """Convert the value of a column of `markets` to its canonical text; None stays None.

    Decimals as SQLite stores them are canonical texts already.
    """
    if value is None or isinstance(value, str):
        return value
    match kind:
        case "decimal":
            return decimal_text(value)
        case "time":
            return iso_us(value)
        case "flag":
            return "true" if value else "false"
        case _:
            return str(value)


def to_python(kind: Kind, text: str | None) -> Any:
    """Convert a canonical text to a Python value: str, Decimal, aware datetime, bool, list or dict.

    None stays None.
    """
    if text is None:
        return None
    match kind:
        case "decimal":
            return Decimal(text)
        case "time":
            return datetime.fromisoformat(text)
        case "json":
            return json.loads(text)
        case "flag":
            return text == "true"
        case "text":
            return text


def resolution(stated: str | None, outcomes: str | None, payouts: str | None) -> str | None:
    """Return the label of a market's winning outcome: the stated one, else the only one with a payout of 1.

    stated: the label that the venue states; outcomes: JSON list of all labels; payouts: JSON list of dollars
    per share, in the same order; each None if not known. None on a split, or while the winner is not known.
    """
    if stated is not None or outcomes is None or payouts is None:
        return stated
    labels: Sequence[str] = json.loads(outcomes)
    try:
        paid = [Decimal(text) for text in json.loads(payouts)]
    except InvalidOperation:
        return None
    if len(labels) != len(paid) or sorted(paid) != [0] * (len(paid) - 1) + [1]:
        return None
    return labels[paid.index(Decimal(1))]


def _storable(text: str) -> str:
    return text.replace("\x00", "\ufffd")
