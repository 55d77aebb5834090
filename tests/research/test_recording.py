"""Folders of a recording's form, made by hand: another asset, the mean of 60 s, what can be wrong."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from marketarchive.exceptions import ArgumentError, CorruptError
from marketarchive.research.products.updown.labels import recording

START = 1_786_752_000  # 2026-08-15T00:00:00Z: rounds settle on the mean of 60 s
MARKETS, SPOT, TWAP = "ETH-5m-markets.jsonl.gz", "ETHUSD-prices-a.csv.gz", "ETHUSD-twap60s-prices-a.csv.gz"
HEAD = "feed_ts_ms,value,full_accuracy_value,server_ts_ms,recv_ms\n"


def market(n: int, outcome: list[str], **changes: Any) -> dict[str, Any]:
    start = START + 300 * n
    return {
        "slug": f"eth-updown-5m-{start}",
        "asset": "eth",
        "interval_sec": 300,
        "condition_id": f"0x{n}",
        "start_sec": start,
        "end_sec": start + 300,
        "resolved": True,
        "outcome_prices": outcome,
        "strike_value": "7",
    } | changes


def row(at: int, value: int, received: int = 5) -> str:
    return f"{(START + at) * 1000},{value / 10**18},{value},1,{received}\n"


def write(folder: Path, files: dict[str, str], changes: dict[str, Any] | None = None) -> Path:
    folder.mkdir()
    listed = []
    for name, text in files.items():
        data = gzip.compress(text.encode(errors="surrogateescape"))
        (folder / name).write_bytes(data)
        listed.append({"name": name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)})
    (folder / "manifest.json").write_text(json.dumps({"files": listed, **(changes or {})}))
    return folder


def day(*rounds: dict[str, Any], spot: str = HEAD, twap: str = HEAD) -> dict[str, str]:
    return {MARKETS: "\n".join(map(json.dumps, rounds)) + "\n", SPOT: spot, TWAP: twap}


def test_a_day_of_the_mean_is_labelled_by_the_mean(tmp_path: Path) -> None:
    twap = HEAD + row(0, 7) + row(300, 7) + row(600, 6) + row(600, 6)
    rounds = (market(0, ["1", "0"]), market(1, ["0", "1"]), market(1, ["0", "1"]), market(2, ["0.5", "0.5"]))
    made = recording.read(write(tmp_path / "day", day(*rounds, spot=HEAD + row(900, 9), twap=twap)))
    assert [(each.verdict, each.resolved_outcome) for each in made.labels] == [
        ("reproduced", "Up"),
        ("reproduced", "Down"),
        ("not_provable", "Split"),
    ]
    assert {each.instrument for each in made.labels} == {"chainlink:eth-usd-twap-60s"}
    assert (
        made.labels[2].reason == "no tick of chainlink:eth-usd-twap-60s at 2026-08-15T00:15:00Z (window end)"
    )
    assert (made.count("reproduced"), made.count("not_provable", "differs"), made.ticks) == (2, 1, 5)
    assert (made.strikes, made.equal_strikes) == (3, 2)


def test_files_of_other_kinds_may_be_absent(tmp_path: Path) -> None:
    folder = write(tmp_path / "day", day(market(0, ["1", "0"])))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"].append({"name": "ETH-5m-book-a.jsonl.gz", "sha256": "0"})
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert recording.read(folder).absent == ["ETH-5m-book-a.jsonl.gz"]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({MARKETS: "{\n", SPOT: HEAD}, "line 1 is not a market"),
        ({MARKETS: "[" * 300 + "]" * 300, SPOT: HEAD}, "nested too deep"),
        (day(market(0, [], raw={"conditionId": "x"})), "raw is not a market"),
        (day(market(0, ["1", "0"]), spot=HEAD + "soon,1,1,1,1\n"), "line 2 is not a tick"),
        (day(market(0, ["1", "0"]), spot="time,price\n"), "has no column feed_ts_ms, recv_ms, value"),
        (day(market(0, ["1", "0"]), spot=HEAD + "1" * 200_000), "is not CSV in UTF-8: field larger"),
        (day(market(0, ["1", "0"]), spot=HEAD + "\udc80"), "is not CSV in UTF-8"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, files: dict[str, str], said: str) -> None:
    with pytest.raises(CorruptError, match=said):
        recording.read(write(tmp_path / "day", files))


@pytest.mark.parametrize(
    ("files", "changes", "said"),
    [
        ({MARKETS: ""}, {}, "names no file of prices"),
        ({SPOT: HEAD}, {}, "names no file of markets"),
        (day() | {"XUSD-prices-a.csv.gz": HEAD}, {}, "X is none of BTC"),
        (day(), {"files": [{"name": "../x", "sha256": "0"}]}, "not a file of its folder"),
        (day(), {"files": 3}, "is not a manifest"),
    ],
)
def test_a_folder_of_another_form_is_refused(
    tmp_path: Path, files: dict[str, str], changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ArgumentError, match=said):
        recording.read(write(tmp_path / "day", files, changes))


def test_bytes_that_are_not_the_manifests_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "day", day(market(0, ["1", "0"])))
    whole = (folder / SPOT).read_bytes()
    (folder / SPOT).write_bytes(whole + b"\0")
    with pytest.raises(CorruptError, match="sha256"):
        recording.read(folder)
    (folder / SPOT).unlink()
    with pytest.raises(CorruptError, match="is in the manifest, but not in"):
        recording.read(folder)
    with pytest.raises(ArgumentError, match="is not a recording"):
        recording.read(tmp_path / "nowhere")
