"""Tell the archive's own files from foreign ones: copies, files of other archives, forgeries.

The ledger can be appended to but never corrected. So recovery does not enter a file whose origin is not shown
by its run's lock, its manifest or its own first line, and `verify` reports it. This is called only for files
that are not in the ledger, which are few.
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
from marketarchive.json_lines import NOT_JSON
from marketarchive.times import from_iso

_LONGEST_ROW = 2**20


class Provenance:
    """Judge of a file's origin: by its first line, and the locks, manifests and ledger of an OUTPUT_DIR."""

    def __init__(self, root: Path, ledger: Ledger) -> None:
        self._root = root
        self._ledger = ledger
        self._places: dict[SegmentName, str] = {}  # final paths
        self._looked_up: set[str] = set()  # ids of runs whose segments of the ledger are in `_places`

    def objection(self, path: str) -> str:
        """Return why a segment (sealed, open or torn) is foreign; "" when it belongs to the archive."""
        final, home = final_path(path), home_of(self._root / path)
        if home is None:
            is_named = (self._root / lock_path(str(run_of(final)))).exists() or self._is_listed(final)
            return "" if is_named else "it does not begin like a segment, and no lock or manifest names it"
        name = parse_segment_path(home)
        if name is None or name != parse_segment_path(final):
            return f"its first line says that it is {home}"
        place = self._place(name)
        return "" if place in (None, final) else f"that segment is {place}"

    def accept(self, path: str) -> None:
        """Accept the segment at `path` as the archive's: another of the same name is foreign from now on."""
        if (name := parse_segment_path(final_path(path))) is not None:
            self._places[name] = self._place(name) or final_path(path)

    def known_runs(self, runs: Collection[str]) -> set[str]:
        """Return those run ids of `runs` that have a lock, a manifest or a line in the ledger."""
        files = chain(
            run_locks(self._root), (self._root / "manifests").glob("*.json")
        )  # a run has one of them
        names = (parse_run_name(path.stem) for path in files)
        found = {name.run for name in names if name is not None and name.run in runs}
        return found | {run for entry in self._ledger.of_runs(runs) if (run := entry.get("run")) in runs}

    def _place(self, name: SegmentName) -> str | None:
        """Return the final path of the segment of a name, None where none is known yet."""
        if name.run not in self._looked_up:
            self._looked_up.add(name.run)
            for entry in self._ledger.of_run(name.run):
                if isinstance(n := entry.get("n"), int):
                    venue, feed, spider = (str(entry.get(key)) for key in ("venue", "feed", "spider"))
                    own = SegmentName(venue, feed, spider, str(entry.get("run")), n)
                    self._places[own] = str(entry.get("path"))
        return self._places.get(name)

    def _is_listed(self, path: str) -> bool:
        """Return whether the manifest of a segment's run lists the segment; path: its final one."""
        try:
            data = (self._root / manifest_path(str(run_of(path)))).read_bytes()
            raw = msgspec.json.decode(data, type=_ListedManifest).raw
        except (OSError, *NOT_JSON):
            return False
        return any(path == file.path for feed in raw for file in feed.files)


class _ManifestFile(msgspec.Struct):
    path: str


class _Feed(msgspec.Struct):
    files: list[_ManifestFile]


class _ListedManifest(msgspec.Struct):
    """Fields of a run's manifest that list its segments."""

    raw: list[_Feed]


class _RecordRow(msgspec.Struct):
    """Field that every row of records/ has."""

    run: str


def final_path(path: str) -> str:
    """Return the path that a segment has once it is sealed: without `.part`, `.torn` or `.recovering`."""
    return path.removesuffix(RECOVERING).removesuffix(PART).removesuffix(TORN)


def home_of(path: Path) -> str | None:
    """Return the final path that a segment's first line states.

    None where that line is not readable as one.
    """
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
    """Return the run id in the first row of a day file; "" where the row has none, None without any row."""
    with path.open("rb") as file:
        line = file.readline(_LONGEST_ROW)
    if not line.endswith(b"\n"):
        return None
    try:
        return msgspec.json.decode(line, type=_RecordRow).run
    except NOT_JSON:
        return ""
