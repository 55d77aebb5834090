"""Layout of the files below OUTPUT_DIR, and their names."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from marketarchive.times import from_iso, utc

LEDGER = PurePosixPath("manifests/ledger.jsonl")
RECOVERY_LOCK = PurePosixPath("manifests/recovery.lock")
LEDGER_PAGES = PurePosixPath("index/ledger.pages")
SETTLED_FOLDERS = PurePosixPath("index/settled.folders")
OFFLOAD_LOCK = PurePosixPath("manifests/offload.lock")
PART = ".part"
TORN = ".torn"
RECOVERING = ".recovering"
"""Suffix of a recovered segment's file until it is complete; such a file never holds the only copy."""

COMPACT_LOCK = PurePosixPath("manifests/compact.lock")
JOINING = ".joining"
"""Suffix of a joined file until it is complete; such a file never holds the only copy."""

RUN_ID = r"\d{8}T\d{6}Z-[0-9a-f]{4}(?:[0-9a-f]{4})?"
"""Regular expression of a run's id, see `new_run_id`; early ones have four random digits."""

_NAME = re.compile(r"[A-Za-z0-9_.]+")
_RUN_NAME = re.compile(rf"(?P<spider>{_NAME.pattern})-(?P<run>{RUN_ID})")
_SEGMENT = re.compile(
    r"raw/venue=(?P<venue>[^/]+)/feed=(?P<feed>[^/]+)/date=\d{4}-\d\d-\d\d/hour=\d\d/"
    rf"{_RUN_NAME.pattern}-(?P<n>\d+)\.jsonl\.gz(?:\.part|\.torn)?"
)
_MANIFEST = re.compile(rf"manifests/{_RUN_NAME.pattern}\.json")


_COMPACT = "compact"  # stands in the name of a joined file where others have a spider


def new_run_id(now_ns: int) -> str:
    """Return an id for a run that starts at `now_ns` (wall ns), such as `20261121T101500Z-4f2a91c7`.

    It is the start in UTC and eight random hex digits. It is unique only together with the spider's name:
    always compare both, as `run_of` does.
    """
    return f"{utc(now_ns):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def checked_name(name: str) -> str:
    """Return the name of a spider, venue, feed or series if it can be part of a path. Raises ValueError."""
    if not _NAME.fullmatch(name) or name.startswith("."):
        raise ValueError(f"{name!r} cannot be part of a file name: use letters, digits, '_' and '.'")
    return name


def segment_path(venue: str, feed: str, opened_ns: int, spider: str, run: str, n: int) -> PurePosixPath:
    """Return the path of a segment relative to OUTPUT_DIR; while it is open, `.part` follows.

    opened_ns: wall ns of its opening; run: see `new_run_id`; n: number of the segment in its run and feed.
    """
    moment = utc(opened_ns)
    return PurePosixPath(
        "raw",
        f"venue={checked_name(venue)}",
        f"feed={checked_name(feed)}",
        f"date={moment:%Y-%m-%d}",
        f"hour={moment:%H}",
        f"{checked_name(spider)}-{run}-{n}.jsonl.gz",
    )


def joined_path(folder: PurePosixPath, run: str, n: int) -> PurePosixPath:
    """Return the path of the `n`-th file that a `scrapy compact` joins of segments in `folder`.

    It has the form of a segment's path, with `compact` for the spider. run: see `new_run_id`.
    """
    return folder / f"{_COMPACT}-{run}-{n}.jsonl.gz"


def is_joined(path: str) -> bool:
    """Return whether `path`, relative to OUTPUT_DIR, names a joined file, whole or still `.joining`."""
    name = parse_segment_path(path.removesuffix(JOINING))
    return name is not None and name.spider == _COMPACT


def restoring_name(name: str) -> str:
    """Return what a file that is brought back is called until it is whole."""
    return f".{name}.tmp"


def restored_of(path: str) -> str | None:
    """Return the path of the file that is brought back under another name at `path`; None of any other."""
    folder, _, name = path.rpartition("/")
    final = name.removeprefix(".").removesuffix(".tmp")
    return f"{folder}/{final}" if name == restoring_name(final) else None


def hour_of(folder: PurePosixPath) -> int:
    """Return the begin (wall ns) of the UTC hour of a folder of segments, `.../date=YYYY-MM-DD/hour=HH`."""
    day, hour = (part.partition("=")[2] for part in folder.parts[-2:])
    return from_iso(f"{day}T{hour}:00:00Z")


@dataclass(frozen=True)
class SegmentName:
    """Parts of a segment's path."""

    venue: str
    feed: str
    spider: str
    run: str
    n: int


def parse_segment_path(path: PurePosixPath | str) -> SegmentName | None:
    """Parse the path of a segment, sealed, `.part` or `.torn`, relative to OUTPUT_DIR.

    None for other paths.
    """
    match = _SEGMENT.fullmatch(str(path))
    if match is None:
        return None
    return SegmentName(match["venue"], match["feed"], match["spider"], match["run"], int(match["n"]))


class RunName(NamedTuple):
    """Parts of a run's name, `<spider>-<run id>`."""

    spider: str
    run: str


def parse_run_name(name: str) -> RunName | None:
    """Parse a run's name, `<spider>-<run id>`; return None for any other text."""
    match = _RUN_NAME.fullmatch(name)
    return None if match is None else RunName(match["spider"], match["run"])


def run_of(path: str) -> str | None:
    """Return the name of the run whose segment or manifest lies at `path`, None for any other file."""
    segment = parse_segment_path(path)
    if segment is not None:
        return f"{segment.spider}-{segment.run}"
    name = PurePosixPath(path).stem
    return name if path == str(manifest_path(name)) and parse_run_name(name) else None


def run_id_of(path: str) -> str | None:
    """Return the id of the run whose segment or manifest lies at `path`, None for any other file."""
    match = _SEGMENT.fullmatch(path) or _MANIFEST.fullmatch(path)
    return None if match is None else match["run"]


def lock_path(name: str) -> PurePosixPath:
    """Return the path of a run's lock file; name: `<spider>-<run id>`.

    The run holds its lock from before its first segment until its manifest is in the ledger.
    """
    return PurePosixPath("manifests", f"{name}.lock")


def manifest_page_path(lines: int, sha256: str) -> PurePosixPath:
    """Return the path of the file that caches the manifests of one page of the ledger.

    lines, sha256: number and digest of the page's last line, so that another ledger has another file.
    """
    return PurePosixPath(f"index/manifests-{lines}-{sha256[:16]}.page")


def manifest_path(name: str) -> PurePosixPath:
    return PurePosixPath("manifests", f"{name}.json")


def relative(root: Path, path: Path) -> str:
    """Return `path` relative to `root` in POSIX form, as the ledger writes it."""
    return path.relative_to(root).as_posix()
