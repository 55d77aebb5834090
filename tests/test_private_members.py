"""Tests and benchmarks use the package as its users do: they reach none of its private members."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OF_NAMED_TUPLES = ("_asdict", "_fields", "_make", "_replace")
"""Documented methods: the underscore only keeps them apart from the names of fields."""
EXEMPT: dict[str, str] = {}
"""Uses that stay, as `tests/file.py: expression`, and why each has no public way."""


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


# ---- what the package keeps to itself ----------------------------------------------------------------------


def private_names() -> set[str]:
    """Return the private names of all classes and modules of the package."""
    found = {
        name
        for path in (ROOT / "marketarchive").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in defined(node)
    }
    return {name for name in found if is_private(name)} - set(OF_NAMED_TUPLES)


def defined(node: ast.AST) -> Iterator[str]:
    """Yield the names that become members of a module or a class here, and local ones, which do no harm."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        yield node.attr  # self._name = ...
    elif isinstance(node, ast.alias):
        yield node.asname or node.name
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
        yield node.value  # of __slots__


# ---- who reaches for it ------------------------------------------------------------------------------------


def reached(source: str, private: set[str]) -> list[str]:
    """Return the expressions in `source` that reach a private member: an attribute, an import, a patch."""
    if re.search(r"\b_[^\W_]", source) is None:
        return []  # most files: what has no private name need not be parsed
    nodes = list(ast.walk(ast.parse(source)))
    foreign = foreign_modules(nodes)
    return [found for node in nodes for found in reached_by(node, private, foreign)]


def foreign_modules(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names under which modules of others are imported: `os._exit` is none of ours."""
    return {
        (alias.asname or alias.name).partition(".")[0]
        for node in nodes
        if isinstance(node, ast.Import)
        for alias in node.names
        if not is_of_package(alias.name)
    }


def is_of_package(module: str | None) -> bool:
    return module is not None and module.partition(".")[0] == "marketarchive"


def reached_by(node: ast.AST, private: set[str], foreign: set[str]) -> Iterator[str]:
    if isinstance(node, ast.Attribute) and node.attr in private:
        owner = node.value.id if isinstance(node.value, ast.Name) else ""
        if owner not in {"self", "cls"} | foreign:
            yield ast.unparse(node)
    elif isinstance(node, ast.ImportFrom) and is_of_package(node.module):
        yield from (f"{node.module}.{alias.name}" for alias in node.names if is_private(alias.name))
    elif isinstance(node, ast.Call) and name_of(node.func) in ("getattr", "setattr", "delattr"):
        for given in node.args[:2]:
            if isinstance(given, ast.Constant) and isinstance(given.value, str):
                owner, _, name = given.value.rpartition(".")
                if name in private and (not owner or is_of_package(owner)):
                    yield ast.unparse(node)


def name_of(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def test_tests_and_benchmarks_reach_no_private_member() -> None:
    private = private_names()
    found = {
        f"{path.relative_to(ROOT).as_posix()}: {expression}"
        for folder in ("tests", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        for expression in reached(path.read_text(encoding="utf-8"), private)
    }
    assert sorted(found) == sorted(EXEMPT)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("spider._output_queue.get()", ["spider._output_queue"]),
        ("made.feeder()._thread.join()", ["made.feeder()._thread"]),
        ("from marketarchive.a import _b, c", ["marketarchive.a._b"]),
        ("monkeypatch.setattr(a, '_row', 1)", ["monkeypatch.setattr(a, '_row', 1)"]),
        ("patch.setattr('marketarchive.a._row', 1)", ["patch.setattr('marketarchive.a._row', 1)"]),
        ("import marketarchive\nmarketarchive.a._row", ["marketarchive.a._row"]),
        ("import os\nos._row(0)", []),
        ("monkeypatch.setattr('os._row', 1)", []),
        ("self._row, cls._row, self.row, row.__row__, other._unknown", []),
        ("LISTED._replace(a=1)", []),
    ],
)
def test_what_reaches_a_private_member_is_noticed(source: str, found: list[str]) -> None:
    assert reached(source, {"_output_queue", "_row", "_thread"}) == found


def test_private_names_are_those_of_classes_and_modules() -> None:
    found = {
        name
        for node in ast.walk(
            ast.parse(
                "_a = 1\n_b: int = 2\nfrom c import d as _d\ndef _e(): ...\n"
                "class _F:\n    __slots__ = ('_g',)\n    def __init__(self): self._h = 1"
            )
        )
        for name in defined(node)
    }
    assert {name for name in found if is_private(name)} == {"_a", "_b", "_d", "_e", "_F", "_g", "_h"}
