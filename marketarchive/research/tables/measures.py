"""Columns computed from a book's levels: best prices, depths, and rules that hold for every book."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Context, Decimal
from functools import reduce
from typing import TYPE_CHECKING, Any

from marketarchive.exceptions import ParseError
from marketarchive.research.tables.schemas import arrow_type, digits
from marketarchive.research.tables.values import fitting
from marketarchive.venues.venue import Decimals

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_EXACT = Context(prec=100)


class _BookSide:
    """Levels of one side of many books, as flat columns with an offset per book."""

    def __init__(self, levels: pa.Array, *, is_bid: bool) -> None:
        import numpy as np

        self.is_bid = is_bid
        self.offsets = levels.offsets.to_numpy()
        self.is_null = levels.is_null().to_numpy(zero_copy_only=False)
        self.counts = np.diff(self.offsets)
        flat = levels.values
        self.prices, self.sizes = flat.field("price"), flat.field("size")

    def without(self, is_wrong: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return a mask (n books): whether none of the book's levels is marked in `is_wrong` (n levels)."""
        import numpy as np

        sums = np.concatenate(([0], np.cumsum(is_wrong)))
        return np.asarray(sums[self.offsets[1:]] == sums[self.offsets[:-1]])

    def is_sorted(self) -> np.ndarray[Any, Any]:
        """Return a mask (n books): whether each level is strictly worse than the one before it."""
        import numpy as np
        import pyarrow.compute as pc

        is_wrong = np.zeros(len(self.prices), bool)
        if len(self.prices) > 1:
            compare = pc.less_equal if self.is_bid else pc.greater_equal
            later = compare(self.prices.slice(0, len(self.prices) - 1), self.prices.slice(1))
            is_wrong[1:] = later.to_numpy(zero_copy_only=False)
        is_wrong[self.offsets[:-1][self.counts > 0]] = False
        return self.without(is_wrong)

    def best(self, is_sorted: np.ndarray[Any, Any]) -> pa.Array:
        """Return (n books) the index of each book's best level, the first of equal ones; null without levels.

        is_sorted: mask of books whose first level is the best.
        """
        import pyarrow as pa

        places = self.offsets[:-1].astype("int64")
        choose = max if self.is_bid else min
        for book in (~is_sorted).nonzero()[0].tolist():
            prices = self.prices.slice(self.offsets[book], self.counts[book]).to_pylist()
            places[book] = self.offsets[book] + prices.index(choose(prices))
        return pa.array(places, mask=self.counts == 0)

    def depths(self, decimals: Decimals) -> tuple[pa.Array, dict[int, ParseError]]:
        """Return (sum of sizes per book, index of a book -> error where the sum does not fit its column)."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        wanted = arrow_type("depth", decimals)
        most = max(abs(size) for size in pc.min_max(self.sizes).as_py().values()) if len(self.sizes) else 0
        precision, scale = digits("depth", decimals)
        if most * int(self.counts.max(initial=0)) >= Decimal(10) ** (precision - scale):
            return self._depths_singly(decimals)  # Arrow's sum would overflow without a word
        books = pa.array(np.repeat(np.arange(len(self.counts)), self.counts))
        summed = pa.table({"book": books, "size": self.sizes}).group_by("book", use_threads=False)
        sums = summed.aggregate([("size", "sum")])["size_sum"].combine_chunks().cast(wanted)
        places = np.cumsum(self.counts > 0) - 1
        found = sums.take(pa.array(places, mask=self.counts == 0))
        zero = pa.scalar(Decimal(0), wanted)
        return pc.if_else(pa.array(self.is_null), pa.scalar(None, wanted), pc.fill_null(found, zero)), {}

    def _depths_singly(self, decimals: Decimals) -> tuple[pa.Array, dict[int, ParseError]]:
        import pyarrow as pa

        fit, found, misfits = fitting("depth", decimals), [], {}
        for book, start in enumerate(self.offsets[:-1]):
            sizes = self.sizes.slice(start, self.counts[book]).to_pylist()
            try:
                found.append(None if self.is_null[book] else fit(reduce(_EXACT.add, sizes, Decimal(0))))
            except ValueError as error:
                name = f"{'bid' if self.is_bid else 'ask'}_depth"
                misfits[book] = ParseError("books", f"{name}: {error}", (name,))
                found.append(None)
        return pa.array(found, arrow_type("depth", decimals)), misfits


def measure(
    bids: pa.Array, asks: pa.Array, decimals: Decimals, price_range: tuple[int, int] | None
) -> tuple[Mapping[str, pa.Array], dict[int, ParseError]]:
    """Return (columns computed from levels of books, index of a book -> error where a depth does not fit).

    bids, asks: lists of (price, size) per book, best first, null where they could not be converted;
    price_range: lowest and highest valid price, None: prices are not checked.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    found: dict[str, pa.Array] = {}
    misfits: dict[int, ParseError] = {}
    holds: dict[str, Any] = {}
    for name, levels, is_bid in (("bid", bids, True), ("ask", asks, False)):
        side = _BookSide(levels, is_bid=is_bid)
        is_sorted = side.is_sorted()
        best = side.best(is_sorted)
        found[f"best_{name}"] = side.prices.take(best)
        found[f"best_{name}_size"] = side.sizes.take(best)
        found[f"{name}_depth"], wrong = side.depths(decimals)
        misfits.update(wrong)
        found[f"{name}_levels"] = pa.array(side.counts, pa.int32(), mask=side.is_null)
        of_side = {"is_sorted": is_sorted, "is_positive": side.without(_not_above(side.sizes))}
        if price_range is not None:
            of_side["is_in_range"] = side.without(_outside(side.prices, price_range))
        for name_of, each in of_side.items():
            holds[name_of] = holds.get(name_of, True) & each
    found["is_crossed"] = pc.fill_null(pc.greater_equal(found["best_bid"], found["best_ask"]), False)
    found.update({name: pa.array(each) for name, each in holds.items()})
    return found, misfits


def _not_above(sizes: pa.Array) -> np.ndarray[Any, Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.less_equal(sizes, pa.scalar(Decimal(0), sizes.type))
    return found.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _outside(prices: pa.Array, within: tuple[int, int]) -> np.ndarray[Any, Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    low, high = (pa.scalar(Decimal(each), prices.type) for each in within)
    found = pc.or_(pc.less(prices, low), pc.greater(prices, high))
    return found.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
