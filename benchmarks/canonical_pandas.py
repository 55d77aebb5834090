"""The canonical dataset as an expert builds it with pandas: vectorised, a day at a time, by `merge_asof`.

Columns and times that are not needed are not read, decimals become doubles in Arrow, keys are categories, and
one sort serves all joins. It knows what is in these tables (one recording, no answers of REST, no quotes of
the page, each gap of one market) and looks for nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.canonical_archive import DAY_S, DURATION, tokens

CARRY = pd.Timedelta(60, "s")
LATE = pd.Timedelta(10, "s")
SIDES = ("up", "down")


def build(root: Path, target: Path, schema: pa.Schema) -> None:
    names = ["market_id", "asset", "start_ns", "strike", "settlement", "resolved_outcome", "instrument"]
    labels = pd.read_parquet(
        root / "research" / "ground_truth.parquet", columns=[*names, "strike_received_at_ns"]
    )
    for name in ("strike", "settlement"):
        labels[name] = labels[name].astype(float)
    labels["start"] = pd.to_datetime(labels["start_ns"], unit="ns", utc=True).astype("datetime64[us, UTC]")
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for day, of_day in labels.groupby(labels["start_ns"] // (DAY_S * 10**9)):
            rows = _day(root, int(str(day)), of_day.reset_index(drop=True))
            writer.write_table(pa.Table.from_pandas(rows, schema=schema, preserve_index=False))


def _day(root: Path, day: int, labels: pd.DataFrame) -> pd.DataFrame:
    days = [str(np.datetime64(day + n, "D")) for n in (-1, 0, 1)]
    window = (labels["start"].min() - CARRY, labels["start"].max() + pd.Timedelta(DURATION, "s"))
    price = _newest([_load(root, days, "reference_prices", "instrument", ["value"], window)], "instrument")
    best = ["best_bid", "best_ask"]
    stated, route = ("source", "==", "best_bid_ask"), ("route", "!=", "state")
    given = {
        "price_change": _load(root, days, "book_changes", "token", best, window),
        "best_bid_ask": _load(root, days, "quotes", "token", best, window, stated),
        "ws": _load(root, days, "books", "token", best, window, route),
    }
    kind = pd.CategoricalDtype([f"polymarket/stream {name}" for name in given])
    for name, each in given.items():
        each["source"] = pd.Categorical.from_codes(np.full(len(each), [*given].index(name)), dtype=kind)
    top = _newest([*given.values()], "token")

    labels["spot"] = ("chainlink:" + labels["asset"].str.lower() + "-usd").astype(price["instrument"].dtype)
    labels["twap"] = labels["instrument"].astype(price["instrument"].dtype)
    kind_of_token = top["token"].dtype
    assert isinstance(kind_of_token, pd.CategoricalDtype)
    for side in SIDES:
        mine = [tokens(slug)[side.title()] for slug in labels["market_id"]]
        labels[side] = pd.Categorical(mine, dtype=kind_of_token)
    gaps = _gaps(root, days).drop_duplicates("markets").set_index("markets")  # each market has one at most
    labels["gap_from"] = labels["market_id"].map(gaps["from"].dt.floor("s"))
    labels["gap_to"] = labels["market_id"].map(gaps["to"].dt.ceil("s"))
    labels = labels.astype({"market_id": "category", "asset": "category"})

    rows = labels.loc[labels.index.repeat(DURATION + 1)].reset_index(names="round")
    rows["t"] = np.tile(np.arange(DURATION + 1), len(labels))
    rows["sec"] = rows["start"] + pd.to_timedelta(rows["t"], unit="s")
    rows = rows.sort_values("sec", kind="stable")
    for name, told, key, told_key in (
        ("cl", price, "spot", "instrument"),
        ("twap", price, "twap", "instrument"),
        ("up", top, "up", "token"),
        ("down", top, "down", "token"),
    ):
        found = told.rename(columns=lambda column: column if column == "sec" else f"{name}_{column}")  # noqa: B023
        found[f"{name}_sec"] = found["sec"]
        rows = pd.merge_asof(
            rows, found, on="sec", left_by=key, right_by=f"{name}_{told_key}", tolerance=CARRY
        )
    return _columns(rows.sort_values(["round", "t"], kind="stable"))


def _load(
    root: Path,
    days: Sequence[str],
    table: str,
    key: str,
    columns: list[str],
    window: tuple[pd.Timestamp, pd.Timestamp],
    *where: tuple[str, str, str],
) -> pd.DataFrame:
    first, last = window
    rows = pq.read_table(
        [path for date in days for path in root.glob(f"tables/{table}/*/*/date={date}/{table}.parquet")],
        columns=[key, "event_time", "received_at", *columns],
        filters=[
            ("received_at", ">=", first),
            ("received_at", "<=", last + LATE),
            ("event_time", "<=", last),
            *where,
        ],
        read_dictionary=[key],
        partitioning=None,
    )
    kinds = [
        field.with_type(pa.float64()) if pa.types.is_decimal(field.type) else field for field in rows.schema
    ]
    frame: pd.DataFrame = rows.cast(pa.schema(kinds)).to_pandas()
    return frame


def _newest(given: Sequence[pd.DataFrame], key: str) -> pd.DataFrame:
    """By second: of what holds at its end, the newest by the time of the event, then by that of receipt."""
    kind = pd.api.types.union_categoricals([each[key] for each in given]).dtype
    told = pd.concat([each.astype({key: kind}) for each in given], ignore_index=True)
    # quicker than by both at once
    told = told.sort_values("received_at", kind="stable").sort_values("event_time", kind="stable")
    told["sec"] = told["event_time"].dt.ceil("s")
    return told


def _columns(rows: pd.DataFrame) -> pd.DataFrame:
    out = rows[["market_id", "asset", "t", "settlement"]].copy()
    out["tau"], out["K"] = DURATION - rows["t"], rows["strike"]
    out["Y"] = (rows["resolved_outcome"] == "Up").astype("int8")
    has_cl, has_twap = rows["cl_sec"].notna(), rows["twap_sec"].notna()
    out["cl_mid"], out["cl_twap"] = rows["cl_value"], rows["twap_value"]
    out["cl_bid"] = out["cl_ask"] = out["ref_mid"] = np.nan
    out["ref_source"] = None
    out["cl_ffill"] = _flag(rows["sec"] > rows["cl_sec"], has_cl)
    out["cl_twap_ffill"] = _flag(rows["sec"] > rows["twap_sec"], has_twap)
    out["cl_source"] = pd.Series("polymarket/reference", rows.index, dtype="category").where(has_cl)
    out["cl_lag"] = (rows["cl_received_at"] - rows["cl_event_time"]).dt.total_seconds()
    out["delta"] = out["cl_mid"] - out["K"]
    out["delta_bps"] = 1e4 * out["delta"] / out["K"]
    out["delta_twap"] = out["cl_twap"] - out["K"]
    out["time"] = rows["sec"]
    out["K_received_at"] = pd.to_datetime(rows["strike_received_at_ns"] // 1000, unit="us", utc=True)
    for side in SIDES:
        bid, ask = rows[f"{side}_best_bid"], rows[f"{side}_best_ask"]
        out[f"pm_{side}_mid"], out[f"pm_{side}_spread"] = (bid + ask) / 2, ask - bid
        out[f"pm_{side}_bid"], out[f"pm_{side}_ask"] = bid, ask
    for each in ("bid", "ask"):
        out[f"sum_{each}s"] = out[f"pm_up_{each}"] + out[f"pm_down_{each}"]
    has_up, has_down = rows["up_sec"].notna(), rows["down_sec"].notna()
    has_any = has_up | has_down
    is_old = (rows["sec"] > rows["up_sec"]) | (rows["sec"] > rows["down_sec"])
    is_early = (rows["up_sec"] < rows["start"]) | (rows["down_sec"] < rows["start"])
    out["pm_verified"] = pd.Series("ok", rows.index, dtype="category").where(has_any)
    out["pm_ffill"] = _flag(is_old, has_any)
    out["preopen"] = _flag(is_early, has_any)
    out["pm_quiet"] = _flag(pd.Series(False, rows.index), has_any)
    is_up = has_up & ~(rows["down_event_time"] > rows["up_event_time"])
    lag = {side: rows[f"{side}_received_at"] - rows[f"{side}_event_time"] for side in SIDES}
    out["pm_lag"] = lag["up"].where(is_up, lag["down"]).dt.total_seconds()
    of_up = rows["up_source"].where(has_up, rows["down_source"])
    of_down = rows["down_source"].where(has_down, rows["up_source"])
    out["pm_source"] = of_up.astype("str")
    is_other = of_up != of_down
    out.loc[is_other, "pm_source"] += ", " + of_down[is_other].astype("str")
    out["gap"] = (rows["sec"] >= rows["gap_from"]) & (rows["sec"] <= rows["gap_to"])
    return out


def _flag(is_so: pd.Series[bool], is_known: pd.Series[bool]) -> pd.Series[bool]:
    return is_so.astype("boolean").where(is_known)


def _gaps(root: Path, days: Sequence[str]) -> pd.DataFrame:
    paths = [path for date in days for path in root.glob(f"tables/gaps/*/*/date={date}/gaps.parquet")]
    found = pd.concat([pd.read_parquet(path, columns=["from", "to", "markets"]) for path in paths])
    return found.explode("markets")
