"""Running of this program's commands as child processes: Twisted's reactor starts only once in a process."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from marketarchive.exceptions import ArchiveError, ArgumentError, DiskError
from marketarchive.invocation import program

ERRORS = {2: ArgumentError, 3: DiskError}
"""Exit code of a command -> exception that is raised for it; any other code raises ArchiveError."""


def run_command(*words: str) -> dict[str, Any]:
    """Run a command of this program to its end; return the JSON that it prints, whatever its exit code.

    words: name and arguments of the command. Raises ArgumentError, DiskError or ArchiveError with the last
    line of the command where it prints no JSON. An interrupt ends the command too, which seals what it has
    archived.
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
