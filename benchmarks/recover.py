"""Recover: MB of lines saved a second, against a plain script that packs the readable lines again.

Both find what a killed process left: a segment of finished gzip members and one that is cut. Ours copies
finished members, checks every line, writes the crash gap, the ledger and the manifest; the script inflates
all, cuts behind the last newline, deflates with the same codec and level, and takes both checksums.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from pathlib import Path
from random import Random

from benchmarks.raw_write import make_book
from benchmarks.result import Result, pairs
from marketarchive.archive import codec
from marketarchive.archive.config import ArchiveConfig
from marketarchive.archive.recover import recover
from marketarchive.archive.writer import ArchiveWriter
from marketarchive.clock import RealClock
from marketarchive.items import Response

GOAL = 0.5
ANSWERS = 4_000
BOOKS_PER_ANSWER = 16
START = time.time_ns()


def run() -> Result:
    folder = Path(tempfile.mkdtemp(prefix="recover"))
    try:
        killed = folder / "killed"
        size = _leave_torn(killed)
        mine, theirs, ratio = pairs(
            lambda: _ours(_copy(killed, folder / "ours")), lambda: _script(_copy(killed, folder / "script"))
        )
    finally:
        shutil.rmtree(folder)
    return Result(
        name="recover",
        value=size / mine / 1e6,
        unit="MB/s of lines",
        baseline=size / theirs / 1e6,
        ratio=ratio,
        goal=GOAL,
        packages=("isal", "msgspec"),
        more={"codec": f"{codec.CODEC} {codec.DEFAULT_LEVEL}", "lines_mb": round(size / 1e6)},
    )


def _leave_torn(root: Path) -> int:
    """A child writes and dies without closing; the bytes of the lines it left."""
    child = os.fork()
    if child == 0:
        try:
            _write(root)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    [part] = root.glob("raw/**/*.part")
    with part.open("r+b") as file:  # the last member ends in the middle of something
        file.truncate(part.stat().st_size - 1000)
    return len(_inflate(part))


def _write(root: Path) -> None:
    random = Random(7)
    tokens = [str(random.getrandbits(256)) for _ in range(BOOKS_PER_ANSWER)]
    writer = ArchiveWriter(root, RealClock(), ArchiveConfig(member_s=0.5, flush_s=0.25))
    writer.start()
    archive = writer.open_run("polymarket_orderbook", "polymarket", ["orderbook"], {}, {})
    for n in range(ANSWERS):
        payload = b"[%b]" % b",".join(make_book(random, token) for token in tokens)
        seq = archive.next_seq("polymarket", "orderbook")
        archive.write(
            Response(
                "polymarket",
                "orderbook",
                START + n * 250_000_003,
                seq,
                "POST",
                "https://clob.polymarket.com/books",
                {},
                200,
                {"content-type": "application/json"},
                41.7,
                payload,
            )
        )
        while not writer.has_room:
            time.sleep(0.001)
    archive.flush().result()


def _copy(source: Path, target: Path) -> Path:
    """Hard links: neither side changes a file in place."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, copy_function=os.link)
    return target


def _ours(root: Path) -> None:
    [done] = recover(root, RealClock()).runs
    assert done.recovered
    assert done.torn


def _script(root: Path) -> None:
    [part] = root.glob("raw/**/*.part")
    torn = part.with_suffix(".torn")
    part.rename(torn)
    text = _inflate(torn)
    stream = codec.compressor(codec.DEFAULT_LEVEL)
    packed = stream.compress(text[: text.rfind(b"\n") + 1]) + codec.finished(stream)
    with part.with_suffix("").open("wb") as file:
        file.write(packed)
        file.flush()
        os.fsync(file.fileno())
    hashlib.sha256(packed).hexdigest()
    hashlib.sha256(torn.read_bytes()).hexdigest()


def _inflate(path: Path) -> bytes:
    found, data = [], path.read_bytes()
    while data:
        stream = codec.decompressor()
        found.append(stream.decompress(data))
        data = stream.unused_data
    return b"".join(found)
