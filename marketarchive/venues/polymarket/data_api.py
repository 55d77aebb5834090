"""Parser of the Data API's resolutions: https://data-api.polymarket.com/v2/resolutions.

    {"data": [{"condition_id", "status", "payouts": [1000000, 0], "reporter", "resolved_at", ...}],
     "pagination": {"limit", "offset", "has_more", "next_cursor"}}

Payouts are micro-USDC per share in the venue's outcome order, without labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from marketarchive.exceptions import ParseError
from marketarchive.items import Resolution
from marketarchive.venues.messages import Parsed, Received
from marketarchive.venues.polymarket import wire

PLATFORM = "polymarket"
MICRO = 1_000_000


def parse_resolutions(received: Received) -> Parsed:
    document = wire.decode(received.payload, "Resolution")
    parsed = Parsed()
    for row in wire.rows(document, "data", "Resolution"):
        parsed.keys.append(str(row.get("condition_id")) if isinstance(row, dict) else repr(row)[:80])
        try:
            with wire.reading("Resolution"):
                resolution = _resolution(wire.mapping(row, "Resolution"), received)
        except ParseError as error:
            parsed.errors.append(error)
            continue
        if resolution is not None:
            parsed.items.append(resolution)
    with wire.reading("Page"):
        pagination = wire.mapping(document.get("pagination") or {}, "Page")
        if pagination.get("has_more"):
            parsed.next_cursor = wire.text(pagination, "next_cursor")
    return parsed


def _resolution(row: Mapping[str, Any], received: Received) -> Resolution | None:
    """Return the resolution in a row; None before the oracle has decided (requested, proposed, disputed)."""
    market_id = wire.text(row, "condition_id")
    if market_id is None:
        raise wire.bad("condition_id", row.get("condition_id"), "is missing")
    status = wire.text(row, "status")
    if status is None:
        raise wire.bad("status", row.get("status"), "is missing")
    if status not in ("resolved", "settled"):
        return None
    payouts = _payouts(row)
    who = [wire.text(row, "reporter"), wire.text(row, "resolution_source")]
    return Resolution(
        **received.origin(),
        platform=PLATFORM,
        market_id=market_id,
        status="resolved" if payouts else "closed",
        payouts=payouts,
        resolution_state="final" if payouts else None,
        resolution_source=" ".join(["polymarket data-api v2/resolutions", *filter(None, who)]),
        resolved_at=wire.time(row, "resolved_at"),
    )


def _payouts(row: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return dollars per share as decimal strings, in the order of outcomes.

    None when there are no payouts or all are zero, which is no result.
    """
    payouts = row.get("payouts")
    if payouts is None or payouts == []:
        return None
    if not isinstance(payouts, list):
        raise wire.bad("payouts", payouts, "is not a list")
    micro = [wire.number(value, "payouts", high=MICRO) for value in payouts]
    if not any(micro):
        return None
    if not MICRO - len(micro) < sum(micro) <= MICRO:  # payouts of a third each do not add up to exactly 1
        raise wire.bad("payouts", payouts, "does not sum to one dollar per share")
    return tuple(wire.plain(value / Decimal(MICRO)) for value in micro)
