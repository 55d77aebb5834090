"""Spans of subscription per connection, from the connection lines of a day."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple


class SubscriptionLine(NamedTuple):
    """A connection line, or a market's end (`resolved`), which only names tokens."""

    run: str
    connection: str
    at: int  # us
    event: str
    names: tuple[str, ...]


@dataclass
class SubscriptionSpan:
    """Time from and until (us) one token or topic was subscribed on one connection."""

    run: str
    connection: str
    name: str
    start: int
    end: int
    is_final: bool  # unsubscribed, or resolved: nothing more was expected


def spans(
    reported: Iterable[SubscriptionLine], seen: Mapping[tuple[str, str, str], int], ends: Mapping[str, int]
) -> Iterator[SubscriptionSpan]:
    """Yield the spans of subscription from connection lines.

    reported: lines in the order of each run; seen: first evidence of each (run, connection, name), for
    connections opened before the lines begin; ends: end of each run; all times in us.
    """
    lines = sorted(reported, key=lambda line: line.run)  # stable: keeps the order within each run
    open_now: dict[tuple[str, str], dict[str, int]] = {}  # of what is subscribed the start
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
    """Return from when until when data was due.

    A connection that is followed by another leaves no end.
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
