from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, func, insert, select, text
from sqlalchemy.exc import IntegrityError

from marketarchive.master import queries
from marketarchive.master.compare import compare
from marketarchive.master.engine import open_master, shown, writing
from marketarchive.master.observation import MasterItem, observe
from marketarchive.master.tables import market_changes, markets, metadata, news_context, price_snapshots
from marketarchive.master.upsert import Written, upsert
from tests.master.markets import SECOND, START, market, priced, resolved
from tests.properties import examples

ID = ("polymarket", "0xabc")


def put(engine: Engine, *items: MasterItem, keep: Any = "changes") -> Written:
    with writing(engine) as connection:
        return upsert(connection, [observe(item) for item in items], keep)


def now(engine: Engine, market_id: str = "0xabc") -> dict[str, Any]:
    with engine.connect() as connection:
        found = queries.market(connection, "polymarket", market_id)
    assert found is not None
    return found


def at(engine: Engine, t: float) -> dict[str, Any] | None:
    with engine.connect() as connection:
        return queries.as_of(connection, *ID, START + round(t * SECOND))


def known(engine: Engine, t: float) -> dict[str, Any]:
    found = at(engine, t)
    assert found is not None
    return found


def journal(engine: Engine, field: str) -> list[tuple[float, Any, Any]]:
    with engine.connect() as connection:
        entries = queries.journal(connection, *ID)
    return [((e.observed_at - START) / SECOND, e.old, e.new) for e in entries if e.field == field]


def snapshots(engine: Engine) -> list[tuple[float, Decimal | None]]:
    with engine.connect() as connection:
        rows = connection.execute(select(price_snapshots).order_by(price_snapshots.c.snapshot_at)).mappings()
        return [((row["snapshot_at"] * 1000 - START) / SECOND, row["yes_price"]) for row in rows]


def count(engine: Engine, table: Any) -> int:
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


FULL: dict[str, Any] = {
    "slug": "btc-updown-5m-1763700000",
    "title": "Bitcoin Up or Down – ₿ \U0001f680",
    "description": "line\nbreak, nul \x00 and 'quotes' \"; DROP TABLE markets; --",
    "category": "crypto",
    "outcomes": ("Up", "Down"),
    "tokens": {"Up": "1" * 77, "Down": "2"},
    "asset": "BTC",
    "series": "btc-up-or-down-5m",
    "duration": "5m",
    "start_at": datetime(2025, 11, 21, 4, 40, 0, 1, tzinfo=UTC),
    "end_at": datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    "volume": Decimal("35024.42854499998"),
    "liquidity": Decimal("0E-8"),
    "status": "active",
    "strike": Decimal("77986831509999990000000.000000000000000001"),
    "strike_source": "chainlink",
    "settlement": Decimal("1E+3"),
    "settlement_source": "chainlink",
    "resolution": "Up",
    "payouts": ("1", "0"),
    "resolution_source": "gamma",
    "rule": "chainlink twap 60",
    "resolved_at": datetime(2025, 11, 21, 4, 45, 1, tzinfo=UTC),
    "protocol_version": "v2",
    "tick_size": Decimal("0.0025"),
    "event_id": "30829",
    "group": "0x2c3d",
    "neg_risk": False,
    "closed_at": datetime(2025, 11, 21, 4, 45, tzinfo=UTC),
    "determined_at": datetime(2025, 11, 21, 4, 45, 0, 500000, tzinfo=UTC),
    "volume_unit": "dollars",
    "liquidity_unit": "contracts",
}


def test_every_field_comes_back_exact(engine: Engine) -> None:
    put(engine, market(0.000001, **FULL))
    row = now(engine)
    expected = {
        **FULL,
        "outcomes": ["Up", "Down"],
        "payouts": ["1", "0"],
        "description": FULL["description"].replace("\x00", "\ufffd"),
    }
    assert {name: row[name] for name in FULL} == expected
    assert str(row["strike"]) == "77986831509999990000000.000000000000000001"
    assert row["created_at"] == row["updated_at"] == START + 1000
    assert len(row["content_hash"]) == 64
    seen = known(engine, 0.000001)
    assert {name: seen[name] for name in FULL if name not in ("volume", "liquidity")} == {
        name: value for name, value in expected.items() if name not in ("volume", "liquidity")
    }


def test_views_give_readable_times_and_research_names(engine: Engine) -> None:
    before_1970 = datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    put(engine, market(1.5, **{**FULL, "start_at": before_1970}))
    put(engine, priced(2, yes_price=Decimal("0.5"), volume=Decimal(9)), priced(3, volume=Decimal(10)))
    put(engine, market(4, market_id="other"))
    with writing(engine) as connection:
        connection.execute(
            insert(news_context),
            {"platform": ID[0], "market_id": ID[1], "headline": "h", "captured_at": START // 1000},
        )
    with engine.connect() as connection:
        first = (
            connection.execute(text("SELECT * FROM markets_view WHERE market_id = '0xabc'")).mappings().one()
        )
        assert first["start_date"] == "1969-12-31T23:59:59.999999Z"
        assert first["end_date"] == "9999-12-31T23:59:59.999999Z"
        assert first["created_at"] == "2025-11-21T04:40:01.500000Z"
        assert float(first["volume"]) == 35024.42854499998
        other = (
            connection.execute(text("SELECT * FROM markets_view WHERE market_id = 'other'")).mappings().one()
        )
        assert (first["resolution"], first["resolution_label"], first["resolution_kind"]) == (
            "YES",
            "Up",
            "label",
        )
        assert (first["group"], first["neg_risk"], first["volume_unit"]) == ("0x2c3d", False, "dollars")
        assert first["closed_at"] is None  # it is open now, whatever was said of its close
        assert other["end_date"] is None
        assert other["volume"] is None
        largest = connection.execute(text("SELECT max(volume) FROM price_snapshots_view")).scalar_one()
        assert largest == 10  # as numbers: "9" > "10"
        seen = connection.execute(text("SELECT observed_at, capture FROM market_changes_view")).all()
        assert set(map(tuple, seen)) == {("2025-11-21T04:40:01.500000Z", "r1/polymarket/markets/2")}
        news = connection.execute(text("SELECT captured_at FROM news_context_view")).scalar_one()
        assert news == "2025-11-21T04:40:00.000000Z"


def test_terms_of_a_perpetual_are_journaled_and_seen_in_a_view(engine: Engine) -> None:
    perpetual: dict[str, Any] = {"category": "perpetual", "asset": "BTC"}
    listed = datetime(2021, 1, 4, 8, tzinfo=UTC)
    put(
        engine,
        market(1, **perpetual, start_at=listed, contract_size=Decimal("0.01"), status="active"),
        market(2, **perpetual, funding_interval_s=Decimal(28_800)),
        market(3, **perpetual, funding_interval_s=Decimal(14_400)),
        market(4, **perpetual, contract_size=Decimal("0.010"), funding_interval_s=Decimal(14_400)),
        market(5, market_id="other"),
    )
    assert journal(engine, "funding_interval_s") == [(2, None, 28_800), (3, 28_800, 14_400)]
    assert journal(engine, "contract_size") == [(1, None, Decimal("0.01"))]
    assert known(engine, 2)["funding_interval_s"] == 28_800
    with engine.connect() as connection:
        row = connection.execute(text("SELECT * FROM perpetuals_view")).mappings().one()
    assert (row["asset"], row["status"], row["listed_at"], row["delisted_at"]) == (
        "BTC",
        "active",
        "2021-01-04T08:00:00.000000Z",
        None,
    )
    assert (float(row["contract_size"]), int(row["funding_interval_s"])) == (0.01, 14_400)


def test_the_same_again_changes_nothing(engine: Engine) -> None:
    items: list[MasterItem] = [
        market(0, **FULL),
        priced(0, yes_price=Decimal("0.5")),
        resolved(1, payouts=("0", "1")),
    ]
    assert put(engine, *items) == Written(3, 41)
    before = now(engine)
    for _ in range(2):
        assert put(engine, *items) == Written(3, 0)
    assert now(engine) == before
    assert snapshots(engine) == [(0, Decimal("0.5"))]


def test_what_is_not_stated_keeps_its_value(engine: Engine) -> None:
    put(engine, market(0, title="a", volume=Decimal(1)), market(1, status="closed"))
    row = now(engine)
    assert (row["title"], row["volume"], row["status"]) == ("a", 1, "closed")
    assert row["updated_at"] == START + SECOND


def test_a_late_observation_fills_but_does_not_overwrite(engine: Engine) -> None:
    put(engine, market(10, title="new"))
    put(engine, market(5, title="old", category="late", volume=Decimal(3)))
    row = now(engine)
    assert (row["title"], row["category"], row["volume"]) == ("new", "late", 3)
    assert (row["created_at"], row["updated_at"]) == (START + 5 * SECOND, START + 10 * SECOND)
    assert [(t, new) for t, _, new in journal(engine, "title")] == [(5, "old"), (10, "new")]
    assert at(engine, 4.9) is None
    assert [known(engine, t)["title"] for t in (5, 9.9, 10)] == ["old", "old", "new"]


def test_a_late_contradiction_is_journaled_and_the_newer_value_restored_when_it_was_seen(
    engine: Engine,
) -> None:
    for t in (1, 5, 9):
        put(engine, market(t, status="active"))
    put(engine, market(3, status="closed"))
    assert journal(engine, "status") == [
        (1, None, "active"),
        (3, "active", "closed"),
        (5, "closed", "active"),
    ]
    assert now(engine)["status"] == "active"


def test_a_flipped_result_stays_visible(engine: Engine) -> None:
    put(engine, market(0, outcomes=("Yes", "No"), status="active"))
    put(engine, resolved(10, resolution="Yes", payouts=("1", "0")))
    put(engine, resolved(20, payouts=("0", "1")))
    put(engine, resolved(30, payouts=("0.5", "0.5")))
    assert journal(engine, "resolution") == [(10, None, "Yes"), (20, "Yes", "No"), (30, "No", None)]
    assert now(engine)["resolution"] is None
    assert now(engine)["payouts"] == ["0.5", "0.5"]


@pytest.mark.parametrize(
    ("outcomes", "payouts", "expected"),
    [
        (("Yes", "No"), ("1", "0"), ("YES", "Yes", "yes")),
        (("Yes", "No"), ("0", "1"), ("NO", "No", "no")),
        (("no", "yes"), ("0", "1"), ("YES", "yes", "yes")),  # in any order
        (("FaZe", "illwill"), ("1", "0"), ("YES", "FaZe", "label")),
        (("FaZe", "illwill"), ("0", "1"), ("NO", "illwill", "label")),
        (("Yes", "No"), ("0.5", "0.5"), (None, None, "split")),
        (("Yes", "No"), ("0.24", "0.76"), (None, None, "scalar")),
        (("Yes", "No"), ("0", "0"), (None, None, "void")),
        (("A", "B", "C"), ("0.333333", "0.333333", "0.333334"), (None, None, "split")),
        (None, ("1", "0"), (None, None, None)),
    ],
)
def test_the_view_says_yes_or_no_and_the_label_beside(
    engine: Engine, outcomes: Any, payouts: Any, expected: tuple[str | None, ...]
) -> None:
    closed_at = datetime(2025, 11, 21, 4, 45, tzinfo=UTC)
    put(engine, market(0, outcomes=outcomes, closed_at=closed_at), resolved(1, payouts=payouts))
    query = text("SELECT resolution, resolution_label, resolution_kind, closed_at FROM markets_view")
    with engine.connect() as connection:
        assert tuple(connection.execute(query).one()) == (*expected, "2025-11-21T04:45:00.000000Z")


@pytest.mark.parametrize("first", ["market", "resolution"])
def test_payouts_without_a_label_find_it_when_the_outcomes_are_known(engine: Engine, first: str) -> None:
    named = market(3, outcomes=("Up", "Down"))
    paid = resolved(1, payouts=("0", "1"))
    for item in (named, paid) if first == "market" else (paid, named):
        put(engine, item)
    row = now(engine)
    assert (row["resolution"], row["status"], row["resolution_source"]) == ("Down", "resolved", "data-api")
    assert known(engine, 2)["resolution"] is None  # nobody could know the label then
    assert known(engine, 3)["resolution"] == "Down"


def test_snapshots_on_change_and_once_a_day(engine: Engine) -> None:
    half, more, day = Decimal("0.50"), Decimal("0.6"), 86400
    put(engine, *(priced(t, yes_price=half) for t in range(5)))
    put(engine, priced(5, yes_price=more), priced(6, yes_price=half), priced(day, yes_price=half))
    assert snapshots(engine) == [(0, half), (5, more), (6, half), (day, half)]
    assert now(engine)["updated_at"] == START + day * SECOND


def test_every_snapshot_when_asked_for(engine: Engine) -> None:
    put(engine, *(priced(t, yes_price=Decimal("0.5")) for t in range(5)), keep="all")
    assert [t for t, _ in snapshots(engine)] == [0, 1, 2, 3, 4]


def test_a_late_snapshot_makes_the_rows_that_order_would_have_made(engine: Engine) -> None:
    a, b = Decimal("0.1"), Decimal("0.2")
    for t in (1, 5, 9):
        put(engine, priced(t, yes_price=a))
    put(engine, priced(3, yes_price=b))
    assert snapshots(engine) == [(1, a), (3, b), (5, a)]
    put(engine, priced(0, yes_price=a))  # now the first of its day: the row at 1 only repeats it
    assert snapshots(engine) == [(0, a), (3, b), (5, a)]


def test_rows_of_other_tables_need_their_market(engine: Engine) -> None:
    with pytest.raises(IntegrityError), writing(engine) as connection:
        connection.execute(
            insert(price_snapshots), {"platform": "p", "market_id": "m", "snapshot_at": 1, "capture": "r/1"}
        )


def test_a_batch_larger_than_a_statement_may_be(engine: Engine) -> None:
    items = [market(t, market_id=f"m{t}", title=str(t)) for t in range(1500)]
    assert put(engine, *items) == Written(1500, 1500)
    assert put(engine, *items) == Written(1500, 0)
    assert count(engine, markets) == 1500


def test_migrations_make_what_the_code_expects(engine: Engine) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_compare_names_every_difference(engine: Engine, url: str, new_url: Callable[[], str]) -> None:
    other_url = new_url()
    other = open_master(other_url)
    items: list[MasterItem] = [
        market(0, title="a", outcomes=("Up", "Down"), volume=Decimal("1.50")),
        priced(0, yes_price=Decimal("0.5")),
        market(5, title="a", volume=Decimal("1.50")),
        market(7, market_id="second"),
    ]
    put(engine, *items)
    for item in reversed(items):
        put(other, item)
    assert compare(url, other_url) == []

    put(other, market(8, market_id="third"), resolved(9, status="closed"))
    with writing(other) as connection:
        connection.execute(delete(price_snapshots))
        connection.execute(
            insert(market_changes),
            {
                "platform": ID[0],
                "market_id": ID[1],
                "field": "title",
                "new": "b",
                "observed_at": START // 1000 + 1,
                "capture": "r/1",
            },
        )
    differences = "\n".join(compare(url, other_url))
    other.dispose()
    assert "polymarket third: only in the second" in differences
    assert "markets polymarket 0xabc: " in differences
    assert "price_snapshots polymarket 0xabc" in differences
    assert "market_changes polymarket 0xabc title: " in differences
    assert "market_changes polymarket 0xabc status: nothing != " in differences
    assert shown(engine)


@pytest.fixture
def two_urls(new_url: Callable[[], str]) -> tuple[str, str]:
    return new_url(), new_url()


observations = st.lists(
    st.one_of(
        st.builds(
            market,
            st.integers(0, 200_000),
            market_id=st.sampled_from(["m1", "m2"]),
            run=st.sampled_from(["r1", "r2"]),
            title=st.sampled_from([None, "a", "b"]),
            outcomes=st.sampled_from([None, ("Up", "Down")]),
            status=st.sampled_from([None, "active", "closed"]),
            volume=st.sampled_from([None, Decimal("1.50"), Decimal(2)]),
        ),
        st.builds(
            resolved,
            st.integers(0, 200_000),
            market_id=st.sampled_from(["m1", "m2"]),
            resolution=st.sampled_from([None, "Up", "Down"]),
            payouts=st.sampled_from([None, ("1", "0"), ("0", "1")]),
        ),
        st.builds(
            priced,
            st.integers(0, 200_000),
            market_id=st.sampled_from(["m1", "m2"]),
            yes_price=st.sampled_from([Decimal("0.5"), Decimal("0.6")]),
        ),
    ),
    min_size=1,
    max_size=16,
)


@given(items=observations, chance=st.randoms(use_true_random=False))
@examples(12)
def test_any_order_gives_the_same_master(
    two_urls: tuple[str, str], items: list[MasterItem], chance: random.Random
) -> None:
    shuffled = items + chance.choices(items, k=3)
    chance.shuffle(shuffled)
    for each, batches in zip(two_urls, ([items], [[item] for item in shuffled]), strict=True):
        engine = open_master(each)
        with writing(engine) as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(delete(table))
        for batch in batches:
            put(engine, *batch)
        engine.dispose()
    assert compare(*two_urls) == []
