"""Runs the notebooks; `python -m tests.research.notebook` stores them with their outputs.

`notebook rounds`, `notebook perpetuals` or `notebook catalogue`, and an archive if there is one, makes those
that are about it.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from marketarchive.research.labels.ground_truth import ground_truth
from marketarchive.times import DAY, SECOND, from_iso, iso
from tests.e2e.harness import ROOT, SCRAPY, run, simulator
from tests.exporting import export
from tests.research.simulated_rounds import Lost, archive, rounds

ABOUT = {
    "rounds": ("first_look", "raw_to_labels", "calibration"),
    "perpetuals": ("perpetuals",),
    "catalogue": ("catalogue", "forecast"),
}
"""What is recorded for them -> their names."""
NOTEBOOKS = {name: ROOT / "notebooks" / f"{name}.ipynb" for names in ABOUT.values() for name in names}
WINDOWS = 4
"""Rounds of each asset."""
VISITS, APART_S = 28, 12 * 3600
"""Cycles of each phase of the catalogue, and simulated seconds between them: two weeks."""


def execute(path: Path, root: Path) -> Any:
    """The notebook with its outputs for the archive in `root`; raises CellExecutionError.

    It is told a relative folder, so that no path of this machine can get into an output.
    """
    document = nbformat.read(path, as_version=4)
    environment = {
        **os.environ,
        "OUTPUT_DIR": root.name,
        "PYTHONPATH": str(ROOT),  # the kernel starts elsewhere
        "PYTHONWARNINGS": "ignore",
    }
    client = NotebookClient(document, timeout=300, resources={"metadata": {"path": str(root.parent)}})
    client.execute(env=environment)
    for cell in document.cells:
        cell.metadata.pop("execution", None)  # when it ran
    return document


def record(folder: Path) -> Path:
    """Make twenty minutes of two assets across the change of the rule, with gaps in books and prices."""
    root = folder / "out"
    root.mkdir(parents=True)
    start = from_iso("2026-08-06T23:50:00Z") // SECOND
    found = [each for asset in ("BTC", "ETH") for each in rounds(start, WINDOWS, asset=asset)]
    found.sort(key=lambda each: each.end)
    archive(
        root, found, lost=[Lost(400, 430), Lost(905, 920)], lost_prices=[Lost(700, 730), Lost(1000, 1010)]
    )
    return root


def record_perpetuals(folder: Path, *options: str) -> Path:
    """A week of all venues, as the simulator has it; options: of `scrapy perps`."""
    out = folder / "out"
    with simulator(folder / "truth", "--speed", "40", "--start", "2026-11-20T10:01:00Z") as world:
        line = [*SCRAPY, "perps", *options, "-s", f"OUTPUT_DIR={out}", "-s", f"SIMULATOR_URL={world.url}"]
        done = run([*line, "-s", "DOWNLOAD_TIMEOUT=120"])
        assert done.returncode == 0, done.stderr
    return out


def record_catalogue(folder: Path) -> Path:
    """Two weeks of all markets, looked at twice a day, and what had ended before, told afterwards.

    A simulator for each look: its world depends on the time alone, so nothing has to wait for the next one.
    """
    out, first = folder / "out", from_iso("2026-11-01T00:05:00Z")
    small = ("--speed", "40", "--assets", "BTC", "--catalog-markets", "120")
    for number in range(VISITS):
        start = iso(first + number * APART_S * SECOND)
        with simulator(folder / f"truth{number}", "--start", start, *small) as world:
            given = ["-s", f"OUTPUT_DIR={out}", "-s", f"SIMULATOR_URL={world.url}"]
            done = run([*SCRAPY, "catalog", "--once", *given, "-s", "CATALOG_REQUESTS_S=20"])
            assert done.returncode == 0, done.stderr
            if number == VISITS - 1:
                past = ("--from", "2026-10-18", "--to", "2026-11-01", "--platform", "polymarket")
                done = run([*SCRAPY, "backfill", *past, *given, "-s", "DOWNLOAD_TIMEOUT=120"])
                assert done.returncode == 0, done.stderr
    return out


def export_catalogue(root: Path) -> None:
    """Write the training exports that the notebook `forecast` names."""
    (root / "exports").mkdir(exist_ok=True)
    options = {"cuts": (DAY,), "split": "60,40"}
    export(root, "catalog", root / "exports" / "catalog.prompts.jsonl", "prompts", options=options)
    export(root, "catalog", root / "exports" / "catalog.parquet", "parquet")


RECORDED = {"rounds": record, "perpetuals": record_perpetuals, "catalogue": record_catalogue}


def main() -> None:
    about, given = (*sys.argv[1:], "", "")[:2]
    for name in [about] if about else ABOUT:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            root = shutil.copytree(given or RECORDED[name](folder / "recording"), folder / "archive")
            if name == "rounds":
                ground_truth(root)
            if name == "catalogue":
                export_catalogue(root)
            for notebook in ABOUT[name]:
                nbformat.write(execute(NOTEBOOKS[notebook], root), NOTEBOOKS[notebook])


if __name__ == "__main__":
    main()
