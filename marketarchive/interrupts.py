"""Handling of Ctrl+C before a command handles signals itself: one sentence instead of a traceback."""

from __future__ import annotations

import os
import signal
import sys
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_installed: list[str] = []


def report_interrupts(program: str) -> None:
    """Make Ctrl+C end this process by SIGINT with one sentence that names `program`, without a traceback.

    Other exceptions are shown as before, and signal handlers stay as they are. Only the first call has an
    effect.
    """
    if _installed:
        return
    _installed.append(program)
    sentence = f"{program}: interrupted by Ctrl+C\n"
    show, show_unraisable = sys.excepthook, sys.unraisablehook

    def report(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.stderr.write(sentence)  # Python itself then ends by SIGINT
        else:
            show(kind, error, traceback)

    def report_unraisable(unraisable: UnraisableHookArgs) -> None:
        # Met where nothing can be raised, e.g. in a lock of an import: Python would print it and go on.
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            sys.stderr.write(sentence)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        else:
            show_unraisable(unraisable)

    sys.excepthook, sys.unraisablehook = report, report_unraisable
