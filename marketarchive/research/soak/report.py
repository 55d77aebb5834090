"""`scrapy soak-report`: measure a soak test and write its report, with plots beside it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from marketarchive.archive.files import Files
from marketarchive.archive.soak.journal import Soak, read_lines
from marketarchive.archive.soak.thresholds import GateVerdict
from marketarchive.exceptions import DiskError
from marketarchive.research.derived import NullProgress, Progress
from marketarchive.research.soak.measure import measure
from marketarchive.research.soak.page import markdown
from marketarchive.research.soak.plots import plots

FOLDER = "reports"
PLOTTING = "vl_convert"
"""Package of the extra `research` that draws the plots."""


@dataclass(frozen=True)
class WrittenSoakReport:
    """Result of `soak_report`: the files written, and whether the soak test met its thresholds (the gate)."""

    path: Path
    plots: tuple[Path, ...]
    verdict: GateVerdict

    def text(self) -> str:
        """Return the result as text for a terminal: the gate, its reasons, the report's path."""
        return "\n".join(
            [
                f"gate {self.verdict.gate}",
                *(f"- {each}" for each in self.verdict.reasons),
                f"made {self.path}",
            ]
        )

    def as_dict(self) -> dict[str, object]:
        return {
            "gate": self.verdict.gate,
            "reasons": list(self.verdict.reasons),
            "path": str(self.path),
            "plots": [str(path) for path in self.plots],
        }


def soak_report(
    root: Path, soak: Soak, master_url: str | None = None, progress: Progress | None = None
) -> WrittenSoakReport:
    """Write reports/soak_test_<day>.md, where day is the one on which the soak began.

    The name of the report of a second soak of that day ends with its id. Raises ArchiveError, DiskError.
    """
    found = measure(root, soak, list(read_lines(root, soak.id)), master_url, progress or NullProgress())
    try:
        target = _path(root, soak)
        can_draw = importlib.util.find_spec(PLOTTING) is not None
        drawn = plots(found) if can_draw else {}
        files = Files()
        files.make_dirs(target.parent, root)
        paths = {name: target.with_name(f"{target.stem}-{name}.svg") for name in drawn}
        for name, path in paths.items():
            files.write_whole(path, drawn[name].encode())
        page = markdown(found, {name: path.name for name, path in paths.items()})
        files.write_whole(target, page.encode())
    except OSError as error:
        raise DiskError(f"the report cannot be written: {error}") from error
    return WrittenSoakReport(target, tuple(paths.values()), found.verdict)


def _path(root: Path, soak: Soak) -> Path:
    """Return the path of a soak's report, which is not that of another soak of the same day."""
    path = root / FOLDER / f"soak_test_{soak.started_at_utc[:10]}.md"
    if path.exists() and f"# Soak {soak.id}\n" not in path.read_text(encoding="utf-8"):
        return path.with_name(f"{path.stem}-{soak.id}.md")
    return path
