"""What pages need is named before anything starts, with the remedy; what they ask has the venue's names."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from scrapy.settings import Settings

from marketarchive.collecting.pages.chromium import check_browser, launch_options
from marketarchive.collecting.pages.open_page import params_of
from marketarchive.collecting.route import real_url, route
from marketarchive.exceptions import ArgumentError, ConfigurationError
from marketarchive.spiders.chainlink_streams import ChainlinkStreams
from tests.spiders_under_test import project_settings

HOST = "https://data.chain.link"
SIMULATOR = "http://127.0.0.1:8900"


def _for_pages(**more: object) -> Settings:
    settings = project_settings(**more)
    ChainlinkStreams.update_settings(settings)
    return settings


@pytest.mark.process
def test_only_page_spiders_load_the_browser_and_one_handler_of_it() -> None:
    assert _for_pages()["DOWNLOAD_HANDLERS"].keys() == {"https"}
    assert _for_pages(SIMULATOR_URL=SIMULATOR)["DOWNLOAD_HANDLERS"].keys() == {"http"}
    assert _for_pages().getbool("ROBOTSTXT_OBEY")
    looks = "import marketarchive.spiders.chainlink_streams, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", looks], capture_output=True, text=True, check=True)
    assert "marketarchive.collecting.pages.page" in loaded.stdout.split()
    assert not {"playwright", "scrapy_playwright"} & set(loaded.stdout.split())


def test_a_missing_extra_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "scrapy_playwright" else find(name)
    )
    with pytest.raises(ConfigurationError, match=r"pip install 'marketarchive\[browser\]'"):
        check_browser(project_settings())


def test_a_missing_chromium_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("scrapy_playwright")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="apt-get install chromium"):
        check_browser(project_settings())
    with pytest.raises(ConfigurationError, match="not a program"):
        check_browser(project_settings(PLAYWRIGHT_LAUNCH_OPTIONS={"executable_path": "/nowhere/chromium"}))
    own = tmp_path / "chromium-1" / "chrome-linux" / "chrome"
    own.parent.mkdir(parents=True)
    own.touch()
    check_browser(project_settings())
    program = tmp_path / "chromium"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert launch_options(project_settings())["executable_path"] == str(program)
    chosen = {"executable_path": "/usr/bin/other", "headless": False}
    assert launch_options(project_settings(PLAYWRIGHT_LAUNCH_OPTIONS=chosen)).items() >= chosen.items()


def test_the_browser_is_never_disguised() -> None:
    arguments = " ".join(launch_options(project_settings())["args"])
    for word in ("AutomationControlled", "user-agent", "proxy", "stealth"):
        assert word not in arguments
    assert _for_pages()["PLAYWRIGHT_PROCESS_REQUEST_HEADERS"] is None


@pytest.mark.parametrize("path", ["/api/live?feedId=1&a=%20b", "/streams/btc-usd", "/"])
def test_what_a_page_asks_is_named_as_the_venue_names_it(path: str) -> None:
    real = f"{HOST}{path}"
    assert real_url(real, HOST, None) == real
    assert real_url(f"{SIMULATOR}/data.chain.link{path}", HOST, SIMULATOR) == real
    assert real_url(f"{SIMULATOR}{path}", HOST, SIMULATOR) == real
    assert real_url("https://elsewhere.test/x", HOST, SIMULATOR) == "https://elsewhere.test/x"
    bare = real.partition("?")[0]
    assert real_url(route(bare, SIMULATOR), HOST, SIMULATOR) == bare


def test_a_query_keeps_all_its_values() -> None:
    assert params_of("u?a=1&b=x&b=y&b=z&c=") == {"a": "1", "b": ["x", "y", "z"], "c": ""}
    assert params_of("u") == {}


def test_pages_are_named_by_what_they_show() -> None:
    assert ChainlinkStreams.check_arguments({"pages": "spot,TWAP30"}).others == {"pages": ("spot", "twap30")}
    with pytest.raises(ArgumentError, match="twap60"):
        ChainlinkStreams.check_arguments({"pages": "twap"})
