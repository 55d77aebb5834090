"""`scrapy validate`: bring labels and dataset up to date, check them, and write the report."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from marketarchive.archive.files import Files
from marketarchive.archive.ledger import Ledger
from marketarchive.clock import RealClock
from marketarchive.exceptions import DiskError
from marketarchive.research.checks import sequence, verified_books
from marketarchive.research.checks.check import CheckResult, State
from marketarchive.research.derived import NullProgress, Progress, exclusive_lock, write_manifest
from marketarchive.research.engine import connect, reading_tables, require, run
from marketarchive.research.labels import ground_truth as truth
from marketarchive.research.labels import label_files
from marketarchive.research.labels.ground_truth import ground_truth
from marketarchive.research.labels.label import Label
from marketarchive.research.names import names
from marketarchive.research.products import product_checks
from marketarchive.research.products.updown.canonical import dataset as canonical_dataset
from marketarchive.research.products.updown.canonical import inputs as canonical_inputs
from marketarchive.research.products.updown.canonical.dataset import canonical, path_of
from marketarchive.research.products.updown.rounds import VENUES, is_mine, recorded
from marketarchive.research.products.updown.validation import (
    coverage_bounds,
    inputs,
    outcomes,
    stream_gaps,
    strikes,
    sums,
)
from marketarchive.research.products.updown.validation.report import markdown
from marketarchive.research.tables.partitions import VERSIONS, feeds, files, stamp_of
from marketarchive.times import iso
from marketarchive.version import COLLECTOR

VERSION = 2
"""Version of the checks: raised when a rule changes."""

MARKDOWN = PurePosixPath("research", "VALIDATION_REPORT.md")
JSON = PurePosixPath("research", "VALIDATION_REPORT.json")
TABLES = ("gaps", "books", "book_changes", "reference_prices")
"""Tables that the checks read, beside labels and dataset."""


@dataclass
class Validation:
    """Result of `validate`: the checks and the report that was written."""

    checks: list[CheckResult]
    document: dict[str, Any]  # the report, as in the JSON file
    manifest: str  # path relative to OUTPUT_DIR

    @property
    def state(self) -> State:
        state: State = self.document["state"]
        return state

    @property
    def not_looked_at(self) -> list[str]:
        """Return the feeds of the archive that only the check of sequence numbers covers."""
        found: list[str] = self.document["not_looked_at"]
        return found


def state_of(checks: Sequence[CheckResult]) -> State:
    """Return the worst state of the checks; `nothing to check` if no check has another."""
    states = {each.state for each in checks}
    worst: tuple[State, ...] = ("fail", "warn", "pass")
    return next((state for state in worst if state in states), "nothing to check")


def validate(
    root: Path,
    since: int | None = None,
    until: int | None = None,
    *,
    strict: bool = False,
    master_url: str | None = None,
    progress: Progress | None = None,
) -> Validation:
    """Check the rounds that start in `since` <= time < `until` (ns), and write the report.

    strict: recorded gaps fail too, as do sums of best prices outside of their bounds on either side. A second
    process waits for the first. Raises ArchiveError, ConfigurationError, DiskError.
    """
    require()

    shown = progress or NullProgress()
    try:
        with reading_tables(), exclusive_lock(root / "research" / "validation.lock"):
            started = RealClock().now_ns()
            ground_truth(root, since, until, progress=shown)
            canonical(root, since, until, master_url=master_url, progress=shown)
            return _validate(root, (since, until), strict, master_url, shown, started)
    except OSError as error:
        raise DiskError(f"the report in {root / 'research'} cannot be written: {error}") from error


def _validate(
    root: Path,
    times: tuple[int | None, int | None],
    strict: bool,
    master_url: str | None,
    progress: Progress,
    started: int,
) -> Validation:
    since, until = times
    every = [
        each
        for each in label_files.read_labels(root)
        if (since is None or each.start_ns >= since) and (until is None or each.start_ns < until)
    ]
    labels = recorded(root, [each for each in every if is_mine(each)])
    unrecorded = sum(map(is_mine, every)) - len(labels)
    judged = {each.market_id for each in labels}
    every = [each for each in every if not is_mine(each) or each.market_id in judged]
    progress.total(len(labels))
    progress.begin("checks")
    dataset = root / path_of("observation")
    known = names(root, master_url)
    connection = connect(root / "tables" / ".spill", is_bounded=True)
    try:
        inputs.register_rows(connection, labels, known, dataset)
        [[rows]] = run(connection, "SELECT count(*) FROM dataset")
        checks = [outcomes.check(every), coverage_bounds.check(connection)]
        no_arbitrage = sums.check(connection, strict=strict)
        checks += [
            stream_gaps.check(connection, root, labels, known, dataset, progress, strict=strict),
            no_arbitrage,
            strikes.check(every),
            verified_books.check(connection, root, *_times(labels)),
        ]
    finally:
        connection.close()
    checks += [check for product in product_checks() for check in product.check(root, every)]
    checks.append(sequence.check(root, since, until))
    head = Ledger(root).head()
    looked = VENUES.union(*(product.venues for product in product_checks()))
    others = [f"{venue}/{feed}" for venue, feed in feeds(root) if venue not in looked]
    state = state_of(checks)
    if state == "pass" and others and not every:
        state = "nothing to check"  # complete numbers say nothing about the content received
    document = {
        "kind": "validation",
        "schema": 1,
        "state": state,
        "not_looked_at": others,
        "strict": strict,
        "collector": COLLECTOR,
        "made_at_utc": iso(started),
        "since": None if since is None else iso(since),
        "until": None if until is None else iso(until),
        "looked_at": _looked_at(every, rows) | {"rounds_before_the_recording": unrecorded},
        "versions": _versions(),
        "inputs": _inputs(root, labels),
        "ledger": {"count": head.count, "head": head.sha256},
        "checks": [each.as_dict() for each in checks],
    }
    return Validation(checks, document, _write(root, started, document, checks))


def _times(labels: Sequence[Label]) -> tuple[int, int]:
    """Return the first start and the last end of the rounds (ns); (0, 0) without rounds."""
    if not labels:
        return 0, 0
    return min(each.start_ns for each in labels), max(each.end_ns for each in labels)


def _looked_at(labels: Sequence[Label], rows: int) -> dict[str, Any]:
    first, last = _times(labels)
    return {
        "rounds": len(labels),
        "first_start": iso(first) if labels else None,
        "last_end": iso(last) if labels else None,
        "days": sorted({iso(each.start_ns)[:10] for each in labels}),
        "assets": dict(sorted(Counter(each.asset for each in labels).items())),
        "durations": dict(sorted(Counter(each.duration for each in labels).items())),
        "dataset": str(path_of("observation")),
        "rows": rows,
    }


def _versions() -> dict[str, Any]:
    import duckdb
    import pyarrow as pa

    return {
        "validation": VERSION,
        "ground_truth": truth.VERSION,
        "canonical": canonical_dataset.VERSION,
        **{f"table {name}": VERSIONS[name] for name in TABLES},
        "duckdb": duckdb.__version__,
        "pyarrow": pa.__version__,
    }


def _inputs(root: Path, labels: Sequence[Label]) -> list[dict[str, str]]:
    """Return the input files with checksums; a table file has the key of the segments it was made from."""
    found = []
    for path in (label_files.PARQUET, path_of("observation")):
        if (root / path).exists():
            with (root / path).open("rb") as file:
                found.append({"path": str(path), "sha256": hashlib.file_digest(file, "sha256").hexdigest()})
    if labels:
        for table in TABLES:
            for each in files(root, table, *canonical_inputs.span(labels, 0)):
                stamp = stamp_of(each)
                key = "" if stamp is None else stamp.key
                found.append({"path": str(each.relative_to(root)), "key": key})
    return found


def _write(root: Path, started: int, document: Mapping[str, Any], checks: Sequence[CheckResult]) -> str:
    """Write the JSON and the Markdown report, each whole or not at all; return the path of the manifest.

    started: wall ns. Raises OSError.
    """
    store_files = Files()
    written = {
        JSON: msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n",
        MARKDOWN: markdown(document, checks).encode(),
    }
    outputs = []
    for path, data in written.items():
        store_files.write_whole(root / path, data)
        digest = hashlib.sha256(data).hexdigest()
        outputs.append({"path": str(path), "bytes": len(data), "sha256": digest})
    arguments = {name: document[name] for name in ("since", "until", "strict")}
    made = {
        "inputs": document["inputs"],
        "outputs": outputs,
        "state": document["state"],
        "checks": {each.name: each.state for each in checks},
    }
    return write_manifest(root, RealClock(), started, "validate", arguments, document["versions"], made)
