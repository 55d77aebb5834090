"""Place of the market master, as the user sets it."""

from __future__ import annotations

from scrapy.settings import BaseSettings

from marketarchive.collecting.process import output_dir
from marketarchive.master.engine import sqlite_url


def master_url(settings: BaseSettings) -> str:
    """Return MASTER_URL, by default a SQLite file in OUTPUT_DIR; "" for no master."""
    url = settings.get("MASTER_URL")
    if url is None:
        return sqlite_url(output_dir(settings) / "master.db")
    return str(url)
