"""Descriptions of fields that the code declares, and the tables that documents have of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

NEVER = "never"
END = "<!-- until here -->\n"
"""Ends a part of a document that is written from the code."""


class FieldDoc(NamedTuple):
    """The description of a field. unit: of a text, its form. type: "" where a schema declares it.

    since: the version of the program or schema in which the field came; the document says which.
    """

    meaning: str
    unit: str = ""
    null_when: str = NEVER
    since: str = "0.1.0"
    type: str = ""


def field_table(documented: Mapping[str, FieldDoc], types: Mapping[str, str] | None = None) -> str:
    """Return a Markdown table with a row per field, in the order of `documented`.

    types: field -> type, of those that do not state their own. Raises KeyError for one that has none.
    """
    rows = [["field", "meaning", "type", "unit", "null when", "since"], ["---"] * 6]
    for name, each in documented.items():
        kind = each.type or (types or {})[name]
        rows.append([f"`{name}`", each.meaning, kind, each.unit, each.null_when, each.since])
    return "\n" + "".join(map(_row, rows)) + "\n"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"
