"""Three collectors of one OUTPUT_DIR, each a process: together they keep to the budget of one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest

from marketarchive.collecting.budget import BURST_S
from marketarchive.times import SECOND
from marketarchive.venues.polymarket.endpoints import LIMITS
from tests.e2e.forking import Running
from tests.e2e.harness import Output, Simulator, command, crawl, crawling, simulator
from tests.waiting import until

pytestmark = pytest.mark.e2e

TRADES = "https://data-api.polymarket.com/v2/trades"
SHARE = 0.05
"""Of the documented limit: three have far more to send, and any machine can do it."""
MOST = int(LIMITS["data_trades"] * SHARE * (10 + BURST_S) / 10)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """Return a small world: three sweeps of all markets would be most of the work.

    What the processes tell one another takes real time: at a high speed that is seconds.
    """
    options = ("--speed", "10", "--start", "2026-11-20T10:01:00Z", "--assets", "BTC")
    with simulator(tmp_path_factory.mktemp("truth"), *options) as running:
        yield running


def requests(world: Simulator, since: int) -> list[dict[str, Any]]:
    return [line for line in world.served()[since:] if line["url"] == TRADES]


def moments(world: Simulator, since: int) -> list[int]:
    return [line["simulated_ns"] for line in requests(world, since)]


def most_in_ten_seconds(moments: list[int]) -> int:
    moments = sorted(moments)
    return max((sum(first <= each < first + 10 * SECOND for each in moments) for first in moments), default=0)


def trades(world: Simulator, out: Path, shard: int) -> AbstractContextManager[Running]:
    arguments = ("polymarket_trades", "markets=all", f"shard={shard}/3")
    return crawling(world.url, out, *arguments, LIMIT_SHARE=SHARE)


def test_three_with_one_killed_stay_under_the_limit_and_a_pause_of_one_is_kept_by_all(
    world: Simulator, out: Path
) -> None:
    begin = len(world.served())
    with ExitStack() as stack:
        shards = [stack.enter_context(trades(world, out, shard)) for shard in range(3)]
        until(lambda: len(requests(world, begin)) > 40)
        shards[0].kill()
        at_kill = len(requests(world, begin))
        until(lambda: len(requests(world, begin)) > at_kill + 20)
        refusal = {"kind": "status", "route": "data-api.polymarket.com/v2/trades", "status": 429, "count": 1}
        world.order({**refusal, "retry_after": 10})
        until(lambda: [line for line in requests(world, begin) if line["status"] == 429])
        at_refusal = len(requests(world, begin))
        until(lambda: len(requests(world, begin)) > at_refusal + 8)
        for shard in shards[1:]:
            shard.terminate()
        assert [shard.wait(120) for shard in shards[1:]] == [0, 0]
    sent = requests(world, begin)
    [refused] = [line for line in sent if line["status"] != 200]
    assert refused["faults"], "the one that was ordered"
    assert most_in_ten_seconds(moments(world, begin)) <= MOST
    # what was under way at the refusal may still arrive: 3 s are 0.3 s of the wall, or more
    later = [moment - refused["simulated_ns"] for moment in moments(world, begin)]
    assert not [each for each in later if 3 * SECOND < each < 9 * SECOND]
    assert command("recover", out).returncode == 0
    assert command("verify", out).returncode == 0
    assert len({manifest["run"] for manifest in Output(out).manifests()}) == 3


def test_three_that_share_no_output_dir_pass_the_limit(world: Simulator, out: Path) -> None:
    begin = len(world.served())
    with ExitStack() as stack:
        for shard in range(3):
            stack.enter_context(trades(world, out / str(shard), shard))
        until(lambda: most_in_ten_seconds(moments(world, begin)) > MOST)


def test_three_shards_cover_every_market_once(world: Simulator, out: Path) -> None:
    wanted = ("polymarket_orderbook", "durations=4h,1d")  # few: a manifest names up to 32
    whole = crawl(world.url, out / "all", *wanted).out.manifest()
    with ExitStack() as stack:
        shards = [
            stack.enter_context(crawling(world.url, out / "shards", *wanted, f"shard={shard}/3"))
            for shard in range(3)
        ]
        assert [shard.wait(120) for shard in shards] == [0, 0, 0]
    tracked = [
        market
        for manifest in Output(out / "shards").manifests()
        for market in manifest["summary"]["markets"]["tracked"]
    ]
    assert sorted(tracked) == sorted(whole["summary"]["markets"]["tracked"])
