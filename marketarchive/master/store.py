"""The master for a long-running writer: opened when needed, again after an error or if its file changed."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import Engine
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from marketarchive.items import Cycle
from marketarchive.master.cycles import write_cycles
from marketarchive.master.engine import open_master, sqlite_path, unusable, writing
from marketarchive.master.observation import Observation
from marketarchive.master.timeline import Keep
from marketarchive.master.upsert import Written, upsert

_turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
"""Lock by the master's URL, on which writers of one process wait for one another without a time limit."""


class MasterStore:
    """Writer to a master database, for one thread; it connects when needed."""

    def __init__(self, url: str, *, keep: Keep = "changes", wait_s: float = 1.0) -> None:
        self.url = url
        self.keep = keep
        self.wait_s = wait_s
        self._engine: Engine | None = None
        self._file: tuple[int, int] | None = None

    def write(self, observations: Sequence[Observation], states: Sequence[Cycle] = ()) -> Written:
        """Write observations and states of cycles in one transaction, all or nothing.

        Raises MasterError and ConfigurationError for errors of the database, any other exception for an
        observation that cannot be stored.
        """
        if self._engine is not None and _file(self._engine) != self._file:
            self.close()  # the file was deleted or replaced: rows written to the open one would be lost
        if self._engine is None:
            self._engine = open_master(self.url, wait_s=self.wait_s)
            self._file = _file(self._engine)
        try:
            with _turns[self.url], writing(self._engine) as connection:
                write_cycles(connection, states)
                return upsert(connection, observations, self.keep)
        except (DataError, IntegrityError):
            raise
        except SQLAlchemyError as error:
            failed = unusable(self._engine, error)
            self.close()
            raise failed from None

    def close(self) -> None:
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None


def _file(engine: Engine) -> tuple[int, int] | None:
    """Return (device, inode) of an engine's SQLite file; None for other databases, or without a file."""
    path = sqlite_path(engine.url)
    try:
        stat = None if path is None else path.stat()
    except FileNotFoundError:
        return None
    return None if stat is None else (stat.st_dev, stat.st_ino)
