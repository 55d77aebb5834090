"""The checks that are documented for whoever has an archive and none of our code."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

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


def _bash(root: Path, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=root, capture_output=True, text=True)
