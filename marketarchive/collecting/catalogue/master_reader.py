"""Reading the market master while others write it, from threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from marketarchive.master.engine import open_master, unusable

T = TypeVar("T")


class MasterReader:
    """A market master that is opened, and migrated, at the first `read`; one read at a time."""

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
        """Close what was opened; the next question opens it again."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None
