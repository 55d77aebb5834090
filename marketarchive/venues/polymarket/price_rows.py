"""Rows of `reference_prices` from RTDS, one for each point, with all digits kept."""

from __future__ import annotations

from marketarchive.exceptions import ParseError
from marketarchive.venues.messages import Received
from marketarchive.venues.polymarket import rtds
from marketarchive.venues.polymarket.rtds import ReferencePoint, RtdsRefused
from marketarchive.venues.table_rows import ReferencePricesRow, TableRow, UnreadableRow
from marketarchive.venues.venue import RowMaker

NO_POINT = "not a frame of RTDS"


class PriceRows(RowMaker):
    """Maker of `reference_prices` rows from the frames of RTDS."""

    def rows(self, received: Received) -> list[TableRow]:
        """Return one row for each point in a frame."""
        if received.connection is None:
            return []
        try:
            return [_row(point) for point in rtds.decode(received.payload)]
        except RtdsRefused:
            return []  # an error that the venue sent is not a missed price
        except ParseError as error:
            return [UnreadableRow("reference_prices", error, 0, NO_POINT)]


def _row(point: ReferencePoint) -> ReferencePricesRow:
    return ReferencePricesRow(
        topic=point.topic,
        symbol=point.symbol,
        asset=point.asset,
        event_time=point.observed_ms * 1_000_000,
        published_at=point.published_ms * 1_000_000,
        instrument=_instrument(point),
        value=point.value,
        window_s=point.window_s,
        is_backfill=point.is_backfill,
        verified="not_available",
        position=point.index,
    )


def _instrument(point: ReferencePoint) -> str | None:
    """Return the instrument of a price, with one name for all its sources: `chainlink:btc-usd-twap-60s`.

    None for a topic or symbol without an instrument.
    """
    if point.topic == "crypto_prices":
        return f"binance:{point.symbol.lower()}"
    spot = f"chainlink:{point.asset.lower()}-usd"
    if point.topic == "crypto_prices_chainlink":
        return spot
    return None if point.window_s is None else f"{spot}-twap-{point.window_s}s"
