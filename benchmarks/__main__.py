"""`python -m benchmarks` lists the benchmarks, `python -m benchmarks NAME [--json]` runs one."""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys

import benchmarks
from benchmarks.ending import unwind_at_sigterm
from benchmarks.result import Result

SHARED = {
    "__main__",
    "canonical_archive",
    "canonical_pandas",
    "cryptofeed_capture",
    "ending",
    "export_duckdb",
    "export_master",
    "perps_archive",
    "perps_duckdb",
    "result",
    "sender",
    "stream_crawl",
    "timed_files",
    "venue_feeds",
}
"""What benchmarks use."""


def names() -> list[str]:
    """Every module of this package that has a `run`."""
    found = [module.name for module in pkgutil.iter_modules(benchmarks.__path__)]
    return sorted(set(found) - SHARED)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="?", choices=names(), help="the benchmark to run; none lists them")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    arguments = parser.parse_args()
    if arguments.name is None:
        for name in names():
            print(
                f"{name:24} {(importlib.import_module(f'benchmarks.{name}').__doc__ or '').splitlines()[0]}"
            )
        return 0
    unwind_at_sigterm()
    result: Result = importlib.import_module(f"benchmarks.{arguments.name}").run()
    print(result.text())
    if arguments.json:
        print(json.dumps(result.document()))
    return 0 if result.reached else 1


if __name__ == "__main__":
    sys.exit(main())
