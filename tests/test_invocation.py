"""A command that a message names is one that can be copied."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from marketarchive.invocation import command


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[Typed]:
    """Pretends that this process was called so, with a program that PATH finds in `bin`."""
    found = tmp_path / "bin"
    found.mkdir()
    for name in ("scrapy", "marketarchive"):
        (found / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(found))
    monkeypatch.delenv("SCRAPY_PROJECT", raising=False)
    Typed.found, Typed.monkeypatch = found, monkeypatch
    return Typed


class Typed:
    found: Path
    monkeypatch: pytest.MonkeyPatch

    @classmethod
    def as_(cls, line: str, **env: str) -> None:
        words = shlex.split(line)
        for name, value in env.items():
            cls.monkeypatch.setenv(name, value)
        if "-m" in words[:2]:
            cls.monkeypatch.setattr(sys, "orig_argv", words)
            cls.monkeypatch.setattr(sys, "argv", [f"/somewhere/{words[2]}/__main__.py", *words[3:]])
            return
        if "/" not in words[0]:
            words[0] = str(cls.found / words[0])
        cls.monkeypatch.setattr(sys, "orig_argv", ["python", *words])
        cls.monkeypatch.setattr(sys, "argv", words)


@pytest.mark.parametrize(
    ("line", "env", "named"),
    [
        ("scrapy verify", {}, "scrapy recover"),
        ("scrapy crawl x -a a=b -s OUTPUT_DIR=/d", {}, "scrapy recover -s OUTPUT_DIR=/d"),
        ("scrapy crawl x -sOUTPUT_DIR=/d", {}, "scrapy recover -s OUTPUT_DIR=/d"),
        ("scrapy crawl x --set=OUTPUT_DIR=/d --set OUTPUT_DIR=/e", {}, "scrapy recover -s OUTPUT_DIR=/e"),
        ("scrapy crawl x -s 'OUTPUT_DIR=/a b'", {}, "scrapy recover -s 'OUTPUT_DIR=/a b'"),
        ("scrapy crawl x", {"SCRAPY_PROJECT": "vps"}, "SCRAPY_PROJECT=vps scrapy recover"),
        ("scrapy crawl x", {"SCRAPY_PROJECT": "default"}, "scrapy recover"),
        ("scrapy crawl x -s MASTER_URL=postgresql://me:secret@h/d -s LOG_LEVEL=INFO", {}, "scrapy recover"),
        ("scrapy crawl x --profile cpu.prof", {}, "scrapy recover"),
        (".venv/bin/scrapy crawl x", {}, ".venv/bin/scrapy recover"),
        ("/other/bin/scrapy crawl x", {}, "/other/bin/scrapy recover"),
        ("marketarchive crawl x --profile vps", {}, "marketarchive recover --profile vps"),
        ("marketarchive crawl --profile=vps", {"SCRAPY_PROJECT": "x"}, "marketarchive recover --profile vps"),
        ("marketarchive crawl x", {"SCRAPY_PROJECT": "vps"}, "SCRAPY_PROJECT=vps marketarchive recover"),
        ("py -m marketarchive crawl x", {}, "py -m marketarchive recover"),
        ("py -m scrapy crawl x -s OUTPUT_DIR=d", {}, "py -m scrapy recover -s OUTPUT_DIR=d"),
    ],
)  # fmt: skip
def test_it_is_named_as_it_was_typed(line: str, env: dict[str, str], named: str, typed: type[Typed]) -> None:
    typed.as_(line, **env)
    assert command("recover") == named


def test_what_it_sets_itself_is_set_once(typed: type[Typed]) -> None:
    typed.as_("scrapy demo -s OUTPUT_DIR=/d")
    assert command("verify", "-s", "OUTPUT_DIR=/e") == "scrapy verify -s OUTPUT_DIR=/e"


@pytest.mark.parametrize(
    "line", ["py -m ipykernel_launcher -f x -s OUTPUT_DIR=/no", "/usr/bin/pytest -s tests"]
)
def test_a_notebook_is_told_the_folder_it_works_on(line: str, typed: type[Typed]) -> None:
    typed.as_(line)
    assert command("verify") == "marketarchive verify"
    assert command("verify", root=Path("/an archive")) == "marketarchive verify -s 'OUTPUT_DIR=/an archive'"
