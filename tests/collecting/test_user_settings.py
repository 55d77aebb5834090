"""What a user sets: Scrapy's settings win over the environment, the environment over `.env`."""

from __future__ import annotations

from pathlib import Path

import pytest
from scrapy.settings import Settings

from marketarchive.collecting.user_settings import user_setting
from marketarchive.exceptions import ConfigurationError

NAME = "ACME_KEY"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(NAME, raising=False)
    return tmp_path


def test_the_order(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings()
    assert user_setting(settings, NAME, "nothing") == "nothing"
    (folder / ".env").write_text(f"{NAME}=file\n")
    assert user_setting(settings, NAME, "nothing") == "file"
    monkeypatch.setenv(NAME, "environment")
    assert user_setting(settings, NAME) == "environment"
    settings.set(NAME, "setting")
    assert user_setting(settings, NAME) == "setting"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("ACME_KEY=a b", "a b"),
        ("  export ACME_KEY = a=b  ", "a=b"),
        ("ACME_KEY='a # b' # c", "a # b"),
        ('ACME_KEY="a"', "a"),
        ("ACME_KEY=a#b # c", "a#b"),
        ("ACME_KEY='a", ""),
        ("# ACME_KEY=a", ""),
        ("ACME_KEY", ""),
        ("ACME_KEY=", ""),
    ],
)
def test_lines(folder: Path, line: str, value: str) -> None:
    (folder / ".env").write_text(f"\n# a comment\nOTHER=1\n{line}\n")
    assert user_setting(Settings(), NAME) == value


def test_a_file_that_cannot_be_read_is_not_quoted(folder: Path) -> None:
    (folder / ".env").write_bytes(b"ACME_KEY=s3cr3t\xff")
    with pytest.raises(ConfigurationError, match=r"\.env cannot be read: it is not UTF-8") as raised:
        user_setting(Settings(), NAME)
    assert "s3cr3t" not in str(raised.value)
    (folder / ".env").unlink()
    (folder / ".env").mkdir()
    with pytest.raises(ConfigurationError, match="Is a directory"):
        user_setting(Settings(), NAME)
