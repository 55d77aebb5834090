"""The record of 15-minute rounds: what stands in its lines, whatever happens meanwhile."""

from __future__ import annotations

import json
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from marketarchive.collecting.live_books import StateSource
from marketarchive.collecting.together.listener import Observation
from marketarchive.field_docs import NEVER
from marketarchive.items import Market
from marketarchive.plans.kxbtc15m.fields import LINES
from marketarchive.plans.kxbtc15m.record import WAIT_S
from marketarchive.times import SECOND, from_iso, iso
from marketarchive.venues.kalshi import queries
from marketarchive.venues.kalshi.session import KalshiTop
from marketarchive.venues.market_messages import IndexMessage, QuoteMessage
from tests.plans.recording import AFTER_S, Recording, round_with
from tests.simulator.kalshi.requesting import AT, read


def whole(root: Path, oddity: str | None, *, asleep: bool = False) -> tuple[Recording, str]:
    """Record one round from before its open until it is settled.

    asleep: the machine sleeps from two minutes after the open to two before the close.
    """
    each = round_with(oddity, AT)
    made = Recording(root, each.start - 3, spot=float(each.true_strike))
    if asleep:
        made.pass_to(each.start + 120, each.ticker)
        made.sleep_to(each.end - 120)
    made.pass_to(each.end + AFTER_S, each.ticker)
    return made, each.ticker


def of(made: Recording, kind: str, ticker: str) -> list[dict[str, Any]]:
    return [line for line in made.lines(kind) if line["ticker"] == ticker]


def second_of(unix: int) -> str:
    return iso(unix * SECOND)[:19] + "Z"


def test_a_market_has_900_ticks_in_order_and_ends_with_its_settlement(tmp_path: Path) -> None:
    made, ticker = whole(tmp_path, None)
    each = round_with(None, AT)
    for line in made.lines():
        documented = {name: doc for name, doc in LINES[line["type"]].items() if name != "repeated"}
        assert list(line) == ["type", "time", "ticker", *documented, "run"]
        assert [
            name for name in documented if line[name] is None and documented[name].null_when == NEVER
        ] == []
    [opened] = of(made, "market_open", ticker)
    [strike] = of(made, "strike_set", ticker)
    [settled] = of(made, "settlement", ticker)
    ticks = of(made, "tick", ticker)
    assert [from_iso(str(line["time"])) // SECOND for line in ticks] == [*range(each.start, each.end)]
    times = [line["time"] for line in made.lines() if line["ticker"] == ticker]
    assert times == sorted(times)
    assert list(opened)[:3] == ["type", "time", "ticker"]
    assert (opened["open_time"], opened["close_time"]) == (second_of(each.start), second_of(each.end))
    assert opened["expected_expiration"] == second_of(each.end + 300)
    assert strike["strike"] == float(each.true_strike)
    assert strike["is_plausible"] is True
    assert 0 < float(str(strike["elapsed_since_open_secs"])) < 2.2
    assert (ticks[0]["secs_until_expiry"], ticks[0]["secs_until_close"]) == (1200, 900)
    assert (ticks[-1]["secs_until_expiry"], ticks[-1]["secs_until_close"]) == (301, 1)
    assert sum(bool(line["is_observed"]) for line in ticks) == 900
    assert {line["brti"] for line in ticks} == {float(each.true_strike)}
    assert settled["result"] == each.result
    assert settled["expiration_value"] == float(each.final)
    assert settled["ticks_present"] == len(settled["settlement_ticks"]) == 60
    assert settled["avg_brti"] == float(each.true_strike)
    assert settled["proxy_result"] == "yes"  # the mean of what exchanges showed is the strike itself


@pytest.mark.process
@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_the_questions_of_its_reader_work_unchanged(tmp_path: Path) -> None:
    made, _ = whole(tmp_path, None, asleep=True)
    [path] = (made.root / "records").glob("KXBTC15M-*.jsonl")

    def jq(question: str) -> object:
        done = subprocess.run(["jq", "-s", question, path], capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    yes = sum(line["result"] == "yes" for line in made.lines("settlement"))
    assert jq('[.[] | select(.type=="settlement")] | length') == 1
    counted = '{total: length, yes: [.[] | select(.result=="yes")] | length}'
    assert jq(f'[.[] | select(.type=="settlement")] | {counted}') == {"total": 1, "yes": yes}
    mean = jq('[.[] | select(.type=="tick") | .spread] | add / length')
    assert isinstance(mean, float)
    assert 0 < mean < 5


@pytest.mark.process  # works for seconds
def test_what_is_odd_of_a_strike_or_a_result_is_kept_and_not_graded(tmp_path: Path) -> None:
    late, ticker = whole(tmp_path / "late", "late_strike", asleep=True)
    each = round_with("late_strike", AT)
    [strike] = of(late, "strike_set", ticker)
    assert each.strike_from is not None
    assert from_iso(str(strike["time"])) // SECOND == each.strike_from
    before = [line["strike"] for line in of(late, "tick", ticker)][: each.strike_from - each.start]
    assert set(before) == {None}

    never, ticker = whole(tmp_path / "never", "no_strike", asleep=True)
    assert of(never, "strike_set", ticker) == []
    [settled] = of(never, "settlement", ticker)
    assert (settled["strike"], settled["proxy_result"], settled["result"]) == (None, None, "no")

    corrupt, ticker = whole(tmp_path / "corrupt", "implausible_strike", asleep=True)
    [strike] = of(corrupt, "strike_set", ticker)
    [settled] = of(corrupt, "settlement", ticker)
    assert float(str(strike["strike"])) < 100
    assert strike["is_plausible"] is settled["is_plausible"] is False
    assert settled["proxy_result"] is None

    scalar, ticker = whole(tmp_path / "scalar", "scalar", asleep=True)
    [settled] = of(scalar, "settlement", ticker)
    assert (settled["result"], settled["payout_yes"]) == ("scalar", 0.5)

    unsettled, ticker = whole(tmp_path / "unsettled", "never_settled", asleep=True)
    assert of(unsettled, "settlement", ticker) == []
    assert len(of(unsettled, "tick", ticker)) == 900


def test_a_maintenance_pause_is_seen_in_each_tick(tmp_path: Path) -> None:
    pause = from_iso("2026-11-26T08:00:00Z") // SECOND  # a Thursday, 03:00 US Eastern time
    each = round_with(None, pause + 900)
    made = Recording(tmp_path, each.start - 1, spot=float(each.true_strike))
    made.pass_to(each.start + 60, each.ticker)
    ticks = of(made, "tick", each.ticker)
    assert {line["is_trading"] for line in ticks} == {0}


def test_a_restart_continues_a_market_and_says_how_many_ticks_it_has(tmp_path: Path) -> None:
    each = round_with(None, AT)
    spot = float(each.true_strike)
    first = Recording(tmp_path, each.start - 1, spot=spot)
    first.pass_to(each.start + 300, each.ticker)
    first.record.finish()
    second = Recording(tmp_path, each.start + 330, spot=spot)
    second.pass_to(each.end - 20, each.ticker)
    second.record.finish()
    third = Recording(tmp_path, each.end + 3600, spot=spot)  # it closed while nobody collected
    third.answer(each.ticker)
    third.pass_to(third.second + 5)
    lines = third.lines()
    assert sum(line["type"] == "market_open" for line in lines if line["ticker"] == each.ticker) == 1
    assert sum(line["type"] == "strike_set" for line in lines if line["ticker"] == each.ticker) == 1
    [settled] = of(third, "settlement", each.ticker)
    assert settled["result"] == each.result
    assert settled["ticks_present"] == 40  # of (close - 60 s, close - 20 s]
    assert settled["settlement_ticks"].count(None) == 20
    assert settled["proxy_result"] is None
    assert len(of(third, "tick", each.ticker)) < 900


def test_each_day_reads_alone(tmp_path: Path) -> None:
    midnight = from_iso("2026-11-22T00:00:00Z") // SECOND
    each = round_with(None, midnight - 1)
    assert each.end == midnight
    made = Recording(tmp_path, each.start - 1, spot=float(each.true_strike))
    made.pass_to(midnight + AFTER_S, each.ticker)
    today = [
        json.loads(line)
        for line in (tmp_path / "records" / "KXBTC15M-2026-11-22.jsonl").read_bytes().splitlines()
    ]
    of_old = [line for line in today if line["ticker"] == each.ticker]
    assert [line["type"] for line in of_old] == ["market_open", "strike_set", "settlement"]
    assert [line.get("repeated") for line in of_old] == [True, True, None]
    assert of_old[2]["ticks_present"] == 60


def test_what_is_old_is_not_observed(tmp_path: Path) -> None:
    each = round_with(None, AT)
    made = Recording(tmp_path, each.start + 10, spot=float(each.true_strike))
    made.pass_to(made.second + 10, each.ticker)
    begin = made.second
    made.silent_since = begin  # all exchanges
    made.pass_to(begin + 20, each.ticker)
    made.silent_since = None
    made.headers_age = 7.0
    made.pass_to(begin + 30, each.ticker)
    made.headers_age = 0.0
    made.pass_to(begin + 33, each.ticker)
    made.pass_to(begin + 40, answers=False)
    made.pass_to(begin + 45 + WAIT_S, each.ticker)
    ticks = {from_iso(line["time"]) // SECOND - begin: line for line in made.lines("tick")}
    assert [ticks[n]["is_observed"] for n in range(11, 21)] == [0] * 10
    assert set(ticks[15]["feeds"].values()) == {None}
    assert ticks[15]["brti"] is None
    assert ticks[15]["yes_bid"] is not None or ticks[15]["yes_ask"] is not None
    assert [ticks[n]["is_observed"] for n in range(21, 31)] == [0] * 10
    assert ticks[25]["yes_bid"] is ticks[25]["spread"] is None
    assert (ticks[25]["age_s"], ticks[25]["age_source"]) == (7, "header")
    assert [ticks[n]["is_observed"] for n in range(31, 36)] == [1] * 5  # the newest answer is 2 s old at most
    assert [ticks[n]["is_observed"] for n in range(36, 41)] == [0] * 5
    assert [ticks[n]["is_observed"] for n in range(41, 45)] == [1] * 4


def test_a_pause_of_the_machine_leaves_ticks_that_are_not_observed(tmp_path: Path) -> None:
    each = round_with(None, AT)
    made = Recording(tmp_path, each.start + 10, spot=float(each.true_strike))
    made.pass_to(made.second + 5, each.ticker)
    begin = made.second
    made.sleep_to(begin + 30)
    made.pass_to(begin + 35 + WAIT_S, each.ticker)
    ticks = made.lines("tick")
    seconds = [from_iso(line["time"]) // SECOND for line in ticks]
    assert seconds == [*range(seconds[0], seconds[-1] + 1)]
    missed = [line for line in ticks if begin + 3 < from_iso(line["time"]) // SECOND <= begin + 30]
    assert {line["is_observed"] for line in missed} == {0}
    assert {line["brti"] for line in missed} == {None}


def test_without_an_answer_the_market_of_the_grid_has_its_ticks(tmp_path: Path) -> None:
    each = round_with(None, AT)
    made = Recording(tmp_path, each.start + 1, spot=float(each.true_strike))
    made.pass_to(each.start + 20)
    ticks = made.lines("tick")
    assert {line["ticker"] for line in ticks} == {each.ticker}
    assert {(line["is_observed"], line["source"]) for line in ticks} == {(0, None)}
    assert ticks[0]["secs_until_expiry"] == ticks[0]["secs_until_close"] + 300


def test_what_the_stream_proves_comes_before_an_answer(tmp_path: Path) -> None:
    each = round_with(None, AT)
    made = Recording(tmp_path, each.start + 10, spot=float(each.true_strike))
    proven = {"until": 0}

    def top(ticker: str, moment: int) -> KalshiTop | None:
        if ticker != each.ticker or moment > proven["until"]:
            return None
        return KalshiTop(moment, 1, Decimal("0.123"), Decimal("0.130"), "ok")

    made.record.apply(StateSource("kalshi", "stream", top))
    begin = made.second
    proven["until"] = (begin + 10) * SECOND
    said = QuoteMessage(each.ticker, (begin + 3) * SECOND, "0.12", "0.13", volume="7.50", open_interest="3")
    made.record.apply(Observation("kalshi", "stream", each.ticker, said.at, said))
    made.pass_to(begin + 20 + WAIT_S, each.ticker)
    ticks = {from_iso(line["time"]) // SECOND - begin: line for line in made.lines("tick")}
    streamed = ticks[5]
    assert (streamed["source"], streamed["age_s"], streamed["age_source"]) == ("stream", 0, "sequence")
    assert (streamed["yes_bid"], streamed["yes_ask"], streamed["spread"]) == (12.3, 13, 0.7)
    assert (streamed["no_bid"], streamed["no_ask"]) == (87, 87.7)
    assert (streamed["volume"], streamed["open_interest"]) == (7.5, 3)
    assert streamed["is_trading"] == 1  # the socket does not say it, the last answer does
    assert ticks[2]["volume"] != 7.5  # the ticker came later
    assert {ticks[n]["source"] for n in range(11, 20)} == {"rest"}


def test_the_index_itself_stands_beside_its_proxy(tmp_path: Path) -> None:
    """A value is of the second that its own time rounds up to; a restart loses none that was written."""
    each = round_with(None, AT)
    first = Recording(tmp_path, each.end - 90, spot=70_000.0)

    def publish(made: Recording, second: int, value: str, index: str = "BRTI", ms: int = 0) -> None:
        message = IndexMessage(f"cfbenchmarks_value:{index}", second * SECOND + ms * 10**6, value, 0)
        made.record.apply(Observation("kalshi", "stream", message.market, message.at, message))

    def record(made: Recording, until: int) -> None:
        while made.second < until:
            if made.second != each.end - 31:
                publish(made, made.second, f"{60_000 + made.second - each.end}.50", ms=200)
            publish(made, made.second, "3.14", "XRPUSD_RTI")
            made.pass_to(made.second + 1, each.ticker)

    record(first, each.end - 40)
    first.record.finish()
    second = Recording(tmp_path, first.second, spot=70_000.0)
    record(second, each.end + AFTER_S)
    ticks = {from_iso(line["time"]) // SECOND - each.end: line for line in of(second, "tick", each.ticker)}
    assert {line["brti"] for line in ticks.values()} == {70_000}  # the proxy stays what it is
    assert ticks[-50]["brti_index"] == 60_000.5 - 51
    assert ticks[-30]["brti_index"] is None  # its value never came
    assert ticks[-20]["brti_index"] == 60_000.5 - 21
    [settled] = of(second, "settlement", each.ticker)
    assert settled["index_ticks_present"] == 59
    there = [60_000.5 + n - 1 for n in range(-59, 1) if n != -30]
    assert settled["avg_brti_index"] == round(sum(there) / 59, 2)


def test_without_a_key_there_is_no_index(tmp_path: Path) -> None:
    made, ticker = whole(tmp_path, None, asleep=True)
    assert {line["brti_index"] for line in of(made, "tick", ticker)} == {None}
    [settled] = of(made, "settlement", ticker)
    assert (settled["avg_brti_index"], settled["index_ticks_present"]) == (None, 0)


def test_a_listed_market_takes_the_place_of_the_grids(tmp_path: Path) -> None:
    each = round_with(None, AT)
    made = Recording(tmp_path, each.start + 1, spot=float(each.true_strike))
    made.pass_to(each.start + 10)
    [listed] = [
        item for item in read(queries.market(each.ticker), made.second).items if isinstance(item, Market)
    ]
    made.record.apply(listed.model_copy(update={"market_id": "KXBTC15M-OTHERWISE"}))
    made.pass_to(each.start + 20 + WAIT_S)
    tickers = [line["ticker"] for line in made.lines("tick")]
    assert tickers == [each.ticker] * tickers.count(each.ticker) + ["KXBTC15M-OTHERWISE"] * 12
    seconds = [line["time"] for line in made.lines("tick")]
    assert seconds == sorted(set(seconds))


def test_a_settlement_is_of_the_60_seconds_after_its_first_boundary_up_to_the_close(tmp_path: Path) -> None:
    each = round_with(None, AT)
    made = Recording(tmp_path, each.end - 70, spot=70_000.0)
    made.pass_to(each.end - 60, each.ticker)
    made.spot = 80_000.0
    made.pass_to(each.end - 1, each.ticker)
    made.spot = 90_000.0
    made.pass_to(each.end, each.ticker)
    made.spot = 60_000.0
    made.pass_to(each.end + AFTER_S, each.ticker)
    [settled] = of(made, "settlement", each.ticker)
    assert settled["settlement_ticks"] == [80_000] * 59 + [90_000]
    assert settled["avg_brti"] == pytest.approx((59 * 80_000 + 90_000) / 60, abs=0.01)
