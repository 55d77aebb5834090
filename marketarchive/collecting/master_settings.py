"""Settings of the market master: its address, and which snapshots it keeps."""

from __future__ import annotations

from typing import Literal, cast

from scrapy.settings import BaseSettings

from marketarchive.collecting.process import output_dir
from marketarchive.exceptions import ConfigurationError


def master_url(settings: BaseSettings) -> str:
    """Return the setting MASTER_URL, by default a SQLite file in OUTPUT_DIR; "": there is no master."""
    from marketarchive.master.engine import sqlite_url  # here: SQLAlchemy is a tenth of a start

    url = settings.get("MASTER_URL")
    if url is None:
        return sqlite_url(output_dir(settings) / "master.db")
    return str(url)


def snapshots_kept(settings: BaseSettings) -> Literal["changes", "all"]:
    """Return the setting MASTER_SNAPSHOTS. Raises ConfigurationError for any other value."""
    kept = settings.get("MASTER_SNAPSHOTS", "changes")
    if kept not in ("changes", "all"):
        raise ConfigurationError(f"MASTER_SNAPSHOTS={kept!r} is neither 'changes' nor 'all'")
    return cast("Literal['changes', 'all']", kept)
