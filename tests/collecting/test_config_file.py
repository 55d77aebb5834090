"""The user's configuration file: what it stands for, what wins over it, what is refused."""

from __future__ import annotations

import argparse
import os
import pkgutil
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from marketarchive import commands
from marketarchive.collecting.config_file import VARIABLE, apply_configuration, keys, read_configuration
from marketarchive.collecting.route import real_url, replaced, route, stand_ins
from marketarchive.exceptions import ConfigurationError
from tests.e2e.harness import command
from tests.spiders_under_test import project_settings

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "config.example.toml"


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of the user's, no `.env`; what a test sets goes with it."""
    for name in (VARIABLE, *(key.setting for key in keys())):
        monkeypatch.setenv(name, "")  # so that it is restored whatever the code does
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def file(folder: Path, text: str) -> Path:
    path = folder / "my.toml"
    path.write_text(text)
    return path


def test_the_example_is_valid_and_has_every_key() -> None:
    shown = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))
    assert {(section, name) for section, each in shown.items() for name in each} == {
        (key.section, key.name) for key in keys()
    }
    found = read_configuration(EXAMPLE)
    assert found["CATALOG_SNAPSHOT_MINUTES"] == 15
    assert found["NEWS_SEARXNG_URL"] == ""


def test_every_key_and_its_setting_is_documented() -> None:
    page = (ROOT / "docs" / "SETTINGS.md").read_text(encoding="utf-8")
    for key in keys():
        assert f"| `[{key.section}]` | `{key.name}` |" in page
        assert f"\n| `{key.setting}` |" in page


def test_the_example_changes_no_address() -> None:
    settings = project_settings()
    apply_configuration(settings, str(EXAMPLE))
    assert stand_ins(settings) == {}


def test_a_path_is_of_the_folder_one_is_in(tmp_path: Path) -> None:
    found = read_configuration(file(tmp_path, '[general]\ndb_path = "d/m.db"\n[export]\noutput_dir = "~/x"'))
    assert found == {"MASTER_URL": f"sqlite:///{tmp_path}/d/m.db", "EXPORT_DIR": str(Path.home() / "x")}


def test_the_command_line_wins_over_the_environment_over_the_file_over_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    minutes = "poll_interval_minutes = 6\nsnapshot_interval_minutes = 16\nresolve_interval_minutes = 31\n"
    path = file(tmp_path, f"[general]\n{minutes}")
    monkeypatch.setenv("CATALOG_SNAPSHOT_MINUTES", "17")
    monkeypatch.setenv("CATALOG_RESOLVE_MINUTES", "32")
    settings = project_settings(CATALOG_RESOLVE_MINUTES="33")
    apply_configuration(settings, str(path))
    found = [settings.getfloat(f"CATALOG_{name}_MINUTES") for name in ("POLL", "SNAPSHOT", "RESOLVE")]
    assert found == [6, 17, 33]
    assert settings["NEWS_SEARXNG_URL"] is None


def test_the_variable_names_the_file_unless_the_command_line_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = file(tmp_path, "[general]\npoll_interval_minutes = 6")
    (tmp_path / "other").mkdir()
    other = file(tmp_path / "other", "[general]\npoll_interval_minutes = 7")
    monkeypatch.setenv(VARIABLE, "my.toml")
    settings = project_settings()
    apply_configuration(settings, None)
    assert settings["CATALOG_POLL_MINUTES"] == 6
    assert os.environ[VARIABLE] == str(one)  # for processes in other folders
    apply_configuration(settings, str(other))
    assert settings["CATALOG_POLL_MINUTES"] == 7


def test_a_line_in_the_env_file_counts_as_the_environment(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("NEWS_SEARXNG_URL=http://127.0.0.1:8081\n")
    path = file(tmp_path, '[news]\nsearxng_url = "http://127.0.0.1:8080"')
    settings = project_settings()
    apply_configuration(settings, str(path))
    assert settings["NEWS_SEARXNG_URL"] == "http://127.0.0.1:8081"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[general]\npoll_interval_minute = 3",
            "[general] has no key 'poll_interval_minute'; do you mean poll_",
        ),
        ("[general]\ncolour = 3", "[general] has no key 'colour'; there are db_path, poll_interval_minutes,"),
        ("[genral]\nx = 1", "there is no section 'genral'; do you mean general?"),
        ("general = 3", "general is a section: write [general]"),
        (
            '[general]\npoll_interval_minutes = "5"',
            "[general] poll_interval_minutes = '5' is not a number > 0",
        ),
        ("[general]\npoll_interval_minutes = true", "poll_interval_minutes = True is not a number > 0"),
        ("[general]\nresolve_interval_minutes = 0", "resolve_interval_minutes = 0 is not a number > 0"),
        ("[general]\nresolve_interval_minutes = nan", "resolve_interval_minutes = nan is not a number > 0"),
        ("[general]\ndb_path = 3", "[general] db_path = 3 is not a path, as text"),
        ("[kalshi]\nenabled = 1", "[kalshi] enabled = 1 is not true or false"),
        (
            '[kalshi]\nbase_url = "kalshi.example"',
            "[kalshi] base_url: KALSHI_BASE_URL='kalshi.example' is not a URL",
        ),
        (
            '[news]\nsearxng_url = "http://me:s3cret@h"',
            "[news] searxng_url: NEWS_SEARXNG_URL holds a user name",
        ),
        ("[news]\nenabled = true", "[news] is enabled and has no searxng_url"),
        ("[polymarket]\nenabled = false\n[kalshi]\nenabled = false", "no platform is enabled"),
        ("[general", "is not TOML"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_file_and_key(tmp_path: Path, text: str, said: str) -> None:
    path = file(tmp_path, text)
    with pytest.raises(ConfigurationError) as refused:
        read_configuration(path)
    assert str(path) in str(refused.value)
    assert said in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_a_file_that_is_not_there_is_named_as_the_user_named_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"--config none\.toml cannot be read: No such file"):
        apply_configuration(project_settings(), "none.toml")
    monkeypatch.setenv(VARIABLE, "none.toml")
    with pytest.raises(ConfigurationError, match=rf"{VARIABLE}=none\.toml cannot be read"):
        apply_configuration(project_settings(), None)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[kalshi]\nenabled = false", {"CATALOG_PLATFORMS": "polymarket"}),
        ("[kalshi]\nenabled = true", {}),
        ('[news]\nsearxng_url = "http://h:1/x/"', {"NEWS_SEARXNG_URL": "http://h:1/x/"}),
        ('[news]\nenabled = false\nsearxng_url = "http://h:1"', {"NEWS_SEARXNG_URL": ""}),
    ],
)
def test_what_is_not_enabled_is_left_out(tmp_path: Path, text: str, found: dict[str, Any]) -> None:
    assert read_configuration(file(tmp_path, text)) == found


# ---- URLs in the place of a venue's own ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("real", "requested"),
    [
        ("https://clob.polymarket.com/book", "https://mirror.example/clob/book"),
        ("https://clob.polymarket.com", "https://mirror.example/clob"),
        ("https://clob.polymarket.com.evil/book", "https://clob.polymarket.com.evil/book"),
        ("https://gamma-api.polymarket.com/markets", "https://gamma-api.polymarket.com/markets"),
    ],
)
def test_what_follows_an_address_follows_what_stands_in_its_place(real: str, requested: str) -> None:
    settings = project_settings(POLYMARKET_BASE_URL="https://mirror.example/clob/")
    assert replaced(real, stand_ins(settings)) == requested


def test_in_a_simulation_only_the_simulator_is_asked() -> None:
    simulator = "http://127.0.0.1:8900"
    settings = project_settings(
        SIMULATOR_URL=simulator,
        POLYMARKET_BASE_URL="https://mirror.example",
        NEWS_SEARXNG_URL=f"{simulator}/searxng.example",
    )
    assert stand_ins(settings) == {"https://searxng.example": f"{simulator}/searxng.example"}


def test_an_address_on_the_simulator_is_left_as_it_is() -> None:
    simulator = "http://127.0.0.1:8900"
    assert route(f"{simulator}/h.example/x", simulator) == f"{simulator}/h.example/x"
    assert route("https://h.example/x", simulator) == f"{simulator}/h.example/x"
    assert real_url(f"{simulator}/h.example/x", "https://h.example", simulator) == "https://h.example/x"


# ---- commands --------------------------------------------------------------------------------------------


def test_every_command_takes_the_file() -> None:
    for found in pkgutil.iter_modules(commands.__path__):
        made = import_module(f"{commands.__name__}.{found.name}").Command()
        made.settings = project_settings()
        parser = argparse.ArgumentParser(conflict_handler="resolve")
        made.add_options(parser)
        assert "--config" in parser.format_help(), found.name


def test_a_bad_file_ends_a_command_with_2(tmp_path: Path) -> None:
    path = file(tmp_path, "[general]\ncolour = 3")
    told = command("recover", tmp_path, "--config", str(path))
    assert told.returncode == 2
    assert f"{path}: [general] has no key 'colour'" in told.stderr


def test_the_settings_of_a_run_are_unchanged_without_a_file() -> None:
    settings = project_settings()
    before = settings.copy_to_dict()
    apply_configuration(settings, None)
    assert settings.copy_to_dict() == before
