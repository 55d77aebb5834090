"""Kinds of faults that the simulated archive of Binance carries out itself.

- binance_wrong_checksum: the published checksum of a file is that of another file
- binance_missing_file: a file and its checksum are missing
- binance_rows_after_end: the files of an ended contract contain rows until the end of their day or month,
  with funding rates of zero, an open interest of zero, and the last price
"""

from __future__ import annotations

from marketarchive.simulator.faults import Kind

_FILES = "data.binance.vision/*"

FAULTS = {
    "binance_wrong_checksum": Kind({}, route=f"{_FILES}.CHECKSUM"),
    "binance_missing_file": Kind({}, route=_FILES),
    "binance_rows_after_end": Kind({}, route=_FILES),
}
