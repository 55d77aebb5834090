"""As-of join: the newest input of each cell of a grid, and a forward fill; pure functions.

Inputs are known by their row index, cells are numbered from 0; -1 is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[tuple[int], np.dtype[Any]]


def newest(
    count: int, cell: Array, places: Array, columns: Mapping[str, Array], order: Sequence[str]
) -> Array:
    """Return (count + 1,) the index of the newest input per cell, -1 where a cell is empty and at the end.

    count: number of cells; cell: (n,) cell of each input; places: indices of the inputs to consider; columns:
    the inputs' columns; order: columns to sort by, most significant first; the greatest value is the newest,
    for '-x' the least.
    """
    import numpy as np

    first, of_places = columns[order[0]], cell[places]
    found = np.full(count + 1, -1)
    found[of_places] = places
    one = found[of_places]
    is_rival = (first[places] >= first[one]) & (places != one)
    if is_rival.any():  # most inputs come in their order
        is_open = np.zeros(count, bool)
        is_open[of_places[is_rival]] = True
        places = _greatest(count, cell, places[is_open[of_places]], columns, order)
        found[cell[places]] = places
    return found


def _greatest(
    count: int, cell: Array, places: Array, columns: Mapping[str, Array], order: Sequence[str]
) -> Array:
    import numpy as np

    cells = np.count_nonzero(np.bincount(cell[places]))
    for name in order:
        if len(places) == cells:
            break
        of_places, value = cell[places], columns[name.removeprefix("-")][places]
        value = -value if name[0] == "-" else value
        if value.dtype.kind == "f":
            value = np.nan_to_num(value, nan=-np.inf)
        greatest = np.full(count, value.min())
        np.maximum.at(greatest, of_places, value)
        places = places[value == greatest[of_places]]
    return places


def filled(newest: Array) -> Array:
    """Return per cell the last non-empty cell up to it, -1 for none: a forward fill.

    newest: as the function `newest` returns it; the last element stays -1.
    """
    import numpy as np

    found: Array = np.maximum.accumulate(np.where(newest >= 0, np.arange(len(newest)), -1))
    found[-1] = -1
    return found
