"""Who may import whom: the arrows of docs/ARCHITECTURE.md."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "marketarchive"
LEAVES = {
    "clock", "exceptions", "field_docs", "gap_lines", "invocation", "json_lines", "nesting", "scope",
    "simulated_time", "time_page", "times", "version", "",
}  # fmt: skip
"""Who imports nothing of ours, or only one another; "" is the package itself: the version."""
ALLOWED = {
    "times": set(),
    "version": set(),
    "invocation": set(),
    "checkout": set(),
    "settings": {"settings", "version"},
    "command_line": {"interrupts", "settings"},
    "__main__": {"command_line"},
    "clock": {"exceptions", "times"},
    "time_page": {"clock", "exceptions", "invocation", "times"},
    "simulated_time": {"clock", "time_page", "times"},
    "exceptions": set(),
    "field_docs": set(),
    "gap_lines": set(),
    "json_lines": {"exceptions"},
    "nesting": set(),
    "scope": set(),
    "interrupts": set(),
    "items": LEAVES,
    "venues": {"items"} | LEAVES,
    "archive": {"items", "venues"} | LEAVES,
    "master": {"archive", "items", "venues"} | LEAVES,
    "simulator": {"archive", "venues", "items"} | LEAVES,
    "collecting": {"archive", "master", "items", "venues"} | LEAVES,
    "pipelines": {"collecting", "archive", "master", "items", "venues"} | LEAVES,
    "spiders": {"collecting", "archive", "master", "items", "venues"} | LEAVES,
    "plans": {"collecting", "items", "venues"} | LEAVES,
    "research": {"archive", "master", "items", "venues"} | LEAVES,
    "progress": LEAVES,
    "configured": {"collecting"} | LEAVES,
    "crawling": {"collecting", "configured"} | LEAVES,
    "offline": {"collecting", "configured", "venues"} | LEAVES,
    "field_lists": {"archive", "collecting", "master", "plans", "research", "venues"} | LEAVES,
    "commands": {
        "checkout",
        "field_lists",
        "progress",
        "configured",
        "crawling",
        "offline",
        "interrupts",
        "collecting",
        "pipelines",
        "plans",
        "spiders",
        "simulator",
        "archive",
        "master",
        "research",
        "items",
        "venues",
        "demo",
    }
    | LEAVES,
    "demo": {"archive", "items", "venues"} | LEAVES,
}


def imports(path: Path) -> set[str]:
    """The rooms of our package that a file imports from; no relative import hides one."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            assert node.module
            names = (
                [node.module]
                if node.module != "marketarchive"
                else [f"marketarchive.{a.name}" for a in node.names]
            )
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "marketarchive":
                room = parts[1] if len(parts) > 1 else ""
                found.add(room if room in ALLOWED else "")
    return found


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_only_what_its_room_may(path: Path) -> None:
    relative = path.relative_to(PACKAGE)
    room = relative.parts[0].removesuffix(".py")
    if room == "__init__":
        assert imports(path) == {"research", "version"}  # the first is lazy: see below
        return
    assert imports(path) <= ALLOWED[room] | {room}


@pytest.mark.process
def test_who_does_not_ask_for_the_notebook_api_pays_nothing_for_it() -> None:
    looks = "import marketarchive.archive.reader, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", looks], capture_output=True, text=True, check=True)
    assert not {"duckdb", "pandas", "pyarrow", "sqlalchemy", "marketarchive.research"} & set(
        loaded.stdout.split()
    )
    asks = "from marketarchive import Archive, __version__; print(Archive.__module__)"
    found = subprocess.run([sys.executable, "-c", asks], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "marketarchive.research.archive_api"


@pytest.mark.process
def test_no_command_pays_for_what_only_another_needs() -> None:
    """Scrapy loads all commands for each."""
    looks = "from scrapy.utils.misc import walk_modules; import sys; walk_modules('marketarchive.commands')"
    loaded = subprocess.run(
        [sys.executable, "-c", f"{looks}; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    optional = {
        "aiohttp",
        "duckdb",
        "matplotlib",
        "pandas",
        "playwright",
        "prometheus_client",
        "psycopg",
        "pyarrow",
        "rapidfuzz",
    }
    found = set(loaded.stdout.split())
    assert not {"alembic", "sqlalchemy", "vl_convert", *optional} & found
    assert not [name for name in found if name.startswith("marketarchive.research.products.")]
