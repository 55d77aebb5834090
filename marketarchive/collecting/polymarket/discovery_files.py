"""The discovery files: which rounds of an asset the venue listed last, for a script and for a reader."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from marketarchive.field_docs import FieldDoc
from marketarchive.items import Market
from marketarchive.times import iso
from marketarchive.version import COLLECTOR

_SECONDS = "UTC, whole seconds"
_UNSTATED = "the venue states none"

LISTED: Mapping[str, FieldDoc] = {
    "slug": FieldDoc("the market's readable name", "", _UNSTATED, type="text"),
    "question": FieldDoc("the whole question", "", _UNSTATED, type="text"),
    "conditionId": FieldDoc("the venue's own id", type="text"),
    "tokenIds": FieldDoc("outcome to token", "", _UNSTATED, type="object of text"),
    "outcomes": FieldDoc("labels of the outcomes; empty where the venue states none", type="list of text"),
    "startTime": FieldDoc("start of the round", _SECONDS, "not known", type="text"),
    "endTime": FieldDoc("its end", _SECONDS, "not known", type="text"),
    "duration": FieldDoc("its length", "`5m`, `15m`, ...", "not known", type="text"),
    "status": FieldDoc("`unopened`, `active`, `closed` or `resolved`", "", "not known", type="text"),
    "source": FieldDoc("endpoint that listed it", "URL", type="text"),
    "fetched_at_utc": FieldDoc("when its answer was received", "UTC", type="text"),
}
"""Fields of a market in `_latest.json`."""

MANIFEST: Mapping[str, FieldDoc] = {
    "run": FieldDoc("the run that wrote the files", "run id", type="text"),
    "collector": FieldDoc("program and version", "`marketarchive 0.1.0`", type="text"),
    "venue": FieldDoc("the venue", type="text"),
    "asset": FieldDoc("the asset of the rounds", "`BTC`", type="text"),
    "complete": FieldDoc("every page was answered", type="bool"),
    "markets": FieldDoc("how many are listed", "markets", type="int"),
    "by_duration": FieldDoc("how many of each duration", "markets", type="object of int"),
    "by_status": FieldDoc("how many of each status", "markets", type="object of int"),
    "first_fetched_at_utc": FieldDoc("earliest `fetched_at_utc`", "UTC", "there is no market", type="text"),
    "last_fetched_at_utc": FieldDoc("latest `fetched_at_utc`", "UTC", "there is no market", type="text"),
    "files": FieldDoc("`path`, `bytes`, `sha256` of the other two files", type="list of objects"),
}
"""Fields of `_manifest.json`."""


def write_discovery(
    root: Path,
    venue: str,
    asset: str,
    markets: Iterable[Market],
    source: Mapping[str, str],
    run: str,
    complete: bool,
) -> None:
    """Write the three discovery files of an asset, each replaced as a whole.

    They are `discovery/<venue>_<asset>_markets{_latest.json,_manifest.json,.md}`. source: endpoint per market
    id; complete: whether every page was answered.
    """
    folder = root / "discovery"
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{venue}_{asset.lower()}_markets"
    chosen = sorted(
        markets, key=lambda market: (market.end_at.timestamp() if market.end_at else 0.0, market.slug or "")
    )
    records = [_record(market, source.get(market.market_id, "")) for market in chosen]
    latest = json.dumps(records, indent=1, ensure_ascii=False) + "\n"
    readable = _markdown(venue, asset, records)
    manifest = {
        "run": run,
        "collector": COLLECTOR,
        "venue": venue,
        "asset": asset,
        "complete": complete,
        "markets": len(records),
        "by_duration": dict(Counter(market.duration for market in chosen)),
        "by_status": dict(Counter(market.status for market in chosen)),
        "first_fetched_at_utc": min((record["fetched_at_utc"] for record in records), default=None),
        "last_fetched_at_utc": max((record["fetched_at_utc"] for record in records), default=None),
        "files": [
            {
                "path": f"discovery/{name}",
                "bytes": len(text.encode()),
                "sha256": sha256(text.encode()).hexdigest(),
            }
            for name, text in ((f"{stem}_latest.json", latest), (f"{stem}.md", readable))
        ],
    }
    _replace(folder / f"{stem}_latest.json", latest)
    _replace(folder / f"{stem}.md", readable)
    _replace(folder / f"{stem}_manifest.json", json.dumps(manifest, indent=1) + "\n")


def _record(market: Market, source: str) -> dict[str, Any]:
    return {
        "slug": market.slug,
        "question": market.title,
        "conditionId": market.market_id,
        "tokenIds": market.tokens,
        "outcomes": list(market.outcomes or ()),
        "startTime": _time(market.start_at),
        "endTime": _time(market.end_at),
        "duration": market.duration,
        "status": market.status,
        "source": source,
        "fetched_at_utc": iso(market.received_at),
    }


def _time(moment: datetime | None) -> str | None:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


def _markdown(venue: str, asset: str, records: list[dict[str, Any]]) -> str:
    fetched = max((record["fetched_at_utc"] for record in records), default="never")
    rows = [
        f"| {record['slug']} | {record['duration']} | {record['startTime']} | {record['endTime']} "
        f"| {record['status']} | {', '.join(record['outcomes'])} |"
        for record in records
    ]
    head = ["| slug | duration | start (UTC) | end (UTC) | status | outcomes |", "|---|---|---|---|---|---|"]
    return "\n".join(
        [
            f"# {asset} up/down markets on {venue}",
            "",
            f"{len(records)} markets, fetched {fetched}.",
            "",
            *head,
            *rows,
            "",
        ]
    )


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
