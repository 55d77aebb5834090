"""Declaration of the rounds of a venue by a product, so that `scrapy ground-truth` labels them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from marketarchive.archive.ledger import Entry
from marketarchive.research.derived import Progress
from marketarchive.research.labels.label import Label


class RoundWindow(Protocol):
    """A round as its venue describes it: its market, window and rule."""

    @property
    def start_ns(self) -> int: ...

    @property
    def end_ns(self) -> int: ...


W = TypeVar("W", bound=RoundWindow)


@dataclass(frozen=True)
class RoundSource(Generic[W]):
    """The rounds of one venue: what its archive says of them, and what decided each.

    A package `research/products/<name>` has one as `SOURCE` in its module `rounds`. All functions take
    OUTPUT_DIR first and raise ArchiveError, DiskError, OSError.
    """

    platform: str
    versions: Mapping[str, Any]  # of what is made on the way: raised when it changes
    segments: Callable[[Path], list[Entry]]
    """Those that speak of its markets, without labelled ones."""
    windows: Callable[[Path, Sequence[Entry], Progress], tuple[list[W], int]]
    """(rounds by start, how many there are whose window is not known); advances the progress by bytes."""
    prepare: Callable[[Path, Sequence[W], Progress], None]
    """Brings up to date what prices of the rounds are read from."""
    inputs: Callable[[Path], Mapping[str, str]]
    """Path -> what tells one content of it from another: all that labels depend on, beside `segments`."""
    label: Callable[[Path, Sequence[W], int, bool], list[Label]]
    """Labels of rounds: the time of the archive's newest line in ns, whether to estimate."""
