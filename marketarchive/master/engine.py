"""Opening the market master: SQLite (`sqlite:////path/master.db`), PostgreSQL (`postgresql://user@host/db`).

SQLite runs with WAL, synchronous=FULL and foreign keys on. Write transactions begin IMMEDIATE, since deferred
ones fail with "database is locked" as soon as two of them read before they write; on PostgreSQL an advisory
lock does the same. So writers of the master take turns, each for a whole batch, and readers never wait.
"""

from __future__ import annotations

import fcntl
import importlib.util
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError as UrlError
from sqlalchemy.exc import SQLAlchemyError

from marketarchive.exceptions import ConfigurationError, MasterError
from marketarchive.invocation import command

MIGRATIONS = Path(__file__).parent / "migrations"
WRITE_LOCK = 0x6D61726B  # "mark": PostgreSQL advisory locks of this project
MIGRATION_LOCK = 0x6D616B65
_migrating = threading.Lock()  # Alembic keeps its context in module globals
SHOWN_OPTIONS = frozenset({"host", "port", "sslmode", "mode", "uri"})  # of a URL; others may be secrets
_SQLITE = b"SQLite format 3\0"
WRITES = "master_writes"  # execution option of connections that will write


def connect(url: str, *, wait_s: float = 5.0) -> Engine:
    """Return a database engine for the master at `url` without connecting yet.

    wait_s: seconds (wall) that its connections wait for a lock. Raises ConfigurationError when the URL is
    malformed or its driver is not installed.
    """
    parsed = _parsed(url)
    make = {"sqlite": _sqlite, "postgresql": _postgresql}.get(parsed.get_backend_name())
    if make is None:
        raise ConfigurationError(
            f"MASTER_URL: {parsed.get_backend_name()} is not supported; use sqlite:/// or postgresql://"
        )
    try:
        return make(parsed, wait_s)
    except (UrlError, ValueError) as error:  # an unknown driver, an option that cannot be meant
        raise ConfigurationError(f"MASTER_URL={redacted(parsed)}: {cause(parsed, error)}") from None


def open_master(url: str, *, wait_s: float = 5.0) -> Engine:
    """Return a database engine for the master at `url`, after creating or migrating its tables.

    wait_s: seconds (wall) to wait for a lock. Raises MasterError, ConfigurationError.
    """
    engine = connect(url, wait_s=wait_s)
    try:
        migrate(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Give a connection with a write transaction in a `with` block; only one writer has one at a time."""
    with engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": WRITE_LOCK})
        yield connection


def migrate(engine: Engine) -> None:
    """Create or migrate the master's tables, once, even if several processes start together.

    Raises MasterError, also for a database of a newer version.
    """
    from alembic import command  # here, since it would be a quarter of the start of every `scrapy` command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    try:
        with _migrating, _alone(engine):
            present = _revisions(engine)
            if strange := present - {script.revision for script in scripts.walk_revisions()}:
                raise MasterError(
                    f"market master {shown(engine)} is at revision {', '.join(sorted(strange))}, which this "
                    "version does not know: a newer marketarchive wrote it. Upgrade marketarchive, or set "
                    "MASTER_URL to another database"
                )
            if present != set(scripts.get_heads()):
                with engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
                    config.attributes["connection"] = connection
                    command.upgrade(config, "head")
    except (SQLAlchemyError, OSError) as error:
        raise unusable(engine, error) from None


def unusable(engine: Engine, error: Exception) -> MasterError:
    """Return the error for the operator for a database error.

    Raise it `from None`: the texts of the driver's exceptions may contain the password.
    """
    return MasterError(
        f"market master {shown(engine)} cannot be used: {cause(engine.url, error)}. Raw archiving goes on "
        f"without it; mend it, then run `{command('rebuild-master')}`"
    )


def sqlite_url(path: Path) -> str:
    """Return the database URL of the SQLite file at `path`, with special characters escaped."""
    return URL.create("sqlite", database=str(path)).render_as_string()


def sqlite_path(url: URL) -> Path | None:
    """Return the path of a SQLite URL's file, None for other databases."""
    if url.get_backend_name() != "sqlite":
        return None
    return Path(str(url.database).removeprefix("file:"))


def shown(engine: Engine) -> str:
    """Return an engine's URL as text, without its password."""
    return redacted(engine.url)


def redacted(url: URL) -> str:
    """Return a database URL as text, without its password and without options that may contain one."""
    unsafe = [name for name in url.query if name not in SHOWN_OPTIONS]
    return url.difference_update_query(unsafe).render_as_string(hide_password=True)


def cause(url: URL, error: BaseException) -> str:
    """Return the first line of a database error's text, with the credentials of `url` replaced by ***."""
    said = str(getattr(error, "orig", None) or error).strip()
    line = said.splitlines()[0] if said else type(error).__name__
    for secret in sorted(_secrets(url), key=len, reverse=True):
        line = line.replace(secret, "***")
    return line


def _secrets(url: URL) -> set[str]:
    """Return the credentials in a URL, in plain and in URL-escaped form."""
    given = [url.password]
    for name, values in url.query.items():
        if "pass" in name.lower():
            given += [values] if isinstance(values, str) else values
    found = [str(secret) for secret in given if secret]
    escaped = {quote(secret, safe=safe) for secret in found for safe in ("", "/", " +")}
    return escaped | set(found) | {quote_plus(secret) for secret in found}


def _parsed(text: str) -> URL:
    """Parse a MASTER_URL. Raises ConfigurationError, whose text never repeats a URL that cannot be parsed.

    With an unescaped @ in a password, the rest of the password would be read as host, port or database.
    """
    try:
        url = make_url(text)
    except (UrlError, ValueError):
        url = None
    if url is None or (url.get_backend_name() != "sqlite" and "@" in f"{url.host}{url.database}"):
        raise ConfigurationError(
            "MASTER_URL is not a database URL; it is not repeated here, since it may contain a password. "
            "Write sqlite:////absolute/path/master.db or postgresql://user:password@host/name, in a "
            "password %40 for @ and %25 for %"
        )
    return url


def _sqlite(url: URL, wait_s: float) -> Engine:
    if url.database in (None, "", ":memory:"):
        raise ConfigurationError("MASTER_URL: the master needs a file: sqlite:////absolute/path/master.db")
    engine = create_engine(url, connect_args={"timeout": wait_s})
    path = sqlite_path(url)
    assert path is not None

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        _check_whole(path)
        connection.isolation_level = None  # the driver's own BEGINs would come too late, and never before DDL
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _check_whole(path: Path) -> None:
    """Raise SQLAlchemyError if the last page of an SQLite file is cut: SQLite reads what is missing as zeros.

    While its WAL has pages, the file may be incomplete: SQLite completes it from them. Of a file that lacks
    whole pages SQLite itself says that it is malformed.
    """
    if not path.is_file():
        return
    with path.open("rb") as file:
        head, size = file.read(18), file.seek(0, 2)  # https://sqlite.org/fileformat2.html#the_database_header
    stated = int.from_bytes(head[16:], "big")
    page = 65536 if stated == 1 else stated
    wal = path.with_name(f"{path.name}-wal")
    has_pages = wal.exists() and wal.stat().st_size > 0
    if head.startswith(_SQLITE) and page and size % page and not has_pages:
        raise SQLAlchemyError(
            f"its file was cut, its {size} bytes are no whole pages of {page} bytes: move it away"
        )


def _postgresql(url: URL, wait_s: float) -> Engine:
    if importlib.util.find_spec("psycopg") is None:
        raise ConfigurationError(
            'MASTER_URL: PostgreSQL needs psycopg: pip install "marketarchive[postgres]"'
        )
    limit_ms = max(1, int(wait_s * 1000))
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args={
            "connect_timeout": max(2, int(wait_s)),
            "options": f"-c lock_timeout={limit_ms} -c timezone=UTC",
            "tcp_user_timeout": 10_000,  # a server that vanished is noticed, not waited for
        },
    )


def _revisions(engine: Engine) -> set[str]:
    """Return the Alembic revisions of a database's tables; an empty set for a new database."""
    from alembic.migration import MigrationContext

    with engine.connect() as connection:
        return set(MigrationContext.configure(connection).get_current_heads())


@contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    """Hold the migration lock of a database in a `with` block, against other processes."""
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": MIGRATION_LOCK})
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": MIGRATION_LOCK})
        return
    path = sqlite_path(engine.url)
    assert path is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(path.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
