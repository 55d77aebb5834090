"""Training exports as others read them: pandas, and `datasets` of Hugging Face, with the documented types."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from marketarchive.field_docs import NEVER, FieldDoc
from marketarchive.research.products.catalog.prompts import FIELDS as PROMPT_FIELDS
from marketarchive.research.products.catalog.training import FIELDS
from tests.clients.calling import client
from tests.exporting import export
from tests.master.markets import market, resolved
from tests.research.catalogue_master import put
from tests.research.test_training import price, rain

DOCUMENT = Path(__file__).parents[2] / "docs" / "TRAINING.md"
PROMPT = {
    "question": "string",
    "context": {
        "price_history": [{"at": "string", "price": "float64"}],
        "whale_alerts": "null",
        "news": [dict.fromkeys(("at", "headline", "source", "url"), "string")],
    },
    "answer": "string",
    "cut": "string",
    "labels": {"YES": "string", "NO": "string"},
}


def told(header: str) -> list[list[str]]:
    """The cells of the document's first table whose header begins so."""
    lines = DOCUMENT.read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(header))
    found = []
    for line in lines[first + 2 :]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


TYPES = {name: (parquet, frame, loaded) for name, parquet, frame, loaded, *_ in told("| type |")}
COLUMNS = {name: each.type.removeprefix("JSON ") for name, each in FIELDS.items()}
"""Column -> its type, as the document calls it."""


def plain(cell: str) -> list[str]:
    """The names in a cell."""
    return cell.split("`")[1::2]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exports of markets of which some columns are null, and some ids look like numbers."""
    root = tmp_path_factory.mktemp("files")
    rain(root)
    put(
        root,
        market(0, market_id="007", title="Ömer?", outcomes=("Yes", "No"), neg_risk=True, event_id="9"),
        price(1, "1", "007"),
        resolved(60, market_id="007", payouts=("0", "1"), resolution_state="final"),
    )
    for form, name in (("parquet", "c.parquet"), ("jsonl.gz", "c.jsonl.gz"), ("prompts", "c.prompts.jsonl")):
        export(root, "catalog", root / name, form)
    return root


def test_parquet_has_the_documented_types(files: Path) -> None:
    schema = pq.read_schema(files / "c.parquet")
    expected = {name: plain(TYPES[kind][0])[0] for name, kind in COLUMNS.items() if name != "split"}
    assert {each.name: str(each.type) for each in schema} == expected


def test_what_is_never_null_is_not_null(files: Path) -> None:
    table = pq.read_table(files / "c.parquet")
    assert table.num_rows > 1
    assert [name for name in never(FIELDS) if table[name].null_count] == []
    prompts = [json.loads(line) for line in (files / "c.prompts.jsonl").read_text().splitlines()]
    assert prompts
    for prompt in prompts:
        assert list(prompt) == list(PROMPT_FIELDS)
        assert [name for name in never(PROMPT_FIELDS) if prompt[name] is None] == []


def never(documented: Mapping[str, FieldDoc]) -> list[str]:
    return [name for name, doc in documented.items() if doc.null_when == NEVER]


def test_pandas_reads_the_documented_types(files: Path) -> None:
    frame = pd.read_parquet(files / "c.parquet")
    for name, kind in COLUMNS.items():
        if name != "split":
            names = plain(TYPES[kind][1])
            if kind == "text" and pd.__version__ < "3":
                names = ["object"]
            expected = names[-1] if kind == "boolean" and frame[name].isna().any() else names[0]
            assert str(frame[name].dtype) == expected, name
    lines = pd.read_json(files / "c.jsonl.gz", lines=True, dtype=False)
    assert lines["market_id"].tolist() == frame["market_id"].tolist()
    prompts = pd.read_json(files / "c.prompts.jsonl", lines=True, dtype=False)
    assert prompts["market_id"].tolist() == ["0xabc", "007"]
    assert [each["price_history"][0]["price"] for each in prompts["context"]] == [0.1, 1.0]


@pytest.mark.process
def test_datasets_reads_them_offline_with_the_documented_types(files: Path, tmp_path: Path) -> None:
    given = pq.read_table(files / "c.parquet").to_pylist()
    with client("datasets", str(tmp_path)) as library:
        found = library.call("load", "parquet", str(files / "c.parquet"))
        expected: dict[str, Any] = {
            name: plain(TYPES[kind][2])[0] for name, kind in COLUMNS.items() if name != "split"
        }
        assert found["types"] == expected | {"outcomes": ["string"]}
        assert found["rows"] == [{name: str(value) for name, value in row.items()} for row in given]

        lines = library.call("load", "json", str(files / "c.jsonl.gz"))
        for name, kind in COLUMNS.items():
            if name != "split":
                is_null = all(row[name] is None for row in given)
                typed = (
                    "string" if kind == "time" else (["string"] if kind == "list of text" else expected[name])
                )
                if kind == "int" and not is_null:
                    typed = "int64"
                assert lines["types"][name] == ("null" if is_null else typed), name
        assert [row["market_id"] for row in lines["rows"]] == [row["market_id"] for row in given]

        prompts = library.call("load", "json", str(files / "c.prompts.jsonl"))
        assert {name: prompts["types"][name] for name in PROMPT} == PROMPT
        raw = [json.loads(line) for line in (files / "c.prompts.jsonl").read_text().splitlines()]
        assert prompts["rows"] == [{name: str(value) for name, value in row.items()} for row in raw]
