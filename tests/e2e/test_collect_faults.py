"""`scrapy collect` under faults: what it says it observed is what could be observed, second by second.

Judged is what can be known afterwards: rows less the gaps recorded over them, `coverage`, `gap` of the
canonical dataset. A row alone is as known live: of a market that falls silent alone it can be stale.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from marketarchive import Archive
from marketarchive.collecting.polymarket.live_rows import ROW_GRACE_S
from marketarchive.collecting.polymarket.topic_stream import ROW_GRACE_S as PRICE_GRACE_S
from marketarchive.times import SECOND, from_iso, iso
from tests.e2e.forking import Forked
from tests.e2e.harness import ENVIRONMENT, Output, command, simulator
from tests.e2e.observed_truth import CHANNEL, SPOT, Truth, truth_of
from tests.e2e.stream_truth import Spell, spells
from tests.e2e.test_collect import collect_command, second
from tests.waiting import until

pytestmark = pytest.mark.e2e

ASSETS = ("BTC", "ETH")
SPEED = 40
START = "2026-11-20T10:03:30Z"
ROUND_S = 300
SOCKET = "ws-subscriptions-clob.polymarket.com/*"
DARK_S, MUTED_S = 22, 40
"""Seconds that these faults darken at least: a stall until it is noticed (6), two cuts (10 each)."""
STALE_S = 45 * 0.6
"""Seconds for which rows of a market that alone is mute for 45 s can be stale. Each new connection begins
with a snapshot, and its order is believed until a newer state that REST has does not arrive: some 10 s, of
which rows of the last 5 s are not written yet."""
LATE_SHARE = 0.02
"""Of rows that a busy machine may leave unobserved, since nothing came in their grace."""


def faults_of(begin: float, slug: str) -> list[dict[str, Any]]:
    """In a round of five minutes that begins `begin` seconds after the simulator: all is silent, then `slug`
    alone; a cut with no way back for a while, another while polls are refused too; no prices.
    """

    def at(first: float, last: float) -> dict[str, float]:
        return {"from_s": begin + first, "to_s": begin + last}

    cut = {"kind": "ws_close", "route": SOCKET, "code": 1006, "reason": "", "count": 1}
    no_way = {"kind": "status", "route": SOCKET, "status": 503}
    no_polls = {"kind": "status", "route": "clob.polymarket.com/books", "status": 500}
    no_prices = {"kind": "ws_topic_gone", "route": "ws-live-data*", "topic": SPOT}
    return [
        {"kind": "ws_stall", "route": SOCKET, "count": 1, "from_s": begin + 25, "seconds": 30},
        {"kind": "ws_mute", "route": SOCKET, "market": slug, **at(80, 125)},
        {**cut, "from_s": begin + 150},
        {**no_way, **at(149, 160)},
        {**cut, "from_s": begin + 200},
        {**no_way, **at(199, 210)},
        {**no_polls, **at(199, 210)},
        {**no_prices, **at(245, 270)},
    ]


def slug_of(asset: str, start: int) -> str:
    return f"{asset.lower()}-updown-5m-{start}"


@dataclass
class Figures:
    """Of one round, in seconds."""

    dark: int = 0
    edges: int = 0
    observed: int = 0  # by the stream, and no gap was recorded over it
    polled: int = 0  # while the stream could not tell
    stale: int = 0  # rows written live of what could not be known, taken back by a gap
    late: int = 0  # rows not observed because nothing came in their grace


def judge_rows(out: Path, truth: Truth, asset: str, start: int) -> Figures:
    """Of the round of `asset` that begins at `start`, each tick by what was known at that instant."""
    slug, figures = slug_of(asset, start), Figures()
    gaps = [gap for gap in _losses(out, "stream") if slug in gap.markets]
    rows = {
        second(row): row
        for row in Output(out).records(f"polymarket_{asset.lower()}")
        if row["market_id"] == slug and not row["preopen"]
    }
    assert sorted(rows) == list(range(start, start + ROUND_S))
    grace = ROW_GRACE_S * SECOND
    for tick, row in rows.items():
        at = tick * SECOND
        state, is_gapped = truth.instant(slug, at), any(gap.first <= at < gap.last for gap in gaps)
        is_of_stream = row["is_observed"] and row["source"] == "stream"
        figures.observed += bool(is_of_stream and not is_gapped)
        figures.dark += state == "dark"
        figures.edges += state == "edge"
        if state == "dark":
            assert not is_of_stream or is_gapped, f"{slug} {tick - start}: nobody could know this"
            figures.polled += row["is_observed"] and row["source"] == "books"
            if is_of_stream:
                figures.stale += 1
                assert truth.faults(slug, at) == {"ws_mute"}, tick - start
        elif state == "clear":
            assert not is_gapped, f"{slug} {tick - start}: nothing was missing here"
            if not row["is_observed"]:
                figures.late += 1
                assert not truth.is_heard(at, at + grace), f"{slug} {tick - start}: it was there to be seen"
    return figures


def judge_prices(out: Path, truth: Truth, asset: str, start: int) -> int:
    """Each second's row of `reference_chainlink`, by whether its observation came; those that came late."""
    rows = {
        second(row, "tick_at"): row
        for row in Output(out).records("reference_chainlink")
        if row["asset"] == asset
    }
    late = 0
    for tick in range(start, start + ROUND_S):
        received_at = truth.prices[asset].get(tick)
        if received_at is None:
            assert not rows[tick]["is_observed"], f"{asset} {tick - start}: nobody could know this"
        elif not rows[tick]["is_observed"]:
            late += 1
            assert received_at > (tick + PRICE_GRACE_S) * SECOND, f"{asset} {tick - start}: it was told"
    return late


def judge_tables(archive: Archive, truth: Truth, asset: str, start: int) -> None:
    """Every second that could not be known is gapped, every other observed; at an edge either."""
    slug = slug_of(asset, start)
    states = [truth.second(slug, start + each) for each in range(ROUND_S)]
    dark, clear = states.count("dark"), states.count("clear")
    [coverage] = archive.coverage(market=slug, feed="stream").to_dict("records")
    [told] = [each for each in coverage["slices"] if each["start"].timestamp() == start]
    assert told["unknown_s"] == 0
    assert dark <= told["gapped_s"] <= ROUND_S - clear, (slug, told)
    assert clear <= told["observed_s"] + told["quiet_s"] <= ROUND_S - dark, (slug, told)
    gap = archive.canonical(market=slug).sort_values("t")["gap"].tolist()
    for t in range(1, ROUND_S):  # row t is the state at its instant, of the second that ends there
        before, after = (
            {truth.second(slug, start + each), truth.second(asset, start + each)} for each in (t - 1, t)
        )
        if "dark" in before:
            assert gap[t], f"{slug} t={t}: nobody could know this"
        elif before | after == {"clear"}:
            assert not gap[t], f"{slug} t={t}: nothing was missing here"


def _losses(out: Path, feed: str) -> Sequence[Spell]:
    """Gaps of what a socket sends; not those of requests."""
    return [gap for gap in spells(out, feed, time.time_ns()) if gap.connection]


def collect_under_faults(folder: Path, rounds: int, assets: Sequence[str], speed: float) -> list[int]:
    """Collects so many whole rounds, the first the one that begins when all is subscribed; their starts.

    Each asset in turn is the one that falls silent alone.
    """
    begin = from_iso(START) // SECOND
    with simulator(folder / "truth", "--speed", str(speed), "--start", START) as venue:
        options = ("--assets", ",".join(assets), "--durations", "5m", "--no-pages")
        line = collect_command(venue.url, folder / "out", *options)
        log = (folder / "log").open("w")
        process = Forked(line[2:], ENVIRONMENT, stderr=log)
        try:
            until(lambda: venue.connections(url=CHANNEL, event="subscribed"))
            first = int(venue.now_s() + 15) // ROUND_S * ROUND_S + ROUND_S
            starts = [first + number * ROUND_S for number in range(rounds)]
            muted = (slug_of(assets[number % len(assets)], start) for number, start in enumerate(starts))
            orders = (faults_of(start - begin, slug) for start, slug in zip(starts, muted, strict=True))
            venue.order(*(fault for each in orders for fault in each))
            end = starts[-1] + ROUND_S + 5
            venue.wait_until(end)
            process.send_signal(signal.SIGTERM)
            assert process.wait(120) == 0, (folder / "log").read_text()[-3000:]
        finally:
            process.kill()
            process.wait()
            log.close()
    return starts


def judge(folder: Path, starts: Sequence[int], assets: Sequence[str]) -> None:
    """Every second of these rounds, in rows and tables."""
    out, first, end = folder / "out", starts[0], starts[-1] + ROUND_S
    truth = truth_of(out, folder / "truth", first * SECOND, end * SECOND)
    assert truth.lost == 0
    for name in ("ground-truth", "canonical"):
        done = command(name, out, "--since", iso(first * SECOND), "--until", iso(end * SECOND))
        assert done.returncode == 0, done.stderr
    archive = Archive(out)
    late = 0
    for number, start in enumerate(starts):
        for place, asset in enumerate(assets):
            figures = judge_rows(out, truth, asset, start)
            prices_late = judge_prices(out, truth, asset, start)
            print(asset, iso(start * SECOND), figures, f"prices late: {prices_late}")
            judge_tables(archive, truth, asset, start)
            is_muted = number % len(assets) == place
            late += figures.late
            assert figures.dark + figures.edges >= DARK_S + (MUTED_S if is_muted else 0)
            assert figures.edges <= 24  # six a fault at most
            assert figures.observed >= ROUND_S - figures.dark - figures.edges - figures.late
            assert (figures.stale > 0) == is_muted
            assert figures.stale <= STALE_S
            assert figures.polled >= 5
            assert _is_dark_when_refused(out, asset, start)
    assert late <= LATE_SHARE * ROUND_S * len(starts) * len(assets)
    assert command("verify", out).returncode == 0


def _is_dark_when_refused(out: Path, asset: str, start: int) -> bool:
    """Neither the stream nor a poll could tell anything."""
    rows = Output(out).records(f"polymarket_{asset.lower()}")
    refused = [row for row in rows if start + 202 <= second(row) < start + 209 and not row["preopen"]]
    return len(refused) == 7 and not any(row["is_observed"] for row in refused)


def test_what_was_observed_is_the_truth_less_the_faults(tmp_path: Path) -> None:
    starts = collect_under_faults(tmp_path, 1, ASSETS, SPEED)
    judge(tmp_path, starts, ASSETS)
