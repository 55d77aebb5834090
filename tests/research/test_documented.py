"""What the research pages show runs as it is written, on a small archive."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from marketarchive import Archive
from marketarchive.times import SECOND, from_iso
from tests.e2e.harness import command
from tests.research.simulated_rounds import archive, rounds

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESEARCH = (ROOT / "docs" / "RESEARCH.md").read_text(encoding="utf-8")
START = from_iso("2026-11-21T11:55:00Z") // SECOND
"""Of a round on a day that the snippets name."""
NEEDS_PAGES = "chainlink_continuous"
"""A series of records/ that only the pages of Chainlink have."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the archive is `pipelines_out`, as in a checkout."""
    found = tmp_path_factory.mktemp("checkout")
    archive(found / "pipelines_out", rounds(START, 1))
    told = command("rebuild-master", found / "pipelines_out")
    assert told.returncode == 0, told.stderr
    return found


@pytest.mark.process  # works for seconds
def test_the_snippets_run_as_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    [inline] = re.findall(r"`(from marketarchive import Archive; [^`]+)`", README)
    assert len(eval(inline.partition("; ")[2], {"Archive": Archive})) > 0
    space: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", RESEARCH, re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        exec(block, space)
    for name in ("books", "got", "few", "day", "known", "open_then", "outcome"):
        assert len(space[name]) > 0, name
    assert (len(space["gaps"]), len(space["missed"])) == (0, 0), "one recorder that missed nothing"
    assert space["table"].num_rows == len(space["quotes"].to_arrow_table()) > 0
    assert space["quotes"].aggregate("market, avg(mid)").fetchall()


@pytest.mark.process  # works for seconds
def test_the_commands_run_as_written(folder: Path) -> None:
    listed = RESEARCH.split("```\n", 2)[1].splitlines()
    named = re.findall(r"`(?:scrapy )?([a-z-]+)`", README.split("## Research\n")[1].split("make Parquet")[0])
    assert {"report", "normalize", "ground-truth", "canonical", "validate"} == set(named)
    assert set(named) <= {line.split()[1] for line in listed}
    for line in listed:
        _, name, *options = line.partition("#")[0].split()
        told = command(name, folder / "pipelines_out", *options)
        if NEEDS_PAGES in options:
            assert f"{NEEDS_PAGES!r} is unknown" in told.stderr
        else:
            assert told.returncode == 0, (line, told.stdout, told.stderr)


@pytest.mark.process
@pytest.mark.skipif(shutil.which("jq") is None, reason="there is no jq")
def test_jq_alone_reads_an_answer(folder: Path) -> None:
    [line] = [line for line in RESEARCH.splitlines() if line.startswith("zcat ")]
    done = subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r'\["2026-11-21T11:5[^"]*",200,[0-9]+\]', done.stdout.strip())
