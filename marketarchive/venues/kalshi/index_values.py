"""Values of the CF Benchmarks indices that Kalshi relays on its signed socket, channel `cfbenchmarks_value`.

    {"type": "cfbenchmarks_value", "sid": 1, "seq": 42, "msg": {"index_id": "BRTI", "received_at": ms,
     "data": "{\"type\":\"value\",\"id\":\"BRTI\",\"time\":ms,\"value\":\"68000.12\"}", "avg_60s_data": {...},
     "last_60s_windowed_average_15min"?: {"value", "window_size", "window_start_ts_ms", ...}}}

The second average is there in the last minute of a quarter of an hour only, and counts the values in
(close - 60 s, close]: the one at the close makes 60 (asyncapi 2026-08-22). No frame of this channel was ever
recorded: the shape is the specification's.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import msgspec

from marketarchive.exceptions import ParseError
from marketarchive.venues.kalshi import wire

CHANNEL = "cfbenchmarks_value"
ITEM = "IndexValue"
MARK = f'"{CHANNEL}"'.encode()
"""Bytes that every such frame has: others need not be decoded."""


class ClosingMean(NamedTuple):
    """The venue's own mean of the last minute of a quarter of an hour, as far as it has come."""

    value: Decimal
    size: int  # values in it


class IndexValue(NamedTuple):
    """One value of an index."""

    index_id: str
    at_ms: int  # the index's own time, Unix ms
    value: Decimal
    closing: ClosingMean | None


class _Closing(msgspec.Struct):
    value: Decimal
    window_size: int


class _Message(msgspec.Struct):
    index_id: str
    data: str
    last_60s_windowed_average_15min: _Closing | None = None


class _Frame(msgspec.Struct):
    type: str
    msg: msgspec.Raw = msgspec.Raw(b"null")


class _Data(msgspec.Struct):
    time: int
    value: Decimal


def index_value(payload: bytes) -> IndexValue | None:
    """Return the value that a frame carries; None of any other frame. Raises ParseError."""
    if MARK not in payload:
        return None
    frame = wire.decode(payload, _Frame, ITEM)
    if frame.type != CHANNEL:
        return None
    message = wire.decode(frame.msg, _Message, ITEM)
    data = wire.decode(message.data.encode(), _Data, ITEM)
    if not data.value.is_finite() or data.value <= 0:
        raise ParseError(ITEM, f"{message.index_id}: {data.value} is no price", ("data",))
    sent = message.last_60s_windowed_average_15min
    closing = None if sent is None else ClosingMean(sent.value, sent.window_size)
    return IndexValue(message.index_id, data.time, data.value, closing)
