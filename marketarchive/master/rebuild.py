"""Makes the master again from the raw archive: the same as live collecting made, or would have made.

Raw is read in order of time and only as far ahead as answers may be out of order, so memory is bounded. Files
still being written are read too, up to their last flush: what a collector received in the last second before
a rebuild may be missing from it, and a rebuild `since` then brings it.
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
    """Progress of a rebuild: counts of what was read and written."""

    messages: int = 0  # answers and frames that venues' parse functions read
    unreadable: int = 0  # those they refused, and rows of the others
    rows: int = 0
    changes: int = 0
    reached: int = 0  # time of the newest observation written, ns
    unplaced: int = 0  # headlines of markets that nothing in raw speaks of


Progress = Callable[[Rebuilt], None]


def rebuild(
    root: Path,
    url: str,
    since: int | None = None,
    *,
    keep: Keep = "changes",
    progress: Progress | None = None,
) -> Rebuilt:
    """Fill the master at `url` from the archive at `root`.

    Without `since` (ns) the tables are emptied and filled in one transaction: readers see the old master
    until it is done, collectors meanwhile hold their rows back or skip them, and a failure leaves the old
    one. With `since` what was received from then on is merged into the master as it is, in many
    transactions, beside collectors at work.

    Raises MasterError; CorruptError for a damaged segment; ArchiveError for one that is not there, or when
    no feed in raw has markets.
    """
    engine = open_master(url, wait_s=LOCK_WAIT_S)
    done = Rebuilt()
    unplaced: list[HeadlineObservation] = []  # raw may speak of their markets later
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
                        f"nothing in {root / 'raw'} speaks of markets; the master is left as it was. Is this "
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
    """Write headlines that came before their markets did."""
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
    """Yield the observations of each message about markets in raw, parsed as by live spiders.

    The last state of each cycle is left in `states`.
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
    # one that is not whole was asked for again
    envelope = message.envelope
    return feed.has_markets and envelope["status"] == 200 and not envelope.get("flags")


def _in_order(observations: Iterable[Observation]) -> Iterator[Observation]:
    """Yield observations by key, if none comes more than `AHEAD` observations too late."""
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
