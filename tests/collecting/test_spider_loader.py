"""The spider loader: what Scrapy's finds, with one module imported for one spider."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from scrapy.settings import Settings
from scrapy.spiderloader import SpiderLoader, get_spider_loader

from tests.spiders_under_test import project_settings

ONE = """
import sys
from scrapy.spiderloader import get_spider_loader
from scrapy.utils.project import get_project_settings
print(get_spider_loader(get_project_settings()).load("kraken_spot").name)
print(*sorted(name for name in sys.modules if name.startswith("marketarchive.spiders.")))
"""
OTHER = """
from scrapy import Spider
class Theirs(Spider):
    name = {name!r}
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder from which modules can be imported."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def _with(*modules: str) -> Settings:
    settings = project_settings()
    return project_settings(SPIDER_MODULES=[*settings.getlist("SPIDER_MODULES"), *modules])


def test_every_spider_is_the_one_that_scrapy_finds() -> None:
    ours, scrapys = get_spider_loader(project_settings()), SpiderLoader.from_settings(project_settings())
    assert not isinstance(ours, SpiderLoader)
    assert {name: ours.load(name) for name in scrapys.list()} == {
        name: scrapys.load(name) for name in scrapys.list()
    }
    assert ours.list() == scrapys.list()


@pytest.mark.parametrize("name", ["", "kraken", "kraken_spot.Spider", "no_spider", "__init__"])
def test_an_unknown_name_is_a_key_error(name: str) -> None:
    with pytest.raises(KeyError, match="Spider not found"):
        get_spider_loader(project_settings()).load(name)


@pytest.mark.process
def test_one_spider_imports_one_module() -> None:
    done = subprocess.run([sys.executable, "-c", ONE], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["kraken_spot", "marketarchive.spiders.kraken_spot"]


def test_spiders_of_others_are_found_and_take_a_name_as_with_scrapy(package: Path) -> None:
    (package / "their_spiders.py").write_text(OTHER.format(name="theirs"), encoding="utf-8")
    (package / "their_kraken.py").write_text(OTHER.format(name="kraken_spot"), encoding="utf-8")
    assert get_spider_loader(_with("their_spiders")).load("theirs").__module__ == "their_spiders"
    with pytest.warns(UserWarning, match="several spiders with the same name"):
        found = get_spider_loader(_with("their_kraken")).load("kraken_spot")
    assert found.__module__ == "their_kraken"


def test_a_module_that_cannot_be_imported_is_named(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import marketarchive.spiders  # the package itself, whose path is longer in this test

    (package / "unfinished_spot.py").write_text("import nothing_of_this_name", encoding="utf-8")
    monkeypatch.setattr(marketarchive.spiders, "__path__", [*marketarchive.spiders.__path__, str(package)])
    loader = get_spider_loader(_with("marketarchive.spiders.unfinished_spot"))
    with pytest.warns(RuntimeWarning, match="nothing_of_this_name"), pytest.raises(KeyError):
        loader.load("unfinished_spot")
    assert loader.load("kraken_spot").name == "kraken_spot"
