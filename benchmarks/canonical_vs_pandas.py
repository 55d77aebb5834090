"""Canonical dataset: 10,000 rounds of 15 minutes, 9 million rows, against an expert's pandas build.

Both read the same tables (changes of books once a second and token, prices of two instruments once a second
and asset, gaps) and labels, and write the same columns with zstd. The expert's build is vectorised, a day at
a time: the newest value of each second by `drop_duplicates`, then `merge_asof` by token and by instrument; it
knows that there is one recording and that all books are of the socket, and checks nothing. Ours, `scrapy
canonical`, also looks for the day's other inputs, keeps keys of them, fsyncs and writes a manifest. Each runs
in a process of its own, so that its peak memory is its own. CANONICAL_MARKETS=1000 for a short form.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.result import Result
from marketarchive.archive.config import ArchiveConfig
from marketarchive.archive.files import Files
from marketarchive.archive.ledger import Ledger
from marketarchive.archive.manifest import store_manifest
from marketarchive.archive.paths import new_run_id
from marketarchive.archive.store import Store
from marketarchive.clock import SECOND, RealClock, from_iso, iso
from marketarchive.research import gaps, label_files
from marketarchive.research.canonical import CARRY_S, canonical, schema
from marketarchive.research.label_files import LabelStamp, read_labels
from marketarchive.research.labels import Label

MARKETS = int(os.environ.get("CANONICAL_MARKETS", "10000"))
FEWER = 10
"""So many times fewer markets show whether the time is linear."""
GOAL, MEMORY_MB = 3.0, 2048
ROUNDS = 2
DURATION = 900
ASSETS = ("BTC", "ETH", "SOL", "XRP")
PER_DAY = len(ASSETS) * 86_400 // DURATION
START = from_iso("2026-09-01T00:00:00Z")
DAY_S = 86_400
RUN = "20260901T000000Z-0000"


def run() -> Result:
    root = Path(tempfile.mkdtemp(prefix="canonical"))
    try:
        few, many = root / "few", root / "many"
        make(few, MARKETS // FEWER)
        make(many, MARKETS)
        small = _measured("ours", few)
        ours, theirs = [], []
        for number in range(ROUNDS):
            for times, who in ((ours, "ours"), (theirs, "pandas"))[:: 1 if number % 2 else -1]:
                times.append(_measured(who, many))
        _same(many)
        rows = MARKETS * (DURATION + 1)
        mine = statistics.median(each["seconds"] for each in ours)
        expert = statistics.median(each["seconds"] for each in theirs)
        return Result(
            name="canonical_vs_pandas",
            value=rows / mine,
            unit="rows/s",
            baseline=rows / expert,
            ratio=statistics.median(b["seconds"] / a["seconds"] for a, b in zip(ours, theirs, strict=True)),
            goal=GOAL,
            packages=("duckdb", "pandas", "pyarrow"),
            more={
                "markets": MARKETS,
                "rows": rows,
                "seconds": {"ours": round(mine, 1), "pandas": round(expert, 1)},
                "peak_mb": {
                    "ours": max(each["peak_mb"] for each in ours),
                    "pandas": max(each["peak_mb"] for each in theirs),
                    "goal": MEMORY_MB,
                },
                "seconds_per_1000_markets": {
                    str(MARKETS // FEWER): round(small["seconds"] / (MARKETS / FEWER) * 1000, 2),
                    str(MARKETS): round(mine / MARKETS * 1000, 2),
                },
            },
        )
    finally:
        shutil.rmtree(root)


def _measured(who: str, root: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", __name__, who, str(root)], stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(who: str, root: Path) -> None:
    started = time.perf_counter()
    if who == "ours":
        (root / "research" / "canonical_dataset.parquet").unlink(missing_ok=True)
        canonical(root)
    else:
        expert(root)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"seconds": seconds, "peak_mb": peak}))


# ---- the inputs -----------------------------------------------------------------------------------------


def make(root: Path, markets: int) -> None:
    """Tables, labels and the tokens' names of an archive with so many markets."""
    (root / "manifests").mkdir(parents=True)
    labels = [_label(number) for number in range(markets)]
    label_files.write(root, labels, LabelStamp("benchmark"))
    days = -(-markets // PER_DAY)
    for day in range(days):
        _write(root, "reference_prices", "reference", day, _prices(day))
        _write(root, "book_changes", "stream", day, _changes(labels[day * PER_DAY : (day + 1) * PER_DAY]))
        _write(root, "gaps", "stream", day, _gaps(labels[day * PER_DAY : (day + 1) * PER_DAY]))
    tracked = {each.market_id: {"tokens": _tokens(each.market_id)} for each in labels}
    files, clock = Files(), RealClock()
    store = Store(root, clock, ArchiveConfig(), files, Ledger(root, files))
    summary = {"markets": {"count": len(tracked), "tracked": tracked}}
    document = {"kind": "manifest", "schema": 1, "run": RUN, "raw": [], "summary": summary}
    store_manifest(store, f"polymarket_stream-{new_run_id(START)}", document)


def _label(number: int) -> Label:
    asset = ASSETS[number % len(ASSETS)]
    start = START + number // len(ASSETS) * DURATION * SECOND
    slug = f"{asset.lower()}-updown-15m-{start // SECOND}"
    strike = 10**18 * (1000 + number)
    return Label(
        market_id=slug,
        condition_id=f"0x{number:064x}",
        asset=asset,
        duration="15m",
        start_ns=start,
        end_ns=start + DURATION * SECOND,
        strike=Decimal(strike) / 10**18,
        settlement=Decimal(strike) / 10**18,
        strike_e18=strike,
        settlement_e18=strike,
        resolved_outcome="Up" if number % 3 else "Down",
        computed_outcome="Up",
        outcome_match=None,
        strike_source="rtds",
        settlement_source="rtds",
        rule="chainlink twap 60s",
        verdict="reproduced",
        reason="",
        strike_received_at_ns=start + 2 * SECOND,
        settlement_received_at_ns=start + (DURATION + 2) * SECOND,
        rule_by="market",
        instrument=f"chainlink:{asset.lower()}-usd-twap-60s",
        resolution_source=None,
        stated_strike=None,
        stated_settlement=None,
        error=None,
    )


def _tokens(slug: str) -> dict[str, str]:
    return {side: f"{slug}-{side}".encode().hex() for side in ("Up", "Down")}


def _prices(day: int) -> pa.Table:
    random = np.random.default_rng(day)
    parts = []
    second = START // SECOND + day * DAY_S + np.arange(DAY_S)
    for asset in ASSETS:
        for topic, window in (("crypto_prices_chainlink", None), ("crypto_prices_twap_sixty", 60)):
            is_there = random.random(DAY_S) > 0.001
            event = second[is_there] * 1_000_000
            value = 1000 + random.normal(0, 0.01, len(event)).cumsum()
            tail = "" if window is None else f"-twap-{window}s"
            parts.append(
                pa.table(
                    {
                        "topic": _same_text(topic, len(event)),
                        "symbol": _same_text(f"{asset.lower()}/usd", len(event)),
                        "asset": _same_text(asset, len(event)),
                        "event_time": _times(event),
                        "published_at": _times(event + 1_100_000),
                        "received_at": _times(event + 1_400_000),
                        "instrument": _same_text(f"chainlink:{asset.lower()}-usd{tail}", len(event)),
                        "value": _decimals(value, pa.decimal128(38, 18)),
                        "bid": pa.nulls(len(event), pa.decimal128(38, 18)),
                        "ask": pa.nulls(len(event), pa.decimal128(38, 18)),
                        "window_s": pa.array(np.full(len(event), window or 0), pa.int32()),
                        "is_backfill": pa.array(np.zeros(len(event), bool)),
                        "run": _same_text(RUN, len(event)),
                        "seq": pa.array(np.arange(len(event))),
                        "connection": _same_text("c1", len(event)),
                        "index": pa.array(np.ones(len(event)), pa.int32()),
                    }
                )
            )
    return pa.concat_tables(parts).sort_by("received_at")


def _changes(labels: Sequence[Label]) -> pa.Table:
    """A change of each token about once a second, from a minute before its round begins."""
    random = np.random.default_rng(labels[0].start_ns % 2**32)
    parts = []
    for each in labels:
        slug = each.market_id
        for side, token in _tokens(slug).items():
            count = DURATION + 60
            event = (each.start_ns // 1000 - 60_000_000) + np.sort(
                random.integers(0, count * 1_000_000, count) // 1000 * 1000
            )
            mid = np.clip(50 + random.integers(-1, 2, count).cumsum(), 3, 97)
            bid, ask = mid - random.integers(1, 3, count), mid + random.integers(1, 3, count)
            parts.append(
                pa.table(
                    {
                        "market": _same_text(each.condition_id, count),
                        "slug": _same_text(slug, count),
                        "outcome": _same_text(side, count),
                        "token": _same_text(token, count),
                        "event_time": _times(event),
                        "received_at": _times(event + random.integers(5_000, 90_000, count)),
                        "run": _same_text(RUN, count),
                        "seq": pa.array(np.arange(count)),
                        "connection": _same_text("c1", count),
                        "index": pa.array(np.ones(count), pa.int32()),
                        "position": pa.array(np.ones(count), pa.int32()),
                        "side": _same_text("BUY", count),
                        "best_bid": _decimals(bid / 100, pa.decimal128(18, 9)),
                        "best_ask": _decimals(ask / 100, pa.decimal128(18, 9)),
                        "verified": _same_text("ok", count),
                        "is_stale": pa.array(np.zeros(count, bool)),
                    }
                )
            )
    return pa.concat_tables(parts).sort_by("received_at")


def _gaps(labels: Sequence[Label]) -> pa.Table:
    """Ten seconds of every tenth round."""
    rows = [
        {
            "from": iso(each.start_ns + 100 * SECOND),
            "to": iso(each.start_ns + 110 * SECOND),
            "scope": json.dumps({"markets": [each.market_id]}),
            "markets": [each.market_id],
            "noticed_at": iso(each.start_ns + 110 * SECOND),
        }
        for each in labels[::10]
    ]
    whole = gaps.nothing().schema
    names = [name for name in whole.names if name not in ("date", "venue", "feed")]
    typed = []
    for row in rows:
        filled = dict.fromkeys(names) | row | {"reason": "stall", "cause": "venue", "run": RUN, "seq": 1}
        filled |= {name: pd.Timestamp(filled[name]) for name in ("from", "to", "noticed_at")}
        filled["detail"] = ""
        typed.append(filled)
    return pa.Table.from_pylist(typed, pa.schema([whole.field(name) for name in names]))


def _write(root: Path, table: str, feed: str, day: int, rows: pa.Table) -> None:
    date = iso(START + day * DAY_S * SECOND)[:10]
    path = root / "tables" / table / "venue=polymarket" / f"feed={feed}" / f"date={date}" / f"{table}.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(rows, path, compression="zstd", row_group_size=122_880)


def _same_text(text: str, count: int) -> pa.Array:
    return pa.repeat(text, count)


def _times(us: np.ndarray[Any, Any]) -> pa.Array:
    return pa.array(us.astype("int64")).cast(pa.timestamp("us", tz="UTC"))


def _decimals(values: np.ndarray[Any, Any], kind: pa.DataType) -> pa.Array:
    return pa.array(np.round(values, 6)).cast(pa.decimal128(18, 6), safe=False).cast(kind)


# ---- the expert's build ---------------------------------------------------------------------------------


def expert(root: Path) -> None:
    labels = pd.DataFrame(read_labels(root)).rename(
        columns={"strike": "K", "resolved_outcome": "outcome", "strike_received_at_ns": "known_ns"}
    )
    labels["start"] = labels["start_ns"] // SECOND
    for name in ("K", "settlement"):
        labels[name] = labels[name].astype(float)
    labels["day"] = labels["start"] // DAY_S
    with pq.ParquetWriter(root / "pandas.parquet", schema(), compression="zstd") as writer:
        for day, some in labels.groupby("day"):
            writer.write_table(_a_day(root, int(str(day)), some))


def _a_day(root: Path, day: int, labels: pd.DataFrame) -> pa.Table:
    labels = labels.reset_index(drop=True)
    t = np.tile(np.arange(DURATION + 1), len(labels))
    rows = labels.loc[labels.index.repeat(DURATION + 1)].reset_index(drop=True)
    rows["t"], rows["tau"] = t, DURATION - t
    rows["sec"] = rows["start"] + t
    rows["place"] = np.arange(len(rows))
    rows = rows.sort_values("sec", kind="stable")
    days = [iso(each * DAY_S * SECOND)[:10] for each in (day - 1, day, day + 1)]
    price = _seconds(_load(root, "reference_prices", days, ("instrument", "value")), "instrument", "value")
    rows["spot"] = "chainlink:" + rows["asset"].str.lower() + "-usd"
    for name, key in (("cl", "spot"), ("twap", "instrument")):
        found = price.rename(columns={each: f"{name}_{each}" for each in price.columns if each != "sec"})
        found[f"{name}_at"] = found["sec"]
        rows = pd.merge_asof(rows, found, on="sec", left_by=key, right_by=f"{name}_instrument")
    top = _seconds(
        _load(root, "book_changes", days, ("token", "best_bid", "best_ask")), "token", "best_bid", "best_ask"
    )
    for name, side in (("up", "Up"), ("down", "Down")):
        of = {slug: _tokens(slug)[side] for slug in labels["market_id"]}
        rows[name] = rows["market_id"].map(of)
        found = top.rename(columns={each: f"{name}_{each}" for each in top.columns if each != "sec"})
        found[f"{name}_at"] = found["sec"]
        rows = pd.merge_asof(rows, found, on="sec", left_by=name, right_by=f"{name}_token")
    return _columns(root, days, rows.sort_values("place"))


def _load(root: Path, table: str, days: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    paths = sorted(
        path for date in days for path in root.glob(f"tables/{table}/*/*/date={date}/{table}.parquet")
    )
    read = [pq.ParquetFile(path).read(columns=[*columns, "event_time", "received_at"]) for path in paths]
    rows = pa.concat_tables(read)
    for number, field in enumerate(rows.schema):
        if pa.types.is_decimal(field.type):
            rows = rows.set_column(number, field.name, pc.cast(rows[field.name], pa.float64()))
        elif pa.types.is_timestamp(field.type):
            rows = rows.set_column(number, field.name, pc.cast(rows[field.name], pa.int64()))
        elif pa.types.is_string(field.type):
            rows = rows.set_column(number, field.name, rows[field.name].dictionary_encode())
    frame: pd.DataFrame = rows.to_pandas(self_destruct=True)
    return frame


def _seconds(rows: pd.DataFrame, by: str, *values: str) -> pd.DataFrame:
    """The newest of each second in which there was one, by the time of the event."""
    rows = rows.sort_values(["event_time", "received_at"], kind="stable")
    rows["sec"] = -(-rows["event_time"] // 1_000_000)
    rows = rows.drop_duplicates([by, "sec"], keep="last")
    rows[by] = rows[by].astype("str")
    return rows[["sec", by, *values, "event_time", "received_at"]]


def _columns(root: Path, days: Sequence[str], rows: pd.DataFrame) -> pa.Table:
    out: dict[str, Any] = {name: rows[name].to_numpy() for name in ("t", "tau", "market_id", "asset")}
    sec = rows["sec"].to_numpy()
    has = {name: (sec - rows[f"{name}_at"].to_numpy()) <= CARRY_S for name in ("cl", "twap", "up", "down")}
    old = {name: sec > rows[f"{name}_at"].to_numpy() for name in ("cl", "up", "down")}

    def value(name: str, column: str) -> Any:
        return np.where(has[name], rows[f"{name}_{column}"].to_numpy(), np.nan)

    nothing = np.full(len(rows), np.nan)
    out["cl_mid"], out["cl_bid"], out["cl_ask"] = value("cl", "value"), nothing, nothing
    out["cl_ffill"] = np.where(has["cl"], old["cl"], np.nan)
    for side in ("up", "down"):
        bid, ask = value(side, "best_bid"), value(side, "best_ask")
        out |= {f"pm_{side}_mid": (bid + ask) / 2, f"pm_{side}_bid": bid, f"pm_{side}_ask": ask}
    is_old = (has["up"] & old["up"]) | (has["down"] & old["down"])
    has_pm = has["up"] | has["down"]
    out["pm_ffill"] = np.where(has_pm, is_old, np.nan)
    out["K"], out["settlement"] = rows["K"].to_numpy(), rows["settlement"].to_numpy()
    out["Y"] = rows["outcome"].map({"Up": 1, "Down": 0}).to_numpy(dtype=float)
    out["delta"] = out["cl_mid"] - out["K"]
    out["delta_bps"] = 1e4 * out["delta"] / out["K"]
    out["sum_bids"] = out["pm_up_bid"] + out["pm_down_bid"]
    out["sum_asks"] = out["pm_up_ask"] + out["pm_down_ask"]
    out["pm_up_spread"] = out["pm_up_ask"] - out["pm_up_bid"]
    out["pm_down_spread"] = out["pm_down_ask"] - out["pm_down_bid"]
    out["cl_twap"] = value("twap", "value")
    out["cl_source"] = np.where(has["cl"], "polymarket/reference", None)
    out["cl_lag"] = (value("cl", "received_at") - value("cl", "event_time")) / 1e6
    is_up = has["up"] & (~has["down"] | (rows["up_event_time"] >= rows["down_event_time"]).to_numpy())
    lag = {side: (value(side, "received_at") - value(side, "event_time")) / 1e6 for side in ("up", "down")}
    out["pm_lag"] = np.where(is_up, lag["up"], lag["down"])
    out["ref_mid"], out["ref_source"] = nothing, np.full(len(rows), None)
    out["K_received_at"] = rows["known_ns"].to_numpy() // 1000
    out["gap"] = _in_gaps(root, days, rows)
    early = {side: rows[f"{side}_at"].to_numpy() < rows["start"].to_numpy() for side in ("up", "down")}
    out["preopen"] = (has["up"] & early["up"]) | (has["down"] & early["down"])
    out["pm_quiet"] = np.where(has_pm, 0.0, np.nan)
    out["pm_source"] = np.where(has_pm, "polymarket/stream price_change", None)
    return pa.table(
        [
            pa.array(out[field.name], from_pandas=True).cast(pa.int64()).cast(field.type)
            if pa.types.is_timestamp(field.type)
            else pa.array(out[field.name], from_pandas=True).cast(field.type)
            for field in schema()
        ],
        schema=schema(),
    )


def _in_gaps(root: Path, days: Sequence[str], rows: pd.DataFrame) -> Any:
    paths = [path for date in days for path in root.glob(f"tables/gaps/*/*/date={date}/gaps.parquet")]
    found = pd.concat([pd.read_parquet(path, columns=["from", "to", "markets"]) for path in paths])
    is_in = np.zeros(len(rows), bool)
    starts = rows.groupby("market_id", sort=False)["place"].min()
    first = int(rows["place"].min())
    for begin, end, markets in found.itertuples(index=False):
        for market in markets:
            if market in starts.index:
                at = int(starts[market]) - first
                start = int(rows["start"].iloc[at])
                low = max(0, int(begin.timestamp()) - start)
                high = min(DURATION, -int(-end.timestamp() // 1) - start)
                is_in[at + low : at + high + 1] = True
    return is_in


def _same(root: Path) -> None:
    """Both made the same rows, or the comparison is worth nothing."""
    theirs, ours = root / "pandas.parquet", root / "research" / "canonical_dataset.parquet"
    differ = " OR ".join(f"NOT ({_close(field)})" for field in schema())
    with duckdb.connect() as connection:
        counts = connection.execute(
            f"""SELECT (SELECT count(*) FROM read_parquet(?)), (SELECT count(*) FROM read_parquet(?)),
                       (SELECT count(*) FROM read_parquet(?) AS a JOIN read_parquet(?) AS b
                        ON a.market_id = b.market_id AND a.t = b.t WHERE {differ})""",
            [str(ours), str(theirs), str(ours), str(theirs)],
        ).fetchall()[0]
    assert counts == (MARKETS * (DURATION + 1),) * 2 + (0,), counts


def _close(field: pa.Field) -> str:
    a, b = f'a."{field.name}"', f'b."{field.name}"'
    if pa.types.is_floating(field.type):
        return f"coalesce(abs({a} - {b}) < 1e-9 * greatest(1, abs({a})), {a} IS NULL AND {b} IS NULL)"
    return f"{a} IS NOT DISTINCT FROM {b}"


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
