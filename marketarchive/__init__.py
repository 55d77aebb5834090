"""marketarchive: public market data, archived verbatim, provable afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marketarchive.version import __version__ as __version__

if TYPE_CHECKING:
    from marketarchive.research.archive_api import Archive as Archive


def __getattr__(name: str) -> Any:
    """Import research only for those who use `from marketarchive import Archive`."""
    if name == "Archive":
        from marketarchive.research.archive_api import Archive

        return Archive
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
