"""The checks that are documented for whoever has an archive and none of our code."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from marketarchive.archive.ledger_fields import COMMON, ENTRIES
from marketarchive.demo import CHECK

CONTRACT = Path(__file__).parent.parent.parent / "docs/DATA_CONTRACT.md"


def check(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Return how jq and sha256sum judge an archive: exit code 0 and not a word when it is whole."""
    return _bash(root, " ".join((CHECK, *options)))


def check_members(root: Path) -> subprocess.CompletedProcess[str]:
    """Return how jq, tail, head and sha256sum judge the segments in joined files, as DATA_CONTRACT says."""
    text = CONTRACT.read_text(encoding="utf-8")
    [block] = re.findall(r"```\n(jq -r[^`]*\"merged\"[^`]*)```", text)
    return _bash(root, block)


def described_ledger(root: Path) -> set[str]:
    """Return the kinds of lines in a ledger, after holding the keys of each against their descriptions."""
    kinds = set()
    for text in (root / "manifests" / "ledger.jsonl").read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        kind = "segment" if line["kind"] == "recovered" else line["kind"]
        documented = {**COMMON, **ENTRIES[kind]}
        needed = {name for name, doc in documented.items() if "absent" not in doc.null_when}
        assert needed <= line.keys() <= documented.keys(), kind
        kinds.add(line["kind"])
    return kinds


def _bash(root: Path, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=root, capture_output=True, text=True)
