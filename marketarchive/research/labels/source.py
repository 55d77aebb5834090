"""Interface by which a product declares the rounds of a venue, so that `scrapy ground-truth` labels them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from marketarchive.archive.ledger import Entry
from marketarchive.research.derived import Progress
from marketarchive.research.labels.label import Label


class RoundWindow(Protocol):
    """A round as its venue describes it; `scrapy ground-truth` needs its start and end."""

    @property
    def start_ns(self) -> int: ...

    @property
    def end_ns(self) -> int: ...


W = TypeVar("W", bound=RoundWindow)


@dataclass(frozen=True)
class RoundSource(Generic[W]):
    """Functions that find and label the rounds of one venue.

    A package `research/products/<name>` declares one as `SOURCE` in its module `rounds`. All functions take
    OUTPUT_DIR first and raise ArchiveError, DiskError, OSError.
    """

    platform: str
    versions: Mapping[str, Any]  # name -> version of each derived input that labels depend on
    segments: Callable[[Path], list[Entry]]
    """Returns the segments that describe the venue's rounds, without segments labelled deprecated or
    invalid."""
    windows: Callable[[Path, Sequence[Entry], Progress], tuple[list[W], int]]
    """Returns (rounds sorted by start, number of rounds with unknown start or end) of the given segments.
    The progress advances by bytes read."""
    prepare: Callable[[Path, Sequence[W], Progress], None]
    """Brings the tables up to date that the prices of the given rounds are read from."""
    inputs: Callable[[Path], Mapping[str, str]]
    """Returns path -> fingerprint of the content, for all files but `segments` that the labels depend on."""
    label: Callable[[Path, Sequence[W], int, bool], list[Label]]
    """Returns the labels of rounds, given the time of the archive's newest line (ns) and whether to
    estimate."""
