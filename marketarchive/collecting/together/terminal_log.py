"""Log lines of a collection on a terminal: warnings above the live table, all lines in a file.

The file has the name of the run, so it is opened only after the run; earlier lines are kept in memory until
then.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from logging.handlers import MemoryHandler
from pathlib import Path

from rich.console import Console
from rich.text import Text
from scrapy.settings import SETTINGS_PRIORITIES, BaseSettings

from marketarchive.collecting import shutdown

SCREEN_FORMAT = "%(asctime)s %(levelname)s: %(message)s"
FORMATS = ("LOG_FORMAT", "LOG_DATEFORMAT")
CHOICES = ("LOG_FILE", "LOG_ENABLED", "LOG_LEVEL")
"""Scrapy's settings by which a user chooses where log lines go."""
NEVER = logging.CRITICAL + 1


def is_free(settings: BaseSettings) -> bool:
    """Return whether the user has left it to the program where log lines go."""
    file, enabled, level = CHOICES
    is_level_given = (settings.getpriority(level) or 0) >= SETTINGS_PRIORITIES["cmdline"]
    return settings.getbool(enabled) and not settings[file] and not is_level_given


class TerminalLog:
    """Logging of a collection with a live table: warnings on the terminal above it, all lines in a file.

    It is installed once Scrapy has configured logging.
    """

    def __init__(self, settings: BaseSettings, console: Console) -> None:
        self.path: Path | None = None
        line_format, time_format = (settings[name] for name in FORMATS)
        self._formatter = logging.Formatter(line_format, time_format)
        self._early = MemoryHandler(0, flushLevel=NEVER)
        self._early.setLevel(settings["LOG_LEVEL"])
        logging.root.setLevel(logging.NOTSET)
        logging.root.addHandler(_Screen(console, time_format))
        logging.root.addHandler(self._early)

    def open(self, path: Path) -> None:
        """Write all lines to the file `path` from now on, earlier ones too. Raises OSError."""
        path.parent.mkdir(exist_ok=True)
        file = _LogFile(path, encoding="utf-8")
        file.setFormatter(self._formatter)
        file.setLevel(self._early.level)
        logging.root.addHandler(file)
        logging.root.removeHandler(self._early)
        self._early.setTarget(file)
        self._early.close()
        self.path = path


class _Screen(logging.Handler):
    """Logging handler that prints above the live table.

    Of a traceback only the last line, the file has all.
    """

    def __init__(self, console: Console, time_format: str) -> None:
        super().__init__()
        self._console = console
        self.setFormatter(_OneLine(SCREEN_FORMAT, time_format))

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to print a line: warnings and worse, and the lines of the shutdown."""
        return record.levelno >= logging.WARNING or record.name == shutdown.__name__

    def emit(self, record: logging.LogRecord) -> None:
        style = "red" if record.levelno >= logging.ERROR else "yellow"
        with suppress(OSError):  # the terminal is gone; the file has it
            self._console.print(Text(self.format(record), style))


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        shown = logging.makeLogRecord(vars(record))
        shown.exc_info = shown.exc_text = shown.stack_info = None
        text = super().format(shown)
        error = record.exc_info[1] if record.exc_info else None
        return text if error is None else f"{text} ({type(error).__name__}: {error})"


class _LogFile(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's name)
        """Ignore a failure to write: the disk is full, which the archive on it reports."""
