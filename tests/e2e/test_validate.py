"""`scrapy validate` on a simulated archive: all of it passes, and what is spoiled fails where it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from marketarchive.research.labels.ground_truth import read_labels
from marketarchive.research.labels.label import Label
from marketarchive.research.products.updown.validation.validate import validate
from marketarchive.times import SECOND, from_iso, iso
from tests.e2e.harness import command, crawl, crawling, simulator
from tests.e2e.stream_truth import SEED
from tests.research.making import Answer, collect
from tests.research.test_validation import answered
from tests.venues.polymarket.rows import market_row, resolution_row

pytestmark = pytest.mark.e2e

START = "2026-08-06T23:58:40Z"
SECONDS = 570  # until the venue has published the price to beat of the round
ROUND = from_iso("2026-08-07T00:00:00Z")  # the one that was seen from its start to its end
CHECKS = ["outcomes", "coverage", "gaps", "sums", "strikes", "books", "sequence"]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of one round and its neighbours, validated."""
    folder = tmp_path_factory.mktemp("validate")
    out, rounds = folder / "out", ("assets=BTC", "durations=5m")
    options = ("--speed", "40", "--seed", str(SEED), "--start", START)
    with simulator(folder / "truth", *options) as venue:
        with crawling(venue.url, out, "polymarket_reference", f"duration={SECONDS}") as reference:
            done = crawl(venue.url, out, "polymarket_stream", *rounds, "ahead=3m", "duration=400s")
            assert done.code == 0, done.log[-2000:]
            assert reference.wait(600) == 0
        done = crawl(venue.url, out, "polymarket_resolutions", *rounds, "since=1h")
        assert done.code == 0, done.log[-2000:]
    told = command("validate", out)
    assert told.returncode == 0, told.stdout + told.stderr
    assert told.stdout.splitlines()[-1] == "pass", told.stdout
    return out


def the_round(root: Path) -> Label:
    [found] = [each for each in read_labels(root) if each.start_ns == ROUND]
    return found


def test_all_passes_and_the_report_says_so(sound: Path) -> None:
    report = json.loads((sound / "research" / "VALIDATION_REPORT.json").read_text())
    assert [each["name"] for each in report["checks"]] == CHECKS
    assert {each["state"] for each in report["checks"]} == {"pass"}
    figures = {each["name"]: each["figures"] for each in report["checks"]}
    assert figures["outcomes"]["reproduced"] >= 1
    assert figures["strikes"]["compared"] >= 1
    assert figures["books"]["ok"] > 1000
    assert the_round(sound).verdict == "reproduced"
    text = (sound / "research" / "VALIDATION_REPORT.md").read_text()
    assert text.startswith("# Validation report\n\n**PASS**")
    assert command("verify", sound).returncode == 0
    printed = command("validate", sound, "--json", "--since", iso(ROUND), "--until", iso(ROUND + SECOND))
    part = json.loads(printed.stdout)
    assert (printed.returncode, part["looked_at"]["rounds"], part["looked_at"]["rows"]) == (0, 1, 301)
    counted = {one["stream"][:2]: one for one in part["checks"][2]["details"]}
    assert counted["cl"]["untracked"] == counted["pm"]["untracked"] == 0
    assert command("verify", sound).returncode == 0


def rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """A file of rows in the same place, made from the same by its own word."""
    table = pq.ParquetFile(path).read()
    pq.write_table(change(table).replace_schema_metadata(table.schema.metadata), path, compression="zstd")


def tables(root: Path, name: str) -> list[Path]:
    return sorted((root / "tables" / name).rglob("*.parquet"))


def flip_outcome(root: Path) -> None:
    """The venue resolves it the other way, later."""
    label = the_round(root)
    payouts = [0, 10**6] if label.resolved_outcome == "Up" else [10**6, 0]
    row = resolution_row(condition_id=label.condition_id, payouts=payouts)
    body = json.dumps({"data": [row]}).encode()
    host = "https://data-api.polymarket.com"
    collect(root, [Answer(body, 0, "/v2/resolutions", host=host)], feed="resolutions")


def misstate_strike(root: Path) -> None:
    """The venue publishes another price to beat, later."""
    label = the_round(root)
    assert label.strike is not None
    stated = {"priceToBeat": float(label.strike) + 1.01}
    row = market_row(
        conditionId=label.condition_id,
        slug=label.market_id,
        eventStartTime=iso(label.start_ns)[:19] + "Z",
        endDate=iso(label.end_ns)[:19] + "Z",
        resolutionSource=None,
        events=[{"eventMetadata": stated}],
    )
    body = json.dumps({"markets": [row]}).encode()
    host = "https://gamma-api.polymarket.com"
    collect(root, [Answer(body, 0, "/markets/keyset", host=host)], feed="markets")


def lose_prices(root: Path) -> None:
    """Ten seconds of prices are not there, and nothing says so."""
    first, last = (pa.scalar((ROUND // SECOND + s) * 10**6, pa.timestamp("us", "UTC")) for s in (100, 109))
    for path in tables(root, "reference_prices"):
        rewrite(
            path,
            lambda table: table.filter(
                pc.or_(pc.less(table["event_time"], first), pc.greater(table["event_time"], last))
            ),
        )
    (root / "research" / "canonical_dataset.parquet").unlink()  # it is made again


def lose_rows(root: Path) -> None:
    rewrite(root / "research" / "canonical_dataset.parquet", lambda table: table.slice(3))


def cross_books(root: Path) -> None:
    def crossed(table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        row = next(one for one in rows if one["pm_ffill"] == 0 and one["t"] == 7 and one["sum_bids"])
        row["sum_bids"] = 1.06
        return pa.Table.from_pylist(rows, table.schema)

    rewrite(root / "research" / "canonical_dataset.parquet", crossed)


def break_hash(root: Path) -> None:
    def failed(table: pa.Table) -> pa.Table:
        verdicts = ["failed", *table["verified"].to_pylist()[1:]]
        return table.set_column(table.schema.get_field_index("verified"), "verified", pa.array(verdicts))

    rewrite(next(path for path in tables(root, "book_changes") if "date=2026-08-07" in str(path)), failed)


def lose_segment(root: Path) -> None:
    next((root / "raw").rglob("feed=resolutions/**/*.jsonl.gz")).unlink()


def skip_seq(root: Path) -> None:
    answered(root, skip=True)


@pytest.mark.parametrize(
    ("spoil", "fails"),
    [
        (flip_outcome, "outcomes"),
        (lose_rows, "coverage"),
        (lose_prices, "gaps"),
        (cross_books, "sums"),
        (misstate_strike, "strikes"),
        (break_hash, "books"),
        (lose_segment, "sequence"),
        (skip_seq, "sequence"),
    ],
)
def test_what_is_spoiled_fails_where_it_was_spoiled(
    sound: Path, tmp_path: Path, spoil: Callable[[Path], None], fails: str
) -> None:
    root = tmp_path / "out"
    shutil.copytree(sound, root)
    spoil(root)
    done = validate(root)
    states: dict[str, Any] = {each.name: each.state for each in done.checks}
    assert {name for name, state in states.items() if state == "fail"} == {fails}, done.document
    assert next(each for each in done.checks if each.name == fails).offenders
    text = (root / "research" / "VALIDATION_REPORT.md").read_text()
    assert text.startswith("# Validation report\n\n**FAIL**")


def test_the_exit_code_tells(sound: Path, tmp_path: Path) -> None:
    root = tmp_path / "out"
    shutil.copytree(sound, root)
    cross_books(root)
    told = command("validate", root)
    assert (told.returncode, told.stdout.splitlines()[-1]) == (1, "fail")
    assert "fail             No arbitrage between Up and Down" in told.stdout
