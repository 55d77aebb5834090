"""What a start reads of an earlier run's record."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

from marketarchive.plans.kxbtc15m import collector, history
from marketarchive.times import SECOND, from_iso


def test_damage_of_an_earlier_run_does_not_prevent_a_start(tmp_path: Path) -> None:
    value = random.Random(1).random
    lines = [
        b'{"type":"tick","time":"2026-11-21T12:%02d:%02dZ","ticker":"KXBTC15M-26NOV210715-15","brti":%.9f}\n'
        % (*divmod(second, 60), 80_000 + value())
        for second in range(900)
    ]
    path = tmp_path / "KXBTC15M-2026-11-21.jsonl.gz"
    whole = gzip.compress(b"".join(lines))
    path.write_bytes(whole)
    assert history.read(tmp_path, "KXBTC15M", "BTC").ticks == 900
    path.write_bytes(whole[: len(whole) // 2])
    assert 0 < history.read(tmp_path, "KXBTC15M", "BTC").ticks < 900
    path.write_bytes(b"no gzip")
    found = history.read(tmp_path, "KXBTC15M", "BTC")
    assert (found.ticks, len(found.damaged)) == (0, 1)
    assert path.name in found.damaged[0]


MARKET = (
    b'{"type":"market_open","time":"2026-11-21T12:00:00Z","ticker":"KXBTC15M-26NOV210715-15",'
    b'"open_time":"2026-11-21T12:00:00Z","close_time":"2026-11-21T12:15:00Z",'
    b'"expected_expiration":"2026-11-21T12:20:00Z"}\n'
)
TICK = b'{"type":"tick","time":"2026-11-21T12:00:01Z","ticker":"KXBTC15M-26NOV210715-15"}\n'
DEEP = TICK[:-2] + b',"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n"
RUBBISH = (DEEP, b"[1]\n", b'{"type":"tick"}\n', b"\xff\n", TICK.replace(b"12:00:01", b"25:00:01"), b'{"ty\n')


def test_status_names_damage_and_counts_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "KXBTC15M-2026-11-21.jsonl"
    now = from_iso("2026-11-21T12:00:02Z")
    path.write_bytes(MARKET + b"".join(RUBBISH) + TICK + TICK[:30])
    found = collector.record_status(tmp_path, "KXBTC15M", now)
    assert (found.open_markets, found.ticks_today) == (("KXBTC15M-26NOV210715-15",), 1)
    assert found.last_tick == now - SECOND
    for number, text in enumerate(found.damaged, 2):
        assert text.startswith(f"{path} line {number}: ")
    assert len(found.damaged) == len(RUBBISH)
    packed = gzip.compress(MARKET + TICK)
    path.with_name(path.name + ".gz").write_bytes(packed[:-9])
    path.unlink()
    [text] = collector.record_status(tmp_path, "KXBTC15M", now).damaged
    assert text.startswith(f"{path}.gz: ")
