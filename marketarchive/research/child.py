"""Commands of this program as child processes: in one process a reactor starts only once."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from marketarchive.exceptions import ArchiveError, ArgumentError, DiskError
from marketarchive.invocation import program

ERRORS = {2: ArgumentError, 3: DiskError}
"""Exit code -> what is raised for it; others: ArchiveError."""


def run_command(*words: str) -> dict[str, Any]:
    """Run a command to its end and return the JSON object that it prints, whatever its exit code.

    An interrupt ends it too; what it has archived is sealed. Raises ArgumentError, DiskError or ArchiveError
    with its last line where it prints none.
    """
    process = subprocess.Popen(  # noqa: S603  (our own program)
        [*program(), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    with process:
        try:
            out, last = process.communicate()
        except BaseException:
            process.terminate()
            process.communicate()  # it seals what it has; leaving the block would not wait for that
            raise
    try:
        reported: dict[str, Any] = json.loads(out)
    except ValueError:
        why = (last.strip() or out.strip() or "it said nothing").splitlines()[-1]
        raise ERRORS.get(process.returncode, ArchiveError)(
            f"`{words[0]}` ended with exit code {process.returncode}: {why}"
        ) from None
    return reported
