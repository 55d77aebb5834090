"""A wait gives the value it waited for, and says what it waited for in vain."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from tests.waiting import until, until_async


def values() -> list[str | None]:
    return [None, "", "that", "no more"]


def test_the_first_true_value_is_given() -> None:
    given = iter(values())
    assert until(lambda: next(given)) == "that"


async def test_the_event_loop_goes_on_meanwhile() -> None:
    given, seen = iter(values()), list[str | None]()

    async def work() -> None:
        for value in given:
            seen.append(value)
            await asyncio.sleep(0)

    working = asyncio.create_task(work())
    assert await until_async(lambda: "that" in seen and seen[-1]) == "no more"
    await working


def test_in_vain_it_says_what_was_awaited() -> None:
    parts: list[str] = []
    with pytest.raises(AssertionError, match=r"waited 0\.02 s in vain .*lambda: len\(parts\) == 2"):
        until(lambda: len(parts) == 2, 0.02)
    with pytest.raises(AssertionError, match=r"functools\.partial\(<class 'int'>, 0\)"):
        until(partial(int, 0), 0.02)


async def test_in_vain_it_says_so_from_an_event_loop_too() -> None:
    parts: list[str] = []
    with pytest.raises(AssertionError, match=r"(?s)waited 0\.02 s in vain .*parts == \["):
        await until_async(
            lambda: (
                parts == ["something that is not there, and so long that its line has to be broken into some"]
            ),
            0.02,
        )
