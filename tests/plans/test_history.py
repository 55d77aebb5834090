"""What a start reads of an earlier run's record."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

from marketarchive.plans.kxbtc15m import history


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
    assert history.read(tmp_path, "KXBTC15M", "BTC").ticks == 0
