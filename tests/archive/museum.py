"""A museum of broken archives: a small whole one, and every way to spoil it that must be found and named."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

from marketarchive.archive.recover import recover
from marketarchive.items import Connection, Gap, Invalid
from marketarchive.scope import Scope
from tests.archive.writing import FEED, NOON, VENUE, HandClock, frames, ledger_of, open_run, response, writer


def build(root: Path) -> None:
    """Two runs at once, one finished and one killed and recovered, over an hour and a day; a day file."""
    clock = HandClock()
    with writer(root, clock, member_s=60.0) as made:
        run = open_run(made)
        for minute in range(4):
            for size in (1, 40):
                run.write(response(run, b'{"asks":[%b]}' % b",".join([b'"0.%02d"' % minute] * size)))
            run.write(response(run, b"<html>busy</html>\r\n", status=429))
            run.write(frames(run, *(b'{"n":%d,"price":"0.00200000"}' % n for n in range(20))))
            run.flush().result()
            clock.pass_s(61)
        seq = run.next_seq(VENUE, "stream")
        url = "ws://127.0.0.1:8900/ws-subscriptions-clob.polymarket.com/ws/market"
        run.write(Connection(VENUE, "stream", NOON, seq, "c1", "opened", url, ("{}",)))
        seq = run.next_seq(VENUE, FEED)
        scope = Scope(VENUE, FEED, endpoint="book")
        run.write(Gap(VENUE, FEED, NOON, seq, NOON - 5, NOON, scope, "stall", "unknown"))
        run.write(Invalid(VENUE, FEED, NOON, 1, "Book", "no hash", ("hash",)))
        run.write(response(run, bytes(range(256))))
        run.write_record("quotes", NOON, b'{"timestamp":"x","run":"%b"}' % run.run.encode())
        killed = open_run(made, "polymarket_markets")
        killed.write(response(killed, feed="markets"))
        run.flush().result()
        clock.pass_s(3600)
        for one in (run, killed):
            one.write(response(one))
            one.write(frames(one, b"[]"))
        run.flush().result()
        killed.write(response(killed))
        run.close("finished", {"requests": 3}).result()
    clock.pass_s(2 * 86_400)
    recover(root, clock)


def sealed(root: Path, n: int = 1) -> Path:
    """Segment `n` of the finished run's order books; the first has several members."""
    return root / next(
        str(entry["path"])
        for entry in ledger_of(root)
        if (entry["spider"], entry["feed"], entry["n"]) == ("polymarket_orderbook", FEED, n)
    )


def ledger(root: Path) -> Path:
    return root / "manifests/ledger.jsonl"


def flip(path: Path, bit: int) -> Path:
    """One bit of a file, counted from its end where negative."""
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << (bit % 8)
    path.write_bytes(data)
    return path


def edit(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> Path:
    """A file's lines changed, compressed again if they were: nothing of gzip shows it."""
    zipped = path.suffix == ".gz"
    data = path.read_bytes()
    text = b"".join(change((gzip.decompress(data) if zipped else data).splitlines(keepends=True)))
    path.write_bytes(gzip.compress(text) if zipped else text)
    return path


def swap(one: Path, other: Path) -> Path:
    kept = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(kept)
    return one


def member_offset(root: Path, number: int) -> int:
    """Of a gzip member of `sealed(root)`, in bytes."""
    path = sealed(root).relative_to(root).as_posix()
    return int(next(entry for entry in ledger_of(root) if entry["path"] == path)["members"][number][0])


def remove(path: Path) -> Path:
    path.unlink()
    return path


def cut(path: Path, size: int) -> Path:
    path.write_bytes(path.read_bytes()[:size])
    return path


def append(path: Path, data: bytes) -> Path:
    path.write_bytes(path.read_bytes() + data)
    return path


def copied(path: Path, name: str) -> Path:
    return Path(shutil.copy(path, path.with_name(name)))


def _kept(root: Path, kind: str) -> Path:
    return root / str(ledger_of(root, kind)[0]["path"])


DAMAGES: dict[str, Callable[[Path], Path]] = {
    "bit of a gzip header": lambda root: flip(sealed(root), 8),
    "bit of a later member's header": lambda root: flip(sealed(root), 8 * member_offset(root, 1)),
    "bit of the deflate data": lambda root: flip(sealed(root), 8 * (member_offset(root, 2) - 40)),
    "bit of a CRC": lambda root: flip(sealed(root), 8 * (member_offset(root, 1) - 8)),
    "bit of the last length": lambda root: flip(sealed(root), -1),
    "bit of a manifest": lambda root: flip(_kept(root, "manifest"), 4000),
    "bit of a torn original": lambda root: flip(_kept(root, "torn"), 400),
    "bit of a day file": lambda root: flip(_kept(root, "day_file"), 40),
    "bit of the ledger": lambda root: flip(ledger(root), 1000),
    "line removed": lambda root: edit(sealed(root), lambda lines: lines[:3] + lines[4:]),
    "line added": lambda root: edit(sealed(root), lambda lines: [*lines[:4], lines[3], *lines[4:]]),
    "lines reordered": lambda root: edit(
        sealed(root), lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]]
    ),
    "price edited": lambda root: edit(
        sealed(root), lambda lines: [line.replace(b'"0.01"', b'"0.02"') for line in lines]
    ),
    "segment compressed again": lambda root: edit(sealed(root), lambda lines: lines),
    "last line removed": lambda root: edit(sealed(root), lambda lines: lines[:-1]),
    "row of a day file edited": lambda root: edit(_kept(root, "day_file"), lambda lines: [*lines, lines[0]]),
    "segments swapped": lambda root: swap(sealed(root), sealed(root, 2)),
    "segment removed": lambda root: remove(sealed(root, 2)),
    "torn original removed": lambda root: remove(_kept(root, "torn")),
    "manifest removed": lambda root: remove(_kept(root, "manifest")),
    "segment added": lambda root: copied(sealed(root), sealed(root).name.replace("-1.jsonl", "-7.jsonl")),
    "other file added": lambda root: copied(sealed(root), "notes.txt"),
    "manifest added": lambda root: copied(
        _kept(root, "manifest"), "polymarket_books-20261121T120000Z-0000.json"
    ),
    "open part added": lambda root: copied(sealed(root), sealed(root).name.replace("-1.", "-9.") + ".part"),
    "truncated between members": lambda root: cut(sealed(root), member_offset(root, 2)),
    "truncated in a member": lambda root: cut(sealed(root), member_offset(root, 2) + 30),
    "emptied": lambda root: cut(sealed(root), 0),
    "garbage appended": lambda root: append(sealed(root), b"garbage"),
    "empty member appended": lambda root: append(sealed(root), gzip.compress(b"")),
    "zeros appended": lambda root: append(sealed(root), bytes(4096)),
    "tail filled with zeros": lambda root: append(cut(sealed(root), member_offset(root, 2)), bytes(300)),
    "ledger line removed": lambda root: edit(ledger(root), lambda lines: lines[:1] + lines[2:]),
    "ledger line doubled": lambda root: edit(ledger(root), lambda lines: [lines[0], *lines]),
    "ledger lines reordered": lambda root: edit(ledger(root), lambda lines: [lines[1], lines[0], *lines[2:]]),
    "ledger line edited": lambda root: edit(
        ledger(root), lambda lines: [lines[0].replace(b'"n":1', b'"n":3'), *lines[1:]]
    ),
    "ledger line made garbage": lambda root: edit(ledger(root), lambda lines: [lines[0], b"{\n", *lines[2:]]),
    "last ledger line edited": lambda root: edit(
        ledger(root), lambda lines: [*lines[:-1], lines[-1].replace(b'"kind":"', b'"kind":"x')]
    ),
    "ledger removed": lambda root: remove(ledger(root)) and sealed_by_name(root),
}
"""What is done to a whole archive -> the file that `verify` must name."""


def sealed_by_name(root: Path) -> Path:
    return next(iter(sorted((root / "raw").rglob("*.jsonl.gz"))))
