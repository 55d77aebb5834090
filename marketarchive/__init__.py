"""marketarchive: an archive of public market data, stored byte for byte and verifiable afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marketarchive.version import __version__ as __version__

if TYPE_CHECKING:
    from marketarchive.research.archive_api import Archive as Archive


def __getattr__(name: str) -> Any:
    """Import `Archive`, and with it all of research, only when it is used. Raises AttributeError."""
    if name == "Archive":
        from marketarchive.research.archive_api import Archive

        return Archive
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
