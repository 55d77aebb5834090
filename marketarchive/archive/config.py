"""Settings of writing the archive, each with its unit and default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Any

from marketarchive.archive import codec
from marketarchive.archive.files import Files
from marketarchive.exceptions import ConfigurationError


@dataclass(frozen=True, slots=True)
class ArchiveConfig:
    """Settings of writing the archive: the field `x` is the Scrapy setting `ARCHIVE_X`.

    `wall` marks a real duration, `project clock` one that follows simulated time.
    """

    flush_s: float = 1.0  # wall; a received line is on the disk after about this long
    member_s: float = 60.0  # project clock; length of a gzip member
    segment_s: float = 3600.0  # project clock; segments end at multiples of this
    segment_bytes: int = 512 * 2**20  # compressed; a segment that reaches this size is sealed early
    buffer_soft: int = 32 * 2**20  # bytes; with more waiting to be written, spiders send no further requests
    stall_s: float = 30.0  # wall; a writer without progress for this long ends the run
    gzip_level: int = codec.DEFAULT_LEVEL  # 0 to 3 with ISA-L, 0 to 9 without
    day_grace_s: float = 600.0  # project clock; a day file is final this long after the end of its day

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> ArchiveConfig:
        """Read the ARCHIVE_ settings of Scrapy. Raises ConfigurationError naming the setting."""
        default = cls()
        found: dict[str, float] = {}
        for field in fields(cls):
            name = f"ARCHIVE_{field.name.upper()}"
            value = settings.get(name)
            if value is None:
                continue
            kind: type[float] = type(getattr(default, field.name))
            try:
                found[field.name] = kind(value)
            except (TypeError, ValueError) as error:
                raise ConfigurationError(f"{name}={value!r} is not a number ({kind.__name__})") from error
            if found[field.name] < 0 or (found[field.name] == 0 and field.name != "gzip_level"):
                raise ConfigurationError(f"{name}={value!r} must be more than 0")
        if found.get("gzip_level", 0) > codec.MAX_LEVEL:
            raise ConfigurationError(
                f"ARCHIVE_GZIP_LEVEL={found['gzip_level']}: {codec.CODEC} has levels 0 to {codec.MAX_LEVEL}"
            )
        return cls(**found)  # type: ignore[arg-type]  # each value was made by its field's own type


def files_from_settings(settings: Mapping[str, Any]) -> Files:
    """Return the object through which the archive writes files: the real disk by default.

    The setting `ARCHIVE_FILES` (dotted path of a class) replaces it, in tests of disk faults. Raises
    ConfigurationError.
    """
    dotted = settings.get("ARCHIVE_FILES")
    if not dotted:
        return Files()
    module, _, name = str(dotted).rpartition(".")
    try:
        found = getattr(import_module(module), name)()
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(f"ARCHIVE_FILES={dotted!r} cannot be imported: {error}") from error
    if not isinstance(found, Files):
        raise ConfigurationError(
            f"ARCHIVE_FILES={dotted!r} is not an instance of marketarchive.archive.files.Files"
        )
    return found
