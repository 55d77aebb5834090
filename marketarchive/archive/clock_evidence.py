"""Evidence of how far the machine's wall clock can be trusted: the kernel's NTP state, and observed steps."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

from marketarchive.clock import Clock, Instant, boot_id

STEP_NS = 100_000_000
"""ns; a larger jump of wall time against monotonic time is a step (NTP that slews makes 0.5 ms/s)."""

_STA_UNSYNC = 0x0040
_STA_NANO = 0x2000
_TIME_ERROR = 5


class _Timex(ctypes.Structure):
    """Layout of Linux's `struct timex`, adjtimex(2)."""

    _fields_ = (
        ("modes", ctypes.c_int),
        ("offset", ctypes.c_long),  # µs, ns with STA_NANO
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),  # µs
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time", ctypes.c_long * 2),
        ("tick", ctypes.c_long),
        ("ppsfreq", ctypes.c_long),
        ("jitter", ctypes.c_long),
        ("shift", ctypes.c_int),
        ("stabil", ctypes.c_long),
        ("jitcnt", ctypes.c_long),
        ("calcnt", ctypes.c_long),
        ("errcnt", ctypes.c_long),
        ("stbcnt", ctypes.c_long),
        ("tai", ctypes.c_int),
        ("reserved", ctypes.c_int * 11),
    )


def wall_step(earlier: Instant, later: Instant) -> int:
    """Return by how many ns the wall clock jumped between two instants; 0 for less than `STEP_NS`."""
    jump = (later.wall - earlier.wall) - (later.mono - earlier.mono)
    return jump if abs(jump) > STEP_NS else 0


def evidence(clock: Clock) -> dict[str, Any]:
    """Return the `clock` object of a segment's first line: NTP state, boot id, whether time is simulated.

    A value is None where the operating system does not report it.
    """
    return {
        **_kernel(),
        "boot_id": boot_id(),
        "simulated": clock.simulated,
        "speed": clock.speed,
    }


def _kernel() -> dict[str, Any]:
    adjtimex = _adjtimex()
    found = _Timex(modes=0)
    state = -1 if adjtimex is None else adjtimex(ctypes.byref(found))
    if state < 0:  # another system, or a sandbox that forbids the call
        return {"synchronised": None, "offset_ms": None, "error_bound_ms": None, "source": None}
    unit = 1e6 if found.status & _STA_NANO else 1e3
    return {
        "synchronised": not found.status & _STA_UNSYNC and state != _TIME_ERROR,
        "offset_ms": round(found.offset / unit, 6),
        "error_bound_ms": found.maxerror / 1e3,
        "source": "adjtimex",
    }


def _adjtimex() -> Any:
    if sys.platform != "linux":
        return None
    return getattr(ctypes.CDLL(None), "adjtimex", None)  # of the C library that this process has loaded
