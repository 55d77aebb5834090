"""The canonical dataset of simulated rounds is what the venues knew, and says where it is not."""

from __future__ import annotations

import resource
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from marketarchive.exceptions import ArchiveError, DiskError
from marketarchive.research.labels import label_files
from marketarchive.research.labels.ground_truth import ground_truth, read_labels
from marketarchive.research.products.updown.canonical.columns import Clock
from marketarchive.research.products.updown.canonical.dataset import canonical
from marketarchive.simulator.chainlink.reports import SimReport
from marketarchive.simulator.chainlink.streams import BY_SLUG
from marketarchive.simulator.prices import E18
from marketarchive.times import SECOND, from_iso
from tests.research import canonical_truth as true
from tests.research.simulated_rounds import PAGES, VENUE, Lost, archive, rounds

pytestmark = [pytest.mark.process, pytest.mark.no_cover]  # works for seconds, and others pass the same lines

CHANGE = from_iso("2026-08-07T00:00:00Z") // SECOND


def made(root: Path, clock: Clock = "observation") -> dict[str, list[dict[str, Any]]]:
    """Rows by market."""
    ground_truth(root)
    done = canonical(root, clock=clock)
    found: dict[str, list[dict[str, Any]]] = {}
    for row in pq.ParquetFile(root / done.path).read().to_pylist():
        found.setdefault(row["market_id"], []).append(row)
    return found


@pytest.mark.parametrize(
    ("start", "duration"),
    [(CHANGE - 300, "5m"), (CHANGE + 7 * 86400 - 300, "5m"), (CHANGE + 86400, "15m")],
)
def test_every_second_is_what_was_true(tmp_path: Path, start: int, duration: str) -> None:
    """Under the spot rule and those of the averages, and from one to the next."""
    markets = rounds(start, 2 if duration == "5m" else 1, duration=duration)
    archive(tmp_path, markets)
    found = made(tmp_path)
    assert list(found) == [market.slug for market in markets]
    assert [market.twap_s for market in markets] in ([None, 30], [30, 60], [60])
    for market in markets:
        rows = found[market.slug]
        assert [row["t"] for row in rows] == list(range(market.end - true.start(market) + 1))
        assert {tuple(row[name] for name in true.LABEL) for row in rows} == {true.label(VENUE, market)}
        assert not list(true.wrong_prices(VENUE, market, rows))
        assert not list(true.wrong_books(VENUE, market, rows))
        assert {(row["cl_ffill"], row["pm_ffill"]) for row in rows} == {(0, 0)}, "nothing was lost"
        assert {row["cl_twap_ffill"] for row in rows} == {None if market.twap_s is None else 0}
        assert not any(row["gap"] or row["preopen"] for row in rows)
        assert all(row["delta"] == row["cl_mid"] - row["K"] for row in rows)
        assert {row["delta_twap"] is None for row in rows} == {market.twap_s is None}
        assert market.twap_s is None or all(row["delta_twap"] == row["cl_twap"] - row["K"] for row in rows)
        first = datetime.fromtimestamp(true.start(market), UTC)
        known = {
            int(span["start"].timestamp()) + number
            for path in (tmp_path / "tables/coverage").glob("*/feed=stream/*/*.parquet")
            for row in pq.ParquetFile(path).read().to_pylist()
            for span in row["spans"]
            if row["slug"] == market.slug and span["state"] in ("observed", "quiet")
            for number in range(span["seconds"])
        }
        assert known >= set(range(true.start(market), market.end))
        assert [row["time"] for row in rows] == [first + timedelta(seconds=row["t"]) for row in rows]


def test_gaps_are_where_something_is_missing(tmp_path: Path) -> None:
    [market] = rounds(CHANGE, 1)
    lost, lost_prices = [Lost(40.3, 52.6), Lost(200.0, 285.5)], [Lost(100.2, 180.7), Lost(297.1, 315.0)]
    archive(tmp_path, [market], lost=lost, lost_prices=lost_prices)
    rows = made(tmp_path)[market.slug]
    gaps = {row["t"] for row in rows if row["gap"]}
    assert set(true.wrong_books(VENUE, market, rows)) <= gaps
    assert set(true.wrong_prices(VENUE, market, rows)) <= gaps
    unseen = {row["t"] for row in rows if row["cl_ffill"] != 0}
    assert len(unseen) > 75
    assert unseen <= gaps, "prices come late: what is missing begins before the gap"
    assert len(without := {row["t"] for row in rows if row["cl_twap_ffill"] != 0}) > 75
    assert without <= gaps
    around = {t for begin, end in (*lost, *lost_prices) for t in range(int(begin) - 2, int(end) + 2)}
    assert gaps <= around
    assert {row["pm_up_bid"] for row in rows[262:285]} == {None}, "nothing is carried over a minute"


def _newest(slug: str, second: int) -> SimReport | None:
    """The report of a page that is observed in the second up to `second`."""
    reports = PAGES.reports.observed(BY_SLUG[slug], (second - 1) * SECOND + 1, second * SECOND + 1)
    return next(iter(sorted(reports, key=lambda one: -one.observed_us)), None)


@pytest.mark.parametrize("prices", [True, False])
@pytest.mark.parametrize("pages", [True, False])
def test_either_source_of_prices_may_be_missing(tmp_path: Path, prices: bool, pages: bool) -> None:
    [market] = rounds(CHANGE - 300, 1)
    archive(tmp_path, [market], prices=prices, pages=pages)
    rows = made(tmp_path)[market.slug]
    assert not list(true.wrong_books(VENUE, market, rows))
    assert {row["Y"] for row in rows} == {true.label(VENUE, market)[2]}
    assert ({row["K"] for row in rows} == {None}) is not prices
    if prices:
        assert not list(true.wrong_prices(VENUE, market, rows))
    for row in rows:
        report = _newest("btc-usd-cexprice-streams", true.start(market) + row["t"])
        if not pages:
            assert row["cl_bid"] is row["cl_ask"] is None
        elif report is not None:
            assert row["cl_bid"] == pytest.approx(report.bid / E18, rel=1e-14)
            assert row["cl_ask"] == pytest.approx(report.ask / E18, rel=1e-14)
            if not prices:
                assert row["cl_mid"] == pytest.approx(report.mid / E18, rel=1e-14)
                assert row["cl_ffill"] == 0
        if not prices and report is None:
            assert row["cl_ffill"] == (1 if pages else None)
        expected = "polymarket/reference" if prices else "chainlink/pages" if pages else None
        assert row["cl_source"] == expected
        assert row["delta"] is None or prices


def test_what_is_not_asked_for_stays_and_files_by_day_say_the_same(tmp_path: Path) -> None:
    markets = sorted(
        (one for asset in ("BTC", "ETH") for one in rounds(CHANGE - 300, 2, asset=asset)), key=true.start
    )
    archive(tmp_path, markets, books=False)
    ground_truth(tmp_path)
    first = canonical(tmp_path, assets=["BTC"])
    assert first.made == ["2026-08-06/BTC", "2026-08-07/BTC"]
    second = canonical(tmp_path, CHANGE * SECOND, assets=["ETH"])
    assert (second.made, second.kept) == (["2026-08-07/ETH"], first.made)
    whole = canonical(tmp_path)
    assert (whole.made, len(whole.kept), whole.rows) == (["2026-08-06/ETH"], 3, 4 * 301)
    files = canonical(tmp_path, partitioned=True)
    assert (len(files.made), files.rows) == (4, whole.rows)
    days = sorted((tmp_path / files.path).rglob("*.parquet"))
    together = pa.concat_tables(pq.ParquetFile(path).read() for path in days)
    assert together.equals(pq.ParquetFile(tmp_path / whole.path).read())
    assert [canonical(tmp_path, partitioned=kind).manifest for kind in (False, True)] == [None, None]
    [of_btc] = [
        one for one in read_labels(tmp_path) if one.start_ns // SECOND == CHANGE and one.asset == "BTC"
    ]
    label_files.write(tmp_path, [of_btc], label_files.LabelStamp("hand"))
    for kind in (False, True):
        left = canonical(tmp_path, partitioned=kind)
        assert (left.kept, len(left.dropped), left.rows) == (["2026-08-07/BTC"], 3, 301)
    assert [path.parent.name for path in (tmp_path / files.path).rglob("*.parquet")] == ["date=2026-08-07"]


def test_it_does_not_matter_how_much_is_made_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    markets = sorted(
        (one for asset in ("BTC", "ETH", "SOL") for one in rounds(CHANGE - 300, 2, asset=asset)),
        key=true.start,
    )
    archive(tmp_path, markets)
    ground_truth(tmp_path)
    at_once = tmp_path / canonical(tmp_path).path
    made = pq.ParquetFile(at_once).read()
    at_once.unlink()
    monkeypatch.setattr("marketarchive.research.products.updown.canonical.dataset.ROWS_AT_ONCE", 1)
    monkeypatch.setattr("marketarchive.research.products.updown.canonical.dataset.PARTS_WAITING", 1)
    assert len(canonical(tmp_path).made) == 6
    assert pq.ParquetFile(at_once).read().equals(made)


def test_a_full_disk_leaves_the_dataset_as_it_was(tmp_path: Path) -> None:
    archive(tmp_path, sorted(rounds(CHANGE - 300, 2), key=true.start), books=False)
    ground_truth(tmp_path)
    path = tmp_path / canonical(tmp_path).path
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(DiskError, match="cannot be written"):
            canonical(tmp_path, carry_s=30)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert canonical(tmp_path, carry_s=30).made == ["2026-08-06/BTC", "2026-08-07/BTC"]


def test_a_table_that_is_broken_is_named_and_can_be_made_again(tmp_path: Path) -> None:
    archive(tmp_path, sorted(rounds(CHANGE - 300, 2), key=true.start), books=False)
    ground_truth(tmp_path)
    path = tmp_path / canonical(tmp_path).path
    before = path.read_bytes()
    table = next((tmp_path / "tables").glob("reference_prices/*/feed=reference/*/*.parquet"))
    sound = table.read_bytes()
    table.write_bytes(sound[:100] + bytes(len(sound) // 2) + sound[100 + len(sound) // 2 :])
    with pytest.raises(
        ArchiveError, match=f"{table.parents[1].name}.*cannot be read.*marketarchive normalize"
    ):
        canonical(tmp_path, carry_s=30)
    assert path.read_bytes() == before
    table.unlink()
    assert len(canonical(tmp_path, carry_s=30).made) == 2


def test_gaps_of_an_earlier_version_are_read(tmp_path: Path) -> None:
    """As they can be left of feeds that the dataset does not bring up to date."""
    archive(tmp_path, sorted(rounds(CHANGE - 300, 2), key=true.start), lost=[Lost(40.3, 52.6)])
    ground_truth(tmp_path)
    canonical(tmp_path)
    table = next((tmp_path / "tables").glob("gaps/*/feed=stream/*/*.parquet"))
    early = Path(str(table).replace("feed=stream", "feed=trades"))
    early.parent.mkdir(parents=True)
    rows = pq.ParquetFile(table).read()
    pq.write_table(rows.drop_columns(["connection", "topics", "symbol"]), early)
    assert len(canonical(tmp_path, carry_s=30).made) == 2
