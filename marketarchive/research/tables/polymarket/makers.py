"""Declaration of the SQL steps and the coverage of Polymarket's feeds; see `making.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from marketarchive.research.tables.coverage_inputs import Reading, Watched
from marketarchive.research.tables.making import Finish
from marketarchive.research.tables.polymarket import finished, stream_coverage

FINISHED: Mapping[tuple[str, str], Finish] = {
    ("stream", "trades"): Finish(finished.trades),
    ("stream", "quotes"): Finish(finished.quotes, only_sorts=True),
    ("trades", "trades"): Finish(finished.trades),
}
"""(feed, table) -> SQL step that completes its rows."""

WATCHED: Mapping[str, Callable[[Reading], Iterator[Watched]]] = {"stream": stream_coverage.watched}
"""Feed -> function that yields the inputs of its coverage."""
