"""Descriptions of what the code writes, held against what it writes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, inspect

from marketarchive.archive import line_fields, lines, manifest_fields
from marketarchive.collecting.polymarket import discovery_files
from marketarchive.field_docs import FieldDoc
from marketarchive.items import BookState, Connection, Cycle, Frames, Gap, Invalid, Market, Response
from marketarchive.master.engine import MIGRATIONS
from marketarchive.master.tables import column_docs, metadata
from marketarchive.pipelines.records import gap_row
from marketarchive.research.labels import label_fields, label_files
from marketarchive.research.labels.label import Label
from marketarchive.scope import Scope
from marketarchive.times import SECOND, utc
from marketarchive.venues import record_fields
from marketarchive.venues.kalshi.quotes import KalshiQuote
from marketarchive.venues.kalshi.record_fields import KALSHI
from tests.archive.checking import described_ledger

SAMPLES = Path(__file__).parent.parent / "docs" / "samples"
AT = 1_795_168_800 * SECOND
LARGE = b"\xff" * (lines.PART_BYTES + 1)
GAP = Gap("v", "f", AT, 4, AT, None, Scope("v", "f"), "stall", "venue", "a line", "r:4")
RESPONSE = Response("v", "f", AT, 1, "GET", "https://h/book", {}, 200, {}, 1.0, b"{}")
RAW = (
    lines.segment("r", "s", "v", "f", 1, 1, AT, 1, {}, {}),
    lines.build(RESPONSE),
    lines.build(
        Response(
            "v",
            "f",
            AT,
            1,
            "POST",
            "https://h/book",
            {},
            200,
            {},
            1.0,
            LARGE,
            b"{}",
            ("dataloss",),
            "https://v",
        )
    ),
    lines.build(Frames("v", "f", "c1", ((AT, 1, b" {} "), (AT, 2, b"PONG"), (AT, 3, b"\xff")))),
    lines.build(Frames("v", "f", "c1", ((AT, 4, LARGE),))),
    lines.build(Connection("v", "f", AT, 1, "c1", "closed", "wss://v", ("x",), 1000, "bye", ("k",))),
    lines.build(BookState("v", "f", AT, "c1", "1", 7, b"{}")),
    lines.build(GAP),
    lines.crash_gap(AT, "v", "f", AT, "crash", "it died", 5),
    lines.build(Invalid("v", "f", AT, 1, "Market", "no end", ("end_at",))),
    lines.build(Cycle("v", "f", AT, "discover", AT, "running", 1, 2, 3, "{}")),
)


def optional(documented: Mapping[str, FieldDoc]) -> set[str]:
    return {name for name, doc in documented.items() if "absent" in doc.null_when}


def raw_lines() -> Iterator[dict[str, Any]]:
    for built in RAW:
        yield from map(json.loads, built.data.splitlines())
    yield json.loads(lines.end(2, 1, 1, "rotated"))
    for path in SAMPLES.glob("raw/**/*.jsonl.gz"):
        yield from map(json.loads, gzip.decompress(path.read_bytes()).splitlines())


def keys_by_kind() -> dict[str, list[set[str]]]:
    found: dict[str, list[set[str]]] = {}
    for line in raw_lines():
        found.setdefault(line.pop("kind"), []).append(set(line))
    return found


def test_each_key_of_a_raw_line_is_described_and_each_description_has_its_key() -> None:
    found = keys_by_kind()
    assert found.keys() == line_fields.LINES.keys()
    bodies = line_fields.PAYLOAD.keys() | line_fields.IN_PARTS.keys()
    for kind, documented in line_fields.LINES.items():
        written = set().union(*found[kind])
        assert documented.keys() <= written, kind
        assert written - documented.keys() <= bodies, kind
        for keys in found[kind]:
            assert documented.keys() - optional(documented) - bodies <= keys, kind
    assert bodies <= set().union(*(keys for each in found.values() for keys in each))


def test_the_ledger_of_the_samples_is_described() -> None:
    assert described_ledger(SAMPLES) == {"segment", "manifest", "day_file"}


@pytest.mark.parametrize(
    "path", sorted((SAMPLES / "manifests").glob("*_*.json")), ids=lambda path: path.name.partition("-")[0]
)
def test_the_manifests_of_the_samples_are_described(path: Path) -> None:
    manifest = json.loads(path.read_bytes())
    of_recovery = {"recovered_at_utc", "failure"}
    assert manifest.keys() == manifest_fields.MANIFEST.keys()
    assert manifest["summary"].keys() == manifest_fields.SUMMARY.keys() - of_recovery
    assert manifest["raw"]
    for each in manifest["raw"]:
        assert each.keys() == manifest_fields.RAW.keys()
    assert manifest["records"]
    for each in manifest["records"]:
        assert each.keys() <= manifest_fields.RECORDS.keys()
        assert manifest_fields.RECORDS.keys() - each.keys() <= optional(manifest_fields.RECORDS)


def test_the_row_of_a_gap_is_described() -> None:
    assert list(gap_row(GAP, "r")) == list(record_fields.GAPS)


def test_the_row_of_a_book_of_kalshi_is_described() -> None:
    row = KalshiQuote(
        venue="kalshi", feed="orderbook", received_at=AT, seq=1, timestamp=utc(AT), asset="BTC",
        ticker_series="KXBTC15M", market_id="KXBTC15M-26NOV201000-00", is_observed=0, source="stream",
    )  # fmt: skip
    assert list(row.columns()) == list(KALSHI)


def test_each_field_of_a_label_is_described() -> None:
    made = Label(
        *("m", "c", "BTC", "15m", 0, 900 * SECOND),
        *(None,) * 10,
        rule="spot",
        verdict="not_provable",
        reason="nothing",
    )
    assert list(label_files.master_row(made)) == list(label_fields.FIELDS)


def test_the_discovery_files_are_described(tmp_path: Path) -> None:
    market = Market(venue="v", feed="markets", received_at=AT, seq=1, platform="v", market_id="0x1")
    discovery_files.write_discovery(tmp_path, "v", "BTC", [market], {}, "r", complete=True)
    (listed,) = json.loads((tmp_path / "discovery/v_btc_markets_latest.json").read_bytes())
    manifest = json.loads((tmp_path / "discovery/v_btc_markets_manifest.json").read_bytes())
    assert list(listed) == list(discovery_files.LISTED)
    assert list(manifest) == list(discovery_files.MANIFEST)
    nulls = {name for name, value in listed.items() if value is None}
    assert nulls == {name for name, doc in discovery_files.LISTED.items() if doc.null_when != "never"}


def columns_of(url: str) -> set[tuple[str, str]]:
    engine = create_engine(url)
    seen = inspect(engine)
    found = {
        (table, column["name"]) for table in seen.get_table_names() for column in seen.get_columns(table)
    }
    engine.dispose()
    return found


def test_a_column_of_the_master_is_as_old_as_its_migration(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'master.db'}"
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.set_main_option("sqlalchemy.url", url)
    revisions = sorted(path.name[:4] for path in (MIGRATIONS / "versions").glob("0*.py"))
    since: dict[tuple[str, str], str] = {}
    for revision in revisions:
        upgrade(config, url, revision)
        for column in columns_of(url) - since.keys():
            since[column] = revision
    for table in metadata.sorted_tables:
        documented, _ = column_docs(table)
        assert documented.keys() == {column.name for column in table.columns} - {"id"}
        for name, doc in documented.items():
            assert (name, doc.since) == (name, since[table.name, name])


def upgrade(config: Config, url: str, revision: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()
