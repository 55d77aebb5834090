"""Table rows from Kalshi's archived frames; all prices are of YES."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from marketarchive.times import SECOND
from marketarchive.venues.exchange_books import Applied
from marketarchive.venues.exchange_rows import ExchangeRows
from marketarchive.venues.kalshi.socket import WIRE
from marketarchive.venues.kalshi.tickers import asset_of, assets_of_indices
from marketarchive.venues.market_messages import IndexMessage
from marketarchive.venues.table_rows import ReferencePricesRow, TableRow


class StreamRows(ExchangeRows):
    """Maker of the table rows of one run of the stream feed."""

    outcome = "yes"

    def __init__(self) -> None:
        super().__init__(WIRE, {})

    def asset(self, market: str) -> str | None:
        return asset_of(market)

    def others(self, one: Applied, index: int) -> Iterator[TableRow]:
        """Yield the rows of an index frame: the newest value first, then its means; no rows for other frames.

        index: place of the message in its frame, from 1.
        """
        message = one.message
        if not isinstance(message, IndexMessage):
            return
        topic, _, symbol = message.market.partition(":")
        row = partial(
            ReferencePricesRow,
            topic=topic,
            symbol=symbol,
            asset=assets_of_indices().get(symbol),
            published_at=message.published_at,
            verified=one.verdict,
            index=index,
        )
        yield row(event_time=message.at, value=message.value, instrument="value")
        for mean in message.means:
            yield row(
                event_time=message.at,
                value=mean.value,
                instrument=mean.name,
                window_s=(mean.to_ns - mean.from_ns) // SECOND,
            )
