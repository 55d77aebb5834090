"""offload: copies that are believed only when compared, on four remotes, each with a flipped bit; what dies."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from marketarchive.archive.config import ArchiveConfig
from marketarchive.archive.files import Files
from marketarchive.archive.labels import label
from marketarchive.archive.ledger import Ledger
from marketarchive.archive.locks import try_lock
from marketarchive.archive.offload.offload import Options, Outcome, offload, plan
from marketarchive.archive.offload.rclone import Rclone
from marketarchive.archive.offload.restore import absent, restore
from marketarchive.archive.paths import OFFLOAD_LOCK
from marketarchive.archive.reader import ArchiveReader
from marketarchive.archive.status import status
from marketarchive.archive.store import Store
from marketarchive.archive.verify import verify
from marketarchive.exceptions import ArchiveError, ArgumentError, ConfigurationError, RemoteError
from marketarchive.times import DAY, SECOND
from tests.archive import museum
from tests.archive.faulty_files import FailNth
from tests.archive.remotes import BUCKET, KINDS, WITH_HASH, Remote, serving
from tests.archive.writing import NOON, HandClock, ledger_of, open_run, response, writer

pytestmark = pytest.mark.process

T = TypeVar("T")
LATER = NOON + 40 * DAY
ENTERED = ("segment", "recovered", "torn", "manifest", "day_file")
RAW = ENTERED[:3]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "archive"
    museum.build(folder)
    return folder


@pytest.fixture
def root(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "archive"))


@pytest.fixture(autouse=True)
def _own_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """rclone 1.60.1 refuses S3 where this is set, which is nothing that is tested here."""
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)


@pytest.fixture(scope="module", params=KINDS)
def remote(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    with serving(request.param, tmp_path_factory.mktemp(request.param)) as found:
        yield found


def store(root: Path, files: Files | None = None) -> Store:
    return Store(root, HandClock(LATER), ArchiveConfig(), files or Files(), Ledger(root, files))


def options(**changed: Any) -> Options:
    return Options(**{"recheck_ns": 30 * DAY, **changed})


def run(root: Path, rclone: Rclone, **changed: Any) -> Outcome:
    return offload(store(root), rclone, options(**changed), lambda text: None)


def entered(root: Path, *kinds: str) -> dict[str, str]:
    """Path -> sha256 of final files, but not of this command's manifests."""
    return {
        entry["path"]: entry["sha256"]
        for kind in kinds or ENTERED
        for entry in ledger_of(root, kind)
        if not entry["path"].startswith("manifests/offload-")
    }


def manifest(root: Path, path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / path).read_bytes())
    return found


def test_a_whole_life_of_copies(root: Path, remote: Remote) -> None:
    """Copied, verified, recorded; not copied again; rotten, found and kept; mended, pruned, brought back."""
    rclone = Rclone(remote.address("life"), remote.config)
    planned = plan(store(root), rclone, options())
    assert {file.path for file in planned.copied} == entered(root).keys()
    assert not planned.problems
    assert not (root / OFFLOAD_LOCK).exists()

    first = run(root, rclone)
    assert first.problems == {}
    assert {file.path for file in first.copied} == {*entered(root), *first.manifests}
    [made] = first.manifests
    document = manifest(root, made)
    by = WITH_HASH.get(rclone.type, "read_back")
    assert {each["path"]: each["sha256"] for each in document["files"]} == entered(root)
    assert {(each["state"], each["verified_by"]) for each in document["files"]} == {("verified", by)}
    assert document["remote"] == remote.address("life")
    assert first.snapshot == f"manifests/ledger-{'-'.join(str(Ledger(root).head()).split(':'))}.jsonl"

    head = Ledger(root).head()
    again = run(root, rclone)
    assert (again.copied, again.problems, again.manifests, again.snapshot) == ([], {}, [], first.snapshot)
    assert again.verified.keys() == {*entered(root), made}
    assert Ledger(root).head() == head

    rotten = museum.sealed(root).relative_to(root).as_posix()
    remote.flip("life", rotten)
    kept = run(root, rclone, older_than_ns=DAY)
    assert kept.problems.keys() == {rotten}
    assert rotten not in kept.verified
    assert (root / rotten).exists()
    assert {file.path for file in kept.pruned} == entered(root, *RAW).keys() - {rotten}
    assert not any((root / file.path).exists() for file in kept.pruned)
    assert run(root, rclone).problems.keys() == {rotten}  # it stays known

    assert run(root, rclone, replace=True, older_than_ns=DAY).problems == {}
    assert not (root / rotten).exists()
    report = verify(root)
    assert report.problems == []
    assert report.moved == {path: rclone.address(path) for path in entered(root, *RAW)}
    assert run(root, rclone, recheck_ns=0).problems == {}  # what is nowhere else is compared, too

    back = restore(store(root), rclone, absent(store(root)))
    assert back.problems == {}
    assert verify(root).problems == []
    assert verify(root).moved == {}


def test_a_bit_that_rots_in_silence_is_found_by_reading_back(root: Path, tmp_path: Path) -> None:
    """An S3 service states the hash of what it received, whatever its disk has made of it since."""
    with serving("s3", tmp_path) as remote:
        rclone = Rclone(remote.address("rot"), remote.config)
        assert run(root, rclone).problems == {}
        path = museum.sealed(root).relative_to(root).as_posix()
        remote.moto.call("rot", BUCKET, f"rot/{path}")
        assert run(root, rclone).problems == {}
        found = run(root, rclone, read_back=True, older_than_ns=DAY)
        assert found.problems.keys() == {path}
        assert (root / path).exists()
