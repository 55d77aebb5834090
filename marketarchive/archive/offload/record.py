"""Record of what was verified on a remote: `manifests/offload-<run>.json`, written and read again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from marketarchive.archive.ledger import Ledger
from marketarchive.archive.manifest import store_manifest
from marketarchive.archive.offload.files import FinalFile
from marketarchive.archive.offload.rclone import Rclone
from marketarchive.archive.paths import new_run_id, relative
from marketarchive.archive.store import Store
from marketarchive.json_lines import NOT_JSON
from marketarchive.times import from_iso, iso
from marketarchive.version import COLLECTOR

COMMAND = "offload"
PREFIX = f"manifests/{COMMAND}-"
READ_BACK = "read_back"
"""`verified_by` of a copy that was read; else it is the kind of the hash that both sides stated."""


@dataclass(frozen=True, slots=True)
class Checked:
    """Comparison of a copy with its file, which agreed."""

    by: str  # READ_BACK, or the kind of hash
    hash: str  # which both sides have
    at: int  # ns

    def as_dict(self) -> dict[str, str]:
        return {"verified_by": self.by, "hash": self.hash, "verified_at_utc": iso(self.at)}


@dataclass(frozen=True, slots=True)
class Copied:
    """One file of a run: verified, or why not."""

    file: FinalFile
    was_copied: bool
    checked: Checked | None
    why: str = ""

    def as_dict(self) -> dict[str, Any]:
        file = self.file
        state = {"state": "not_verified", "why": self.why}
        return {
            "path": file.path,
            "bytes": file.bytes,
            "sha256": file.sha256,
            "was_copied": self.was_copied,
            **(state if self.checked is None else {"state": "verified", **self.checked.as_dict()}),
        }


class _File(msgspec.Struct):
    path: str
    sha256: str
    state: str
    verified_by: str = ""
    hash: str = ""
    verified_at_utc: str = ""


class _OffloadManifest(msgspec.Struct):
    remote: str
    files: list[_File]


def is_record(path: str) -> bool:
    """Return whether a file of the ledger is a manifest of this command."""
    return path.startswith(PREFIX)


def recorded(root: Path, ledger: Ledger, rclone: Rclone) -> dict[tuple[str, str], Checked]:
    """Return (path, sha256) -> how its copy on a remote was verified last; what was found wrong later is not.

    Of a manifest that is not the one entered in the ledger, which `verify` names, nothing is believed, nor of
    one that this command found and had not entered itself.
    """
    found: dict[tuple[str, str], Checked] = {}
    for entry in ledger.of_kind("moved", "manifest"):
        if entry.kind == "moved" and entry.get("to") == rclone.address(entry["path"]):
            if (by := entry.get("verified_by")) is not None:
                at = from_iso(entry["verified_at_utc"])
                found[entry["path"], entry["sha256"]] = Checked(by, entry["hash"], at)
            continue
        if not is_record(entry["path"]) or entry.get("adopted"):
            continue
        try:
            data = (root / entry["path"]).read_bytes()
            if hashlib.sha256(data).hexdigest() != entry["sha256"]:
                continue
            document = msgspec.json.decode(data, type=_OffloadManifest)
        except (OSError, *NOT_JSON):
            continue
        for file in document.files if document.remote == rclone.remote else ():
            key = file.path, file.sha256
            if file.state == "verified":
                found[key] = Checked(file.verified_by, file.hash, from_iso(file.verified_at_utc))
            else:
                found.pop(key, None)
    return found


def adopt_records(store: Store) -> None:
    """Enter manifests that a killed run wrote and could not enter; what they say is not believed.

    Call it while no other offload works. Raises OSError.
    """
    folder = store.root / "manifests"
    for path in folder.glob(f"{COMMAND}-*.json.tmp"):
        store.files.unlink(path)
    found = {relative(store.root, path): path for path in sorted(folder.glob(f"{COMMAND}-*.json"))}
    for entry in store.ledger.naming(found):
        found.pop(entry["path"], None)
    for name, path in found.items():
        data = path.read_bytes()
        with suppress(*NOT_JSON):
            msgspec.json.decode(data, type=_OffloadManifest)
            store.ledger.append(
                {
                    "kind": "manifest",
                    "path": name,
                    "run": path.stem.removeprefix(f"{COMMAND}-"),
                    "bytes": len(data),
                    "sha256": hashlib.sha256(data).hexdigest(),
                    "adopted": True,
                }
            )


def write_record(
    store: Store, rclone: Rclone, started: int, arguments: dict[str, Any], files: Sequence[Copied]
) -> str:
    """Write the manifest of some files and enter it in the ledger; return its path. Raises OSError."""
    now, head = store.clock.now_ns(), store.ledger.head()
    run = new_run_id(started)
    verified = [each for each in files if each.checked is not None]
    document = {
        "kind": "manifest",
        "schema": 1,
        "run": run,
        "command": COMMAND,
        "collector": COLLECTOR,
        "started_at_utc": iso(started),
        "finished_at_utc": iso(now),
        "duration_s": round((now - started) / 1e9, 3),
        "arguments": arguments,
        "versions": {"rclone": rclone.version},
        "remote": rclone.remote,
        "remote_type": rclone.type,
        "copied": sum(each.was_copied for each in files),
        "copied_bytes": sum(each.file.bytes for each in files if each.was_copied),
        "verified": len(verified),
        "verified_bytes": sum(each.file.bytes for each in verified),
        "not_verified": len(files) - len(verified),
        "files": [each.as_dict() for each in files],
        "ledger": {"count": head.count, "head": head.sha256},
    }
    return store_manifest(store, f"{COMMAND}-{run}", document)
