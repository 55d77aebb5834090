"""Ends what a benchmark has started, however it ends itself: by SIGTERM, Ctrl-C, or killed outright."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # prctl(2)


def unwind_at_sigterm() -> None:
    """Let SIGTERM raise SystemExit, so that every `finally` on the way ends its processes and files."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


def end_with_parent(parent: int) -> None:
    """Let the kernel kill this process when `parent`, which has started it, is gone. Linux only."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it went before it was asked for
        os._exit(1)
