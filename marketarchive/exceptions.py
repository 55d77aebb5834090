"""Errors that reach a user or another package. Each message states what the operator does next.

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
    """Raised when the archive cannot be written: the run ends, and the next start records the gap.

    Remedy: free space or repair the disk, then start again; sealed segments are not affected.
    """


class CorruptError(ArchiveError):
    """Raised when a stored file differs from what was written: run `scrapy verify`, restore that file."""


class RemoteError(ArchiveError):
    """Raised when the remote of off-site copies fails. No file was deleted here; run the command again."""


class VenueError(MarketArchiveError):
    """Base class of errors about unusable messages of a venue; the message itself is already in raw/."""


class ParseError(VenueError):
    """Raised by parse functions of `venues` for a message with a missing or malformed field.

    `item` names the kind of item that could not be made, `fields` the missing or wrong fields.
    """

    def __init__(self, item: str, message: str, fields: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.item = item
        self.fields = tuple(fields)


class CursorError(VenueError):
    """Raised when paging would not end: a cursor came twice, or several pages had nothing new."""


class MasterError(MarketArchiveError):
    """Raised when the market master's database cannot be used; raw archiving goes on.

    Remedy: repair the database, then run `scrapy rebuild-master`.
    """
