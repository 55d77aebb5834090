"""A process killed with SIGKILL at random moments: what it was promised must be in its files."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from marketarchive.archive.ledger import Ledger
from tests.archive.writing import readable

pytestmark = pytest.mark.process

KILLS = 25

CHILD = """
import sys
from pathlib import Path
from random import Random
from marketarchive.clock import RealClock
from tests.archive.writing import frames, open_run, response, writer

random = Random(int(sys.argv[2]))
with writer(Path(sys.argv[1]), RealClock(), flush_s=0.02, member_s=0.05, segment_s=0.3) as made:
    run = open_run(made)
    for n in range(10**9):
        run.write(response(run, b'{"n":%d,"noise":"%s"}' % (n, random.randbytes(200).hex().encode())))
        run.write(frames(run, *[random.randbytes(50) for _ in range(10)]))
        run.write_record("polymarket_btc", 0, b'{"n":%d}' % n)
        if not made.has_room or n % 50 == 0:
            run.flush().result(30)
            print(n + 1, flush=True)  # promised: n + 1 responses, 10 (n + 1) frames, n + 1 rows
"""


def test_nothing_promised_is_lost_to_sigkill(tmp_path: Path) -> None:
    random = Random(20261121)
    for number in range(KILLS):
        root = tmp_path / str(number)
        root.mkdir()
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(root), str(number)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        said = ""
        while not said or _promised(said) <= 50:  # then it is well under way, on any machine
            told = child.stdout.readline()
            assert told, "it has ended by itself"
            said += told
        time.sleep(random.random() * 0.3)  # the moment of the kill is what this test draws at random
        os.kill(child.pid, signal.SIGKILL)
        said += child.stdout.read()
        child.stdout.close()
        assert child.wait(30) == -signal.SIGKILL
        check(root, _promised(said))


def _promised(said: str) -> int:
    """The number in the last whole line."""
    return int(said[: said.rindex("\n")].split()[-1])


def check(root: Path, promised: int) -> None:
    seen: dict[str, set[int]] = {"orderbook": set(), "stream": set()}
    sealed = {entry["path"] for entry in Ledger(root).entries() if entry.fields}
    for path in root.glob("raw/*/*/*/*/*"):
        found = readable(path)
        feed = path.relative_to(root).parts[2].removeprefix("feed=")
        seqs = [line.envelope["seq"] for line in found if "seq" in line.envelope]
        assert not seen[feed].intersection(seqs)
        seen[feed].update(seqs)
        if path.suffix == ".gz":
            assert found[-1].kind == "end"
        else:
            assert str(path.relative_to(root)).removesuffix(".part") not in sealed
    assert seen["orderbook"] >= set(range(1, promised + 1))
    assert seen["stream"] >= set(range(1, 10 * promised + 1))
    (day_file,) = root.glob("records/*")
    rows = day_file.read_bytes().split(b"\n")[:promised]
    assert [json.loads(row)["n"] for row in rows] == list(range(promised))
    assert Ledger(root).check() == []
    (lock,) = root.glob("manifests/*.lock")
    with lock.open() as file:  # the kernel has released it: recovery sees a dead run
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
