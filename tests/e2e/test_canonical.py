"""The canonical dataset of what whole runs collected, with faults: what is not true in it is under a gap."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from marketarchive.simulator.polymarket import Polymarket, market_channel
from marketarchive.times import SECOND, from_iso
from tests.e2e.harness import command
from tests.e2e.recordings import FAULTY_S, SECONDS, START, copy_of, recorded_with_faults
from tests.e2e.stream_truth import SEED, archived_frames, frame_digest, is_hidden
from tests.research import canonical_truth as true

pytestmark = pytest.mark.e2e

FROM, TO = (from_iso(START) // SECOND + seconds for seconds in (20, SECONDS))

Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of(recorded_with_faults, tmp_path_factory)


@pytest.fixture(scope="module")
def rows(out: Path) -> Rows:
    """By market, from its first book on."""
    for name in ("ground-truth", "canonical"):
        told = command(name, out)
        assert told.returncode == 0, told.stderr
    return _rows(out)


def _rows(out: Path) -> Rows:
    found: Rows = {}
    for row in pq.ParquetFile(out / "research" / "canonical_dataset.parquet").read().to_pylist():
        start = int(row["market_id"].rpartition("-")[2])
        if start >= FROM and start + row["t"] <= TO - 10:
            found.setdefault(row["market_id"], []).append(row)
    for slug, some in found.items():
        first = next(place for place, row in enumerate(some) if row["pm_ffill"] is not None)
        found[slug] = some[first:]
    return found


def test_labels_are_what_was_true(rows: Rows) -> None:
    venue = Polymarket(SEED)
    assert len(rows) >= 4
    for slug, some in rows.items():
        market = venue.world.by_slug(slug, FROM)
        assert market is not None
        strike, settlement, outcome = true.label(venue, market)
        for row in some:
            assert row["K"] in (None, strike)
            assert row["settlement"] in (None, settlement)
            assert row["Y"] in (None, outcome)
    ended = [some for some in rows.values() if some[-1]["tau"] == 0]
    assert len(ended) == 4
    assert all(None not in (row["K"], row["settlement"], row["Y"]) for some in ended for row in some)


def test_what_is_not_true_is_in_a_gap(rows: Rows, out: Path) -> None:
    """But for a book whose message was lost and overwritten by the next one, which nobody can notice."""
    venue = Polymarket(SEED)
    archived, _ = archived_frames(out)
    untrue = {"books": 0, "prices": 0}
    for slug, some in rows.items():
        market = venue.world.by_slug(slug, FROM)
        assert market is not None
        gaps = {row["t"] for row in some if row["gap"]}
        for name, wrong in (("books", true.wrong_books), ("prices", true.wrong_prices)):
            found = set(wrong(venue, market, some))
            untrue[name] += len(found)
            begin = true.start(market)
            for t in found - gaps:
                assert name == "books", f"{name} of {slug}, second {t}"
                assert is_hidden(venue, market, (begin + t) * SECOND, archived), f"{slug}, second {t}"
    assert min(untrue.values()) > 20, untrue


def test_a_lost_delta_is_excused_until_the_next_message_if_that_sets_the_same() -> None:
    venue, begin = Polymarket(SEED), from_iso(START) // SECOND
    market = venue.world.by_slug(f"btc-updown-5m-{begin // 300 * 300}", begin)
    assert market is not None
    sent = list(
        market_channel.frames(venue.books, market, begin * SECOND, (begin + 60) * SECOND, custom=False)
    )
    seconds = range(begin + 20, begin + 40)
    excused, plain = 0, 0
    for (at, lost), (then, _) in pairwise(sent):
        boundaries = {second for second in seconds if at <= second * SECOND < then}
        if boundaries and b'"price_change"' in lost:
            archived = Counter(frame_digest(payload) for _, payload in sent if payload != lost)
            found = {s for s in seconds if is_hidden(venue, market, s * SECOND, archived)}
            assert found in (boundaries, set())
            excused, plain = excused + bool(found), plain + (not found)
    assert excused
    assert plain


def test_gaps_are_near_the_faults(rows: Rows) -> None:
    begin = from_iso(START) // SECOND
    for slug, some in rows.items():
        start = int(slug.rpartition("-")[2])
        at = {start + row["t"] - begin for row in some if row["gap"]}
        assert all(any(low <= t <= high for low, high in FAULTY_S) for t in at), (slug, sorted(at))
