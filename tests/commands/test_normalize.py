"""`scrapy normalize` as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.harness import ROOT, command
from tests.research.making import Answer, book, collect, many


def test_tables_checks_and_manifest_are_told(tmp_path: Path) -> None:
    collect(tmp_path, [Answer(many(book("1"), book("2"))), Answer(many(book("3")), 1)])
    done = command("normalize", tmp_path)
    assert done.returncode == 0, done.stderr
    path = "tables/books/venue=polymarket/feed=orderbook/date=2026-11-21/books.parquet"
    assert f"made     {path}: 3 rows" in done.stdout
    assert "check    pass  best bid below best ask: 3 checked" in done.stdout
    assert "check    FAIL  both tokens in each answer of /books: 1 of 2 (50.000%)" in done.stdout
    assert "3 made, 0 up to date, 0 failed" in done.stdout
    again = command("normalize", tmp_path, "--json")
    assert json.loads(again.stdout)["up_to_date"] == 3
    assert json.loads(again.stdout)["manifest"] is None


def test_strict_makes_a_failed_check_an_exit_code(tmp_path: Path) -> None:
    collect(tmp_path, [Answer(many(book("3")), 1)])
    assert command("normalize", tmp_path, "--strict", "orderbook").returncode == 1


def test_what_cannot_be_made_is_named(tmp_path: Path) -> None:
    collect(tmp_path, [Answer(many(book("1"), book("2")))])
    next(tmp_path.glob("raw/**/*.gz")).unlink()
    done = command("normalize", tmp_path)
    assert done.returncode == 1
    assert "FAILED   tables/books" in done.stdout
    assert "0 made, 0 up to date, 3 failed" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["orderbooks"], "no feed 'orderbooks'; there is polymarket/orderbook"),
        (["--since", "soon"], "--since 'soon' is not a time"),
        (["--until", "2026-13-01"], "--until '2026-13-01' is not a time"),
        (["--since", "2026-11-22", "--until", "2026-11-21"], "is not after --since"),
    ],
)
def test_bad_input_is_told_in_one_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    collect(tmp_path, [Answer(many(book("1"), book("2")))])
    done = command("normalize", tmp_path, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "tables" / "books").exists()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    done = command("normalize", tmp_path / "nowhere")
    assert done.returncode == 2
    assert "there is no folder" in done.stderr


def test_nothing_collected_yet_is_no_error(tmp_path: Path) -> None:
    done = command("normalize", tmp_path)
    assert done.returncode == 0
    assert "no sealed segment" in done.stdout


@pytest.mark.process
def test_a_missing_package_is_named_with_its_remedy(tmp_path: Path) -> None:
    collect(tmp_path, [Answer(many(book("1"), book("2")))])
    without = (
        "import importlib.util as u; real = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'pyarrow' else real(name, *rest)\n"
        f"from scrapy.cmdline import execute; execute(['scrapy', 'normalize', '-s', 'OUTPUT_DIR={tmp_path}'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", without], cwd=ROOT, env={**os.environ}, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.strip() == 'normalize: pyarrow not installed: pip install "marketarchive[research]"'
