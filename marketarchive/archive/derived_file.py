"""Files below index/: what was worked out from the archive and can be worked out again at any time.

Such a file is its own proof or nothing: msgpack behind a version, the sha256 of both at the end. One that is
missing, cut, changed, half written by a power failure or of another version counts as missing. So writing it
needs no fsync and no lock: of two writers the last one wins, and each file is whole.
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
    """Replace the file. Raises OSError."""
    data = _name(version) + msgspec.msgpack.encode(content)
    path.parent.mkdir(exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        fresh.write_bytes(data + hashlib.sha256(data).digest())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def load_derived(path: Path, version: int, kind: type[T]) -> T | None:
    """Return what was stored; None where the file does not prove itself, or cannot be read."""
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
    """Return what a file begins with; bytes of numbers in it are the machine's own."""
    return f"marketarchive index {version} {sys.byteorder}\n".encode()
