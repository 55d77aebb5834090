"""What every benchmark gives back, and how it is measured."""

from __future__ import annotations

import gc
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Result:
    """`value` and `baseline` in `unit`, more is better; `ratio` is the median over the pairs of runs."""

    name: str
    value: float
    unit: str
    baseline: float
    ratio: float
    goal: float
    packages: Sequence[str] = ()
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def reached(self) -> bool:
        return self.ratio >= self.goal

    def text(self) -> str:
        return (
            f"{self.name}: {self.value:,.0f} {self.unit}, baseline {self.baseline:,.0f}: "
            f"{self.ratio:.2f} of it (goal {self.goal}: {'reached' if self.reached else 'missed'})"
        )

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "value": round(self.value, 3),
            "unit": self.unit,
            "baseline": round(self.baseline, 3),
            "ratio": round(self.ratio, 3),
            "goal": self.goal,
            "machine": _machine(),
            "versions": {"python": platform.python_version()}
            | {name: _version(name) for name in self.packages},
            **self.more,
        }


def pairs(
    ours: Callable[[], object], baseline: Callable[[], object], rounds: int = 5
) -> tuple[float, float, float]:
    """(median seconds of ours, of the baseline, median of baseline/ours), taken turn by turn.

    Turns alternate, so that a machine that slows down meanwhile does so for both. What was prepared before is
    not searched for garbage again and again during the work of either.
    """
    gc.collect()
    gc.freeze()
    mine: list[float] = []
    theirs: list[float] = []
    for number in range(rounds):
        for times, work in ((mine, ours), (theirs, baseline))[:: 1 if number % 2 else -1]:
            started = time.perf_counter()
            work()
            times.append(time.perf_counter() - started)
    gc.unfreeze()
    ratios = [base / own for base, own in zip(theirs, mine, strict=True)]
    return statistics.median(mine), statistics.median(theirs), statistics.median(ratios)


def peak_mb() -> int:
    """Return the highest resident memory of this process.

    getrusage would tell that of its parent too, which made the inputs.
    """
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) // 1024


def _machine() -> str:
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
