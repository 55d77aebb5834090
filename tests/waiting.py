"""Waits until a condition holds: the tests' only way to wait for what others do."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_S = 300.0
"""Seconds (wall) after which a test gives up: far more than any machine needs."""
LOOK_S = 0.01
PAUSE_FACTOR = 4
"""A pause is so many times as long as the look before it: what is awaited shall have the processor."""


def until(condition: Callable[[], T], seconds: float = PATIENCE_S) -> T:
    """Return the first true value of `condition`, which other threads or processes make true.

    Fails after `seconds`, on the wall.
    """
    began = time.monotonic()
    deadline = began + seconds
    while not (value := condition()):
        ended = time.monotonic()
        assert ended < deadline, _in_vain(seconds, condition)
        time.sleep(max(LOOK_S, PAUSE_FACTOR * (ended - began)))
        began = time.monotonic()
    return value


async def until_async(condition: Callable[[], T], seconds: float = PATIENCE_S) -> T:
    """Return the first true value of `condition`, which this event loop too may make true.

    Fails after `seconds`, on the wall.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, _in_vain(seconds, condition)
        await asyncio.sleep(LOOK_S)
    return value


def _in_vain(seconds: float, condition: Callable[[], object]) -> str:
    """Return what was awaited: the source of the condition, where it has one."""
    try:
        awaited = inspect.getsource(condition).strip()
    except (OSError, TypeError):
        awaited = repr(condition)
    return f"waited {seconds:g} s in vain for this to be true: {awaited}"
