"""A progress bar on the terminal for commands that make tables."""

from __future__ import annotations

from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


class Bar:
    """Progress bar on the terminal, if stderr is one; it disappears when done."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        console = Console(stderr=True)
        self._shown = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._shown.add_task("", total=None)

    def __enter__(self) -> Self:
        self._shown.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._shown.stop()

    def total(self, read: int) -> None:
        """Set the bar to 0 for a new piece of work, in which `read` bytes are to be read."""
        self._shown.reset(self._task, total=read)

    def begin(self, what: str) -> None:
        self._shown.update(self._task, description=what)

    def advance(self, read: int) -> None:
        self._shown.advance(self._task, read)
