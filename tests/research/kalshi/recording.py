"""Archives of Kalshi's rounds made by hand: what was answered, which index values came."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from marketarchive.items import Connection, Frames, Response
from marketarchive.simulator.kalshi import Kalshi
from marketarchive.simulator.kalshi.rounds import SimRound
from marketarchive.simulator.messages import SimRequest
from marketarchive.times import SECOND, iso
from marketarchive.venues.kalshi.endpoints import BASE
from tests.archive.writing import NOON, HandClock, writer

START = NOON // SECOND
"""2026-11-21T12:00:00Z, the start of a round: 07:00 US Eastern time."""
MEAN = "the simple average of the sixty seconds of CF Benchmarks' {index} before"


def row(n: int = 0, **said: Any) -> dict[str, Any]:
    """Return the row of the round that starts n quarters after noon: finalized, a yes by a cent."""
    start, end = START + n * 900, START + (n + 1) * 900
    minute, hour = end // 60 % 60, end // 3600 % 24 - 5
    ticker = f"KXBTC15M-26NOV21{hour:02d}{minute:02d}"
    return {
        "ticker": f"{ticker}-{minute:02d}",
        "event_ticker": ticker,
        "market_type": "binary",
        "status": "finalized",
        "open_time": time(start),
        "close_time": time(end),
        "title": "BTC price up in next 15 mins?",
        "rules_primary": f"If {MEAN.format(index='BRTI')} 7:15 AM EST is at least ...",
        "strike_type": "greater_or_equal",
        "floor_strike": 84000.00,
        "custom_strike": {"round_digits": "2"},
        "expiration_value": "84000.01",
        "result": "yes",
        "settlement_value_dollars": "1.0000",
    } | said


def without(found: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name not in names}


def time(second: int) -> str:
    return f"{iso(second * SECOND)[:19]}Z"


def answered(root: Path, *rows: dict[str, Any], at: float = 3600, feed: str = "markets") -> str:
    """Archive a page of /markets, `at` seconds after noon; return the run."""
    body = json.dumps({"markets": rows, "cursor": ""}).encode()
    return answers(root, [(int(NOON + at * SECOND), f"{BASE}/markets", body)], feed)


def answers(
    root: Path,
    told: Iterable[tuple[int, str, bytes]],
    feed: str = "markets",
    headers: Mapping[int, Mapping[str, str]] | None = None,
) -> str:
    """Archive answers (ns, URL, body); headers: of those received at a time. Return the run."""
    clock = HandClock()
    with writer(root, clock) as made:
        run = made.open_run(f"kalshi_{feed}", "kalshi", [feed], {}, {})
        for at, url, body in told:
            run.write(
                Response(
                    venue="kalshi", feed=feed, received_at=at, seq=run.next_seq("kalshi", feed), method="GET",
                    url=url, params={}, status=200, headers=dict((headers or {}).get(at, {})), latency_ms=1.0,
                    payload=body,
                )
            )  # fmt: skip
        run.close("finished", {}).result()
    return run.run


def index_frame(value: str, at_ms: int, index: str = "BRTI", closing: tuple[str, int] | None = None) -> bytes:
    """Return a frame as the specification has it."""
    data = json.dumps({"type": "value", "id": index, "time": at_ms, "value": value}, separators=(",", ":"))
    message: dict[str, Any] = {"index_id": index, "received_at": at_ms + 40, "data": data}
    window = {"window_start_ts_ms": at_ms - 60_000, "window_end_ts_exclusive": at_ms}
    message["avg_60s_data"] = {"value": value, "window_size": 3, **window}
    if closing is not None:
        mean = {"value": closing[0], "window_size": closing[1], **window}
        message["last_60s_windowed_average_15min"] = mean
    frame = {"type": "cfbenchmarks_value", "sid": 1, "seq": 1, "msg": message}
    return json.dumps(frame, separators=(",", ":")).encode() + b"\n"


def minute(close: int, values: Sequence[str | Decimal], index: str = "BRTI") -> list[tuple[int, bytes]]:
    """Return (ns, frame) of one value for each of the 60 seconds up to a close."""
    assert len(values) == 60
    return [
        ((close - 59 + n) * SECOND + 80_000_000, index_frame(str(value), (close - 59 + n) * 1000, index))
        for n, value in enumerate(values)
    ]


def streamed(
    root: Path, frames: Iterable[tuple[int, bytes]], feed: str = "stream", key: str | None = None
) -> None:
    """Archive frames of a socket on which a market, or nothing in particular, was subscribed."""
    with writer(root, HandClock()) as made:
        run = made.open_run("kalshi_stream", "kalshi", [feed], {}, {})
        url = "wss://api.elections.kalshi.com/trade-api/ws/v2"
        seq, keys = run.next_seq("kalshi", feed), () if key is None else (key,)
        run.write(Connection("kalshi", feed, NOON, seq, "c1", "opened", url, keys=keys, subscribe=("{}",)))
        for at, payload in frames:
            run.write(Frames("kalshi", feed, "c1", ((at, run.next_seq("kalshi", feed), payload),)))
        run.close("finished", {}).result()


def simulated(root: Path, venue: Kalshi, rounds: Iterable[SimRound]) -> None:
    """Archive what the simulated venue says of each round: while it is open, and when it is over."""
    told = []
    for each in rounds:
        for second in (each.start + 100, each.end + 60):
            path = f"/trade-api/v2/markets/{each.ticker}"
            reply = venue.answer(SimRequest("GET", "api.elections.kalshi.com", path, ()), second * SECOND)
            assert reply.status == 200
            told.append((second * SECOND, f"{BASE}/markets/{each.ticker}", reply.body))
    answers(root, sorted(told))
