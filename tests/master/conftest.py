from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from marketarchive.master.engine import open_master
from tests.master.postgres import cluster


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    with cluster() as template:
        yield template


_numbers = count(1)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.process)])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Each call gives the URL of another new, empty database; it goes with the test."""
    if request.param == "sqlite":
        yield lambda: f"sqlite:///{tmp_path}/{next(_numbers)}/master.db"
        return
    template: str = request.getfixturevalue("postgres")
    administration = create_engine(
        template.format(name="postgres").replace("postgresql:", "postgresql+psycopg:"),
        isolation_level="AUTOCOMMIT",
    )
    names: list[str] = []

    def do(statement: str) -> None:
        with administration.connect() as connection:
            connection.execute(text(statement))

    def create() -> str:
        names.append(f"test{next(_numbers)}")
        do(f"CREATE DATABASE {names[-1]} TEMPLATE template0")
        return template.format(name=names[-1])

    yield create
    for name in names:  # or their files would be removed all at once, while nobody else has work left
        do(f"DROP DATABASE {name} WITH (FORCE)")
    administration.dispose()


@pytest.fixture
def url(new_url: Callable[[], str]) -> str:
    return new_url()


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = open_master(url)
    yield engine
    engine.dispose()
