"""Settings that the user makes outside of the project's files: Scrapy's settings, environment, `.env`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values
from scrapy.settings import BaseSettings

from marketarchive.exceptions import ConfigurationError

DOTENV = ".env"
"""File in the folder where a command is run, with lines NAME=VALUE, as other tools write them."""


def user_setting(settings: BaseSettings, name: str, default: str = "") -> str:
    """Return a setting of the user: Scrapy's setting, environment variable, line in `.env`, or `default`.

    The first of these that is not empty counts. No value read is copied into Scrapy's settings or the
    environment, where it could be logged. Raises ConfigurationError for a `.env` that cannot be read.
    """
    return settings.get(name) or os.environ.get(name) or _dotenv(Path(DOTENV)).get(name) or default


def environment_value(name: str) -> str | None:
    """Return an environment variable, or else its line in `.env`; None where there is neither.

    Raises ConfigurationError for a `.env` that cannot be read.
    """
    found = os.environ.get(name)
    return _dotenv(Path(DOTENV)).get(name) if found is None else found


def _dotenv(path: Path) -> Mapping[str, str | None]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:  # a decode error's own text would quote the file
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationError(
            f"{path.absolute()} cannot be read: {why}; mend it or move it away"
        ) from None
    return dotenv_values(stream=StringIO(text), interpolate=False)
