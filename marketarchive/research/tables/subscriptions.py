"""Times in which tokens or topics were subscribed on each connection, from a day's connection lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple


class SubscriptionLine(NamedTuple):
    """A connection line; or the end of a market, with event `resolved`, which names its tokens."""

    run: str
    connection: str
    at: int  # us
    event: str
    names: tuple[str, ...]


@dataclass
class SubscriptionSpan:
    """Time from `start` to `end` (us) in which one token or topic was subscribed on one connection."""

    run: str
    connection: str
    name: str
    start: int
    end: int
    is_final: bool  # it ended by unsubscribing or by the market's resolution: no more data were due


def spans(
    reported: Iterable[SubscriptionLine], seen: Mapping[tuple[str, str, str], int], ends: Mapping[str, int]
) -> Iterator[SubscriptionSpan]:
    """Yield the spans of subscription in connection lines.

    reported: lines in the order of each run; seen: (run, connection, name) -> first data, for connections
    that were opened before the lines begin; ends: run -> its end; all times in us.
    """
    lines = sorted(reported, key=lambda line: line.run)  # stable: keeps the order within each run
    open_now: dict[tuple[str, str], dict[str, int]] = {}  # (run, connection) -> name -> start
    whole = {(line.run, line.connection) for line in lines if line.event == "opened"}
    for (run, connection, name), at in seen.items():
        if (run, connection) not in whole:
            open_now.setdefault((run, connection), {})[name] = at
    for line in lines:
        key = (line.run, line.connection)
        held = open_now.setdefault(key, {})
        if line.event in ("opened", "subscribed"):
            for name in line.names:
                held[name] = min(line.at, held.get(name, line.at))
        else:
            gone = tuple(held) if line.event == "closed" else line.names
            for name in gone:
                if (start := held.pop(name, None)) is not None:
                    yield SubscriptionSpan(*key, name, start, max(start, line.at), line.event != "closed")
    for (run, connection), held in open_now.items():
        for name, start in held.items():
            yield SubscriptionSpan(
                run, connection, name, start, max(start, ends.get(run, start)), is_final=False
            )


def tracked(found: Iterable[SubscriptionSpan]) -> list[tuple[int, int]]:
    """Return the merged (start, end) in us in which data were due on any connection.

    The time between a connection that was closed and the next one is included.
    """
    merged: list[tuple[int, int, bool]] = []
    for span in sorted(found, key=lambda each: (each.start, each.end)):
        if merged and (span.start <= merged[-1][1] or not merged[-1][2]):
            start, end, is_final = merged.pop()
            is_final = span.is_final if span.end >= end else is_final
            merged.append((start, max(end, span.end), is_final))
        else:
            merged.append((span.start, span.end, span.is_final))
    return [(start, end) for start, end, _ in merged]
