"""Stream: CPU of an archived frame of Coinbase's books and trades, against cryptofeed's raw capture.

Both take the frames that the simulated venue sends from the same sender, on one core. Ours is a real crawl:
it counts each frame's number, keeps the books, and writes, compresses, syncs and seals the archive.
cryptofeed, in an environment of its own (`make .clients/cryptofeed/installed`), makes its books and trades of
the frames and writes them as plain text. Of Kraken it reads the first protocol only, which neither Kraken's
spider nor the simulator speaks.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

from benchmarks.result import Result
from benchmarks.sender import at_full_speed, sender
from benchmarks.stream import archived
from benchmarks.stream_crawl import ROOT, crawl
from marketarchive.simulator.coinbase import DEPTH
from marketarchive.simulator.coinbase.advanced import AdvancedSession
from marketarchive.simulator.spot_world import SpotWorld
from marketarchive.times import SECOND, from_iso
from marketarchive.venues.exchange import assets_of

GOAL = 5.0
ROUNDS = 3
SECONDS = 1_200  # of the venue's time
START = from_iso("2026-11-21T10:00:00Z")
CHANNELS = ("level2", "market_trades")
PYTHON = ROOT / ".clients" / "cryptofeed" / "bin" / "python"


def run() -> Result:
    if not PYTHON.exists():
        raise SystemExit("cryptofeed has no environment: run `make .clients/cryptofeed/installed`")
    payloads = _frames()
    folder = Path(tempfile.mkdtemp(prefix="stream_vs_cryptofeed"))
    mine: list[float] = []
    theirs: list[float] = []
    try:
        with sender(at_full_speed(payloads)) as port:
            for number in range(ROUNDS):
                crawled = crawl("coinbase", f"ws://127.0.0.1:{port}/", folder / f"ours{number}")
                assert archived(folder / f"ours{number}", payloads) == len(payloads)
                mine.append(crawled.cpu)
                theirs.append(_captured(port, folder / f"theirs{number}", payloads))
    finally:
        shutil.rmtree(folder)
    return Result(
        name="stream_vs_cryptofeed",
        value=len(payloads) / statistics.median(mine),
        unit="frames per CPU second",
        baseline=len(payloads) / statistics.median(theirs),
        ratio=statistics.median(base / own for base, own in zip(theirs, mine, strict=True)),
        goal=GOAL,
        packages=("scrapy", "picows", "isal", "msgspec"),
        more={
            "cryptofeed": _version(),
            "frames": len(payloads),
            "bytes_per_frame": round(sum(map(len, payloads)) / len(payloads)),
        },
    )


def _frames() -> list[bytes]:
    """What the simulated venue sends on one connection."""
    world = SpotWorld(7, "coinbase", assets_of("coinbase"), DEPTH)
    session = AdvancedSession(world, START)
    frames = [
        frame
        for channel in CHANNELS
        for frame in session.received(
            json.dumps({"type": "subscribe", "channel": channel, "product_ids": list(world.assets)}), START
        ).frames
    ]
    return [frame.payload for frame in [*frames, *session.due(START, START + SECONDS * SECOND)]]


def _captured(port: int, folder: Path, payloads: list[bytes]) -> float:
    """Return cryptofeed's CPU seconds."""
    script = str(ROOT / "benchmarks" / "cryptofeed_capture.py")
    command = [str(PYTHON), "-E", script, str(port), str(len(payloads)), str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    [file] = folder.glob("*.ws.*")
    kept = [line.split(": ", 1)[1] for line in file.read_text().splitlines() if line[:1].isdigit()]
    assert kept == [payload.decode() for payload in payloads], "cryptofeed has not kept every frame"
    return float(json.loads(done.stdout)["cpu"])


def _version() -> str:
    script = "import importlib.metadata as m; print(m.version('cryptofeed'))"
    return subprocess.run(
        [PYTHON, "-E", "-c", script], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()
