from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from sqlalchemy import Engine, func, select, text

from marketarchive.exceptions import ConfigurationError, MasterError
from marketarchive.master.counts import counts
from marketarchive.master.engine import connect, open_master, shown, sqlite_path, sqlite_url, writing
from marketarchive.master.observation import observe
from marketarchive.master.store import MasterStore
from marketarchive.master.tables import market_changes, markets
from marketarchive.master.upsert import upsert
from tests.master.markets import market


def count(engine: Engine, table: Any) -> int:
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def test_sqlite_is_durable_and_checks_references(tmp_path: Path) -> None:
    engine = open_master(f"sqlite:///{tmp_path}/new/folder/master.db")
    with engine.connect() as connection:
        settings = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    engine.dispose()
    assert settings == ["wal", 2, 1, 5000]  # 2 = FULL


def test_readers_do_not_wait_for_a_writer(engine: Engine) -> None:
    with writing(engine) as connection:
        upsert(connection, [observe(market(0))])
        assert count(engine, markets) == 0
    assert count(engine, markets) == 1


def test_a_failure_leaves_nothing_behind(engine: Engine) -> None:
    def fail_after_writing() -> None:
        with writing(engine) as connection:
            upsert(connection, [observe(market(0, title="a"))])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_writing()
    assert count(engine, markets) == count(engine, market_changes) == 0


def test_a_newer_database_is_refused(engine: Engine, url: str) -> None:
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(MasterError, match=r"revision 9999, which this version does not know"):
        open_master(url)


def test_a_migration_that_dies_half_way_leaves_the_database_as_it_was(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr("alembic.operations.Operations.execute", die)  # after the tables, before the views
        with pytest.raises(ZeroDivisionError):
            open_master(url)
    engine = open_master(url)
    assert count(engine, markets) == 0
    engine.dispose()


WRITER = """
import sys
from marketarchive.master.observation import observe
from marketarchive.master.store import MasterStore
from tests.master.markets import market
url, run = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
store = MasterStore(url, wait_s=30)
for t in range(40):
    store.write([observe(market(t, market_id=f"m{n}", run=run, title=f"{t // 10}")) for n in range(5)])
store.close()
"""


@pytest.mark.process
def test_processes_that_start_and_write_at_once(url: str) -> None:
    """A new database: all migrate it, all write the same markets."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, url, f"r{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=Path(__file__).parents[2],
        )
        for number in range(3)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        for process in processes:
            _, errors = process.communicate(timeout=300)
            assert process.returncode == 0, errors
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    engine = open_master(url)
    assert count(engine, markets) == 5
    with engine.connect() as connection:
        assert connection.execute(select(markets.c.title).distinct()).scalars().all() == ["3"]
        created, updated = connection.execute(
            select(func.min(markets.c.created_at), func.max(markets.c.updated_at))
        ).one()
    engine.dispose()
    assert updated - created == 39_000_000


def test_a_deleted_file_is_made_again_by_the_next_write(tmp_path: Path) -> None:
    path = tmp_path / "master.db"
    store = MasterStore(f"sqlite:///{path}")
    store.write([observe(market(0))])
    path.unlink()
    assert store.write([observe(market(1, market_id="other"))]).rows == 1
    store.close()
    with sqlite3.connect(path) as connection:
        found = connection.execute("SELECT market_id FROM markets").fetchall()
    connection.close()
    assert found == [("other",)]


def test_a_locked_file_is_a_master_error_and_works_again_when_unlocked(tmp_path: Path) -> None:
    path = tmp_path / "master.db"
    store = MasterStore(f"sqlite:///{path}", wait_s=0.05)
    store.write([observe(market(0))])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(MasterError, match=r"database is locked\. Raw archiving goes on"):
        store.write([observe(market(1))])
    other.execute("ROLLBACK")
    other.close()
    assert store.write([observe(market(1))]).rows == 1
    store.close()


def test_a_server_that_restarts_costs_one_attempt(engine: Engine, url: str) -> None:
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has no server")
    store = MasterStore(url)
    store.write([observe(market(0))])
    with engine.connect() as connection:
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        connection.execute(text(f"{others} AND datname = current_database()"))
    with pytest.raises(MasterError, match="terminat"):
        store.write([observe(market(1))])
    assert store.write([observe(market(1))]).rows == 1
    store.close()


def test_a_read_only_file_is_a_master_error(tmp_path: Path) -> None:
    open_master(f"sqlite:///{tmp_path}/master.db").dispose()
    store = MasterStore(f"sqlite:///file:{tmp_path}/master.db?mode=ro&uri=true")
    with pytest.raises(MasterError, match="attempt to write a readonly database"):
        store.write([observe(market(1))])
    store.close()


def test_a_file_that_is_no_database_is_a_master_error(tmp_path: Path) -> None:
    (tmp_path / "master.db").write_text("these are not the bytes of a database\n" * 100)
    with pytest.raises(MasterError, match="not a database"):
        open_master(f"sqlite:///{tmp_path}/master.db")


@pytest.mark.parametrize("cut", [1, 4_000, 4_096, 10_000])
def test_a_file_that_was_cut_is_a_master_error(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "master.db"
    engine = open_master(sqlite_url(path))
    with writing(engine) as connection:
        upsert(connection, [observe(market(n, f"0x{n}", title="t" * 100)) for n in range(50)], "changes")
    engine.dispose()  # the last connection: its pages are in the file, not in the WAL any more
    os.truncate(path, path.stat().st_size - cut)
    said = "move it away" if cut % 4_096 else "malformed"
    with pytest.raises(MasterError, match=f"cannot be used: .*{said}.*rebuild-master"):
        counts(sqlite_url(path), 0)


def test_a_server_that_is_not_there_is_a_master_error_without_the_password() -> None:
    with pytest.raises(MasterError) as raised:
        open_master("postgresql://user:secret@127.0.0.1:1/name")
    assert "secret" not in str(raised.value)
    assert "127.0.0.1" in str(raised.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "is not a database URL"),
        ("mysql://localhost/name", "mysql is not supported"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
    ],
)
def test_a_wrong_url_is_a_configuration_error(url: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        connect(url)


MALFORMED = [
    "s3cr3t",
    "me:s3cr3t@host/name",
    "postgresql//me:s3cr3t@host/name",
    "postgresql://me:s3cr3t@host:port/name",
    "postgresql://me:pw@host:s3cr3t@x/name",
    "postgresql://me:pw@s3cr3t/x@host/name",
    "postgresql://me:pw@s3cr3t@host/name",
    "postgresql://host:port/name?password=s3cr3t",
    "mysql://me:s3cr3t@host/name",
    "sqlite+nothing://me:s3cr3t@/master.db?password=s3cr3t",
]


def everything(error: BaseException) -> str:
    """What a traceback would print."""
    return "".join(traceback.format_exception(error))


@pytest.mark.parametrize("url", MALFORMED)
def test_a_malformed_url_is_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError, match="MASTER_URL") as raised:
        connect(url)
    assert "s3cr3t" not in everything(raised.value)


@pytest.mark.parametrize("password", ["s3cr3t", "s3cr3t@/:?#%20 +", "$3cr3t'\""])
@pytest.mark.parametrize(
    "form", ["postgresql://me:{}@127.0.0.1:1/x", "postgresql://127.0.0.1:1/x?password={}"]
)
def test_what_a_driver_says_is_told_without_credentials(
    monkeypatch: pytest.MonkeyPatch, form: str, password: str
) -> None:
    psycopg = pytest.importorskip("psycopg")

    def refuse(*_: Any, **__: Any) -> None:
        raise psycopg.OperationalError(f"no: {password}, {quote(password, safe='')}, {quote_plus(password)}")

    monkeypatch.setattr(psycopg, "connect", refuse)
    monkeypatch.setattr(psycopg.Connection, "connect", refuse)
    with pytest.raises(MasterError, match=r"cannot be used: .*no: ") as raised:
        open_master(form.format(quote(password, safe="")))
    told = everything(raised.value)
    assert "3cr3t" not in told
    assert "127.0.0.1" in told


def test_options_that_may_be_secrets_are_not_shown() -> None:
    url = "postgresql://me:s3cr3t@/n?host=/run/pg&sslpassword=s3cr3t&service=s3cr3t&sslmode=require"
    assert shown(connect(url)) == "postgresql+psycopg://me:***@/n?host=%2Frun%2Fpg&sslmode=require"


@pytest.mark.parametrize("name", ["a b", "what?", "a#b", "100%20", "50%", "größe", "a+b", "a;b&c=d", "[x]*"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name / "master.db"
    url = sqlite_url(path)
    assert sqlite_path(connect(url).url) == path
    open_master(url).dispose()
    assert sorted(each.name for each in tmp_path.rglob("*")) == sorted([name, "master.db", "master.db.lock"])


def test_postgresql_without_its_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"marketarchive\[postgres\]"):
        connect("postgresql://localhost/name")


def test_a_url_is_shown_without_its_password() -> None:
    assert shown(connect("postgresql+psycopg://u:secret@h/n")) == "postgresql+psycopg://u:***@h/n"
