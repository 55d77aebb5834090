"""The house's language, checked on the syntax tree: docstrings, class names, words that no name has."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "marketarchive"
Function = ast.FunctionDef | ast.AsyncFunctionDef
QUESTIONS = frozenset(("What", "Whether", "Of", "Where", "Which", "How", "Who", "Whom", "Why", "Those"))
"""No docstring begins with one: a class, a module or a setting says what it is."""
NO_VERBS = QUESTIONS | set(
    re.findall(
        r"\w+",
        """
        A All An Another Any As At Both By Each Errors Every For From In Its Newest No None Nothing Oldest One
        Only The Times Until When Without
        Brings Ends Gives Makes Raises Returns Says Takes Writes
        """,
    )
)
"""No docstring of a function or method, properties among them, begins with one: it begins with a verb."""
BANNED = frozenset(
    re.findall(
        r"\w+",
        """
        told untold tells telling hear heard outbox salvage tally doubt hole holes asked asking
        lose loses losing losses stretch stretches rebase
        """,
    )
)
"""Words that no class, function, variable, attribute, parameter or module has in its name."""


def test_docstrings_of_functions_begin_with_a_verb() -> None:
    found = {
        f"{path}:{node.lineno} {node.name}: {first}"
        for path, node in definitions()
        if isinstance(node, Function) and not may_be_a_verb(first := first_word(node))
    }
    assert found == set()


def test_docstrings_of_classes_and_modules_say_what_they_are() -> None:
    found = {
        f"{path}: {first}"
        for path, node in [*modules().items(), *definitions()]
        if isinstance(node, ast.Module | ast.ClassDef) and (first := first_word(node)) in QUESTIONS
    }
    assert found == set()


def test_a_class_name_is_used_once() -> None:
    counted = Counter(
        node.name
        for path, node in definitions()
        if isinstance(node, ast.ClassDef) and not may_share_its_name(path, node.name)
    )
    assert {name for name, count in counted.items() if count > 1} == set()


def test_docstrings_name_parameters_that_exist() -> None:
    """A line like `since: wall ns` names a parameter; those of a result or a table are in backticks."""
    found = {
        f"{path}:{node.lineno} {node.name}: {name}"
        for path, node in definitions()
        if isinstance(node, Function)
        for name in named_in_docstring(node) - parameters_of(node)
    }
    assert found == set()


def test_names_have_the_words_of_the_field() -> None:
    named = {name for tree in modules().values() for name in names_in(tree)}
    named |= {word for path in modules() for word in Path(path).with_suffix("").parts}
    assert {name for name in named if BANNED & set(words_of(name))} == set()


# ---- the syntax tree -------------------------------------------------------------------------------------


@cache
def modules() -> dict[str, ast.Module]:
    return {
        path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
    }


@cache
def definitions() -> list[tuple[str, Function | ast.ClassDef]]:
    return [
        (path, node)
        for path, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, Function | ast.ClassDef)
    ]


def names_in(tree: ast.Module) -> Iterator[str]:
    """Classes, functions, variables, attributes and parameters that the module defines or uses."""
    for node in ast.walk(tree):
        if isinstance(node, Function | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.arg):
            yield node.arg


def first_word(node: Function | ast.ClassDef | ast.Module) -> str | None:
    """The first word of the docstring, "" where it begins with none; None without a docstring."""
    text = ast.get_docstring(node, clean=False)
    return None if text is None else re.split(r"\W", text.lstrip(), maxsplit=1)[0]


def named_in_docstring(node: Function) -> set[str]:
    """Return the names before a colon at the beginning of a paragraph or clause."""
    text = ast.get_docstring(node) or ""
    return {
        name
        for match in re.finditer(r"(?:\n\n|; )((?:[a-z_]+, )*[a-z_]+): ", text)
        for name in match[1].split(", ")
    }


def parameters_of(node: Function) -> set[str]:
    args = node.args
    every = [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]
    return {each.arg for each in every if each is not None}


def may_be_a_verb(first: str | None) -> bool:
    return first is None or (first[:1].isupper() and first not in NO_VERBS)


def may_share_its_name(path: str, name: str) -> bool:
    """Scrapy names a command's class; what a venue sends is named alike at each of them."""
    package, _, rest = path.partition("/")
    is_wire_model = package in ("venues", "simulator") and "/" in rest and name.startswith(("_", "Sent"))
    return is_wire_model or name == "Command"


def words_of(name: str) -> list[str]:
    """`_told_ms`, `ToldSpan` -> told, ms, span."""
    return [each.lower() for each in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]
