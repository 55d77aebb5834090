"""`Archive.catalog(as_of=T)`: every market as it was known at a moment, its last price and its outcome."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from marketarchive.exceptions import ArgumentError
from marketarchive.master.engine import connect as connect_master
from marketarchive.master.engine import sqlite_path, sqlite_url, unusable
from marketarchive.master.fields import FIELDS, PRICES
from marketarchive.master.known import known_changes, known_markets, last_prices
from marketarchive.master.observation import Key
from marketarchive.master.outcome import Outcome
from marketarchive.research.engine import connect, require
from marketarchive.research.pandas_frames import frame_table, json_column, table_frame
from marketarchive.research.selection import OneOrMany, check, wanted
from marketarchive.research.views import Moment, ns, sql_list

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import pyarrow as pa

STATED = (
    "slug",
    "event_id",
    "group",
    "neg_risk",
    "title",
    "subtitle",
    "description",
    "category",
    "outcomes",
    "tokens",
    "asset",
    "series",
    "duration",
    "start_at",
    "end_at",
    "expected_end_at",
    "status",
    "closed_at",
    "determined_at",
    "resolution",
    "resolution_kind",
    "resolution_state",
    "payouts",
    "resolution_source",
    "resolved_at",
    "reopened_at",
    "result_kind",
    "strike",
    "strike_type",
    "strike_cap",
    "strike_source",
    "settlement",
    "settlement_source",
    "rule",
    "tick_size",
    "volume_unit",
    "liquidity_unit",
    "protocol_version",
)
"""Fields of the master's journal that are columns of the frame, in its order."""
RESULT = ("resolution", "payouts", "result_kind")
"""Fields that state a result: their last change dates when the result was first seen."""
LATEST = 2**63 - 1
CHANGE = {
    "platform": "string",
    "market_id": "string",
    "field": "string",
    "new": "string",
    "observed_at": "int64",
    "capture": "string",
    "id": "int64",
}
MARKET = {
    "platform": "string",
    "market_id": "string",
    "created_at": "int64",
    "updated_at": "int64",
    "volume": "double",
    "liquidity": "double",
    "place": "int64",
}
PRICE = {
    "platform": "string",
    "market_id": "string",
    **dict.fromkeys(PRICES, "double"),
    "snapshot_at": "int64",
}
KEY = r"""observed_at, regexp_extract(capture, '^(.*)/', 1), regexp_extract(capture, '([^/]*)$', 1)::BIGINT"""
"""SQL terms to order observations by, as `observation.Key` does."""
_ENDED = "status IN ('closed', 'resolved')"


def frame(
    root: Path,
    master_url: str | None,
    as_of: Moment = None,
    *,
    venue: str | Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return a row per market known at `as_of`, by our time of receipt, in the order of their first receipt.

    as_of: None: everything known now; master_url: None is `master.db` in `root`; venue: None is all. Nothing
    received after `as_of` is in the frame: no later title, result or price. `resolution` is YES or NO, null
    without a result or for another kind of result; `resolution_label` is the winner's label. `is_observed` is
    False for a market that was first seen when its result was known already. Raises ArgumentError where there
    is no master, MasterError where it cannot be read.
    """
    require()
    moment = ns(as_of)
    with reading(root, master_url) as master:
        made = _table(master, LATEST if moment is None else moment // 1000, venue)
    return _with_values(table_frame(made))


@contextmanager
def reading(root: Path, master_url: str | None) -> Iterator[Connection]:
    """Yield a connection that reads the market master of an archive.

    master_url: None is `master.db` in `root`. Raises ArgumentError where there is no master, MasterError
    where it cannot be read.
    """
    url = sqlite_url(root / "master.db") if master_url is None else master_url
    if not url:
        raise ArgumentError("the catalogue needs the market master, and MASTER_URL is empty")
    engine = connect_master(url)
    path = sqlite_path(engine.url)
    try:
        if path is not None and not path.exists():
            raise ArgumentError(f"there is no market master at {path}")
        with engine.connect() as master:
            yield master
    except SQLAlchemyError as error:
        raise unusable(engine, error) from None
    finally:
        engine.dispose()


def table(
    root: Path,
    master_url: str | None,
    as_of: Moment = None,
    *,
    asset: OneOrMany = None,
    venue: OneOrMany = None,
) -> pa.Table:
    """Return a row per market known at `as_of` by our time of receipt, in the order of their first receipt.

    Rows are those of `frame`, with the columns that all frames share: `time` is when a market starts,
    `market` its slug, or the venue's id where it has none. asset, venue: choose rows. Raises ArgumentError,
    MasterError.
    """
    given = wanted(asset=asset, platform=venue)
    found = frame(root, master_url, as_of)
    for name, names in given.items():
        there = found[name].dropna()
        if not set(names) <= set(there):  # known later, it is none yet
            there = frame(root, master_url)[name].dropna()
        check("venue" if name == "platform" else name, names, there)
        found = found[found[name].isin(names)]
    found = found.reset_index(drop=True)
    found = found.assign(
        time=found["start_at"], venue=found["platform"], market=found["slug"].fillna(found["market_id"])
    )
    first = ["time", "venue", "market", "market_id"]
    found = found[first + [name for name in found if name not in (*first, "platform", "slug")]]
    lists = {name: json_column(name, found[name]) for name in ("outcomes", "tokens", "payouts")}
    made = frame_table(found.drop(columns=list(lists)))
    for name in found.columns:
        if name in lists:
            made = made.append_column(name, lists[name])
    return made.select(list(found.columns))


def _table(master: Connection, at: int, venue: str | Sequence[str] | None) -> pa.Table:
    """Return the catalogue's rows as known at `at` (us), lists and dicts as JSON text."""
    import pyarrow as pa

    database = connect()
    try:
        database.register("known", _known(master, at))
        database.register("last_prices", _prices(master, at))
        changes = pa.RecordBatchReader.from_batches(arrow_schema(CHANGE), _changes(master, at))
        database.register("changes", changes)
        return _joined(database, at, venue)
    finally:
        database.close()


def _joined(database: duckdb.DuckDBPyConnection, at: int, venue: str | Sequence[str] | None) -> pa.Table:
    times = [name for name in STATED if FIELDS.get(name) == "time"]
    numbers = [name for name in STATED if FIELDS.get(name) == "decimal"]
    pivot = ", ".join(f"max(value) FILTER (field = '{name}') AS \"{name}\"" for name in STATED)
    held = ("resolved_at", "closed_at", "determined_at")
    shown = {name: f'"{name}"' for name in STATED}
    shown |= {name: f"CAST({name} AS TIMESTAMPTZ)" for name in times}
    shown |= {name: f"CAST({name} AS DOUBLE)" for name in numbers}
    shown |= {name: f"CASE WHEN {_ENDED} THEN {shown[name]} END" for name in held}
    shown["neg_risk"] = "neg_risk = 'true'"
    shown["group"] = 'coalesce("group", event_id, known.market_id)'
    first, second = ("outcomes ->> 0", "outcomes ->> 1")
    shown["resolution"] = f"""CASE lower(resolution) WHEN 'yes' THEN 'YES' WHEN 'no' THEN 'NO'
        ELSE CASE resolution WHEN {first} THEN 'YES' WHEN {second} THEN 'NO' END END"""
    decided = "(resolution IS NOT NULL OR payouts IS NOT NULL OR result_kind IS NOT NULL)"
    seen_late = f"{decided} AND least(result_at, epoch_us({shown['resolved_at']})) <= known.created_at"
    columns = ["known.platform", "known.market_id"]
    for name in STATED:
        columns.append(f'{shown[name]} AS "{name}"')
        if name == "resolution":
            columns.append("resolution AS resolution_label")
        if name == "resolved_at":
            columns.append(f"CASE WHEN {decided} THEN make_timestamptz(result_at) END AS resolution_seen_at")
    # a market's own row has newer figures than its last price, unless it was seen again after the moment
    figures = [
        f"CASE WHEN known.updated_at <= {at} THEN known.{name} ELSE last_prices.{name} END AS {name}"
        for name in ("volume", "liquidity")
    ]
    where = "true" if venue is None else f"known.platform IN ({sql_list(venue)})"
    return database.sql(
        f"""WITH newest AS (
                SELECT platform, market_id, field,
                    arg_max({{'new': new}}, ({KEY}, id)).new AS value,
                    max(observed_at) AS since
                FROM changes GROUP BY ALL
            ), stated AS (
                SELECT platform, market_id, {pivot}, max(since) AS changed_at,
                    max(since) FILTER (field IN ({sql_list(RESULT)})) AS result_at
                FROM newest GROUP BY ALL
            )
            SELECT {", ".join(columns)},
                yes_price, no_price, spread, {", ".join(figures)},
                make_timestamptz(snapshot_at) AS priced_at,
                make_timestamptz(known.created_at) AS first_seen_at,
                NOT coalesce({seen_late}, false) AS is_observed,
                make_timestamptz(changed_at) AS changed_at
            FROM known LEFT JOIN stated USING (platform, market_id)
                LEFT JOIN last_prices USING (platform, market_id)
            WHERE {where} ORDER BY place"""
    ).to_arrow_table()


def _changes(master: Connection, at: int) -> Iterator[pa.RecordBatch]:
    """Yield the changes in the master's journal up to `at` (us)."""
    import pyarrow as pa

    schema = arrow_schema(CHANGE)
    for rows in known_changes(master, at, STATED):
        yield pa.record_batch(list(zip(*rows, strict=True)), schema=schema)


def _known(master: Connection, at: int) -> pa.Table:
    """Return the markets known at `at` (us), numbered as `place` in the order of their first receipt."""
    rows = [
        (*names, _float(volume), _float(liquidity), place)
        for place, (*names, volume, liquidity) in enumerate(known_markets(master, at))
    ]
    return _arrow(MARKET, rows)


def _prices(master: Connection, at: int) -> pa.Table:
    """Return each market's last price up to `at` (us): the one with the greatest observation key."""
    newest: dict[tuple[str, str], tuple[Key, list[float | None]]] = {}
    for platform, market_id, *figures, snapshot_at, capture in last_prices(master, at):
        key = Key.of(snapshot_at, capture)
        present = newest.get((platform, market_id))
        if present is None or present[0] < key:
            newest[platform, market_id] = key, [*map(_float, figures)]
    rows = [(*identity, *figures, key.observed_at) for identity, (key, figures) in newest.items()]
    return _arrow(PRICE, rows)


def _with_values(found: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with JSON texts decoded to lists and dicts, and `resolution_kind` filled in."""
    import pandas as pd

    unnamed = found["resolution_kind"].isna() & (found["payouts"].notna() | found["result_kind"].notna())
    for place in found.index[unnamed]:  # of masters that earlier versions wrote
        named = ("resolution_label", "payouts", "result_kind", "outcomes")
        texts = (found.loc[place, name] for name in named)
        label, payouts, result_kind, outcomes = (text if isinstance(text, str) else None for text in texts)
        outcome = Outcome(stated_resolution=label, payouts=payouts, result_kind=result_kind)
        found.loc[place, "resolution_kind"] = outcome.kind(outcomes)
    for name in ("outcomes", "tokens", "payouts"):
        values = [json.loads(text) if isinstance(text, str) else None for text in found[name]]
        found[name] = pd.Series(values, index=found.index, dtype="object")
    return found


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def arrow_schema(columns: Mapping[str, str]) -> pa.Schema:
    """Return an Arrow schema from column -> name of its Arrow type."""
    import pyarrow as pa

    return pa.schema([(name, pa.type_for_alias(kind)) for name, kind in columns.items()])


def _arrow(columns: Mapping[str, str], rows: Sequence[Sequence[Any]]) -> pa.Table:
    import pyarrow as pa

    values = zip(*rows, strict=True) if rows else [()] * len(columns)
    return pa.table(
        [pa.array(each, kind) for each, kind in zip(values, columns.values(), strict=True)], list(columns)
    )
