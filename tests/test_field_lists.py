"""Lists of fields in documents: written from the code, each at its place."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from marketarchive.field_docs import NEVER, FieldDoc, field_table
from marketarchive.field_lists import with_lists
from marketarchive.research.tables import described, schemas
from marketarchive.research.tables.partitions import VERSIONS
from marketarchive.venues import venues

DOCS = Path(__file__).parent.parent / "docs"
_KINDS: tuple[schemas.Kind, ...] = ("price", "size", "depth")

PAGE = """# Page
<!-- fields of one -->
old
<!-- until here -->
between
<!-- fields of two -->
<!-- until here -->
after
"""


def test_a_row_states_type_unit_null_and_since() -> None:
    table = field_table(
        {"price": FieldDoc("the a|b", "dollars", "empty", "2"), "at": FieldDoc("x", type="text")},
        {"price": "double"},
    )
    assert "| `price` | the a\\|b | double | dollars | empty | 2 |" in table
    assert "| `at` | x | text |  | never | 0.1.0 |" in table


def test_a_field_without_a_type_is_refused() -> None:
    with pytest.raises(KeyError):
        field_table({"price": FieldDoc("a price")})


def test_lists_stand_at_their_places_and_replace_older_ones() -> None:
    made = with_lists(PAGE, "page", {"one": "1\n", "two": "2\n"})
    assert made == PAGE.replace("old\n", "1\n").replace("two -->\n", "two -->\n2\n")
    assert with_lists(made, "page", {"one": "1\n", "two": "2\n"}) == made


@pytest.mark.parametrize("lists", [{"one": ""}, {"one": "", "two": "", "three": ""}])
def test_a_list_without_a_place_and_a_place_without_a_list_are_refused(lists: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"two|three"):
        with_lists(PAGE, "page", lists)


@pytest.mark.parametrize("table", described.OWN)
def test_no_column_is_newer_than_its_table(table: str) -> None:
    assert max(int(doc.since) for doc in described.OWN[table].values()) <= VERSIONS[table]


@pytest.mark.parametrize("path", sorted((DOCS / "samples" / "tables").rglob("*.parquet")), ids=str)
def test_what_is_never_null_is_not_null_in_the_samples(path: Path) -> None:
    stored = pq.read_table(path, partitioning=None)
    documented = {**described.SHARED, **described.OWN[path.stem]}
    never = [name for name in stored.column_names if documented[name].null_when == NEVER]
    assert never
    assert [name for name in never if stored[name].null_count] == []


def test_the_page_of_books_states_the_types_of_its_venue() -> None:
    page = (DOCS / "ORDERBOOK_SCHEMA.md").read_text(encoding="utf-8")
    exact = venues()["polymarket"].feeds["orderbook"].decimals
    price, size, depth = (schemas.arrow_type(kind, exact) for kind in _KINDS)
    assert f"a price is\n{price}, a size {size} and a depth {depth}" in page


def test_a_column_that_is_not_described_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    quotes = {name: doc for name, doc in described.OWN["quotes"].items() if name != "source"}
    monkeypatch.setitem(described.OWN, "quotes", quotes)
    with pytest.raises(ValueError, match="source"):
        described.described("quotes")
