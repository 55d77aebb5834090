"""What a user sets outside of the project's files: Scrapy's settings, the environment, `.env`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from scrapy.settings import BaseSettings

from marketarchive.exceptions import ConfigurationError

DOTENV = ".env"
"""In the folder in which a command is run: lines NAME=VALUE, as other tools write them."""


def user_setting(settings: BaseSettings, name: str, default: str = "") -> str:
    """Return the first value of: the setting, the environment variable, the line in `.env`, `default`.

    Nothing that is read reaches Scrapy's settings or the environment, where it could be logged. Raises
    ConfigurationError for a `.env` that cannot be read.
    """
    return settings.get(name) or os.environ.get(name) or _dotenv(Path(DOTENV)).get(name) or default


def _dotenv(path: Path) -> Mapping[str, str]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:  # a decode error's own text would quote the file
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationError(
            f"{path.absolute()} cannot be read: {why}; mend it or move it away"
        ) from None
    return dict(pair for line in text.splitlines() if (pair := _pair(line)) is not None)


def _pair(line: str) -> tuple[str, str] | None:
    """Return (name, value) of a line; None of a comment, an empty line and what is none."""
    line = line.strip().removeprefix("export ")
    name, equals, value = line.partition("=")
    if not equals or line.startswith("#"):
        return None
    value = value.strip()
    if value[:1] in ("'", '"') and value[:1] in value[1:]:
        value = value[1:].partition(value[0])[0]
    else:
        value = value.partition(" #")[0].rstrip()
    return name.strip(), value
