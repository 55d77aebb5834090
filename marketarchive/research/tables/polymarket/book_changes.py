"""The table `book_changes`: one row per level that a socket's `price_change` event sets anew."""

from __future__ import annotations

from typing import Any

from marketarchive.exceptions import ParseError
from marketarchive.research.engine import stored, text
from marketarchive.research.tables.extract import PRICE, SIZE, Made, count, moment, register
from marketarchive.research.tables.making import Task
from marketarchive.research.tables.polymarket import sound
from marketarchive.research.tables.polymarket.books_query import verdict
from marketarchive.research.tables.polymarket.frames import events, extract, frames
from marketarchive.research.tables.polymarket.verdicts import STALE, verdicts_of

# more decimals than a size has; what is no string
SUSPECT = (
    r'\.[0-9]{7}|"(?:price|size|side|hash|best_bid|best_ask|asset_id|market|timestamp)":\s*[^"\s]'
    r'|"price_changes":\s*[^\[\s]'
)
_CHANGE = (
    f'{{"asset_id":"VARCHAR","price":"{PRICE}","size":"{SIZE}","side":"VARCHAR","hash":"VARCHAR",'
    '"best_bid":"VARCHAR","best_ask":"VARCHAR"}'
)
_SHAPE = f'{{"event_type":"VARCHAR","market":"VARCHAR","timestamp":"BIGINT","price_changes":[{_CHANGE}]}}'


def make(task: Task) -> Made:
    """Write the day's rows to the task's target. Raises ArchiveError, CorruptError, and duckdb.Error for a
    segment that cannot be read.
    """
    connection, root, partition, target = task.connection, task.root, task.partition, task.target
    checked = verdicts_of(task)
    paths = register(connection, root, partition, task.names)

    def judged(given: str) -> str:
        verdicts = f"(SELECT source, seq, codes FROM {stored(checked.path)} WHERE asset = '')"
        return rows(f"(SELECT * FROM {given} LEFT JOIN {verdicts} USING (source, seq))", checked.listed)

    given = frames(partition, paths, "price_change", SUSPECT)
    stamp = partition.stamp(verified=task.verify)
    made = extract(connection, root, partition, given, judged, {"price_change": _sound}, target, stamp)
    made.verified = task.verify
    made.rows = count(connection, target)
    made.require_all(checked.changes, "changes", partition)
    return made


def rows(given: str, kinds: str) -> str:
    """One row per change in frames with their `codes`; `token` is null where SQL is not to be trusted."""
    return f"""
    WITH changes AS (
        SELECT * EXCLUDE (changes), unnest(changes) AS change, generate_subscripts(changes, 1) AS position,
               split_part(codes, ' ', index)[position] AS code
        FROM (SELECT run, seq, connection, collected_at_utc, suspect, codes, index,
                     event.market, event."timestamp", coalesce(event.price_changes, [NULL]) AS changes
              FROM {events(given, _SHAPE, "price_change")})
    ), measured AS (
        SELECT * EXCLUDE (change), change.*, {verdict(kinds)} AS judged,
               {moment('"timestamp"')} AS event_time,
               try_cast(nullif(change.best_bid, '') AS {PRICE}) AS bid,
               try_cast(nullif(change.best_ask, '') AS {PRICE}) AS ask,
               coalesce(NOT suspect AND market IS NOT NULL AND event_time IS NOT NULL
                        AND change.asset_id IS NOT NULL AND change.price IS NOT NULL
                        AND change.size IS NOT NULL AND change.side IN ('BUY', 'SELL')
                        AND (bid IS NULL) = (nullif(change.best_bid, '') IS NULL)
                        AND (ask IS NULL) = (nullif(change.best_ask, '') IS NULL), false) AS trusted
        FROM changes
    )
    SELECT market, slug, outcome, CASE WHEN trusted THEN asset_id END AS token,
           event_time, collected_at_utc::TIMESTAMPTZ AS received_at,
           run, seq, connection, index::INTEGER AS index, position::INTEGER AS position,
           side, price, size, hash, bid AS best_bid, ask AS best_ask, judged.verified,
           CASE WHEN code <> '' THEN judged.recipe = {text(STALE)} END AS is_stale
    FROM measured LEFT JOIN names ON names.token = measured.asset_id"""


def _sound(event: Any) -> dict[str, Any]:
    """Raises ParseError when a value cannot stand in its column exactly."""
    changes = event.get("price_changes")
    if not isinstance(changes, list):
        raise ParseError("PriceChanges", f"price_changes={changes!r} is not a list", ("price_changes",))
    return {
        "market": sound.string(event, "market"),
        "timestamp": sound.milliseconds(event),
        "price_changes": [_sound_change(sound.mapping(change, "PriceChange")) for change in changes],
    }


def _sound_change(change: Any) -> dict[str, Any]:
    return {
        "asset_id": sound.string(change, "asset_id"),
        "price": sound.price(change),
        "size": sound.size(change),
        "side": sound.side(change),
        "hash": sound.string_or_none(change, "hash"),
        "best_bid": sound.best(change, "best_bid"),
        "best_ask": sound.best(change, "best_ask"),
    }
