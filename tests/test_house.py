"""A venue is found, not wired: no neutral module knows one by name, and no imports go round in a circle."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from marketarchive.venues import venues

PACKAGE = Path(__file__).parent.parent / "marketarchive"
OF_VENUES = ("collecting", "research/tables", "simulator", "venues")
"""Packages with a package for each venue that needs one."""
MAY_NAME = ("spiders/", "plans/", "research/products/", "venues/brti.py", "demo.py", "field_lists.py")
"""What joins named venues, and declarations; which page has which lists."""


def files() -> list[Path]:
    return sorted(
        path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".tmpl", ".css", ".js", ".mako")
    )


def is_neutral(relative: str) -> bool:
    of_a_venue = any(
        relative.startswith(f"{package}/{venue}/") for package in OF_VENUES for venue in venues()
    )
    return not of_a_venue and not relative.startswith(MAY_NAME)


def test_no_neutral_module_names_a_venue() -> None:
    named = re.compile("|".join(venues()), re.IGNORECASE)
    found = {
        relative: sorted(set(words))
        for path in files()
        if is_neutral(relative := path.relative_to(PACKAGE).as_posix())
        and (words := named.findall(path.read_text(encoding="utf-8")))
    }
    assert found == {}


def test_no_imports_go_round_in_a_circle() -> None:
    assert [sorted(circle) for circle in circles(graph())] == []


# ---- modules and what they import ------------------------------------------------------------------------


def modules() -> dict[str, Path]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def graph() -> dict[str, set[str]]:
    """Module -> those that it imports at its top level, TYPE_CHECKING counted, with their packages."""
    there = modules()
    return {
        name: {each for found in imported(path, there) for each in with_packages(found, name) if each != name}
        for name, path in there.items()
    }


def imported(path: Path, there: dict[str, Path]) -> Iterator[str]:
    for node in at_top(ast.parse(path.read_text(encoding="utf-8")).body):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in there)
        elif isinstance(node, ast.ImportFrom) and node.module in there:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in there else node.module


def at_top(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements outside of functions."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try | ast.With):
            for block in ("body", "orelse", "finalbody"):
                yield from at_top(getattr(node, block, []))


def with_packages(name: str, importer: str) -> Iterator[str]:
    """`a.b.c` loads `a`, `a.b` too, but for the packages that the importer lies in: they are being loaded."""
    yield name
    parts = name.split(".")
    for count in range(1, len(parts)):
        package = ".".join(parts[:count])
        if not importer.startswith(f"{package}."):
            yield package


def circles(edges: dict[str, set[str]]) -> list[set[str]]:
    """Strongly connected components of more than one module (Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(edges[name]):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            circle = set()
            while True:
                circle.add(stack.pop())
                if name in circle:
                    break
            if len(circle) > 1:
                found.append(circle)

    for name in sorted(edges):
        if name not in index:
            visit(name)
    return found
