"""Cadence: how late requests leave at 200 tokens a second for five minutes, and what that costs.

Against the simulator on the same machine. Goals: no tick missed; 99 of 100 requests sent less than 50 ms
after they are due; the collector under 15 % of one core and under 250 MB. The ratio is the tightest of the
goals over what was measured (1 or more: reached).
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from benchmarks.result import Result

SECONDS = 300
TOKENS = 200
P99_MS, CPU_SHARE, MEMORY_MB = 50.0, 0.15, 250.0
ENVIRONMENT = {**os.environ, "SCRAPY_PROJECT": "simulator"}
SCRAPY = [sys.executable, "-m", "scrapy"]


def run() -> Result:
    folder = Path(tempfile.mkdtemp(prefix="cadence"))
    simulator = subprocess.Popen(
        [*SCRAPY, "simulate", "--port", "0"], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert simulator.stdout is not None
        url = simulator.stdout.readline().split()[1]
        wall, cpu, memory_mb = _collect(url, folder)
        late = _late_ms(folder)
        [manifest] = [json.loads(path.read_text()) for path in folder.glob("manifests/*.json")]
    finally:
        simulator.send_signal(signal.SIGTERM)
        simulator.wait(30)
        shutil.rmtree(folder)
    summary = manifest["summary"]
    missed = summary["ticks"].get("missed", 0) + SECONDS - summary["ticks"]["due"]
    p99 = statistics.quantiles(late, n=100)[98]
    ratio = min(P99_MS / p99, CPU_SHARE / (cpu / wall), MEMORY_MB / memory_mb) if not missed else 0.0
    return Result(
        name="cadence",
        value=round(p99, 1),
        unit="ms late (99th percentile; less is better)",
        baseline=P99_MS,
        ratio=ratio,
        goal=1.0,
        packages=("scrapy", "msgspec"),
        more={
            "ticks_due": summary["ticks"]["due"],
            "ticks_missed": missed,
            "tokens_per_tick": round(sum(summary["books"].get(key, 0) for key in ("ok", "failed")) / SECONDS),
            "books": summary["books"],
            "gaps": summary["gaps"],
            "late_ms": {
                "p50": round(statistics.median(late), 1),
                "p99": round(p99, 1),
                "max": round(max(late), 1),
            },
            "cpu_share": round(cpu / wall, 3),
            "peak_memory_mb": round(memory_mb),
            "goals": {"p99_ms": P99_MS, "cpu_share": CPU_SHARE, "memory_mb": MEMORY_MB},
        },
    )


def _collect(url: str, out: Path) -> tuple[float, float, float]:
    """(wall seconds, CPU seconds, peak MB) of the collector's process."""
    command = [*SCRAPY, "crawl", "polymarket_orderbook", "-a", "durations=5m", "-a", "interval=1s"]
    command += ["-a", f"duration={SECONDS}s", "-a", f"ahead={(TOKENS // 2 - 1) * 300}s"]
    command += ["-s", f"OUTPUT_DIR={out}", "-s", f"SIMULATOR_URL={url}", "-s", "LOG_LEVEL=ERROR"]
    started = time.monotonic()
    process = subprocess.Popen(command, env=ENVIRONMENT)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"the collector ended with {process.returncode}"
    return time.monotonic() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def _late_ms(out: Path) -> list[float]:
    """Of each batch request: when it was sent (received less latency) after the full second it belongs to."""
    late = []
    for path in out.glob("raw/venue=*/feed=orderbook/**/*.gz"):
        with gzip.open(path) as file:
            for raw in file:
                line = json.loads(raw)
                if line["kind"] == "response" and line["url"].endswith("/books"):
                    received = datetime.fromisoformat(line["collected_at_utc"]).timestamp()
                    sent = received - line["latency_ms"] / 1000
                    late.append(sent % 1 * 1000)
    return late
