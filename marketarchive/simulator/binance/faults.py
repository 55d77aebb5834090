"""Faults of the simulated archive of Binance: what only the venue itself can do.

- binance_wrong_checksum: the checksum of a file is that of another one
- binance_missing_file: a file and its checksum are not there
- binance_rows_after_end: the files of a contract that ended go on to the end of their day or month, with
  rates of zero, an open interest of zero, and the last price
"""

from __future__ import annotations

from marketarchive.simulator.faults import Kind

_FILES = "data.binance.vision/*"

FAULTS = {
    "binance_wrong_checksum": Kind({}, route=f"{_FILES}.CHECKSUM"),
    "binance_missing_file": Kind({}, route=_FILES),
    "binance_rows_after_end": Kind({}, route=_FILES),
}
