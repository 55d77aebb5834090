"""A throw-away PostgreSQL cluster: initdb and pg_ctl as a non-root user, a socket in a temporary folder."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def programs() -> Path:
    """The folder of initdb and pg_ctl; skips the test where there is none."""
    found = [Path(where).resolve().parent for name in ("pg_ctl",) if (where := shutil.which(name))]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in found:
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")


@contextmanager
def cluster() -> Iterator[str]:
    """Yields `postgresql://postgres@/{name}?host=SOCKET_FOLDER`, to be formatted with a database name."""
    pytest.importorskip("psycopg", reason='psycopg is not installed: pip install "marketarchive[postgres]"')
    bin_folder = programs()
    user = None
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        try:
            user = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("running as root, and there is no user postgres to start a PostgreSQL cluster as")
    base = Path(tempfile.mkdtemp(prefix="marketarchive-pg-"))
    data = base / "data"

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            [str(bin_folder / program), *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=base,
            timeout=300,
            user=None if user is None else user.pw_uid,
            group=None if user is None else user.pw_gid,
            extra_groups=None if user is None else [],
        )

    try:
        if user is not None:
            os.chown(base, user.pw_uid, user.pw_gid)
        run("initdb", "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-c listen_addresses='' -k {base} -c fsync=off -c full_page_writes=off"
        run("pg_ctl", "-D", str(data), "-o", options, "-l", str(base / "log"), "-w", "start")
        try:
            yield f"postgresql://postgres@/{{name}}?host={base}"
        finally:
            run("pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(base)
