"""What a test costs is said by its marker; how many examples a property gets, by the profile."""

from __future__ import annotations

import gc
import signal
import subprocess
from collections.abc import Generator, Iterator
from typing import Any, NoReturn

import pytest
from hypothesis import settings

from tests.e2e.forking import Forked
from tests.properties import PROFILE, examples

settings.register_profile(PROFILE, examples(100))
settings.load_profile(PROFILE)

COSTS = ("process", "e2e", "soak")
FIRST = ("e2e", "process")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no garbage meanwhile, nor ever among modules and items: they last as long as the run."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole runs first, then what starts a process: they wait more than they work, so several at once fill a
    processor, undisturbed by tests that only work; and none is left to the end, where one worker would wait
    for it alone.
    """
    for item in items:
        if not any(item.get_closest_marker(cost) for cost in COSTS):
            item.add_marker(pytest.mark.unit)
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    return next((place for place, cost in enumerate(FIRST) if item.get_closest_marker(cost)), len(FIRST))


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Have Ctrl+C do here, and in what is started, what it does at a terminal, also in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def _no_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit test that starts a process is marked wrongly."""
    if request.node.get_closest_marker("unit"):
        monkeypatch.setattr(subprocess.Popen, "__init__", _refuse)
        monkeypatch.setattr(Forked, "__init__", _refuse)


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise AssertionError("this test starts a process: mark it `process`")
