"""The catalogue as known at a moment: nothing received later is in it, and nothing known is missing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, delete

from marketarchive import Archive
from marketarchive.exceptions import ArgumentError
from marketarchive.field_docs import NEVER
from marketarchive.items import Market, PriceSnapshot
from marketarchive.master import queries
from marketarchive.master.engine import open_master, sqlite_url, writing
from marketarchive.master.observation import MasterItem, observe
from marketarchive.master.tables import metadata
from marketarchive.master.upsert import upsert
from marketarchive.research.products.catalog.catalogue_fields import FIELDS
from marketarchive.simulator.messages import CatalogVenue
from marketarchive.times import from_iso, utc
from marketarchive.venues.kalshi import queries as of_kalshi
from marketarchive.venues.kalshi.titles import stated_title
from marketarchive.venues.polymarket import queries as of_polymarket
from tests.master.markets import SECOND, START, market, priced, resolved
from tests.properties import examples
from tests.research.catalogue_master import at, put
from tests.simulator import catalog as simulated

YES_NO = ("Yes", "No")
END = datetime(2025, 11, 21, 5, tzinfo=UTC)


def plain(value: Any) -> Any:
    """The value of a cell, None for each kind of null."""
    return value if isinstance(value, list | dict) or not pd.isna(value) else None


def test_each_column_is_described_and_null_only_where_that_says_so(tmp_path: Path) -> None:
    put(tmp_path, market(0, market_id="bare"))
    found = Archive(tmp_path).catalog()
    assert list(found) == list(FIELDS)
    nulls = {name for name, value in row_of(tmp_path, market_id="bare").items() if value is None}
    assert nulls <= {name for name, doc in FIELDS.items() if doc.null_when != NEVER}


def row_of(root: Path, t: float | None = None, market_id: str = "0xabc") -> dict[str, Any]:
    found = Archive(root).catalog(as_of=None if t is None else at(t))
    (row,) = found[found["market_id"] == market_id].to_dict("records")
    return {str(name): plain(value) for name, value in row.items()}


def test_a_market_from_its_listing_to_the_reversal_of_its_result(tmp_path: Path) -> None:
    said: dict[str, Any] = {"outcomes": YES_NO, "end_at": END, "event_id": "7", "volume_unit": "dollars"}
    put(
        tmp_path,
        market(0, title="Will it rain?", description="old rules", status="active", volume=Decimal(5), **said),
        priced(0, yes_price=Decimal("0.4"), no_price=Decimal("0.6"), volume=Decimal(5)),
        priced(50, yes_price=Decimal("0.7"), no_price=Decimal("0.3"), volume=Decimal("6.5")),
        market(
            50, title="Will it rain?", description="new rules", status="active", volume=Decimal("6.5"), **said
        ),
        market(60, status="closed", closed_at=END, volume=Decimal(7), **said),
        resolved(70, payouts=("1", "0"), resolution_state="proposed"),
        market(80, status="active", **said),
        resolved(80.5, status="closed"),  # its own source withdraws it
        resolved(90, payouts=("0", "1"), resolution_state="final", resolved_at=END),
        market(95, market_id="later", outcomes=YES_NO),
    )
    assert Archive(tmp_path).catalog(as_of=at(-1)).empty
    first = row_of(tmp_path, 49)
    assert (first["title"], first["description"]) == ("Will it rain?", "old rules")
    assert (first["yes_price"], first["volume"], first["volume_unit"]) == (0.4, 5.0, "dollars")
    assert (first["status"], first["resolution"], first["resolution_kind"]) == ("active", None, None)
    assert (first["outcomes"], first["end_at"]) == (["Yes", "No"], pd.Timestamp(END))
    assert (first["group"], first["event_id"]) == ("7", "7")
    assert first["first_seen_at"] == pd.Timestamp(at(0))
    second = row_of(tmp_path, 50)
    assert (second["description"], second["yes_price"], second["volume"]) == ("new rules", 0.7, 6.5)
    assert second["priced_at"] == pd.Timestamp(at(50))
    closed = row_of(tmp_path, 60)
    assert (closed["status"], closed["closed_at"], closed["yes_price"]) == ("closed", pd.Timestamp(END), 0.7)
    won = row_of(tmp_path, 79)
    assert (won["resolution"], won["resolution_label"], won["resolution_kind"]) == ("YES", "Yes", "yes")
    assert (won["payouts"], won["resolution_state"]) == (["1", "0"], "proposed")
    assert won["resolution_seen_at"] == pd.Timestamp(at(70))
    reopened = row_of(tmp_path, 81)
    assert (reopened["resolution"], reopened["resolution_state"]) == (None, "reopened")
    assert reopened["resolution_seen_at"] is None
    lost = row_of(tmp_path, 90)
    assert (lost["resolution"], lost["resolution_state"], lost["status"]) == ("NO", "final", "resolved")
    assert lost["reopened_at"] == pd.Timestamp(at(80.5))
    assert lost["resolution_seen_at"] == pd.Timestamp(at(90))
    assert list(Archive(tmp_path).catalog(as_of=at(90))["market_id"]) == ["0xabc"]
    assert list(Archive(tmp_path).catalog()["market_id"]) == ["0xabc", "later"]
    assert row_of(tmp_path)["volume"] == 7.0


@pytest.mark.parametrize(
    ("outcomes", "payouts", "expected"),
    [
        (YES_NO, ("0.5", "0.5"), (None, None, "split")),
        (("FaZe", "illwill"), ("0", "1"), ("NO", "illwill", "label")),
        (("No", "Yes"), ("0", "1"), ("YES", "Yes", "yes")),
        (YES_NO, ("0.24", "0.76"), (None, None, "scalar")),
    ],
)
def test_results_that_are_neither_yes_nor_no(
    tmp_path: Path, outcomes: tuple[str, str], payouts: tuple[str, str], expected: tuple[str | None, ...]
) -> None:
    put(tmp_path, market(0, outcomes=outcomes, status="active"), resolved(1, payouts=payouts))
    row = row_of(tmp_path)
    assert (row["resolution"], row["resolution_label"], row["resolution_kind"]) == expected


def test_a_market_that_was_seen_after_its_result_is_not_observed(tmp_path: Path) -> None:
    put(
        tmp_path,
        market(0, outcomes=YES_NO, status="active"),
        market(5, market_id="late", outcomes=YES_NO, status="closed"),
        resolved(5, market_id="late", payouts=("1", "0")),
        market(6, market_id="told", outcomes=YES_NO, status="closed"),
        resolved(8, market_id="told", payouts=("1", "0"), resolved_at=END),
        resolved(9, payouts=("1", "0")),
    )
    found = Archive(tmp_path).catalog().set_index("market_id")["is_observed"]
    assert found.to_dict() == {"0xabc": True, "late": False, "told": True}
    venue_said_before = resolved(9, market_id="told", payouts=("1", "0"), resolved_at=utc(START + SECOND))
    put(tmp_path, venue_said_before)
    assert not Archive(tmp_path).catalog().set_index("market_id")["is_observed"]["told"]


def test_what_is_not_known_has_its_type_all_the_same(tmp_path: Path) -> None:
    put(tmp_path, market(0), market(0, market_id="k", neg_risk=True, group="g", strike=Decimal("1.5")))
    several, none = Archive(tmp_path).catalog(), Archive(tmp_path).catalog(as_of="2020-01-01")
    assert list(several.columns) == list(none.columns)
    assert (several.dtypes == none.dtypes).all()
    assert several["group"].tolist() == ["0xabc", "g"]  # alone where nothing is said
    assert several["neg_risk"].tolist() == [pd.NA, True]
    for name in ("end_at", "closed_at", "priced_at", "first_seen_at", "changed_at", "resolution_seen_at"):
        assert str(several[name].dtype) == "datetime64[us, UTC]"
    for name in ("yes_price", "volume", "strike"):
        assert several[name].dtype == "float64"


def test_a_venue_alone(tmp_path: Path) -> None:
    put(tmp_path, market(0), market(1, market_id="k").model_copy(update={"platform": "kalshi"}))
    archive = Archive(tmp_path)
    assert archive.catalog(venue="kalshi")["market_id"].tolist() == ["k"]
    assert archive.catalog(venue=["kalshi", "polymarket"])["venue"].tolist() == ["polymarket", "kalshi"]
    assert archive.catalog(as_of=at(0), venue="kalshi").empty  # not known yet
    for named, told in (({"venue": "kalshy"}, "there is kalshi, polymarket"), ({"asset": "DOGE"}, "asset")):
        with pytest.raises(ArgumentError, match=told):
            archive.catalog(**named)


def test_the_catalogue_has_the_names_of_every_frame(tmp_path: Path) -> None:
    begins = utc(START)
    put(
        tmp_path,
        market(0, slug="rain", start_at=begins, outcomes=YES_NO, asset="BTC"),
        market(0, market_id="k"),
    )
    named, plain_ = Archive(tmp_path).catalog().to_dict("records")
    assert list(named)[:4] == ["time", "venue", "market", "market_id"]
    assert not {"platform", "slug"} & named.keys()
    assert (named["time"], named["venue"]) == (pd.Timestamp(begins), "polymarket")
    assert (named["market"], named["market_id"], plain_["market"]) == ("rain", "0xabc", "k")
    assert Archive(tmp_path).catalog(asset=["BTC"])["market"].tolist() == ["rain"]
    table: Any = Archive(tmp_path, frames="arrow").catalog(columns=["market", "outcomes"])
    assert table.to_pylist() == [
        {"market": "rain", "outcomes": ["Yes", "No"]},
        {"market": "k", "outcomes": None},
    ]


def test_without_a_master_there_is_no_catalogue(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="no market master"):
        Archive(tmp_path).catalog()
    with pytest.raises(ArgumentError, match="MASTER_URL is empty"):
        Archive(tmp_path, master_url="").catalog()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Engine]]:
    root = tmp_path_factory.mktemp("catalog")
    engine = open_master(sqlite_url(root / "master.db"))
    yield root, engine
    engine.dispose()


seconds = st.integers(0, 20)
market_ids = st.sampled_from(["m1", "m2", "m3"])
runs = st.sampled_from(["r1", "r2"])
histories = st.lists(
    st.one_of(
        st.builds(
            market,
            seconds,
            market_id=market_ids,
            run=runs,
            title=st.sampled_from([None, "a", "b"]),
            outcomes=st.sampled_from([None, ("Up", "Down")]),
            status=st.sampled_from([None, "active", "closed"]),
            neg_risk=st.sampled_from([None, True, False]),
            strike=st.sampled_from([None, Decimal("1.25")]),
            closed_at=st.sampled_from([None, END]),
        ),
        st.builds(
            resolved,
            seconds,
            market_id=market_ids,
            run=runs,
            resolution=st.sampled_from([None, "Up", "Down"]),
            payouts=st.sampled_from([None, ("1", "0"), ("0", "1"), ("0.5", "0.5")]),
        ),
        st.builds(
            priced, seconds, market_id=market_ids, yes_price=st.sampled_from([Decimal("0.5"), Decimal(1)])
        ),
    ),
    min_size=1,
    max_size=12,
)


@given(items=histories, moment=seconds)
@examples(25)
def test_all_markets_at_once_are_what_each_alone_is(
    master: tuple[Path, Engine], items: list[MasterItem], moment: int
) -> None:
    root, engine = master
    with writing(engine) as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(delete(table))
        for item in items:  # in any order of time
            upsert(connection, [observe(item)])
    found = Archive(root).catalog(as_of=at(moment))
    for market_id in ("m1", "m2", "m3"):
        with engine.connect() as connection:
            known = queries.as_of(connection, "polymarket", market_id, START + moment * SECOND)
        rows = found[found["market_id"] == market_id].to_dict("records")
        assert (known is None) == (rows == [])
        if known is None:
            continue
        row = {str(name): plain(value) for name, value in rows[0].items()}
        names = ("title", "outcomes", "status", "payouts", "resolution_kind", "resolution_state")
        for name in (*names, "neg_risk", "strike"):
            assert row[name] == known[name]
        assert row["resolution_label"] == known["resolution"]
        prices = [
            (item.received_at, item.run, item.seq, item.yes_price)
            for item in items
            if isinstance(item, PriceSnapshot) and item.market_id == market_id
            if item.received_at <= START + moment * SECOND
        ]
        assert row["yes_price"] == (max(prices)[-1] if prices else None)


@pytest.mark.process
@pytest.mark.parametrize("platform", ["polymarket", "kalshi"])
def test_the_catalogue_is_the_simulators_truth_at_each_time(tmp_path: Path, platform: str) -> None:
    """Two sweeps three weeks apart; each is known as it was, also once the second is there."""
    venue: CatalogVenue = simulated.polymarket() if platform == "polymarket" else simulated.kalshi()
    listed = of_polymarket.markets(closed=False) if platform == "polymarket" else of_kalshi.markets()
    times = (simulated.NOW_S - 21 * 86_400, simulated.NOW_S)
    seen: dict[int, set[str]] = {}
    for number, at_s in enumerate(times):
        items = [
            item.model_copy(update={"run": "r", "seq": 1000 * number + place})
            for place, page in enumerate(simulated.sweep(venue, listed, at_s))
            for item in page.items
        ]
        put(tmp_path, *items)
        seen[at_s] = {item.market_id for item in items if isinstance(item, Market)}
    true = simulated.truth(venue, times[0])
    known_before = 0
    differ = set()
    for at_s in times:
        found = Archive(tmp_path).catalog(as_of=utc(at_s * SECOND)).set_index("market_id")
        if at_s == times[0]:
            assert set(found.index) == seen[at_s]
        for market_id in seen[at_s] & true.keys():
            row = {str(name): plain(value) for name, value in found.loc[market_id].items()}
            now = [each for each in true[market_id]["revisions"] if from_iso(each["at"]) <= at_s * SECOND][-1]
            assert (
                stated_title(row["title"], row["subtitle"] if platform == "kalshi" else None) == now["title"]
            )
            assert row["description"] == now["rules"]
            if now["state"] in ("open", "disputed"):
                assert (row["resolution"], row["payouts"]) == (None, None)
            if now["state"] == "final" and now["payout"] in ("0", "1"):
                assert row["resolution"] == ("YES" if now["payout"] == "1" else "NO")
                assert row["resolution_state"] == "final"
            known_before += at_s == times[0]
            differ.add((market_id, row["description"], row["resolution"]))
    assert known_before > 100
    assert len(differ) > len({market_id for market_id, *_ in differ})  # time changed something
