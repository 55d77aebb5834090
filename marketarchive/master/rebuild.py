"""Fill the master again from the raw archive, with the same content as live collecting gives it.

The archive is read in order of time, and only as far ahead as lines may be out of order, so that memory is
bounded. Files that are being written are read up to their last flush: data received in the last second before
a rebuild may be missing, and a later rebuild with `since` adds it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection, delete
from sqlalchemy.exc import SQLAlchemyError

from marketarchive.archive.lines import parse_cycle
from marketarchive.archive.reader import ArchiveReader, Message
from marketarchive.exceptions import ArchiveError, ParseError
from marketarchive.items import Cycle
from marketarchive.master.cycles import write_cycles
from marketarchive.master.engine import open_master, unusable, writing
from marketarchive.master.headlines import write_headlines
from marketarchive.master.observation import HeadlineObservation, Key, Observation, observe
from marketarchive.master.tables import cycles, market_changes, markets, news_context, price_snapshots
from marketarchive.master.timeline import Keep
from marketarchive.master.upsert import CHUNK, Written, upsert
from marketarchive.venues import feed_of, venues

AHEAD = 5 * CHUNK  # observations held back to put those of slightly disordered lines in order
LOCK_WAIT_S = 60.0


@dataclass
class Rebuilt:
    """Result and progress of a rebuild: counts of what was read and written."""

    messages: int = 0  # answers and frames that were parsed
    unreadable: int = 0  # messages that could not be parsed, and rows within parsed ones
    rows: int = 0  # observations merged
    changes: int = 0  # journal entries written
    reached: int = 0  # receipt of the newest observation written, wall ns
    unplaced: int = 0  # headlines of markets that are not in the raw archive


Progress = Callable[[Rebuilt], None]


def rebuild(
    root: Path,
    url: str,
    since: int | None = None,
    *,
    keep: Keep = "changes",
    progress: Progress | None = None,
) -> Rebuilt:
    """Fill the master at `url` from the archive below `root`.

    since: wall ns. None: the tables are emptied and filled in one transaction; readers see the old content
    until it ends, collectors meanwhile hold their rows back or skip them, and a failure leaves the old
    content. Else messages received from then on are merged into the present content, in many transactions,
    beside running collectors. keep: which price snapshots to keep; progress: called after each batch.

    Raises MasterError; CorruptError for a damaged segment; ArchiveError for a segment that is not on the
    disk, or when no feed in the archive has markets.
    """
    engine = open_master(url, wait_s=LOCK_WAIT_S)
    done = Rebuilt()
    unplaced: list[HeadlineObservation] = []  # their markets may come later in the archive
    states: list[Cycle] = []
    batches = _batches(_in_order(_observations(root, since, done, states)))
    try:
        if since is None:
            with writing(engine) as connection:
                for table in (cycles, news_context, price_snapshots, market_changes, markets):
                    connection.execute(delete(table))
                for batch in batches:
                    written = upsert(connection, batch, keep)
                    unplaced += written.unplaced
                    _take(done, batch, written, progress)
                _place(done, connection, unplaced)
                write_cycles(connection, states)
                if not done.messages:
                    raise ArchiveError(
                        f"nothing in {root / 'raw'} states markets; the master is left as it was. Is this "
                        "the right OUTPUT_DIR?"
                    )
        else:
            for batch in batches:
                with writing(engine) as connection:
                    written = upsert(connection, batch, keep)
                unplaced += written.unplaced
                _take(done, batch, written, progress)
            with writing(engine) as connection:
                _place(done, connection, unplaced)
                write_cycles(connection, states)
    except SQLAlchemyError as error:
        raise unusable(engine, error) from None
    finally:
        engine.dispose()
    return done


def _place(done: Rebuilt, connection: Connection, headlines: Sequence[HeadlineObservation]) -> None:
    """Write headlines that were received before their markets; count those that still have none."""
    placed = write_headlines(connection, headlines)
    done.rows += placed.rows
    done.unplaced = len(placed.unplaced)


def _take(done: Rebuilt, batch: list[Observation], written: Written, progress: Progress | None) -> None:
    done.rows += written.rows
    done.changes += written.changes
    done.reached = max(done.reached, batch[-1].key.observed_at * 1000)
    if progress is not None:
        progress(done)


def _observations(root: Path, since: int | None, done: Rebuilt, states: list[Cycle]) -> Iterator[Observation]:
    """Yield the observations in the archive's messages about markets, parsed as by live spiders.

    since: wall ns, None for all; done: gets the counts; states: gets the last state of each cycle at the end.
    """
    reader = ArchiveReader(root)
    latest: dict[tuple[str, str, int], Cycle] = {}
    kinds = ("response", "frame", "cycle")
    for message in reader.messages(since=since, kinds=kinds, open_parts=True, by_time=True):
        if message.kind == "cycle":
            state = parse_cycle(message.venue, message.feed, message.envelope)
            identity = (state.venue, state.phase, state.started)
            if identity not in latest or latest[identity].order <= state.order:
                latest[identity] = state
            continue
        if not _speaks_of_markets(message):
            continue
        try:
            parsed = venues()[message.venue].parse(message.received())
        except ParseError:
            done.unreadable += 1
            continue
        done.messages += 1
        done.unreadable += len(parsed.errors)
        for item in parsed.items:
            yield observe(item.model_copy(update={"run": message.run}))
    states += latest.values()


def _speaks_of_markets(message: Message) -> bool:
    feed = feed_of(message.venue, message.feed)
    if feed is None:
        return False
    if message.kind == "frame":
        return bool(feed.market_mark) and feed.market_mark in message.payload
    # an answer with flags was cut, and was requested again
    envelope = message.envelope
    return feed.has_markets and envelope["status"] == 200 and not envelope.get("flags")


def _in_order(observations: Iterable[Observation]) -> Iterator[Observation]:
    """Yield observations sorted by key, provided that none is more than `AHEAD` places out of order."""
    held: list[tuple[Key, int, Observation]] = []
    for arrival, observation in enumerate(observations):
        heapq.heappush(held, (observation.key, arrival, observation))
        if len(held) > AHEAD:
            yield heapq.heappop(held)[2]
    while held:
        yield heapq.heappop(held)[2]


def _batches(observations: Iterator[Observation]) -> Iterator[list[Observation]]:
    while batch := list(islice(observations, CHUNK)):
        yield batch
