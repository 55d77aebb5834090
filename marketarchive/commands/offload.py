"""`scrapy offload`: copy final files to a remote, verify the copies, prune or restore files here."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

from marketarchive.archive.config import ArchiveConfig, files_from_settings
from marketarchive.archive.ledger import Ledger
from marketarchive.archive.offload.files import sum_text
from marketarchive.archive.offload.offload import Offloaded, OffloadOptions, exclusive, offload, plan
from marketarchive.archive.offload.rclone import Rclone
from marketarchive.archive.offload.restore import absent, remote_of, restore
from marketarchive.archive.store import Store
from marketarchive.collecting.arguments import seconds
from marketarchive.collecting.exit_codes import FAILED, FINISHED
from marketarchive.exceptions import ArgumentError, DiskError
from marketarchive.offline import OfflineCommand
from marketarchive.times import from_seconds


class Command(OfflineCommand):
    takes_arguments = True

    def syntax(self) -> str:
        return "REMOTE:FOLDER [--dry-run] [--prune --older-than 30d] | --restore [PATH ...]"

    def short_desc(self) -> str:
        return "Copy final files to a remote with rclone, verify the copies, prune or restore local files"

    def long_desc(self) -> str:
        return (
            "Copies every file of the ledger, and the ledger itself under a name that contains its head, to "
            "a remote of rclone's configuration or to a folder. A copy is verified by a hash that both the "
            "remote's service and this machine compute, or by reading it back; manifests/offload-RUN.json "
            "lists what was verified, and how. Files that are already there are not copied again, and the "
            "next run resumes one that was killed. Nothing is deleted locally without --prune. Exit code 1 "
            "if a copy is not verified."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--dry-run", action="store_true", help="print what would be done, without doing it"
        )
        parser.add_argument(
            "--bwlimit", metavar="RATE", help="limit the bandwidth, as in rclone's --bwlimit: 4M is 4 MiB/s"
        )
        parser.add_argument(
            "--rclone-config", metavar="FILE", help="configuration file of rclone (default: rclone's own)"
        )
        parser.add_argument(
            "--recheck-after",
            metavar="SPAN",
            default="30d",
            help=(
                "compare a copy again if it was last verified this long ago (default: 30d); if the remote "
                "lists hashes, each run compares them"
            ),
        )
        parser.add_argument(
            "--read-back", action="store_true", help="read copies back even if the remote states a hash"
        )
        parser.add_argument(
            "--replace", action="store_true", help="overwrite copies that differ from the local file"
        )
        parser.add_argument(
            "--prune",
            action="store_true",
            help=(
                "delete local segments whose copies are verified, after comparing each again; labelled ones "
                "are kept"
            ),
        )
        parser.add_argument(
            "--older-than",
            metavar="SPAN",
            help="with --prune: only segments whose newest line is older than this, e.g. 30d",
        )
        parser.add_argument(
            "--restore",
            nargs="*",
            metavar="PATH",
            help="copy pruned files back: those at or below the given paths, or all",
        )
        parser.add_argument(
            "--since",
            metavar="TIME",
            help="with --restore: only files with lines at this time or later (ISO 8601, or 1d: a day ago)",
        )

    def work(self, args: list[str], opts: argparse.Namespace) -> int:
        assert self.settings is not None
        _check(args, opts)
        files = files_from_settings(self.settings)
        config = ArchiveConfig.from_settings(self.settings)
        store = Store(self.root, self.clock, config, files, Ledger(self.root, files))
        # Ctrl+C as well as the end of a service stop rclone too
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            return (
                self._restore(store, args, opts)
                if opts.restore is not None
                else self._offload(store, args, opts)
            )
        except OSError as error:
            raise DiskError(
                f"offload stopped: {error}. No local file was deleted unless the ledger says that it was "
                "moved. Free space or mend the disk, then run it again."
            ) from error
        finally:
            signal.signal(signal.SIGTERM, before)

    def _offload(self, store: Store, args: Sequence[str], opts: argparse.Namespace) -> int:
        options, root = _options(opts), self.archive
        rclone = _rclone(args[0], opts)
        if rclone.type == "local" and Path(rclone.remote).resolve().is_relative_to(root.resolve()):
            raise ArgumentError(f"{rclone.remote} lies within the archive")
        if opts.dry_run:
            end = f"dry run: nothing was written, neither here nor to {rclone.remote}"
            print(_text(plan(store, rclone, options), rclone, _PLANNED, end))
            return FINISHED
        done = offload(store, rclone, options, lambda text: print(text, flush=True))
        end = f"not verified: {len(done.problems)}" if done.problems else "all copies are verified"
        print(_text(done, rclone, _DONE, end))
        return FAILED if done.problems else FINISHED

    def _restore(self, store: Store, args: Sequence[str], opts: argparse.Namespace) -> int:
        found = absent(store, opts.restore, self.moment("--since", opts.since))
        if opts.dry_run:
            print(f"to restore  {sum_text(found)}")
            return FINISHED
        is_whole = True
        for remote, group in groupby(sorted(found, key=remote_of), remote_of):
            rclone = _rclone(args[0] if args else remote, opts)
            with exclusive(store, rclone):
                done = restore(store, rclone, list(group))
            print(
                "\n".join(
                    [*_problems(done.problems), f"restored  {sum_text(done.files)} from {rclone.remote}"]
                )
            )
            is_whole &= not done.problems
        if not found:
            print("nothing to restore: no such file was pruned")
        return FINISHED if is_whole else FAILED


def _check(args: Sequence[str], opts: argparse.Namespace) -> None:
    """Raise ArgumentError for options that cannot be combined, or a missing remote."""
    if opts.restore is not None:
        if opts.prune or opts.replace or len(args) > 1:
            raise ArgumentError("--restore takes only --since, --dry-run, and at most one remote before it")
        return
    if len(args) != 1:
        raise ArgumentError("name one remote: NAME:FOLDER as in rclone's configuration, or a folder")
    if opts.since is not None:
        raise ArgumentError("--since needs --restore")
    if opts.prune != (opts.older_than is not None):
        raise ArgumentError(
            "--prune and --older-than SPAN need each other: give both, e.g. --prune --older-than 30d"
        )


def _options(opts: argparse.Namespace) -> OffloadOptions:
    older = None if opts.older_than is None else from_seconds(seconds("--older-than", opts.older_than))
    arguments = {
        "bwlimit": opts.bwlimit,
        "recheck_after": opts.recheck_after,
        "read_back": opts.read_back,
        "replace": opts.replace,
        "prune": opts.prune,
        "older_than": opts.older_than,
    }
    recheck = from_seconds(seconds("--recheck-after", opts.recheck_after))
    return OffloadOptions(recheck, opts.replace, opts.read_back, older, arguments)


def _rclone(remote: str, opts: argparse.Namespace) -> Rclone:
    config = None if opts.rclone_config is None else Path(opts.rclone_config).expanduser()
    return Rclone(remote, config, opts.bwlimit)


_PLANNED = {
    "copied": "to copy    {sum}, then the ledger and a manifest",
    "checked": "to compare {sum}, the copied ones included",
    "verified": "verified   {sum} by earlier runs",
    "elsewhere": "elsewhere  {sum} that were moved to another remote",
    "pruned": "to prune   at most {sum}, each compared once more before",
    "pending": "kept here  {sum} of runs without a manifest, whose recovery would read them",
}
_DONE = {
    "copied": "copied     {sum}",
    "checked": "compared   {sum} now, by {how}",
    "verified": "verified   {sum} on {remote}",
    "elsewhere": _PLANNED["elsewhere"],
    "pruned": "pruned     {sum} here; the ledger says where they are",
    "pending": _PLANNED["pending"],
}
"""Field of `Offloaded` that lists files -> line that reports them."""


def _text(found: Offloaded, rclone: Rclone, words: Mapping[str, str], end: str) -> str:
    """Return the report of an offload, or of its plan.

    words: field of `Offloaded` -> line for its files; lines of files moved elsewhere, pruned or kept are left
    out if there are none; end: the last line.
    """
    lines = _problems(found.problems)
    for name, line in words.items():
        files = getattr(found, name)
        if files or name not in ("elsewhere", "pruned", "pending"):
            every = files.values() if isinstance(files, dict) else files
            how = rclone.hash_kind or "reading back"
            lines.append(line.format(sum=sum_text(every), how=how, remote=rclone.remote))
    lines += [f"manifest   {path}" for path in found.manifests]
    if found.snapshot:
        lines.append(f"ledger     {found.snapshot}")
    return "\n".join([*lines, end])


def _problems(problems: Mapping[str, str]) -> list[str]:
    return [f"PROBLEM    {path}: {why}" for path, why in problems.items()]
