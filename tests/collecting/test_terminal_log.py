"""Log lines on a terminal: warnings on the screen, everything in a file, each with its feed."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from marketarchive.collecting.feed_context import name_feeds, working_for
from marketarchive.collecting.together.terminal_log import TerminalLog, is_free
from tests.spiders_under_test import project_settings

logger = logging.getLogger("tests.terminal")


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    handlers, level, make = list(logging.root.handlers), logging.root.level, logging.getLogRecordFactory()
    yield
    for handler in logging.root.handlers[:]:
        if handler not in handlers:
            logging.root.removeHandler(handler)
            handler.close()
    logging.root.setLevel(level)
    logging.setLogRecordFactory(make)


@pytest.fixture
def screen() -> io.StringIO:
    return io.StringIO()


def log_on(screen: io.StringIO, **settings: object) -> TerminalLog:
    name_feeds()
    name_feeds()  # twice is once
    return TerminalLog(project_settings(**settings), Console(file=screen, width=200))


def test_warnings_are_shown_and_all_from_log_level_on_is_kept(tmp_path: Path, screen: io.StringIO) -> None:
    log = log_on(screen)
    logger.info("early %d", 1)
    log.open(tmp_path / "logs" / "a.log")
    with working_for("polymarket_trades"):
        logger.debug("too much")
        logger.info("kept %s", "100 %")
        logger.warning("seen %d", 3)
        try:
            raise RuntimeError("why")
        except RuntimeError:
            logger.exception("failed")
    logger.warning("of none")
    kept = (tmp_path / "logs" / "a.log").read_text()
    assert "[tests.terminal] INFO: early 1\n" in kept
    assert "INFO: polymarket_trades: kept 100 %\n" in kept
    assert "WARNING: polymarket_trades: seen 3\n" in kept
    assert "Traceback" in kept
    assert "too much" not in kept
    shown = screen.getvalue().splitlines()
    assert [line.split(" ", 2)[2] for line in shown] == [
        "WARNING: polymarket_trades: seen 3",
        "ERROR: polymarket_trades: failed (RuntimeError: why)",
        "WARNING: of none",
    ]


def test_log_level_of_a_settings_file_is_that_of_the_file(tmp_path: Path, screen: io.StringIO) -> None:
    log = log_on(screen, LOG_LEVEL="ERROR")
    log.open(tmp_path / "a.log")
    logger.warning("seen")
    assert "seen" in screen.getvalue()
    assert (tmp_path / "a.log").read_text() == ""


def test_a_folder_that_cannot_be_made_is_an_error_and_lines_go_on(
    tmp_path: Path, screen: io.StringIO
) -> None:
    log = log_on(screen)
    (tmp_path / "logs").touch()
    with pytest.raises(OSError, match="logs"):
        log.open(tmp_path / "logs" / "a.log")
    logger.warning("still seen")
    assert "still seen" in screen.getvalue()


def test_the_end_without_a_run_is_shown_though_it_is_no_warning(screen: io.StringIO) -> None:
    log_on(screen)
    logging.getLogger("marketarchive.collecting.shutdown").info("Stopped by SIGINT")
    assert "Stopped by SIGINT" in screen.getvalue()


class Gone(io.StringIO):
    """A terminal that was closed."""

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


def test_a_terminal_that_is_gone_stops_nobody(tmp_path: Path) -> None:
    log = log_on(Gone())
    log.open(tmp_path / "a.log")
    logger.warning("kept")
    assert "kept" in (tmp_path / "a.log").read_text()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, True),
        ({"LOG_FILE": "x.log"}, False),
        ({"LOG_LEVEL": "INFO"}, False),
        ({"LOG_ENABLED": False}, False),
    ],
)
def test_what_the_user_chose_wins(settings: dict[str, object], expected: bool) -> None:
    assert is_free(project_settings(**settings)) is expected
