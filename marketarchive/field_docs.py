"""Descriptions of fields, declared beside the code, and the Markdown tables made from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

NEVER = "never"
END = "<!-- until here -->\n"
"""Marker in a document at the end of a part that `scrapy document` writes."""


class FieldDoc(NamedTuple):
    """The description of one field in a document.

    unit: of a number, or the form of a text. null_when: the condition under which it is null. since: the
    version of the program or of the schema that added the field. type: "" where the field's schema declares
    it.
    """

    meaning: str
    unit: str = ""
    null_when: str = NEVER
    since: str = "0.1.0"
    type: str = ""


def field_table(documented: Mapping[str, FieldDoc], types: Mapping[str, str] | None = None) -> str:
    """Return a Markdown table with a row per field, in the order of `documented` (field -> description).

    types: field -> type, for descriptions without a type. Raises KeyError for a field without any type.
    """
    rows = [["field", "meaning", "type", "unit", "null when", "since"], ["---"] * 6]
    for name, each in documented.items():
        kind = each.type or (types or {})[name]
        rows.append([f"`{name}`", each.meaning, kind, each.unit, each.null_when, each.since])
    return "\n" + "".join(map(_row, rows)) + "\n"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"
