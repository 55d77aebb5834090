"""What Kalshi's stream archived, against all that the simulated venue said; and a key for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from marketarchive.archive.reader import ArchiveReader
from marketarchive.exceptions import ParseError
from marketarchive.simulator.kalshi import Kalshi
from marketarchive.simulator.kalshi.access import ROUTE
from marketarchive.simulator.kalshi.books import SimBook
from marketarchive.simulator.sockets import Frame
from marketarchive.times import SECOND, from_iso
from marketarchive.venues.kalshi import socket
from marketarchive.venues.kalshi.tickers import market_facts
from marketarchive.venues.market_messages import MarketEvent, MarketMessage, QuoteMessage, TradeMessage
from tests.e2e import stream_truth
from tests.e2e.exchange_truth import said
from tests.e2e.harness import Simulator, get_json
from tests.e2e.stream_truth import SEED, Comparison, Missing, sent_until, spells, watched

HOST = socket.SOCKET.url.removeprefix("wss://").partition("/")[0]


def key_settings(venue: Simulator, folder: Path) -> dict[str, Any]:
    """Return settings with a key that the simulator has just given out; its file is in `folder`."""
    given = get_json(f"{venue.url}/{HOST}{ROUTE}")
    path = folder / "kalshi.pem"
    path.write_text(given["private_key"])
    return {"KALSHI_API_KEY_ID": given["api_key_id"], "KALSHI_PRIV_KEY_PATH": path}


@cache
def venue_of(seed: int = SEED) -> Kalshi:
    return Kalshi(seed)


def frames(key: str, first: int, last: int) -> list[Frame]:
    """Return all that a connection with one key is sent with first < ns <= last."""
    session = venue_of().session()
    for text in socket.subscribe([key]):
        session.received(text, first)
    return session.due(first, last)


def messages(payload: bytes, at: int) -> Sequence[MarketMessage]:
    try:
        return socket.decode(payload, at).messages
    except ParseError:
        return ()


def compare(out: Path, truth: Path, faults: Sequence[int]) -> Comparison:
    """Messages of all markets and indices that were subscribed, by what they say."""
    slack = SECOND
    archived: set[int] = set()
    sparse: dict[tuple[str, str, type[MarketMessage]], list[int]] = {}  # by run and connection
    end = 0
    for line in ArchiveReader(out).messages("kalshi", "stream", kinds=("frame", "connection")):
        end = line.received_at
        for one in messages(line.payload, end) if line.kind == "frame" else ():
            archived.add(hash(said(one)))
            if isinstance(one, TradeMessage | MarketEvent):
                sparse.setdefault((line.run, line.envelope["connection"], type(one)), []).append(one.at)
    result = Comparison(gaps=spells(out, "stream", end, "kalshi"))
    last = sent_until(truth, f"{HOST}*")
    for key, (begin, until) in watched(out, "kalshi").items():
        for frame in frames(key, begin + slack, min(until, last) - slack):
            for one in messages(frame.payload, frame.ns):
                result.frames += 1
                if hash(said(one)) in archived:
                    continue
                missing = Missing(frame.ns, key, (key,), frame.kind)
                result.missing.append(missing)
                if any(gap.covers(missing.at, key, missing.tokens, slack) for gap in result.gaps):
                    continue
                if _is_hidden(one, sparse):
                    result.hidden += 1
                else:
                    result.unexplained.append(missing)
    result.groundless = stream_truth.groundless(result, truth, slack, faults)
    return result


def _is_hidden(one: MarketMessage, sparse: dict[tuple[str, str, type[MarketMessage]], list[int]]) -> bool:
    """Return whether nothing could tell: of a ticker, of what lies between no two of a connection."""
    if isinstance(one, TradeMessage | MarketEvent):
        of_kind = (times for (_, _, kind), times in sparse.items() if isinstance(one, kind))
        return not any(min(times) < one.at < max(times) for times in of_kind)
    return isinstance(one, QuoteMessage)


def wrong_rows(out: Path) -> list[Any]:
    """Rows that are observed and not the book at their tick; there have to be many that are right."""
    rows = [
        json.loads(line)
        for path in sorted((out / "records").glob("kalshi_*.jsonl"))
        for line in path.read_text().splitlines()
    ]
    observed = [row for row in rows if row["is_observed"]]
    assert len(observed) > 50
    return [row for row in observed if said_by(row) != _true(row)]


def _true(row: dict[str, Any]) -> tuple[Any, ...]:
    end_ns = market_facts(row["market_id"]).end_ns
    assert end_ns is not None
    market = venue_of().rounds.make(row["market_id"].partition("-")[0], end_ns // SECOND)
    return values(venue_of().books.at(market, from_iso(row["timestamp"]) // SECOND))


def values(book: SimBook) -> tuple[Any, ...]:
    """Return what a row says of a book."""
    (bid, bid_size), (ask, ask_size) = (
        (None, None) if level is None else map(Decimal, level) for level in (book.yes_bid, book.yes_ask)
    )
    return bid, ask, None if ask is None else 1 - ask, None if bid is None else 1 - bid, bid_size, ask_size


def said_by(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return the values of a row."""
    names = ("yes_bid", "yes_ask", "no_bid", "no_ask", "yes_bid_size", "yes_ask_size")
    return tuple(None if row[name] is None else Decimal(str(row[name])) for name in names)
