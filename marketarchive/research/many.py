"""Arguments and result tables of methods that take many times or orders at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple

from marketarchive.exceptions import ArgumentError
from marketarchive.research.book_at import BookAt
from marketarchive.research.fills import Fill, Side, side_of, size_of
from marketarchive.research.views import Moment, ns
from marketarchive.times import MICROSECOND

if TYPE_CHECKING:
    import pyarrow as pa


class Order(NamedTuple):
    """A market order."""

    token: str
    side: Side
    size: Decimal
    at: int  # when it is sent, ns


def moments_of(times: Iterable[Moment] | Moment) -> list[int]:
    """Return one time or many as a list in ns. Raises ArgumentError for a value that is no time."""
    found = [ns(each) for each in _listed(times)]
    if None in found:
        raise ArgumentError("None is not a time")
    return [at for at in found if at is not None]


def orders_of(
    token: str | Iterable[str] | None,
    side: str | Iterable[str] | None,
    size: Iterable[Decimal | float | str] | Decimal | float | str,
    at: Iterable[Moment] | Moment,
) -> list[Order]:
    """Return a market order per item of the arguments; a single value holds for all orders.

    Raises ArgumentError where lists differ in length, or a value is no side, size or time.
    """
    columns = [_listed(token), _listed(side), _listed(size), moments_of(at)]
    is_many = [not _is_one(each) for each in (token, side, size, at)]
    counts = {len(column) for column, many in zip(columns, is_many, strict=True) if many}
    if len(counts) > 1:
        raise ArgumentError(
            f"token, side, size and time have {', '.join(map(str, sorted(counts)))} values: give equally "
            "many of each, or one"
        )
    count = counts.pop() if counts else 1
    if wrong := [name for name in columns[0] if not isinstance(name, str)]:
        raise ArgumentError(f"token={wrong[0]!r} is no name: where a row has no token, give its market")
    rows = zip(
        *(
            column if many else repeat(column[0], count)
            for column, many in zip(columns, is_many, strict=True)
        ),
        strict=True,
    )
    return [Order(name, side_of(str(way)), size_of(shares), moment) for name, way, shares, moment in rows]


def books_table(books: Sequence[tuple[int, str, BookAt | None]], levels: int) -> pa.Table:
    """Return a table with a row per (time in ns, token, book), in the given order.

    books: the book is None where none was known; levels: number of levels per side in `bids` and `asks`, 0
    for no such columns.
    """
    import pyarrow as pa

    found = [book for _, _, book in books]
    tops = [(_best(book, "bids"), _best(book, "asks")) for book in found]
    columns: dict[str, pa.Array] = {
        "time": _times([at // MICROSECOND for at, _, _ in books]),
        **_texts(found, "venue", "market", "market_id", "outcome"),
        "token": pa.array([token for _, token, _ in books], pa.string()),
        "best_bid": _floats(bid and bid[0] for bid, _ in tops),
        "best_bid_size": _floats(bid and bid[1] for bid, _ in tops),
        "best_ask": _floats(ask and ask[0] for _, ask in tops),
        "best_ask_size": _floats(ask and ask[1] for _, ask in tops),
        "event_time": pa.array([book and book.event_time for book in found], _moment()),
        "received_at": pa.array([book and book.received_at for book in found], _moment()),
        **_texts(found, "verified"),
        "is_tracked": pa.array([book is not None and book.is_tracked for book in found]),
        "gap": pa.array([book is None or book.gap for book in found]),
        **_texts(found, "run", "connection"),
    }
    if levels:
        kind = pa.list_(pa.struct([("price", pa.float64()), ("size", pa.float64())]))
        for side in ("bids", "asks"):
            listed = [None if book is None else _shown(getattr(book, side)[:levels]) for book in found]
            columns[side] = pa.array(listed, kind)
    return pa.table(columns)


def fills_table(fills: Sequence[tuple[int, Fill]]) -> pa.Table:
    """Return a table with a row per (time in ns, fill), in the given order."""
    import pyarrow as pa

    found = [each for _, each in fills]
    books = [each.book for each in found]
    columns: dict[str, pa.Array] = {
        "time": _times([at // MICROSECOND for at, _ in fills]),
        **_texts(books, "venue", "market", "market_id", "outcome"),
        "token": pa.array([each.token for each in found], pa.string()),
        "side": pa.array([each.side for each in found], pa.string()),
        **{name: _floats(getattr(each, name) for each in found) for name in ("size", "filled")},
        **{name: _floats(getattr(each, name) for each in found) for name in ("value", "average", "worst")},
        "levels": pa.array([each.levels for each in found], pa.int32()),
        "age_s": _floats(each.age and each.age.total_seconds() for each in found),
        "verified": pa.array([each.verified for each in found], pa.string()),
        "is_partial": pa.array([each.is_partial for each in found], pa.bool_()),
        "gap": pa.array([each.gap for each in found], pa.bool_()),
    }
    return pa.table(columns)


def _is_one(given: object) -> bool:
    return given is None or isinstance(given, (str, date, Decimal)) or not isinstance(given, Iterable)


def _listed(given: Any) -> list[Any]:
    return [given] if _is_one(given) else list(given)


def _best(book: BookAt | None, side: str) -> Any:
    levels = () if book is None else getattr(book, side)
    return levels[0] if levels else None


def _shown(levels: Sequence[Any]) -> list[dict[str, float]]:
    return [{"price": float(price), "size": float(size)} for price, size in levels]


def _texts(books: Sequence[BookAt | None], *names: str) -> dict[str, pa.Array]:
    import pyarrow as pa

    return {name: pa.array([book and getattr(book, name) for book in books], pa.string()) for name in names}


def _floats(values: Iterable[Any]) -> pa.Array:
    import pyarrow as pa

    return pa.array([None if value is None else float(value) for value in values], pa.float64())


def _times(us: list[int]) -> pa.Array:
    import pyarrow as pa

    return pa.array(us, _moment())


def _moment() -> pa.DataType:
    import pyarrow as pa

    return pa.timestamp("us", tz="UTC")
