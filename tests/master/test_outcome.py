"""A market's outcome out of what its sources say: written once, and every real change of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, text

from marketarchive.items import Market, Resolution
from marketarchive.master import queries
from marketarchive.master.compare import compare
from marketarchive.master.engine import MIGRATIONS, connect, open_master, writing
from marketarchive.master.fields import BITS, OUTCOME
from marketarchive.master.observation import MasterItem
from marketarchive.master.outcome import NOTHING, Outcome, revise
from marketarchive.research.names import master_rows
from tests.master.markets import SECOND, START, market, resolved
from tests.master.test_upsert import journal, known, now, put

LABELS = ("Up", "Down")
UP: dict[str, Any] = {"payouts": ("1", "0")}
DOWN: dict[str, Any] = {"payouts": ("0", "1")}


def listed(t: float, status: str, resolution: str | None = None, **said: Any) -> Market:
    """What the venue's list of markets says: with labels."""
    if resolution is not None:
        said |= {"resolution": resolution, "resolution_source": "list"}
        said |= {"resolved_at": datetime(2025, 11, 21, 4, 45, 7, tzinfo=UTC)}
        said |= UP if resolution == "Up" else DOWN
    return market(t, outcomes=LABELS, status=status, **said)


def reported(t: float, **said: Any) -> Resolution:
    """What its resolutions say: payouts without labels."""
    return resolved(t, resolved_at=datetime(2025, 11, 21, 4, 45, 1, tzinfo=UTC), run="r2", **said)


def test_two_sources_in_turn_state_a_resolution_once(engine: Engine) -> None:
    put(engine, listed(0, "active"))
    for t in range(1, 20, 2):
        put(engine, listed(t, "resolved", "Up"), reported(t + 1, **UP))
    assert {name: len(journal(engine, name)) for name in (*OUTCOME, "resolution")} == {
        **dict.fromkeys((*OUTCOME, "resolution"), 1),
        "status": 2,
        "result_kind": 0,  # these sources have no words for it
        "resolution_state": 0,
    }
    assert put(engine, listed(30, "resolved", "Up"), reported(31, **UP)).changes == 0
    row = now(engine)
    assert (row["resolution"], row["resolution_source"]) == ("Up", "list")
    assert row["listed_outcome"]["stated_resolution"] == "Up"
    assert row["reported_outcome"]["payouts"] == ["1", "0"]
    assert row["reported_outcome"]["resolution_source"] == "data-api"


@pytest.mark.parametrize("paid", [("0.24", "0.76"), ("0.5", "0.5"), ("1", "0")])
def test_a_scalar_result_names_no_winner(engine: Engine, paid: tuple[str, str]) -> None:
    scalar: dict[str, Any] = {"result_kind": "scalar", "payouts": paid, "resolution_source": "list"}
    put(engine, listed(0, "active"))
    put(engine, listed(1, "resolved", **scalar, resolution_state="proposed"))
    put(engine, listed(2, "resolved", **scalar, resolution_state="final"))
    row = now(engine)
    assert (row["result_kind"], row["payouts"], row["resolution"]) == ("scalar", list(paid), None)
    assert [entry[-1] for entry in journal(engine, "resolution_state")] == ["proposed", "final"]
    assert journal(engine, "resolution") == []


def test_a_market_that_is_not_open_yet_opens(engine: Engine) -> None:
    put(
        engine,
        listed(0, "unopened", event_id="E1", subtitle="above 5", strike_type="between", strike_cap="7"),
    )
    put(engine, listed(1, "active"))
    row = now(engine)
    assert row["status"] == "active"
    assert (row["event_id"], row["subtitle"], row["strike_type"]) == ("E1", "above 5", "between")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT strike_cap FROM markets_view")).scalar_one() == 7


def test_a_list_that_lags_behind_withdraws_nothing(engine: Engine) -> None:
    put(engine, listed(0, "active"), reported(10, **UP))
    put(engine, listed(11, "active"), listed(12, "closed"), listed(13, "resolved", "Up"))
    assert journal(engine, "status") == [(0, None, "active"), (10, "active", "resolved")]
    assert journal(engine, "resolution") == [(10, None, "Up")]
    assert now(engine)["resolution_source"] == "data-api"


def test_the_same_result_stated_more_finally_is_news(engine: Engine) -> None:
    put(engine, listed(0, "active"), reported(10, **UP, resolution_state="proposed"))
    put(engine, listed(11, "active"))  # a copy of before
    put(engine, listed(12, "resolved", "Up", resolution_state="proposed"))
    put(engine, listed(14, "resolved", "Up", resolution_state="final"))
    put(engine, reported(15, **UP, resolution_state="proposed"))
    assert journal(engine, "status") == [(0, None, "active"), (10, "active", "resolved")]
    assert journal(engine, "resolution_state") == [(10, None, "proposed"), (14, "proposed", "final")]
    assert now(engine)["resolution_source"] == "list"


def test_reopened_and_resolved_the_other_way_are_revisions(engine: Engine) -> None:
    put(engine, listed(0, "active"), reported(10, **UP), listed(11, "resolved", "Up"))
    put(engine, listed(20, "active"), reported(21, **UP))  # the oracle's answer is the old one still
    assert now(engine)["status"] == "active"
    assert now(engine)["resolution"] is None
    assert now(engine)["resolution_state"] == "reopened"
    put(engine, listed(30, "resolved", "Down"), reported(31, **UP), reported(32, **DOWN))
    assert journal(engine, "status") == [
        (0, None, "active"),
        (10, "active", "resolved"),
        (20, "resolved", "active"),
        (30, "active", "resolved"),
    ]
    assert journal(engine, "resolution") == [(10, None, "Up"), (20, "Up", None), (30, None, "Down")]
    assert [known(engine, t)["resolution"] for t in (9, 10, 20, 31)] == [None, "Up", None, "Down"]
    assert [known(engine, t)["resolution_kind"] for t in (9, 10, 20, 31)] == [None, "label", None, "label"]
    assert [known(engine, t)["resolution_state"] for t in (9, 10, 20, 31)] == [None, None, "reopened", None]
    reopened = [known(engine, t)["reopened_at"] for t in (19, 20, 31)]
    assert reopened == [None, *[datetime(2025, 11, 21, 4, 40, 20, tzinfo=UTC)] * 2]
    # one that goes back to its first result was reopened too
    put(engine, listed(40, "closed", resolution_state="disputed"), listed(50, "resolved", "Up"))
    assert [known(engine, t)["resolution_state"] for t in (39, 40, 50)] == [None, "disputed", None]
    assert known(engine, 50)["reopened_at"] == datetime(2025, 11, 21, 4, 40, 40, tzinfo=UTC)


def test_a_result_replaced_between_two_looks_was_reopened(engine: Engine) -> None:
    put(engine, listed(0, "active"), listed(10, "resolved", "Up", resolution_state="proposed"))
    assert now(engine)["reopened_at"] is None
    put(engine, listed(20, "resolved", "Down", resolution_state="final"))
    row = now(engine)
    assert (row["resolution"], row["resolution_state"]) == ("Down", "final")
    assert row["reopened_at"] == datetime(2025, 11, 21, 4, 40, 20, tzinfo=UTC)


def test_the_same_result_in_another_form_reopens_nothing(engine: Engine) -> None:
    put(engine, reported(10, **UP), resolved(11, resolution="Up", run="r2"), reported(12, **UP))
    assert journal(engine, "reopened_at") == []


def test_what_is_proposed_of_an_open_market_is_its_state(engine: Engine) -> None:
    put(engine, listed(0, "active"))
    for t, state in enumerate(("proposed", "disputed", "proposed"), 1):
        put(engine, listed(t, "active", resolution_state=state))
    put(engine, listed(4, "resolved", "Up", resolution_state="final"))
    assert [new for _, _, new in journal(engine, "resolution_state")] == [
        "proposed",
        "disputed",
        "proposed",
        "final",
    ]
    assert journal(engine, "reopened_at") == []


def test_a_market_that_pays_nobody_is_void(engine: Engine) -> None:
    put(engine, listed(0, "active"), listed(1, "resolved", result_kind="void", resolution_source="list"))
    row = now(engine)
    assert (row["resolution"], row["resolution_kind"], row["payouts"]) == (None, "void", None)


def test_a_correction_stands_while_the_other_source_repeats_the_old_result(engine: Engine) -> None:
    put(engine, listed(1, "resolved", "Up"), reported(2, **UP), reported(10, **DOWN))
    put(engine, listed(11, "resolved", "Up"), listed(12, "resolved", "Up"))
    assert journal(engine, "resolution") == [(1, None, "Up"), (10, "Up", "Down")]
    put(engine, listed(20, "active"), listed(21, "resolved", "Down"))
    assert journal(engine, "resolution") == [(1, None, "Up"), (10, "Up", "Down")]
    assert journal(engine, "status") == [(1, None, "resolved")]


@pytest.mark.parametrize("order", [1, -1])
def test_sources_that_arrive_the_wrong_way_round_give_the_same(
    new_url: Callable[[], str], engine: Engine, url: str, order: int
) -> None:
    items: list[MasterItem] = [
        listed(0, "active"),
        reported(10, **UP),
        listed(11, "closed"),
        listed(12, "resolved", "Up"),
        reported(20, **DOWN),
        listed(21, "resolved", "Up"),
        listed(22, "resolved", "Down"),
    ]
    put(engine, *items)
    other_url = new_url()
    other = open_master(other_url)
    for item in items[::order]:
        put(other, item)
    other.dispose()
    assert compare(url, other_url) == []


ACTIVE, CLOSED = Outcome("active"), Outcome("closed")
LISTED_UP = Outcome("resolved", "Up", '["1","0"]', "list")
PAID_UP = Outcome("resolved", None, '["1","0"]', "report")
PAID_DOWN = Outcome("resolved", None, '["0","1"]', "report")
KNOWN = '["Up","Down"]'


@pytest.mark.parametrize(
    ("present", "before", "after", "outcomes", "expected"),
    [
        (NOTHING, NOTHING, ACTIVE, None, ACTIVE),
        (ACTIVE, ACTIVE, CLOSED, None, CLOSED),
        (CLOSED, CLOSED, ACTIVE, None, ACTIVE),  # reopened by its own source
        (CLOSED, NOTHING, ACTIVE, None, CLOSED),  # by one that lags behind
        (ACTIVE, NOTHING, CLOSED, None, CLOSED),
        (CLOSED, ACTIVE, PAID_UP, None, PAID_UP),
        (PAID_UP, ACTIVE, LISTED_UP, None, PAID_UP),  # the same in another form
        (Outcome(None, "Up"), ACTIVE, PAID_UP, KNOWN, Outcome(None, "Up")),
        (Outcome(None, "Up"), ACTIVE, PAID_UP, None, PAID_UP),  # nobody knows that it is the same
        (LISTED_UP, LISTED_UP, LISTED_UP._replace(resolved_at="later"), None, None),
        (PAID_DOWN, LISTED_UP, LISTED_UP._replace(resolved_at="later"), KNOWN, PAID_DOWN),
        (LISTED_UP, PAID_UP, PAID_DOWN, KNOWN, PAID_DOWN),
        (LISTED_UP, PAID_UP, CLOSED, KNOWN, CLOSED),
        (PAID_DOWN, LISTED_UP, CLOSED, KNOWN, PAID_DOWN),  # what it withdraws holds no longer
    ],
)
def test_what_a_change_of_one_source_makes_of_the_outcome(
    present: Outcome, before: Outcome, after: Outcome, outcomes: str | None, expected: Outcome | None
) -> None:
    assert revise(present, before, after, outcomes) == (after if expected is None else expected)


def test_a_statement_comes_back_from_its_text() -> None:
    for outcome in (NOTHING, ACTIVE, LISTED_UP, PAID_UP._replace(resolved_at="2026-01-01T00:00:00.000000Z")):
        assert Outcome.from_text(outcome.text) == outcome
    assert Outcome.from_text(None) == NOTHING
    assert LISTED_UP.text == (
        '{"payouts":["1","0"],"resolution_source":"list","stated_resolution":"Up","status":"resolved"}'
    )


def test_a_master_of_the_first_revision_is_read_and_brought_up_to_date(url: str, tmp_path: Any) -> None:
    engine = connect(url)
    if engine.url.database and engine.dialect.name == "sqlite":
        tmp_path.joinpath(engine.url.database).parent.mkdir(parents=True, exist_ok=True)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    stated = sum(BITS[name] for name in ("slug", "status", "payouts", "outcomes"))
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            text(
                "INSERT INTO markets (platform, market_id, slug, status, payouts, outcomes, resolution, "
                "content_hash, created_at, updated_at, recent) VALUES ('polymarket', '0xabc', 'old', "
                "'resolved', '[\"1\",\"0\"]', '[\"Up\",\"Down\"]', 'Up', '', 1, 1, :recent)"
            ),
            {"recent": f'[[1,"r0/polymarket/markets/1",{stated}]]'},
        )
    assert [(row["slug"], row["resolution"]) for row in master_rows(tmp_path, url)] == [("old", "Up")]
    engine.dispose()
    engine = open_master(url)
    put(engine, listed(5, "resolved", "Up"), reported(6, **UP))
    with engine.connect() as connection:
        entries = queries.journal(connection, "polymarket", "0xabc")
        row = queries.market(connection, "polymarket", "0xabc")
    engine.dispose()
    # its columns hold the result already: the sources only become known
    assert {entry.field for entry in entries} == {"listed_outcome", "reported_outcome", "resolution_kind"}
    assert row is not None
    assert (row["slug"], row["resolution"], row["status"]) == ("old", "Up", "resolved")
    assert row["updated_at"] == START + 6 * SECOND
