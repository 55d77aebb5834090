"""The samples of docs/samples: they verify, are small, and are what their page says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.e2e.harness import command

SAMPLES = Path(__file__).parent.parent.parent / "docs" / "samples"
PAGE = (SAMPLES / "README.md").read_text(encoding="utf-8")
FILES = sorted(path for path in SAMPLES.rglob("*") if path.is_file() and path.name != "README.md")
BYTES_MAX = 300_000


def shown_lines() -> list[tuple[str, str]]:
    """Return each command line of the page, and what stands under it."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, printed = part.partition("\n")
            found.append((line, printed))
    return found


def test_they_are_small() -> None:
    assert 0 < sum(path.stat().st_size for path in FILES) <= BYTES_MAX


def test_a_copy_verifies(tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(SAMPLES, out, ignore=shutil.ignore_patterns("README.md"))
    verified = command("verify", out, "--books")
    assert verified.returncode == 0, verified
    segment = next(out.glob("raw/venue=kalshi/feed=orderbook/*/*/*.gz"))
    segment.write_bytes(segment.read_bytes()[:-9] + b"x" + segment.read_bytes()[-8:])
    assert command("verify", out).returncode == 1


def test_each_file_is_in_the_table_and_each_row_has_one() -> None:
    rows = [re.findall(r"`([^`]+)`", row.split("|")[1]) for row in PAGE.splitlines() if row.startswith("| `")]
    patterns = [pattern for row in rows for pattern in row]
    assert len(patterns) == 12
    for pattern in patterns:
        assert list(SAMPLES.glob(pattern)), pattern
    assert {path for pattern in patterns for path in SAMPLES.glob(pattern)} == set(FILES)


@pytest.mark.process
@pytest.mark.parametrize(("line", "printed"), shown_lines(), ids=range(len(shown_lines())))
def test_each_line_of_the_page_prints_what_stands_under_it(line: str, printed: str) -> None:
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed (Debian: apt-get install jq)")
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=SAMPLES,
        env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, printed, "")


def test_the_upload_lists_what_is_here() -> None:
    [manifest] = SAMPLES.glob("manifests/offload-*.json")
    uploaded = {file["path"]: file["sha256"] for file in json.loads(manifest.read_text())["files"]}
    ledger = [json.loads(line) for line in (SAMPLES / "manifests/ledger.jsonl").read_text().splitlines()]
    replaced = {line.get("replaces") for line in ledger}
    before = [
        line
        for line in ledger
        if line["path"] != f"manifests/{manifest.name}" and line["sha256"] not in replaced
    ]
    assert {line["path"]: line["sha256"] for line in before}.items() <= uploaded.items()


def test_the_tables_have_what_the_segments_have() -> None:
    rows = {
        f"{path.parts[-5]} {path.parts[-3]}": pq.read_metadata(path).num_rows
        for path in SAMPLES.glob("tables/**/*.parquet")
    }
    assert rows["books feed=orderbook"] == 6
    assert rows["reference_prices feed=reference"] >= 4 * 244
    assert rows["coverage feed=reference"] == 16
    assert {count for name, count in rows.items() if name.startswith("gaps")} == {0}
