"""An archive of two recorders over midnight, mounted read-only: every product tells the same of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from marketarchive import Archive
from marketarchive.research.exports.archive_tables import archive_tables
from marketarchive.research.exports.table import ExportRequest
from marketarchive.research.labels.ground_truth import ground_truth
from marketarchive.research.products.updown.validation.validate import validate
from marketarchive.times import SECOND, from_iso
from tests.archive.mounting import read_only
from tests.research.simulated_rounds import Lost, archive, rounds

START = from_iso("2026-08-05T23:55:00Z") // SECOND
ONE = [Lost(40.2, 51.7), Lost(100.2, 111.7)]
OTHER = [Lost(106.3, 129.6)]
BOTH = range(106, 112)
"""Seconds of the round that touch a gap of both recorders."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """What one recorder without any loss has."""
    root = tmp_path_factory.mktemp("whole")
    archive(root, rounds(START, 1))
    ground_truth(root)
    return Archive(root)


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """What two lossy ones have, in one archive that nobody may write to."""
    root, folder = tmp_path_factory.mktemp("joined"), tmp_path_factory.mktemp("mount")
    for lost in (ONE, OTHER):
        archive(root, rounds(START, 1), lost=lost)
    with read_only(root, folder / "here") as place:
        found = Archive(place, cache=folder / "cache")
        ground_truth(found.root)
        yield found


def test_all_products_see_the_gap_that_both_have_and_no_other(joined: Archive, whole: Archive) -> None:
    [(slug, start)] = joined.labels()[["market", "time"]].itertuples(index=False, name=None)
    dataset, lossless = joined.canonical(), whole.canonical()
    assert not lossless["gap"].any()
    inside = set(dataset.loc[dataset["gap"], "t"])
    assert inside >= set(BOTH)
    assert inside <= {*BOTH, BOTH.stop}, "and the second at whose instant it ended"
    seen = ~dataset["t"].isin([*BOTH, BOTH.stop]) & ~lossless["pm_ffill"]
    for name in ("cl_mid", "pm_up_bid", "pm_up_ask", "pm_down_bid", "Y"):
        assert dataset.loc[seen, name].equals(lossless.loc[seen, name]), name
    coverage = joined.coverage(feed="stream", market=slug)
    assert coverage["gapped_s"].sum() == len(BOTH)
    told = {(gap["from"], gap["to"]) for gap in joined.quotes(market=slug).attrs["gaps"]}
    ends = {end for _, end in told}
    assert told
    assert {begin[:17] for begin, _ in told} == {"2026-08-05T23:56:"}
    assert ends <= {"2026-08-05T23:56:51.700000Z", "2026-08-05T23:56:52.000000Z"}
    assert len(joined.gaps(feed="stream")) == len(ONE) + len(OTHER)
    changes = joined.book_changes()
    after = changes.loc[changes["gap_before"], "time"] - start
    assert set(after.dt.total_seconds() // 1) <= {*BOTH, *range(112, 116)}, "to whole seconds"
    assert len(changes) < len(whole.book_changes()), "what both lost is lost"
    book = joined.book_at(slug, start + 45 * (joined.canonical()["time"].iloc[1] - start))
    assert book is not None
    assert not book.gap
    missed = joined.recorders(feed="stream")
    assert (missed["missed"] > 0).all()
    assert missed["closed_s"].sum() > 0
    report = validate(joined.root)
    assert report.checks


def test_an_export_has_the_rows_of_the_frame(joined: Archive, tmp_path: Path) -> None:
    opened = archive_tables()["book_changes"].open(ExportRequest(joined.root))
    exported = sum(batch.arrow().num_rows for batch in opened.batches(tmp_path))
    stored = sum(pq.read_metadata(path).num_rows for path in joined.root.glob("tables/book_changes/*/*/*/*"))
    assert exported == len(joined.book_changes()) < stored
