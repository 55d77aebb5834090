"""Writing the segments of one feed in one run, one after the other."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from marketarchive.archive import lines
from marketarchive.archive.clock_evidence import evidence
from marketarchive.archive.lines import Built
from marketarchive.archive.paths import checked_name, segment_path
from marketarchive.archive.segment import Segment
from marketarchive.archive.seqs import Unwritten
from marketarchive.archive.store import Store
from marketarchive.times import iso


class EndGap(NamedTuple):
    """Gap that begins before the end of a run and lasts beyond it."""

    from_ns: int  # wall ns
    reason: str
    detail: str
    only_lost: bool = False  # True: only of feeds in which a line that got its seq is not written


class FeedTotals(NamedTuple):
    """Sums over all lines that a run has written of one feed so far, in sealed and open segments."""

    venue: str
    feed: str
    bytes: int  # compressed
    sealed: int  # number of sealed segments
    counts: Counter[str]  # lines by kind
    gaps: Counter[str]  # gaps begun, by reason

    def plus(self, segment: Segment) -> FeedTotals:
        """Return the sums with those of a segment that is not in them yet."""
        stats = segment.stats
        return self._replace(
            bytes=self.bytes + segment.bytes,
            counts=self.counts + Counter(dict(stats.counts)),  # the writer's thread may add meanwhile
            gaps=self.gaps + Counter(dict(stats.gaps)),
        )


class FeedWriter:
    """Writer of one feed of a run: it opens, rotates and seals the feed's segments.

    Only the writer thread calls it, but for `counter` and `totals`, which any thread may use. Methods may
    raise OSError.
    """

    def __init__(self, store: Store, identity: Mapping[str, Any], venue: str, feed: str) -> None:
        self.venue = checked_name(venue)
        self.feed = checked_name(feed)
        self.counter = itertools.count(1)  # gives the next seq; next() is atomic
        self.entries: list[dict[str, Any]] = []  # the ledger lines of its sealed segments, without members
        self.gaps: Counter[str] = Counter()
        self.has_lines = False  # a line was accepted, though perhaps not written yet
        self.on_rotation: Callable[[], None] | None = None  # called when a second or later segment is opened
        self._unwritten = Unwritten()
        self._whole_until = store.clock.now_ns()  # whatever is not written was received at or after it, ns
        self._store = store
        self._identity = identity
        self._segment: Segment | None = None
        self._under_way: tuple[int, Segment] | None = None  # (number, newest segment), for `totals`
        self._sealed = FeedTotals(self.venue, self.feed, 0, 0, Counter(), Counter())
        self._n = 0
        self._seq_next = 1

    def write(self, batch: Sequence[Built]) -> None:
        """Write lines into the open segment.

        Open a new one first where there is none, or its hour is over.
        """
        self._rotate()
        segment = self._segment or self._open()
        segment.write(batch)
        for built in batch:
            self._unwritten.remove(built.seqs)
            if built.seqs and self._unwritten.is_gapless:
                self._whole_until = built.first
        self._limit(segment)

    def write_end_gap(self, gap: EndGap) -> None:
        """Write the line of a gap that begins with the end of the run.

        It has the form of the gap that recovery writes for a dead run: it ends with the next line of the
        feed, and states the first seq that was given out, or would be next, and is not written. It begins
        earlier than `gap` where a lost line may have been received before.
        """
        first_lost, now_ns = self._unwritten.first(), self._store.clock.now_ns()
        is_lost = first_lost < next(self.counter)  # nobody else takes numbers of a closed run
        if gap.only_lost and not is_lost:
            return
        from_ns = min(gap.from_ns, self._whole_until) if is_lost else gap.from_ns
        about = (self.venue, self.feed, from_ns, gap.reason, gap.detail)
        self.write([lines.crash_gap(now_ns, *about, first_lost_seq=first_lost)])

    def sync(self) -> None:
        """Bring all written lines to the disk.

        Seal the segment when its hour is over or its size is reached.
        """
        self._rotate()
        if self._segment is not None:
            self._segment.sync(self._store.clock.mono_ns(), self._store.member_ns)
            self._limit(self._segment)

    def seal(self, reason: str) -> None:
        """End the open segment, if there is one, and enter it in the ledger; reason: for its `end` line."""
        if self._segment is None:
            return
        segment = self._segment
        sealed = segment.seal(reason)
        self._segment = None
        entry = {
            "kind": "segment",
            "path": str(segment.path),
            "run": self._identity["run"],
            "spider": self._identity["spider"],
            "venue": self.venue,
            "feed": self.feed,
            "n": self._n,
            **sealed,
            "sealed_at_utc": iso(self._store.clock.now_ns()),
        }
        self._store.ledger.append(entry)
        self.entries.append({key: value for key, value in entry.items() if key != "members"})
        self.gaps.update(segment.stats.gaps)
        self._sealed = self._sealed.plus(segment)._replace(sealed=self._n)
        self._seq_next = max(self._seq_next, (segment.stats.seq_max or 0) + 1)

    def totals(self) -> FeedTotals:
        """Return sums over all lines written so far; any thread may call it.

        The open segment is read before the sums of sealed ones: a segment sealed in between counts once.
        """
        under_way, sealed = self._under_way, self._sealed
        if under_way is None or under_way[0] <= sealed.sealed:
            return sealed
        return sealed.plus(under_way[1])

    @property
    def handle(self) -> int | None:
        """Return the open segment's file handle; None when there is none."""
        return None if self._segment is None else self._segment.handle

    def abandon(self) -> None:
        """Close the open segment without sealing it; recovery seals it later."""
        if self._segment is not None:
            self._segment.abandon()

    def _rotate(self) -> None:
        if self._segment is not None and self._slot(self._segment.opened_ns) != self._slot(
            self._store.clock.now_ns()
        ):
            self.seal("rotated")

    def _limit(self, segment: Segment) -> None:
        if segment.bytes >= self._store.config.segment_bytes:
            self.seal("size")

    def _slot(self, ns: int) -> int:
        return ns // self._store.segment_ns

    def _open(self) -> Segment:
        store, run, spider = self._store, self._identity["run"], self._identity["spider"]
        now_ns, mono_ns = store.clock.now_ns(), store.clock.mono_ns()
        self._n += 1
        path = segment_path(self.venue, self.feed, now_ns, spider, run, self._n)
        self._segment = Segment(store.root, path, store.files, store.config.gzip_level, now_ns, mono_ns)
        self._under_way = self._n, self._segment
        self._segment.write(
            [
                lines.segment(
                    run,
                    spider,
                    self.venue,
                    self.feed,
                    self._n,
                    self._seq_next,
                    now_ns,
                    mono_ns,
                    evidence(store.clock),
                    self._identity["settings"],
                )
            ]
        )
        if self._n > 1 and self.on_rotation is not None:
            self.on_rotation()
        return self._segment
