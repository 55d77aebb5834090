"""Tell the archive's own files from foreign ones: copies, files of other archives, forgeries.

The ledger can be appended to and never mended, so recovery enters nothing that nobody vouches for, and
`verify` names it. Called only for files that are not in the ledger, which are few.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import chain
from pathlib import Path

import msgspec

from marketarchive.archive import lines
from marketarchive.archive.ledger import Ledger
from marketarchive.archive.paths import (
    PART,
    RECOVERING,
    TORN,
    SegmentName,
    lock_path,
    manifest_path,
    parse_run_name,
    parse_segment_path,
    run_of,
    segment_path,
)
from marketarchive.archive.scan import Scan
from marketarchive.archive.tree import run_locks
from marketarchive.exceptions import CorruptError
from marketarchive.times import from_iso

_LONGEST_ROW = 2**20


class Provenance:
    """Evidence of a file's origin: itself, locks, manifests and the ledger of one OUTPUT_DIR."""

    def __init__(self, root: Path, ledger: Ledger) -> None:
        self._root = root
        self._ledger = ledger
        self._places: dict[SegmentName, str] = {}  # final paths
        self._looked_up: set[str] = set()  # runs whose segments of the ledger are among them

    def objection(self, path: str) -> str:
        """Return why the segment at `path` (sealed, open or torn) is foreign, "" when it is the archive's."""
        final, home = final_path(path), home_of(self._root / path)
        if home is None:
            is_named = (self._root / lock_path(str(run_of(final)))).exists() or self._is_listed(final)
            return "" if is_named else "it does not begin as a segment, and no lock or manifest names it"
        name = parse_segment_path(home)
        if name is None or name != parse_segment_path(final):
            return f"its first line says that it is {home}"
        place = self._place(name)
        return "" if place in (None, final) else f"that segment is {place}"

    def accept(self, path: str) -> None:
        """Take the segment at `path` for the only one of its name: another one is foreign from now on."""
        if (name := parse_segment_path(final_path(path))) is not None:
            self._places[name] = self._place(name) or final_path(path)

    def known_runs(self, runs: Collection[str]) -> set[str]:
        """Return which ids of `runs` are of runs that have a lock, a manifest or a line in the ledger."""
        files = chain(
            run_locks(self._root), (self._root / "manifests").glob("*.json")
        )  # a run has one of them
        names = (parse_run_name(path.stem) for path in files)
        found = {name.run for name in names if name is not None and name.run in runs}
        return found | {run for entry in self._ledger.of_runs(runs) if (run := entry.get("run")) in runs}

    def _place(self, name: SegmentName) -> str | None:
        """Return the final path of the one segment of a name, None of one that is not known yet."""
        if name.run not in self._looked_up:
            self._looked_up.add(name.run)
            for entry in self._ledger.of_run(name.run):
                if isinstance(n := entry.get("n"), int):
                    venue, feed, spider = (str(entry.get(key)) for key in ("venue", "feed", "spider"))
                    own = SegmentName(venue, feed, spider, str(entry.get("run")), n)
                    self._places[own] = str(entry.get("path"))
        return self._places.get(name)

    def _is_listed(self, path: str) -> bool:
        """Return whether the manifest of the run lists the segment."""
        try:
            data = (self._root / manifest_path(str(run_of(path)))).read_bytes()
            raw = msgspec.json.decode(data, type=_ListedManifest).raw
        except (OSError, ValueError):  # msgspec's errors are ValueErrors
            return False
        return any(path == file.path for feed in raw for file in feed.files)


class _ManifestFile(msgspec.Struct):
    path: str


class _Feed(msgspec.Struct):
    files: list[_ManifestFile]


class _ListedManifest(msgspec.Struct):
    """Fields needed of a run's manifest."""

    raw: list[_Feed]


class _RecordRow(msgspec.Struct):
    """Fields that every row of records/ has."""

    run: str


def final_path(path: str) -> str:
    """Return the path of a segment once it is sealed."""
    return path.removesuffix(RECOVERING).removesuffix(PART).removesuffix(TORN)


def home_of(path: Path) -> str | None:
    """Return the final path that a segment's first line names, None where it cannot be read as one."""
    try:
        batch = next(iter(Scan(path)), [b""])
        line = lines.parse(batch[0])
        said = line.envelope
        opened_ns = from_iso(said["collected_at_utc"])
        home = segment_path(said["venue"], said["feed"], opened_ns, said["spider"], said["run"], said["n"])
    except (OSError, CorruptError, KeyError, TypeError, ValueError, RecursionError):
        return None
    return str(home) if line.kind == "segment" else None


def first_run(path: Path) -> str | None:
    """Return the run that the first row of a day file names, "" when it names none, None without a row."""
    with path.open("rb") as file:
        line = file.readline(_LONGEST_ROW)
    if not line.endswith(b"\n"):
        return None
    try:
        return msgspec.json.decode(line, type=_RecordRow).run
    except (ValueError, RecursionError):
        return ""
