"""Figures of a segment found by reading all its lines, to make or to check its ledger line."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from typing import Any

from marketarchive.archive import lines
from marketarchive.archive.scan import Scan
from marketarchive.archive.seqs import Seqs
from marketarchive.exceptions import CorruptError

# Most lines of an archive are frames: their time and seq are cut out without decoding the line.
_FRAME = re.compile(
    rb'\{"kind":"frame","collected_at_utc":"([0-9T:.-]{26}Z)","seq":([0-9]+),"connection":"[^"\\]*","payload'
).match

MOST_PROBLEMS = 20  # reported per file; one damaged byte can spoil every line after it


class SegmentScan:
    """Figures of a segment found by reading its lines in order.

    `problems` are (line number from 1, what is wrong with the line).
    """

    def __init__(self) -> None:
        self.lines = 0
        self.counts: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.gaps: Counter[str] = Counter()
        self.seqs = Seqs()
        self.seq_min: int | None = None
        self.seq_max: int | None = None
        self.first = ""  # earliest and latest collected_at_utc (ISO); "" without any
        self.last = ""
        self.last_received = ""  # as `last`, without gaps that recovery wrote later
        self.first_lost: list[int] = []  # the first lost seq of each crash gap
        self.segment: dict[str, Any] = {}
        self.end: dict[str, Any] = {}
        self.problems: list[tuple[int, str]] = []
        self._body: _PartedBody | None = None  # of the last message, while its part lines follow

    @classmethod
    def of(cls, scan: Scan) -> SegmentScan:
        """Read a whole segment; return its counts of lines, times, sequence numbers and problems."""
        facts = cls()
        for batch in scan:
            facts.add(batch)
        facts.finish()
        return facts

    def add(self, batch: list[bytes]) -> None:
        seqs: list[int] = []
        frames = [_FRAME(line) for line in batch]
        done = 0
        for at in [at for at, frame in enumerate(frames) if frame is None]:
            self._add_frames(batch[done:at], frames[done:at], seqs)
            self.lines += 1
            self._add_any(batch[at], seqs)
            done = at + 1
        self._add_frames(batch[done:], frames[done:], seqs)
        if seqs:
            seqs.sort()
            self.seq_min = seqs[0] if self.seq_min is None else min(self.seq_min, seqs[0])
            self.seq_max = seqs[-1] if self.seq_max is None else max(self.seq_max, seqs[-1])
            self.seqs.add(seqs)

    def finish(self) -> None:
        """Check what shows only after the last line: the `end` line and a body whose parts are missing."""
        self._close_body()
        if not self.end:
            self.problem("is the last line, and not an `end` line")
        elif not self.end_fits:
            self.problem(
                f"the end line says {self.end.get('lines')} lines, seq {self.end.get('seq_min')} to "
                f"{self.end.get('seq_max')}; there are {self.lines}, seq {self.seq_min} to {self.seq_max}"
            )

    @property
    def end_fits(self) -> bool:
        """Return whether the segment has an `end` line whose counts agree with the lines read."""
        said = (self.end.get("lines"), self.end.get("seq_min"), self.end.get("seq_max"))
        return said == (self.lines, self.seq_min, self.seq_max)

    def drop_end(self) -> None:
        """Remove the `end` line, which was the last line added, from the figures."""
        self.end = {}
        self.lines -= 1
        del self.counts["end"]

    def fields(self) -> dict[str, Any]:
        """Return the figures that a segment's ledger line states.

        Equal to `SegmentStats.fields` of the writer.
        """
        return {
            "lines": self.lines,
            "first": self.first or None,
            "last": self.last or None,
            "seq_min": self.seq_min,
            "seq_max": self.seq_max,
            "counts": dict(sorted(self.counts.items())),
            "statuses": dict(sorted(self.statuses.items())),
            "gaps": dict(sorted(self.gaps.items())),
        }

    def problem(self, what: str) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append((self.lines, what))

    def _add_frames(self, batch: list[bytes], frames: list[Any], seqs: list[int]) -> None:
        """Count lines that `_FRAME` matched, all at once.

        batch: the lines; frames: their matches; seqs: gets their sequence numbers.
        """
        if not frames:
            return
        self._close_body()
        self.lines += len(frames)
        if self.lines == len(frames) or self.end:
            self.problem("frames lie before the segment line or after the end line")
        self.counts["frame"] += len(frames)
        seqs += [int(frame[2]) for frame in frames]
        stamps = [frame[1] for frame in frames]
        self._time(min(stamps).decode(), received=True)
        self._time(max(stamps).decode(), received=True)
        if not all([line.endswith(b"}") for line in batch]):  # noqa: C419  (a list is faster here)
            self.problem("one of these frames is truncated")

    def _add_any(self, raw: bytes, seqs: list[int]) -> None:
        try:
            line = lines.parse(raw)
            self._count(line, seqs)
        except (CorruptError, KeyError, TypeError, ValueError) as error:
            self.problem(
                str(error)
                if isinstance(error, CorruptError)
                else f"lacks a key or has a wrong one: {error!r}"
            )

    def _count(self, line: lines.Line, seqs: list[int]) -> None:
        kind, envelope = line.kind, line.envelope
        if self.end:
            self.problem("follows the end line")
        if (kind == "segment") is not (self.lines == 1):
            self.problem("the first line, and no other, has to be a `segment` line")
        self.counts[kind] += 1
        if kind == "end":
            self.end = envelope
            return
        if kind == "part":
            if self._body is None or not self._body.add(line):
                self.problem("is not the next part of the message")
            return
        self._close_body()
        if kind == "segment":
            self.segment = envelope
        seq = envelope.get("seq")
        if seq is not None:
            seqs.append(int(seq))
        if kind == "gap":
            if lines.is_first_line(envelope):
                self.gaps[envelope["reason"]] += 1
            if seq is None:
                self.first_lost.append(int(envelope["first_lost_seq"]))
        elif seq is None and kind in ("response", "frame", "connection"):
            self.problem("has no seq")
        self._time(envelope["collected_at_utc"], received=seq is not None)
        if kind == "response":
            self.statuses[str(envelope["status"])] += 1
        if "parts" in envelope:
            self._body = _PartedBody(envelope)
        elif "sha256" in envelope and hashlib.sha256(line.payload or b"").hexdigest() != envelope["sha256"]:
            self.problem("the payload's sha256 is not the one of the line")

    def _close_body(self) -> None:
        if self._body is not None and (wrong := self._body.wrong()):
            self.problem(f"the preceding message has {wrong}")
        self._body = None

    def _time(self, text: str, *, received: bool) -> None:
        if text > self.last:
            self.last = text
        if not self.first or text < self.first:
            self.first = text
        if received and text > self.last_received:
            self.last_received = text


class _PartedBody:
    """Check of a large message body whose `part` lines are read one by one.

    envelope: of the message's line.
    """

    def __init__(self, envelope: dict[str, Any]) -> None:
        self._envelope = envelope
        self._parts = 0
        self._bytes = 0
        self._digest = hashlib.sha256()

    def add(self, line: lines.Line) -> bool:
        """Add a part line; return whether it is the next expected part."""
        found = line.envelope
        self._parts += 1
        self._bytes += len(line.payload or b"")
        self._digest.update(line.payload or b"")
        return (found["ref_seq"], found["part"], found["parts"]) == (
            self._envelope["seq"],
            self._parts,
            self._envelope["parts"],
        )

    def wrong(self) -> str:
        """Return what is wrong with the complete body (missing parts, size, sha256); "" when it is intact."""
        if (self._parts, self._bytes) != (self._envelope["parts"], self._envelope["bytes"]):
            return (
                f"{self._parts} of {self._envelope['parts']} parts, "
                f"{self._bytes} of {self._envelope['bytes']} bytes"
            )
        if self._digest.hexdigest() != self._envelope["sha256"]:
            return "a sha256 that is not the one of its line"
        return ""
