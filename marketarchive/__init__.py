"""marketarchive: public market data, archived verbatim, provable afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from marketarchive.research.archive_api import Archive as Archive

__version__ = "0.1.0"

COLLECTOR = f"marketarchive {__version__}"
"""Who wrote a line; stands in every segment and response line."""


def __getattr__(name: str) -> Any:
    """`from marketarchive import Archive`: research is imported only by those who ask for it."""
    if name == "Archive":
        from marketarchive.research.archive_api import Archive

        return Archive
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
