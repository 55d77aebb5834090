"""Copies final files to a remote and believes a copy only after comparing it.

A copy is verified by a hash that the remote states and this side computes, or by reading it back. Runs are
idempotent: what is there is compared, not sent again, so a run that was killed at any moment is resumed by
the next one. What was verified is looked for in the remote's listing only, until it is `recheck_ns` old.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from marketarchive.archive.ledger import NOTHING, Head
from marketarchive.archive.locks import exclusive_lock, try_lock
from marketarchive.archive.offload.files import (
    PRUNED_KINDS,
    FinalFile,
    digests,
    final_files,
    sum_text,
)
from marketarchive.archive.offload.rclone import Rclone, RemoteListing
from marketarchive.archive.offload.record import (
    READ_BACK,
    Checked,
    Copied,
    adopt_records,
    is_record,
    recorded,
    write_record,
)
from marketarchive.archive.paths import COMPACT_LOCK, LEDGER, OFFLOAD_LOCK
from marketarchive.archive.store import Store
from marketarchive.archive.stored import ByteRange, merged_segments
from marketarchive.exceptions import ArchiveError, RemoteError
from marketarchive.invocation import command
from marketarchive.times import iso

_DAMAGED = "is not the file that the ledger describes: run `verify`"

BATCH_BYTES = 10 * 2**30
BATCH_FILES = 1000
"""After so much, what was verified is recorded: a run that is killed reads no more than this back again."""

State = Literal["verified", "copy", "check", "refuse", "elsewhere"]


@dataclass(frozen=True, slots=True)
class OffloadOptions:
    """Options of a run."""

    recheck_ns: int  # age of a verification after which a copy is compared again
    replace: bool = False  # copy again over a copy that is not what it should be
    read_back: bool = False  # also where the remote states a hash
    older_than_ns: int | None = None  # prune files whose newest line is older; None: prune nothing
    arguments: Mapping[str, Any] = field(default_factory=dict)  # for the manifest


@dataclass(frozen=True, slots=True)
class Judged:
    """Need of a file: nothing, to be copied, to be compared; or why it cannot be helped."""

    file: FinalFile
    state: State
    why: str = ""


@dataclass
class Offloaded:
    """Result of a run, or what one would do."""

    copied: list[FinalFile] = field(default_factory=list)
    checked: list[FinalFile] = field(default_factory=list)  # compared in this run, the copied ones included
    verified: dict[str, FinalFile] = field(default_factory=dict)  # now or by a record
    elsewhere: list[FinalFile] = field(default_factory=list)  # moved to another remote, and not here
    problems: dict[str, str] = field(default_factory=dict)  # path -> what is wrong
    pruned: list[FinalFile] = field(default_factory=list)
    pending: list[FinalFile] = field(default_factory=list)  # not pruned until their runs have ended
    manifests: list[str] = field(default_factory=list)
    snapshot: str = ""  # path of the ledger's copy

    def enter(self, judged: Judged) -> bool:
        """Enter what needs no work; return whether it was entered."""
        path = judged.file.path
        if judged.state == "refuse":
            self.problems[path] = judged.why
        elif judged.state == "verified":
            self.verified[path] = judged.file
        elif judged.state == "elsewhere":
            self.elsewhere.append(judged.file)
        else:
            return False
        return True


def offload(
    store: Store, rclone: Rclone, options: OffloadOptions, progress: Callable[[str], None]
) -> Offloaded:
    """Bring the remote up to date, verify, record, prune. Raises ArchiveError, RemoteError, OSError."""
    with exclusive(store, rclone):
        adopt_records(store)
        return _Run(store, rclone, options, progress).run()


def plan(store: Store, rclone: Rclone, options: OffloadOptions) -> Offloaded:
    """Return what `offload` would copy, compare and prune; nothing is written. Raises RemoteError."""
    run, found = _Run(store, rclone, options, _no_progress), Offloaded()
    for each in run.judge(rclone.listing()):
        if not found.enter(each):
            found.checked.append(each.file)
            if each.state == "copy":
                found.copied.append(each.file)
    old = run.prunable({each.path for each in found.checked} | found.verified.keys())
    found.pruned = [file for file in old if not file.is_pending]
    found.pending = [file for file in old if file.is_pending]
    return found


@contextmanager
def exclusive(store: Store, rclone: Rclone) -> Iterator[None]:
    """Keep other offloads of this archive out, and what moves files within it: `compact` waits until the end.

    Waits for a `compact` that works. Raises ArchiveError where another offload does.
    """
    path = store.root / OFFLOAD_LOCK
    store.files.make_dirs(path.parent, store.root)
    handle = store.files.open_append(path)
    try:
        if not try_lock(handle):
            raise ArchiveError(
                f"another offload of this archive is running, or an rclone that one started: it holds {path}"
            )
        rclone.hold(handle)
        with exclusive_lock(store.root, store.files, COMPACT_LOCK):
            yield
    finally:
        store.files.close(handle)


class _Run:
    def __init__(
        self, store: Store, rclone: Rclone, options: OffloadOptions, progress: Callable[[str], None]
    ) -> None:
        self._store = store
        self._root = store.root
        self._rclone = rclone
        self._options = options
        self._progress = progress
        self._now = store.clock.now_ns()
        self._files = list(final_files(self._root, store.ledger))
        self._known = recorded(self._root, store.ledger, rclone)
        self._done = Offloaded()

    def run(self) -> Offloaded:
        due = [each for each in self.judge(self._rclone.listing()) if not self._done.enter(each)]
        # alone, the manifests of this command would each time be the reason for another one
        is_recorded = any(not is_record(each.file.path) for each in due)
        for batch in _batches(due):
            found = self._transfer(batch)
            if is_recorded:
                self._record(found)
        if self._options.older_than_ns is not None:
            self._prune()
        self._finish()
        return self._done

    # ---- what is to be done ----------------------------------------------------------------------------

    def judge(self, there: RemoteListing) -> Iterator[Judged]:
        """Yield each file with what its copy needs, by the remote's listing."""
        for file in self._files:
            yield self._judge(file, there)

    def _judge(self, file: FinalFile, there: RemoteListing) -> Judged:
        copy = there.files.get(file.path)
        if file.path in there.duplicates:
            return Judged(
                file,
                "refuse",
                f"the remote has several files of this name: `rclone dedupe {self._rclone.remote}`",
            )
        if not file.is_here and file.moved_to is None:
            return Judged(file, "refuse", "is in the ledger, but not on the disk: run `verify`")
        if file.is_here and (size := (self._root / file.path).stat().st_size) != file.bytes:
            return Judged(file, "refuse", f"has {size} bytes here, and not {file.bytes}: run `verify`")
        if copy is None and file.is_here:
            return Judged(file, "copy")
        if copy is None and file.moved_to != self._rclone.address(file.path):
            return Judged(file, "elsewhere")
        if copy is None:
            return Judged(file, "refuse", "its only copy is gone from the remote: put one back there")
        if copy.bytes < file.bytes and file.is_here:
            return Judged(file, "copy")  # what an interrupted copy left
        if copy.bytes != file.bytes:
            return self._replace(file, f"its copy has {copy.bytes} bytes, and not {file.bytes}")
        known = self._known.get((file.path, file.sha256))
        if known is None or (self._options.read_back and known.by != READ_BACK):
            return Judged(file, "check")
        if copy.hash is not None and known.by == self._rclone.hash_kind:
            if copy.hash == known.hash:
                return Judged(file, "verified")
            return self._replace(file, f"the remote states {known.by} {copy.hash}, and not {known.hash}")
        return Judged(file, "check" if self._now - known.at >= self._options.recheck_ns else "verified")

    def _replace(self, file: FinalFile, why: str) -> Judged:
        if self._options.replace and file.is_here:
            return Judged(file, "copy")
        return Judged(file, "refuse", f"{why}; {_remedy(file)}")

    # ---- copying and comparing -------------------------------------------------------------------------

    def _transfer(self, batch: Sequence[Judged]) -> list[Copied]:
        """Copy what is to be copied of a batch, compare all of it, return what came of it."""
        local = {
            each.file.path: found
            for each in batch
            if each.file.is_here and (found := self._digests(each.file)) is not None
        }
        due = [each.file for each in batch if each.state == "copy" and each.file.path in local]
        # of a file that is damaged here no copy is made; one that was made before is compared as any other
        files = [each.file for each in batch if each.state == "check" or each.file.path in local]
        sent = {file.path for file in due}
        failed = self._copy(due)
        compared = self.compare(files, local)
        if self._options.replace:
            wrong = [
                file
                for file in files
                if file.path in local and file.path not in sent and isinstance(compared[file.path], str)
            ]
            sent |= {file.path for file in wrong}
            failed |= self._copy(wrong)
            compared |= self.compare(wrong, local)
        done = []
        for each in batch:
            verdict = compared.get(each.file.path, f"{_DAMAGED}; it was not copied")
            if isinstance(verdict, Checked):
                done.append(Copied(each.file, each.file.path in sent, verdict))
                continue
            if each.file.path in sent and failed:
                verdict += f" ({failed.get(each.file.path) or failed['']})"
            elif each.file.path in compared:
                verdict += f"; {_remedy(each.file)}"
            done.append(Copied(each.file, False, None, verdict))
        self._enter(done)
        return done

    def _enter(self, done: Sequence[Copied]) -> None:
        for each in done:
            path = each.file.path
            if each.checked is None:
                self._done.problems[path] = each.why
                self._done.verified.pop(path, None)
                continue
            self._done.verified[path] = each.file
            self._done.checked.append(each.file)
            if each.was_copied:
                self._done.copied.append(each.file)

    def _copy(self, files: Sequence[FinalFile]) -> dict[str, str]:
        """Copy files; return why those that failed did."""
        if not files:
            return {}
        self._progress(f"copying    {sum_text(files)}")
        return self._rclone.copy(self._root, [file.path for file in files], again=self._options.replace)

    def compare(
        self, files: Sequence[FinalFile], local: Mapping[str, tuple[str, str | None]]
    ) -> dict[str, Checked | str]:
        """Compare copies now; return how each was verified, or why it was not. Raises RemoteError.

        local: path -> (sha256, hash by the algorithm that the remote states, None without one), for each file
        that is here and undamaged.
        """
        kind = None if self._options.read_back else self._rclone.hash_kind
        found: dict[str, Checked | str] = {}
        stated = self._rclone.stated([file.path for file in files]) if kind else RemoteListing()
        to_read = []
        for file in files:
            there = stated.files.get(file.path)
            due = self._due_hash(file, local, kind)
            if kind is None or due is None or (there is not None and there.hash is None):
                to_read.append(file)
            elif there is None:
                found[file.path] = "is not on the remote"
            elif there.hash != due or there.bytes != file.bytes:
                found[file.path] = (
                    f"the remote states {kind} {there.hash}, {there.bytes} bytes, and not {due}"
                )
            else:
                found[file.path] = Checked(kind, due, self._store.clock.now_ns())
        if to_read:
            self._progress(f"reading    {sum_text(to_read)} back")
        read, failed = self._rclone.read_back([file.path for file in to_read])
        for file in to_read:
            sha256 = read.get(file.path)
            if sha256 is None:
                why = failed.get(file.path) or failed.get("") or "it is not on the remote"
                found[file.path] = f"cannot be read back: {why}"
            elif sha256 != file.sha256:
                found[file.path] = f"what is read back has sha256 {sha256}, and not {file.sha256}"
            else:
                found[file.path] = Checked(READ_BACK, sha256, self._store.clock.now_ns())
        return found

    def _due_hash(
        self, file: FinalFile, local: Mapping[str, tuple[str, str | None]], kind: str | None
    ) -> str | None:
        """Return the hash that an undamaged copy of a file has; None where it is not known here.

        local: as in `compare`; kind: algorithm of the hash, None where the remote states none.
        """
        if kind == "sha256":
            return file.sha256
        if file.path in local:
            return local[file.path][1]
        known = self._known.get((file.path, file.sha256))
        return known.hash if known is not None and known.by == kind else None

    def _digests(self, file: FinalFile) -> tuple[str, str | None] | None:
        """Return the digests of a file here, None where it is not what was entered. Raises OSError."""
        found = digests(self._root / file.path, self._rclone.hash_kind)
        return found if found[0] == file.sha256 else None

    def _record(self, files: Sequence[Copied]) -> None:
        if files:
            arguments = dict(self._options.arguments)
            path = write_record(self._store, self._rclone, self._now, arguments, files)
            self._done.manifests.append(path)

    # ---- pruning ---------------------------------------------------------------------------------------

    def prunable(self, verified: Mapping[str, Any] | set[str]) -> list[FinalFile]:
        """Return the files here that may go: below raw/, old enough, without a label, `verified` there."""
        if self._options.older_than_ns is None:
            return []
        until = self._now - self._options.older_than_ns
        return [
            file
            for file in self._files
            if file.kind in PRUNED_KINDS
            and file.is_here
            and not file.is_labelled
            and file.until is not None
            and file.until < until
            and file.path in verified
        ]

    def _prune(self) -> None:
        """Delete what may go after its copy was compared once more; the ledger says so before it is gone."""
        if problems := self._store.ledger.check():
            self._done.problems[str(LEDGER)] = f"{problems[0]}; nothing was deleted here"
            return
        self._files = list(final_files(self._root, self._store.ledger))  # with labels of this minute
        old = self.prunable(self._done.verified)
        self._done.pending = [file for file in old if file.is_pending]
        candidates = [file for file in old if not (file.is_pending or self._is_needed(file))]
        duplicates = self._rclone.listing().duplicates if candidates else set()
        for batch in _batches([Judged(file, "check") for file in candidates]):
            self._prune_batch([each.file for each in batch], duplicates)

    def _is_needed(self, file: FinalFile) -> bool:
        """Return whether readers would take a segment from a joined file here that does not hold its bytes.

        Then it is named as a problem. Raises OSError.
        """
        line = merged_segments(self._root).get(file.path)
        if line is None or not (self._root / line.to).is_file():
            return False
        with ByteRange(self._root / line.to, line.offset, line.length).open() as part:
            if hashlib.file_digest(part, "sha256").hexdigest() == file.sha256:
                return False
        self._done.problems[file.path] = (
            f"{line.to} does not hold its bytes: run `{command('verify')}`; it stays here"
        )
        return True

    def _prune_batch(self, files: Sequence[FinalFile], duplicates: set[str]) -> None:
        local: dict[str, tuple[str, str | None]] = {}
        for file in files:
            if (found := self._digests(file)) is not None:
                local[file.path] = found
        compared = self.compare([file for file in files if file.path in local], local)
        refused = []
        gone: list[tuple[FinalFile, Checked]] = []
        for file in files:
            verdict: Checked | str = compared.get(file.path, _DAMAGED)
            if file.path in duplicates:
                verdict = "the remote has several files of this name"
            if isinstance(verdict, Checked):
                gone.append((file, verdict))
                continue
            self._done.problems[file.path] = f"{verdict}; it stays here"
            self._done.verified.pop(file.path, None)
            refused.append(Copied(file, False, None, verdict))
        self._record(refused)
        self._remove(gone)

    def _remove(self, gone: Sequence[tuple[FinalFile, Checked]]) -> None:
        """Enter files as moved, then delete them here. Raises OSError."""
        now = iso(self._store.clock.now_ns())
        lines = [
            {
                "kind": "moved",
                "path": file.path,
                "bytes": file.bytes,
                "sha256": file.sha256,
                "to": self._rclone.address(file.path),
                **checked.as_dict(),
                "moved_at_utc": now,
            }
            for file, checked in gone
            if file.moved_to != self._rclone.address(file.path)  # else a line before a crash says so
        ]
        if lines:
            self._store.ledger.append(*lines)
        for file, _ in gone:
            self._store.files.unlink(self._root / file.path)
            self._done.pruned.append(file)
        for folder in {(self._root / file.path).parent for file, _ in gone}:
            self._store.files.sync_dir(folder)

    # ---- the end ---------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Copy the manifests of this run, and the ledger as it is now, and compare them."""
        made = [
            FinalFile(entry["path"], "manifest", entry["bytes"], entry["sha256"], None, True, False, None)
            for entry in self._store.ledger.naming(self._done.manifests)
        ]
        self._transfer([Judged(file, "copy") for file in made])
        staged = self._root / "manifests" / ".ledger-snapshot.tmp"
        try:
            head = self._stage(staged)
            if head.count:
                self._snapshot(f"manifests/ledger-{head.count}-{head.sha256}.jsonl", staged)
        finally:
            self._store.files.unlink(staged)

    def _stage(self, staged: Path) -> Head:
        """Write the ledger as it is now to a file that nobody appends to; return its head. Raises OSError."""
        files, head = self._store.files, Head(0, NOTHING)
        files.unlink(staged)  # of a run that was killed
        handle = files.create(staged)
        try:
            for entry in self._store.ledger.entries():
                files.write(handle, entry.raw + b"\n")
                head = Head(entry.number, entry.sha256)
        finally:
            files.close(handle)
        return head

    def _snapshot(self, name: str, staged: Path) -> None:
        sha256, stated = digests(staged, self._rclone.hash_kind)
        file = FinalFile(name, "ledger", staged.stat().st_size, sha256, None, False, False, None)
        local = {name: (sha256, stated)}
        cause = ""
        is_there = self._rclone.hash_kind is not None or name in self._rclone.stated([name]).files
        found = self.compare([file], local)[name] if is_there else "is not on the remote"
        if isinstance(found, str):  # not there, or cut
            try:
                self._rclone.copy_to(staged, name)
            except RemoteError as error:
                cause = f" ({error})"
            found = self.compare([file], local)[name]
        if isinstance(found, str):
            self._done.problems[name] = found + cause
        else:
            self._done.snapshot = name


def _no_progress(text: str) -> None:
    """Take no notice: nothing is done."""


def _remedy(file: FinalFile) -> str:
    return "--replace copies it again" if file.is_here else "and there is no other copy here"


def _batches(due: Sequence[Judged]) -> Iterator[list[Judged]]:
    batch: list[Judged] = []
    size = 0
    for each in due:
        if batch and (len(batch) == BATCH_FILES or size + each.file.bytes > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(each)
        size += each.file.bytes
    if batch:
        yield batch
