"""Frames of the market channel, for the tables made of them: read by DuckDB, or looked at one by one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from marketarchive.archive.reader import Message, read_segment
from marketarchive.exceptions import ParseError
from marketarchive.nesting import is_shallow
from marketarchive.research.engine import run, stored, text
from marketarchive.research.tables.extract import Made, aside, copy, frame_with, lines, table, within
from marketarchive.research.tables.partitions import Partition, Stamp

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

NO_EVENT = "not an event of the market channel"
_COLUMNS = {
    "kind": "VARCHAR",
    "collected_at_utc": "VARCHAR",
    "seq": "BIGINT",
    "connection": "VARCHAR",
    "payload": "JSON",
    "payload_text": "VARCHAR",
}


class Frame(NamedTuple):
    """One event of a frame, as sent or decoded."""

    place: int  # in the frame, from 1
    event_type: str
    raw: Any


def frames(partition: Partition, paths: list[str], word: str, suspect: str) -> str:
    """The day's frames that may have an event with `word` in its text. Needs `sources`.

    `suspect` is a pattern of what SQL cannot be trusted with; a frame that is no JSON is suspect too.
    """
    if not paths:
        return (
            "(SELECT ''::VARCHAR run, 0::INTEGER source, 0::BIGINT seq, ''::VARCHAR connection, "
            "''::VARCHAR collected_at_utc, NULL::JSON payload, false suspect WHERE false)"
        )
    return f"""(
        SELECT run, source, seq, connection, collected_at_utc, payload,
               coalesce(regexp_matches(payload::VARCHAR, {text(suspect)}), true) AS suspect
        FROM {lines(paths, _COLUMNS)}
        WHERE kind = 'frame' AND {frame_with(word)} AND {within(partition)})"""


def events(given: str, shape: str, event_type: str) -> str:
    """One row per event of `event_type` in the frames `given`, `event` being null or lacking its type where
    SQL could not read it.
    """
    return f"""(
        SELECT * FROM (
            SELECT * EXCLUDE (events, payload), unnest(events) AS event,
                   generate_subscripts(events, 1) AS index
            FROM (SELECT *, coalesce(CASE WHEN starts_with(payload::VARCHAR, '[')
                                          THEN from_json(payload, '[{shape}]')
                                          ELSE [from_json(payload, '{shape}')] END, [NULL]) AS events
                  FROM {given}))
        WHERE coalesce(event.event_type, {text(event_type)}) = {text(event_type)})"""


def extract(
    connection: duckdb.DuckDBPyConnection,
    root: Path,
    partition: Partition,
    given: str,
    rows: Callable[[str], str],
    sound: Mapping[str, Callable[[Any], dict[str, Any]]],
    target: Path,
    stamp: Stamp,
) -> Made:
    """Writes `rows(given)` to `target`, what SQL cannot be trusted with looked at here.

    `sound` has for each event type wanted what makes a document for SQL of an event; it raises ParseError.
    """
    made = Made()
    copy(connection, rows(given), target, stamp)
    marked = f"SELECT DISTINCT run, seq FROM {stored(target)} WHERE token IS NULL"
    if wanted := set(run(connection, marked)):
        connection.register("looked_at", _careful(root, partition, wanted, sound, made))
        first = aside(target, "first")
        target.rename(first)
        keep = f"SELECT * FROM {stored(first)} ANTI JOIN looked_at USING (run, seq)"
        careful = f"SELECT * FROM ({rows('looked_at')}) WHERE token IS NOT NULL"
        copy(connection, f"{keep} UNION ALL {careful}", target, stamp)
        first.unlink()
    return made


def _careful(
    root: Path,
    partition: Partition,
    wanted: Collection[tuple[str, int]],
    sound: Mapping[str, Callable[[Any], dict[str, Any]]],
    made: Made,
) -> pa.Table:
    kinds = ("run", "source", "seq", "connection", "collected_at_utc", "payload", "suspect")
    found: dict[str, list[Any]] = {name: [] for name in kinds}
    for source, message in messages(root, partition, wanted):
        document = [_sound(frame, sound, message, made) for frame in elements(message, made)]
        stamp, name = message.envelope["collected_at_utc"], message.envelope["connection"]
        payload = msgspec.json.encode(document).decode()
        row = (message.run, source, message.seq, name, stamp, payload, False)
        for column, value in zip(kinds, row, strict=True):
            found[column].append(value)
    return table(found)


def messages(
    root: Path, partition: Partition, wanted: Collection[tuple[str, int]]
) -> Iterator[tuple[int, Message]]:
    """The frames `wanted` (run, seq) with the number of their segment."""
    runs = {run for run, _ in wanted}
    for source, entry in enumerate(partition.entries):
        if entry["run"] in runs:
            for message in read_segment(root, entry):
                if message.kind == "frame" and (message.run, message.seq) in wanted:
                    yield source, message


def elements(message: Message, made: Made) -> Iterator[Frame]:
    """The events of a frame in their order; what is none is counted, and has the type "-"."""
    try:
        if not is_shallow(message.payload):
            raise ParseError("Frame", "nested too deep")
        document = msgspec.json.decode(message.payload)
    except (ParseError, msgspec.DecodeError, UnicodeDecodeError) as error:
        made.miss(NO_EVENT, f"{error}: {message.payload[:60]!r}", message, 0)
        return
    for place, event in enumerate(document if isinstance(document, list) else [document], 1):
        kind = event.get("event_type") if isinstance(event, dict) else None
        if not isinstance(kind, str):
            made.miss(NO_EVENT, f"no event_type: {str(event)[:60]!r}", message, place)
            kind = "-"
        yield Frame(place, kind, event)


def _sound(
    frame: Frame, sound: Mapping[str, Callable[[Any], dict[str, Any]]], message: Message, made: Made
) -> dict[str, Any]:
    if frame.event_type in sound:
        try:
            return {**sound[frame.event_type](frame.raw), "event_type": frame.event_type}
        except ParseError as error:
            made.miss(", ".join(error.fields) or NO_EVENT, str(error), message, frame.place)
    return {"event_type": "-"}
