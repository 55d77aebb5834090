"""The notebook runs, and is stored as it ran."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import nbformat

from tests.research.conftest import Simulated
from tests.research.notebook import NOTEBOOK, execute


def outputs(document: Any) -> list[Any]:
    return [output for cell in document.cells if cell.cell_type == "code" for output in cell.outputs]


def test_every_cell_runs_on_a_small_archive_and_draws(simulated: Simulated, tmp_path: Path) -> None:
    root = shutil.copytree(simulated.root, tmp_path / "out", ignore=shutil.ignore_patterns("tables"))
    found = outputs(execute(root))
    assert not [output for output in found if output.get("name") == "stderr"]
    assert any("image/png" in output.get("data", {}) for output in found)


def test_it_is_stored_with_its_outputs() -> None:
    document = nbformat.read(NOTEBOOK, as_version=4)
    cells = [cell for cell in document.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert all(cell.outputs for cell in cells)
    assert any("image/png" in output.get("data", {}) for output in outputs(document))
