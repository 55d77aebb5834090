"""Errors that reach a user or another package. Each says what the operator does next.

MarketArchiveError
├── ArgumentError          a spider argument or command option is wrong          exit code 2
├── ConfigurationError     a setting is wrong, or an extra is not installed      exit code 2
├── ArchiveError
│   ├── DiskError          a write, fsync or rename failed; never retried        exit code 3
│   ├── CorruptError       a stored file does not hold what was written to it
│   └── RemoteError        the remote of off-site copies does not do what it is asked
├── VenueError
│   ├── ParseError         a message does not have the shape its venue promises
│   └── CursorError        a sweep's cursor loops or brings nothing new
└── MasterError            the market master cannot be reached or migrated
"""

from __future__ import annotations

from collections.abc import Sequence


class MarketArchiveError(Exception):
    """Base class of all errors that this project raises on purpose across packages."""


class ArgumentError(MarketArchiveError):
    """Raised when a spider argument or command option is unknown or malformed, before anything is sent."""


class ConfigurationError(MarketArchiveError):
    """Raised when a setting is malformed or an optional package is missing, before anything is sent."""


class ArchiveError(MarketArchiveError):
    """Base class of errors about stored files: missing, damaged, or not usable together."""


class DiskError(ArchiveError):
    """Failure of the disk below the archive's writer: the run ends, the next start records the gap.

    Remedy: free space or repair the disk, then start again; sealed segments are not affected.
    """


class CorruptError(ArchiveError):
    """Raised when a stored file cannot be what was written: run `scrapy verify`, restore the named file."""


class RemoteError(ArchiveError):
    """Raised when a remote cannot be listed, read or written. Nothing here was deleted; start again."""


class VenueError(MarketArchiveError):
    """Base of everything a venue sends that cannot be used; the message itself is already in raw."""


class ParseError(VenueError):
    """Raised by `venues` when a message lacks a field or has one of the wrong form.

    `item` names what could not be made of it, `fields` what is missing or wrong.
    """

    def __init__(self, item: str, message: str, fields: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.item = item
        self.fields = tuple(fields)


class CursorError(VenueError):
    """Raised when paging cannot end: a cursor seen before, or page after page with nothing new."""


class MasterError(MarketArchiveError):
    """Raised when the market master cannot be used: raw goes on; mend it, then `scrapy rebuild-master`."""
