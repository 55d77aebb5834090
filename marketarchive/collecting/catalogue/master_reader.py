"""Reading the market master from worker threads while other threads and processes write it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from marketarchive.master.engine import open_master, unusable

T = TypeVar("T")


class MasterReader:
    """Reader of a market master that is opened, and migrated, at the first `read`; one read at a time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine: Engine | None = None

    def read(self, find: Callable[[Connection], T]) -> T:
        """Call `find` with a connection to the master and return its result.

        Raises MasterError, ConfigurationError.
        """
        if self._engine is None:
            self._engine = open_master(self._url)
        try:
            with self._engine.connect() as connection:
                return find(connection)
        except (SQLAlchemyError, OSError) as error:
            raise unusable(self._engine, error) from None

    def close(self) -> None:
        """Close the connection to the master; the next `read` opens a new one."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None
