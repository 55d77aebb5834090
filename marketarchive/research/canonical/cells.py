"""Which inputs fall into which cells of a grid, and which of a cell is the newest. Pure.

Places are numbers of rows of the inputs, cells are numbered from 0; -1 is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[tuple[int], np.dtype[Any]]


class Cells:
    """Which inputs, `places`, fall into which cell."""

    def __init__(self, count: int, cell: Array, places: Array) -> None:
        self._count = count
        self._cell = cell
        self._places = places

    def newest(self, columns: Mapping[str, Array], order: Sequence[str]) -> Array:
        """The place of each cell's input with the greatest values of `order`, the first first; of a name with
        a minus, the least.
        """
        import numpy as np

        first, cell, places = columns[order[0]], self._cell[self._places], self._places
        found = np.full(self._count + 1, -1)
        found[cell] = places
        one = found[cell]
        is_rival = (first[places] >= first[one]) & (places != one)
        if is_rival.any():  # most inputs come in their order
            is_open = np.zeros(self._count, bool)
            is_open[cell[is_rival]] = True
            places = self._greatest(places[is_open[cell]], columns, order)
            found[self._cell[places]] = places
        return found

    def _greatest(self, places: Array, columns: Mapping[str, Array], order: Sequence[str]) -> Array:
        import numpy as np

        filled = np.count_nonzero(np.bincount(self._cell[places]))
        for name in order:
            if len(places) == filled:
                break
            cell, value = self._cell[places], columns[name.removeprefix("-")][places]
            value = -value if name[0] == "-" else value
            if value.dtype.kind == "f":
                value = np.nan_to_num(value, nan=-np.inf)
            greatest = np.full(self._count, value.min())
            np.maximum.at(greatest, cell, value)
            places = places[value == greatest[cell]]
        return places


def filled(newest: Array) -> Array:
    """Per cell the last one up to it that has something."""
    import numpy as np

    filled = np.maximum.accumulate(np.where(newest >= 0, np.arange(len(newest)), -1))
    filled[-1] = -1
    return filled
