"""Cache of the manifests of ended runs, so that each manifest need not be read and decoded again.

For each page of the ledger a file in `index/` keeps the figures of the manifests that the page's lines enter.
The figures of a manifest are used only while its file has the same size and times; otherwise the manifest is
read. Manifests newer than the last page are always read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from marketarchive.archive.derived_file import load_derived, store_derived
from marketarchive.archive.ledger import Ledger
from marketarchive.archive.pages import LineMark
from marketarchive.archive.paths import manifest_page_path
from marketarchive.times import from_iso

_VERSION = 1

_FileStamp = tuple[int, int, int]
"""(size in bytes, mtime in ns, ctime in ns) of a file."""


class EndedFeed(msgspec.Struct, array_like=True):
    """Sums over the segments of one feed of a run."""

    venue: str
    feed: str
    lines: int
    bytes: int
    invalid: int
    gaps: dict[str, int]  # by reason


class EndedRun(msgspec.Struct, array_like=True):
    """Figures of an ended run from its manifest; times are wall ns."""

    run: str
    spider: str
    venue: str | None
    started: int
    ended: int
    noticed: int  # when its gaps were noticed: at its end, or when it was recovered
    exit_reason: str
    is_recovered: bool
    exit_code: int | None
    is_simulated: bool
    pid: int | None
    markets: int | None
    rows: int
    feeds: list[EndedFeed]


class EnteredManifest(msgspec.Struct, array_like=True):
    """A manifest that the ledger names, with its figures where they are known."""

    path: str
    stamp: _FileStamp | None = None  # of the file when it was read; None: it was not read
    known: EndedRun | None = None  # None beside a stamp: the manifest is a derived product's

    def read(self, root: Path) -> EndedRun | None:
        """Return the manifest's figures; None if it is not the manifest of a run.

        root: OUTPUT_DIR. Raises OSError (FileNotFoundError where the file is missing), ValueError where its
        content is no manifest.
        """
        path = f"{root}/{self.path}"
        if self.stamp is not None and self.stamp == _stamp(os.stat(path)):  # noqa: PTH116  (one of very many)
            return self.known
        with open(path, "rb") as file:  # noqa: PTH123
            return ended_run(file.read())


class _ManifestPage(msgspec.Struct, array_like=True):
    """Content of a file of the cache: the manifests that one page of the ledger names, in its order."""

    end: LineMark
    manifests: list[EnteredManifest]


def entered_manifests(root: Path, ledger: Ledger) -> Iterator[EnteredManifest]:
    """Yield all manifests that the ledger names, in its order, with figures where the cache has them."""
    last = LineMark()
    for begin, end in ledger.page_spans():
        page = load_derived(_path(root, end), _VERSION, _ManifestPage)
        if page is not None and page.end == end:
            yield from page.manifests
        else:
            yield from _named(ledger, begin, end)
        last = end
    yield from _named(ledger, last, None)


def seal_manifest_pages(root: Path, ledger: Ledger) -> None:
    """Cache the manifests of the ledger's pages that are not cached yet. Raises OSError where that fails.

    A manifest that is missing or unreadable is entered without figures: `EnteredManifest.read` tries again.
    """
    for begin, end in ledger.page_spans():
        path = _path(root, end)
        if not path.exists():
            manifests = [_looked_at(root, each) for each in _named(ledger, begin, end)]
            store_derived(path, _VERSION, _ManifestPage(end, manifests))


def _named(ledger: Ledger, begin: LineMark, end: LineMark | None) -> Iterator[EnteredManifest]:
    return (EnteredManifest(entry["path"]) for entry in ledger.of_kind("manifest", begin=begin, end=end))


def _looked_at(root: Path, manifest: EnteredManifest) -> EnteredManifest:
    try:
        with (root / manifest.path).open("rb") as file:
            stamp = _stamp(os.fstat(file.fileno()))
            return EnteredManifest(manifest.path, stamp, ended_run(file.read()))
    except (OSError, ValueError):
        return manifest


def _path(root: Path, end: LineMark) -> Path:
    return root / manifest_page_path(end.lines, end.sha256)


def _stamp(found: os.stat_result) -> _FileStamp:
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


# ---- the document ------------------------------------------------------------------------------------------


class _Raw(msgspec.Struct):
    venue: str
    feed: str
    lines: int
    bytes: int
    counts: dict[str, int]
    gaps: dict[str, int]


class _WrittenRows(msgspec.Struct):
    rows: int


class _Markets(msgspec.Struct):
    count: int = 0


class _Summary(msgspec.Struct):
    recovered_at_utc: str | None = None
    exit_code: int | None = None
    markets: _Markets | None = None


class _Settings(msgspec.Struct, rename={"simulator_url": "SIMULATOR_URL"}):
    simulator_url: Any = None


class _Manifest(msgspec.Struct):
    """Fields of a run's manifest that `ended_run` reads."""

    spider: str
    run: str
    started_at_utc: str
    finished_at_utc: str
    venue: str | None = None
    exit_reason: str = ""
    recovered: bool = False
    pid: int | None = None
    settings: _Settings = msgspec.field(default_factory=_Settings)
    raw: list[_Raw] = []
    records: list[_WrittenRows] = []
    summary: _Summary = msgspec.field(default_factory=_Summary)


class _Spider(msgspec.Struct):
    """The field that only a run's manifest has, not one of a derived product."""

    spider: str = ""


_DECODER = msgspec.json.Decoder(_Manifest)


def ended_run(data: bytes) -> EndedRun | None:
    """Decode a manifest; return None for one of a derived product. data: the file's bytes.

    Raises ValueError.
    """
    try:
        found = _DECODER.decode(data)
    except msgspec.ValidationError:
        if msgspec.json.decode(data, type=_Spider).spider:
            raise
        return None
    if not found.spider:
        return None
    ended = from_iso(found.finished_at_utc)
    recovered_at = found.summary.recovered_at_utc
    return EndedRun(
        found.run,
        found.spider,
        found.venue,
        from_iso(found.started_at_utc),
        ended,
        from_iso(recovered_at) if recovered_at else ended,
        found.exit_reason,
        found.recovered,
        found.summary.exit_code,
        bool(found.settings.simulator_url),
        found.pid,
        found.summary.markets.count if found.summary.markets else None,
        sum(each.rows for each in found.records),
        [
            EndedFeed(each.venue, each.feed, each.lines, each.bytes, each.counts.get("invalid", 0), each.gaps)
            for each in found.raw
        ],
    )
