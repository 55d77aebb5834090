"""State that earlier runs left of a catalogue phase: its last cycle in the archive, rows the master lacks.

A `cycle` line stands behind the answers that it counts, in the same segment: where the line is on the disk,
the answers are too. So the archive itself holds the state of a sweep.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from marketarchive.archive.lines import parse_cycle
from marketarchive.archive.reader import ArchiveReader, read_segment
from marketarchive.items import Cycle, Phase
from marketarchive.master.cycles import HeldCycle
from marketarchive.master.rebuild import rebuild
from marketarchive.master.timeline import Keep
from marketarchive.times import from_iso


@dataclass(frozen=True)
class PhaseKey:
    """Identity of a catalogue phase: its venue, its name, and the feed that holds its `cycle` lines."""

    venue: str
    feed: str
    phase: Phase


def last_state(root: Path, key: PhaseKey, since: int) -> Cycle | None:
    """Return the newest state of a phase that sealed segments hold; None where they hold none.

    root: OUTPUT_DIR; since: only segments with a line from this time (wall ns) on are read. Raises
    CorruptError, ArchiveError.
    """
    newest: Cycle | None = None
    for entry in reversed(ArchiveReader(root).segments(key.venue, key.feed, since)):
        if not entry["counts"].get("cycle"):
            continue
        if newest is not None and from_iso(entry["last"]) < newest.received_at:
            continue  # it cannot have a newer one
        for message in read_segment(root, entry):
            if message.kind == "cycle" and message.envelope["phase"] == key.phase:
                state = parse_cycle(key.venue, key.feed, message.envelope)
                if newest is None or newest.order <= state.order:
                    newest = state
    return newest


def catch_up(root: Path, url: str, keep: Keep, last: Cycle, held: HeldCycle | None) -> int:
    """Write into the market master what a dead run received and could not write; return the number of rows.

    root: OUTPUT_DIR; url: of the master; keep: which snapshots it keeps; last: the newest state in the
    archive; held: the newest state in the master, None without one. Raises as `rebuild` does.
    """
    is_whole = held is not None and held.started == last.started and held.updated >= last.received_at
    if is_whole and last.is_over:
        return 0
    since = last.started if held is None else min(held.updated, last.started)
    return rebuild(root, url, since, keep=keep).rows
