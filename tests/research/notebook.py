"""Runs the notebook; `python -m tests.research.notebook` stores it with what a simulated venue gives."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from tests.e2e.harness import ROOT, crawl, simulator

NOTEBOOK = ROOT / "notebooks" / "first_look.ipynb"


def execute(root: Path) -> Any:
    """The notebook with its outputs for the archive in `root`; raises CellExecutionError."""
    document = nbformat.read(NOTEBOOK, as_version=4)
    environment = {**os.environ, "OUTPUT_DIR": str(root), "PYTHONWARNINGS": "ignore"}
    client = NotebookClient(document, timeout=120, resources={"metadata": {"path": str(NOTEBOOK.parent)}})
    client.execute(env=environment)
    for cell in document.cells:
        cell.metadata.pop("execution", None)  # when it ran
    return document


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        storm = {"kind": "status", "route": "*/books", "status": 429, "from_s": 420, "to_s": 465}
        (folder / "faults.json").write_text(json.dumps([storm]))
        options = ("--speed", "10", "--seed", "1", "--start", "2026-11-21T09:58:00Z")
        with simulator(folder / "truth", *options, "--faults", str(folder / "faults.json")) as world:
            arguments = ("ahead=1m", "interval=1s", "duration=15m")
            done = crawl(world.url, folder / "out", "polymarket_orderbook", *arguments, timeout=180)
            assert done.code == 0, done.log
        nbformat.write(execute(folder / "out"), NOTEBOOK)


if __name__ == "__main__":
    main()
