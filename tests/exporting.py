"""Writes one table of an archive as `scrapy export` does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from marketarchive.research.exports.export import (
    ExportedFile,
    chosen_tables,
    in_format,
    open_table,
    write_table,
)
from marketarchive.research.exports.table import ExportRequest


def export(root: Path, name: str, target: Path, form: str = "csv", **wanted: Any) -> ExportedFile:
    """Export the table `name` to `target`; wanted: fields of ExportRequest."""
    [chosen] = chosen_tables(root, [name])
    table, written = in_format(chosen, form)
    return write_table(open_table(table, ExportRequest(root, **wanted)), written, target)
