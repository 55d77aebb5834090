"""Files below index/: caches that are computed from the archive and can be computed again at any time.

Such a file is a version, msgpack, and the sha256 of both. A file that is cut, changed, half written by a
power failure or of another version counts as missing. So writing needs no fsync and no lock: of two writers
the last one wins, and each file is whole.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
from pathlib import Path
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_DIGEST = 32


def store_derived(path: Path, version: int, content: Any) -> None:
    """Write `content` as msgpack to a derived file, replacing it atomically. Raises OSError.

    version: of the content's form; `load_derived` reads only a file of the same version.
    """
    data = _name(version) + msgspec.msgpack.encode(content)
    path.parent.mkdir(exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        fresh.write_bytes(data + hashlib.sha256(data).digest())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def load_derived(path: Path, version: int, kind: type[T]) -> T | None:
    """Return the content of a derived file, decoded as `kind`.

    None where the file is missing or unreadable, is of another `version`, or its sha256 does not match.
    """
    try:
        data = path.read_bytes()
    except OSError:
        return None
    name, content, digest = _name(version), data[:-_DIGEST], data[-_DIGEST:]
    if not content.startswith(name) or hashlib.sha256(content).digest() != digest:
        return None
    try:
        return msgspec.msgpack.decode(memoryview(content)[len(name) :], type=kind)
    except msgspec.DecodeError:
        return None


def _name(version: int) -> bytes:
    """Return the first line of a derived file: its version and the machine's byte order."""
    return f"marketarchive index {version} {sys.byteorder}\n".encode()
