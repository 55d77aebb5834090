"""rclone as a child process: lists, copies, reads back. Its configuration is the user's own.

Options and output as documented for rclone 1.60.1 (Debian 12), tried on 2026-11-30. What rclone writes to
stderr reaches a message only by its last line, without what may be a secret.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import msgspec

from marketarchive.exceptions import ArgumentError, ConfigurationError, RemoteError

HASHES = ("sha256", "sha1", "md5")
"""Hashes that are compared, the first that a remote has."""
LISTS_HASHES = frozenset({"drive", "s3", "google cloud storage"})
"""Types of remotes whose service computes a hash of what it stores and names it in each listing."""
COMPUTES_HASHES = LISTS_HASHES | {"local", "sftp"}
"""Those, and the types that read a file where it lies to answer for its hash.

The hashes of all others (crypt has none; those of hasher, chunker, compress are what this side had said
before; those of WebDAV depend on the server) are not believed: copies there are read back.
"""

_NO_FOLDER = 3  # exit code of rclone: directory not found
_NAMED = re.compile(r"(?P<name>[^:/,]+):(?P<path>.*)")
_NOT_OURS = (
    "RCLONE_DRY_RUN",
    "RCLONE_INTERACTIVE",
    "RCLONE_DUMP",
    "RCLONE_VERBOSE",
    "RCLONE_LOG_",
    "RCLONE_QUIET",
    "RCLONE_USE_JSON_LOG",
    "RCLONE_PROGRESS",
    "RCLONE_STATS",
    "RCLONE_INCLUDE",
    "RCLONE_EXCLUDE",
    "RCLONE_FILTER",
    "RCLONE_FILES_FROM",
    "RCLONE_MIN_",
    "RCLONE_MAX_SIZE",
    "RCLONE_MAX_AGE",
    "RCLONE_MAX_DEPTH",
    "RCLONE_MAX_TRANSFER",
    "RCLONE_IGNORE_",
    "RCLONE_COMPARE_DEST",
    "RCLONE_COPY_DEST",
    "RCLONE_BACKUP_DIR",
    "RCLONE_SUFFIX",
    "RCLONE_NO_CHECK_DEST",
    "RCLONE_NO_TRAVERSE",
    "RCLONE_UPDATE",
    "RCLONE_IMMUTABLE",
    "RCLONE_SIZE_ONLY",
    "RCLONE_CHECKSUM",
    "RCLONE_DOWNLOAD",
)
"""Variables that begin so are not passed on: they would change what a call does, or have it show secrets."""
_ERROR = re.compile(r"ERROR : (?P<path>.+?): (?P<why>.+)")
_STAMP = re.compile(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d ")
_SECRETS = (
    (re.compile(r"//[^/@\s\"']+@"), "//***@"),  # user and password of a URL
    (re.compile(r"(https?://[^\s?\"']+)\?[^\s\"']+"), r"\1?***"),  # a signed query
    (re.compile(r"(?i)\b(authorization|token|secret|password|pass|key)\b(\"?\s*[:=]\s*)\S+"), r"\1\2***"),
)


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file as a remote lists it."""

    path: str  # below the remote's folder
    bytes: int
    hash: str | None = None  # as the remote states it, in the kind that was asked for


@dataclass
class RemoteListing:
    """Files of a remote by path; Google Drive, for one, can have several of one name."""

    files: dict[str, RemoteFile] = field(default_factory=dict)
    duplicates: set[str] = field(default_factory=set)

    def add(self, file: RemoteFile) -> None:
        if file.path in self.files:
            self.duplicates.add(file.path)
        self.files[file.path] = file


class _RemoteFile(msgspec.Struct, rename="pascal"):
    path: str
    size: int
    hashes: dict[str, str] = {}


class _Features(msgspec.Struct, rename="pascal"):
    hashes: list[str] = []


class Rclone:
    """One folder of a remote, `NAME:FOLDER` of rclone's configuration or a path of this machine."""

    def __init__(self, remote: str, config: Path | None = None, bwlimit: str | None = None) -> None:
        """Find the program and the remote. Raises ArgumentError, ConfigurationError, RemoteError.

        config: rclone's configuration file (default: its own); bwlimit: as its option takes it, e.g. `4M`.
        """
        program = shutil.which("rclone")
        if program is None:
            raise ConfigurationError(
                "rclone is not installed: `apt install rclone`, or see https://rclone.org"
            )
        self._words = [program, "--ask-password=false"]
        if config is not None:
            if not config.is_file():
                raise ArgumentError(f"--rclone-config: there is no file {config}")
            self._words += ["--config", str(config)]
        self._bwlimit = ["--bwlimit", bwlimit] if bwlimit else []
        self._lock: tuple[int, ...] = ()
        self.version = self._run("version").split(b"\n", 1)[0].decode()
        self.remote, self.type = self._find(remote)
        self.hash_kind = self._hash_kind()

    def hold(self, lock: int) -> None:
        """Let each rclone process inherit a lock: one that outlives this process keeps others out.

        lock: file descriptor that holds it.
        """
        self._lock = (lock,)

    def address(self, path: str) -> str:
        """Return where `path` lies: without a secret, as all of those stand in the configuration."""
        return f"{self.remote}{'' if self.remote.endswith((':', '/')) else '/'}{path}"

    def listing(self) -> RemoteListing:
        """List all files, with hashes where that costs nothing. Raises RemoteError."""
        return self._listed((), self.type in LISTS_HASHES)

    def stated(self, paths: Sequence[str]) -> RemoteListing:
        """List some files with their hashes, which remotes may have to compute. Raises RemoteError."""
        return self._listed(paths, True) if paths else RemoteListing()

    def copy(self, root: Path, paths: Sequence[str], *, again: bool = False) -> dict[str, str]:
        """Copy files below `root`; return why each failed one did, "" for what concerns them all.

        again: also a file that seems to be there already. What arrived is for the caller to find out.
        """
        words = ["copy", str(root), self.remote, "--files-from-raw", "-", "--no-traverse", "--copy-links"]
        # one attempt, as the next run resumes; one stream, so that what is cut off has not its full size
        words += ["--retries", "1", "--multi-thread-streams", "0", *self._in_one_part, *self._bwlimit]
        done = self._call([*words, *(["--ignore-times"] if again else [])], paths)
        return _failures(done, paths)

    def copy_to(self, source: Path, path: str) -> None:
        """Copy one file to another name. Raises RemoteError."""
        words = ["copyto", str(source), self.address(path), "--retries", "1"]
        self._run(*words, *self._in_one_part, *self._bwlimit)

    @property
    def _in_one_part(self) -> list[str]:
        """Return the options by which S3 gets a file in one part, or its hash is only what we say it is."""
        return ["--s3-upload-cutoff", "5G"] if self.type == "s3" else []

    def read_back(self, paths: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
        """Read files of the remote; return path -> sha256 of those that could be read, and why others not."""
        if not paths:
            return {}, {}
        words = ["hashsum", "SHA-256", "--download", self.remote, "--files-from-raw", "-", *self._bwlimit]
        done = self._call(words, paths)  # one that fails is not in the answer, whatever the exit code
        lines = (line.split("  ", 1) for line in _text(done.stdout).splitlines())
        found = {line[1]: line[0] for line in lines if len(line) == 2 and len(line[0]) == 64}
        return found, _failures(done, paths)

    @contextmanager
    def opened(self, path: str) -> Iterator[BinaryIO]:
        """Open a file of the remote for reading from its beginning. Raises RemoteError at the end, if cut."""
        words = [*self._words, "cat", self.address(path), *self._bwlimit]
        process = subprocess.Popen(  # noqa: S603  (words of ours, no shell)
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(),
            pass_fds=self._lock,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            yield process.stdout  # type: ignore[misc]  # IO[bytes] of a pipe
            said = process.stderr.read()
            if process.wait() != 0:
                raise RemoteError(f"{self.address(path)} cannot be read: {_cause(said)}")
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()

    def _listed(self, paths: Sequence[str], with_hashes: bool) -> RemoteListing:
        words = ["lsjson", self.remote, "--recursive", "--files-only", "--no-modtime", "--no-mimetype"]
        kind = self.hash_kind if with_hashes else None
        words += ["--hash", "--hash-type", kind] if kind else ["--fast-list"]
        words += ["--files-from-raw", "-"] if paths else []
        done = self._call(words, paths)
        if done.returncode == _NO_FOLDER:
            return RemoteListing()
        if done.returncode:
            raise RemoteError(f"{self.remote} cannot be listed: {_cause(done.stderr)}")
        found = RemoteListing()
        for file in msgspec.json.decode(done.stdout, type=list[_RemoteFile]):
            found.add(RemoteFile(file.path, file.size, file.hashes.get(kind or "") or None))
        return found

    def _find(self, remote: str) -> tuple[str, str]:
        """Return the remote as it is recorded, and its type. Raises ArgumentError, ConfigurationError."""
        if remote.startswith(":") or "," in remote.split(":")[0]:
            raise ArgumentError(
                "a remote with its options in its name may hold a secret, and names go into the ledger: "
                "enter it in rclone's configuration (`rclone config`) and name it NAME:FOLDER"
            )
        match = _NAMED.fullmatch(remote)
        if match is None:
            return str(Path(remote).absolute()), "local"
        listed = _text(self._run("listremotes", "--long")).splitlines()
        types = {
            name.rstrip(": ").lower(): kind.strip() for name, _, kind in (e.partition(":") for e in listed)
        }
        if match["name"].lower() not in types:
            names = ", ".join(f"{name}:" for name in types) or "none"
            raise ConfigurationError(
                f"rclone's configuration has no remote {match['name']}: (it has {names}); see `rclone config`"
            )
        return f"{match['name']}:{match['path'].rstrip('/')}", types[match["name"].lower()]

    def _hash_kind(self) -> str | None:
        if self.type not in COMPUTES_HASHES:
            return None
        said = msgspec.json.decode(self._run("backend", "features", self.remote), type=_Features)
        return next((kind for kind in HASHES if kind in said.hashes), None)

    def _run(self, *words: str) -> bytes:
        done = self._call(words)
        if done.returncode:
            raise RemoteError(f"rclone {words[0]} failed: {_cause(done.stderr)}")
        return done.stdout

    def _call(self, words: Sequence[str], paths: Sequence[str] = ()) -> subprocess.CompletedProcess[bytes]:
        listed = "".join(f"{path}\n" for path in paths).encode()
        return subprocess.run(  # noqa: S603  (words of ours, no shell)
            [*self._words, *words],
            input=listed,
            capture_output=True,
            env=_environment(),
            pass_fds=self._lock,
            check=False,
        )


def _failures(done: subprocess.CompletedProcess[bytes], paths: Sequence[str]) -> dict[str, str]:
    """Return why files failed, and under "" what the call as a whole says; nothing when it did well."""
    if done.returncode == 0:
        return {}
    known = set(paths)
    found = {each["path"]: _redacted(each["why"]) for each in _ERROR.finditer(_text(done.stderr))}
    return {path: why for path, why in found.items() if path in known} | {"": _cause(done.stderr)}


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(_NOT_OURS)}


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _cause(stderr: bytes) -> str:
    """Return the last line that rclone wrote, without its date and secrets."""
    lines = [line for line in _text(stderr).splitlines() if line.strip()]
    return _redacted(_STAMP.sub("", lines[-1])) if lines else "rclone does not say why"


def _redacted(text: str) -> str:
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text.strip()
