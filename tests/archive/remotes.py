"""Remotes on loopback for offload: a folder, one that is encrypted, WebDAV, and moto's S3."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.calling import client

KINDS = ("local", "crypt", "webdav", "s3")
WITH_HASH = {"local": "sha256", "s3": "md5"}
"""Those whose hashes are believed; copies on the others are read back."""
BUCKET = "offsite"


@dataclass(frozen=True)
class Remote:
    """A remote `x:` of a configuration file; what is stored lies in a folder, or with moto."""

    kind: str
    config: Path
    stored: Path
    moto: Any = None

    def address(self, folder: str) -> str:
        if self.kind == "local":
            return str(self.stored / folder)
        return f"x:{BUCKET}/{folder}" if self.kind == "s3" else f"x:{folder}"

    def flip(self, folder: str, path: str) -> None:
        """Flip a bit in the middle of a stored file, as another writer or a bad disk would."""
        if self.moto is not None:
            data = bytearray.fromhex(self.moto.call("read", BUCKET, f"{folder}/{path}"))
            data[len(data) // 2] ^= 1
            self.moto.call("write", BUCKET, f"{folder}/{path}", data.hex())
            return
        found = self.stored / folder / path
        data = bytearray(
            (found if self.kind != "crypt" else found.with_name(f"{found.name}.bin")).read_bytes()
        )
        data[len(data) // 2] ^= 1
        (found if self.kind != "crypt" else found.with_name(f"{found.name}.bin")).write_bytes(data)


@contextmanager
def serving(kind: str, folder: Path) -> Iterator[Remote]:
    """Serve a remote until the block is left; skip where what it needs is not installed."""
    if shutil.which("rclone") is None:
        pytest.skip("rclone is not installed: `apt install rclone`")
    config, stored = folder / "rclone.conf", folder / "stored"
    stored.mkdir()
    if kind == "local":
        config.write_text("")
        yield Remote(kind, config, stored)
    elif kind == "crypt":
        secret = subprocess.run(["rclone", "obscure", "loopback"], capture_output=True, text=True, check=True)
        config.write_text(
            f"[x]\ntype = crypt\nremote = {stored}\npassword = {secret.stdout.strip()}\n"
            "filename_encryption = off\ndirectory_name_encryption = false\n"
        )
        yield Remote(kind, config, stored)
    elif kind == "webdav":
        with webdav(stored) as url:
            config.write_text(f"[x]\ntype = webdav\nurl = {url}\nvendor = other\n")
            yield Remote(kind, config, stored)
    else:
        with client("moto") as moto:
            url = moto.call("make_bucket", BUCKET)
            config.write_text(
                f"[x]\ntype = s3\nprovider = Other\nendpoint = {url}\n"
                "access_key_id = simulated\nsecret_access_key = simulated-secret\n"
            )
            yield Remote(kind, config, stored, moto)


@contextmanager
def webdav(folder: Path) -> Iterator[str]:
    """Serve a folder at the URL that is yielded."""
    command = ["rclone", "serve", "webdav", str(folder), "--addr", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            found = next(match for line in process.stderr if (match := re.search(r"http://[\d.:]+/", line)))
            yield found[0]
        finally:
            process.kill()
