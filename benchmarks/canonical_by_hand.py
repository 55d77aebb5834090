"""The canonical dataset as somebody writes it who leaves pandas wherever numpy and Arrow are quicker.

It tells tokens and instruments apart by numbers, joins places alone and takes the values by them, and makes
text of numbers last. Like `canonical_pandas` it knows what is in these tables and looks for nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.canonical_archive import DAY_S, DURATION, tokens

CARRY_S = 60
LATE_US = 10_000_000
SIDES = ("Up", "Down")
BOOK_SOURCES = ("polymarket/stream price_change", "polymarket/stream best_bid_ask", "polymarket/stream ws")


def build(root: Path, target: Path, schema: pa.Schema) -> None:
    names = ["market_id", "asset", "start_ns", "strike", "settlement", "resolved_outcome", "instrument"]
    labels = pd.read_parquet(
        root / "research" / "ground_truth.parquet", columns=[*names, "strike_received_at_ns"]
    )
    labels["start"] = labels["start_ns"] // 10**9
    for name in ("strike", "settlement"):
        labels[name] = labels[name].astype(float)
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for day, of_day in labels.groupby(labels["start"] // DAY_S):
            writer.write_table(_day(root, int(str(day)), of_day.reset_index(drop=True), schema))


def _day(root: Path, day: int, labels: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    of = np.repeat(np.arange(len(labels)), DURATION + 1)
    t = np.tile(np.arange(DURATION + 1), len(labels))
    start = labels["start"].to_numpy()
    sec = start[of] + t
    by_time = np.argsort(sec, kind="stable")
    days = [str(np.datetime64(day + n, "D")) for n in (-1, 0, 1)]
    seconds = (int(start.min()) - CARRY_S, int(start.max()) + DURATION)

    price = _load(root, days, "reference_prices", "instrument", ["value"], seconds)
    spots = ("chainlink:" + labels["asset"].str.lower() + "-usd").to_list()
    numbers = {name: n for n, name in enumerate(sorted({*spots, *labels["instrument"]}))}
    price = _newest_of_seconds([price], numbers, "instrument")
    cl = _found(sec, _numbers(spots, numbers)[of], by_time, price)
    twap = _found(sec, _numbers(labels["instrument"].to_list(), numbers)[of], by_time, price)

    best = ["best_bid", "best_ask"]
    given = [
        _load(root, days, "book_changes", "token", best, seconds),
        _load(root, days, "quotes", "token", best, seconds, pc.field("source") == "best_bid_ask"),
        _load(root, days, "books", "token", best, seconds, pc.field("route") != "state"),
    ]
    mine = [[tokens(slug)[side] for slug in labels["market_id"]] for side in SIDES]
    numbers = {token: n for n, token in enumerate(sorted({*mine[0], *mine[1]}))}
    top = _newest_of_seconds(given, numbers, "token")
    up, down = (_found(sec, _numbers(each, numbers)[of], by_time, top) for each in mine)

    out = _prices(sec, cl, twap, price) | _sides(sec, start[of], up, down, top)
    strike = labels["strike"].to_numpy()[of]
    out |= {"t": t, "tau": DURATION - t, "K": strike, "settlement": labels["settlement"].to_numpy()[of]}
    out["Y"] = (labels["resolved_outcome"] == "Up").to_numpy()[of]
    out["delta"] = out["cl_mid"] - strike
    out["delta_bps"] = 1e4 * out["delta"] / strike
    out["K_received_at"] = (labels["strike_received_at_ns"].to_numpy() // 1000)[of]
    out["gap"] = _in_gaps(root, days, labels)
    for name in ("market_id", "asset"):
        out[name] = _text(of, None, labels[name].to_list())
    nothing = np.full(len(sec), np.nan)
    out |= {"cl_bid": nothing, "cl_ask": nothing, "ref_mid": nothing, "ref_source": pa.nulls(len(sec))}
    return pa.table([_column(out[field.name], field.type) for field in schema], schema=schema)


def _load(
    root: Path,
    days: Sequence[str],
    table: str,
    key: str,
    columns: list[str],
    seconds: tuple[int, int],
    where: pc.Expression | None = None,
) -> pa.Table:
    received, event = pc.field("received_at"), pc.field("event_time")
    kind = pa.timestamp("us", tz="UTC")
    first, last = (pa.scalar(each * 1_000_000, pa.int64()).cast(kind) for each in seconds)
    late = pa.scalar(seconds[1] * 1_000_000 + LATE_US, pa.int64()).cast(kind)
    # told of the time of receipt, by which files are sorted, most of a neighbouring day is not even read
    wanted = (received >= first) & (received <= late) & (event <= last)
    paths = [path for date in days for path in root.glob(f"tables/{table}/*/*/date={date}/{table}.parquet")]
    return pq.read_table(
        paths,
        columns=[key, "event_time", "received_at", *columns],
        filters=wanted if where is None else wanted & where,
        read_dictionary=[key],
        partitioning=None,
    )


def _newest_of_seconds(given: Sequence[pa.Table], numbers: dict[str, int], key: str) -> pd.DataFrame:
    """By second: of what holds at its end, the newest by the time of the event, then by that of receipt."""
    frames = []
    for source, rows in enumerate(given):
        encoded = rows[key].unify_dictionaries().combine_chunks()
        place = np.array([numbers.get(name, -1) for name in encoded.dictionary.to_pylist()], dtype="int32")
        columns: dict[str, Any] = {"key": place[encoded.indices.to_numpy()]}
        for name in rows.column_names[1:]:
            kind = pa.int64() if name in ("event_time", "received_at") else pa.float64()
            columns[name] = rows[name].cast(kind).to_numpy()
        columns["source"] = np.full(rows.num_rows, source, dtype="int8")
        frames.append(pd.DataFrame(columns))
    found = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
    found = found[found["key"] >= 0]
    found = found.sort_values("received_at", kind="stable").sort_values("event_time", kind="stable")
    found["sec"] = -(-found["event_time"] // 1_000_000)
    only = found["sec"] * len(numbers) + found["key"]
    return found[~only.duplicated(keep="last")].reset_index(drop=True)


def _found(sec: Any, key: Any, by_time: Any, newest: pd.DataFrame) -> Any:
    """Per second its place in `newest`; -1 where there is none that young."""
    left = pd.DataFrame({"sec": sec[by_time], "key": key[by_time]})
    right = pd.DataFrame({"sec": newest["sec"], "key": newest["key"], "place": np.arange(len(newest))})
    place = pd.merge_asof(left, right, on="sec", by="key", tolerance=CARRY_S)["place"]
    found = np.empty(len(sec), dtype="int64")
    found[by_time] = place.fillna(-1).to_numpy()
    return found


def _numbers(names: Sequence[str], numbers: dict[str, int]) -> Any:
    return np.array([numbers[name] for name in names], dtype="int32")


def _values(found: Any, newest: pd.DataFrame, name: str) -> Any:
    return np.where(found >= 0, newest[name].to_numpy()[found], np.nan)


def _prices(sec: Any, cl: Any, twap: Any, price: pd.DataFrame) -> dict[str, Any]:
    received, event = (_values(cl, price, name) for name in ("received_at", "event_time"))
    return {
        "cl_mid": _values(cl, price, "value"),
        "cl_ffill": _flag(sec > price["sec"].to_numpy()[cl], cl >= 0),
        "cl_source": _text(np.zeros(len(cl), "int8"), cl < 0, ["polymarket/reference"]),
        "cl_lag": (received - event) / 1e6,
        "cl_twap": _values(twap, price, "value"),
        "cl_twap_ffill": _flag(sec > price["sec"].to_numpy()[twap], twap >= 0),
    }


def _sides(sec: Any, start: Any, up: Any, down: Any, top: pd.DataFrame) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, found in (("up", up), ("down", down)):
        bid, ask = (_values(found, top, f"best_{each}") for each in ("bid", "ask"))
        out |= {f"pm_{name}_mid": (bid + ask) / 2, f"pm_{name}_bid": bid, f"pm_{name}_ask": ask}
        out[f"pm_{name}_spread"] = ask - bid
    for each in ("bid", "ask"):
        out[f"sum_{each}s"] = out[f"pm_up_{each}"] + out[f"pm_down_{each}"]
    at, event, source = (top[name].to_numpy() for name in ("sec", "event_time", "source"))
    is_known = (up >= 0) | (down >= 0)
    is_old = ((up >= 0) & (sec > at[up])) | ((down >= 0) & (sec > at[down]))
    is_early = ((up >= 0) & (at[up] < start)) | ((down >= 0) & (at[down] < start))
    newer = np.where((up >= 0) & ((down < 0) | (event[up] >= event[down])), up, down)
    out["pm_ffill"], out["preopen"] = _flag(is_old, is_known), _flag(is_early, is_known)
    out["pm_quiet"] = _flag(np.zeros(len(sec), bool), is_known)
    out["pm_lag"] = (_values(newer, top, "received_at") - _values(newer, top, "event_time")) / 1e6
    of_up = np.where(up >= 0, source[up], source[down])
    of_down = np.where(down >= 0, source[down], source[up])
    both = [one if one == two else f"{one}, {two}" for one in BOOK_SOURCES for two in BOOK_SOURCES]
    out["pm_source"] = _text(of_up * len(BOOK_SOURCES) + of_down, ~is_known, both)
    return out


def _in_gaps(root: Path, days: Sequence[str], labels: pd.DataFrame) -> Any:
    paths = [path for date in days for path in root.glob(f"tables/gaps/*/*/date={date}/gaps.parquet")]
    found = pd.concat([pd.read_parquet(path, columns=["from", "to", "markets"]) for path in paths])
    place = {slug: n for n, slug in enumerate(labels["market_id"])}
    is_in = np.zeros((len(labels), DURATION + 1), bool)
    start = labels["start"].to_numpy()
    for begin, end, markets in found.itertuples(index=False):
        for n in (place[market] for market in markets if market in place):
            first, last = int(begin.timestamp()) - start[n], -int(-end.timestamp() // 1) - start[n]
            is_in[n, max(0, first) : last + 1] = True
    return is_in.reshape(-1)


def _flag(is_so: Any, is_known: Any) -> pa.Array:
    return pa.array(is_so, mask=~is_known)


def _text(places: Any, mask: Any, names: Sequence[str]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(places, mask=mask), pa.array(names))


def _column(values: Any, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.Array):
        return values.cast(kind)
    return pa.array(values, from_pandas=True).cast(kind)
