"""Docstrings begin with a noun or a verb, in words that a reader may search for."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "graphscore"
FILES = sorted(PACKAGE.rglob("*.py"))
RIDDLES = {"What", "How", "Which", "Where", "Whether"}
EXCEPTIONS: set[str] = set()


def public_docstrings(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Names and docstrings of a module and its public classes, functions and methods."""
    nodes: list[tuple[str, ast.Module | ast.ClassDef | ast.FunctionDef]] = [("module", tree)]
    while nodes:
        name, node = nodes.pop()
        yield name, ast.get_docstring(node) or ""
        if not isinstance(node, ast.FunctionDef):
            inner = [part for part in node.body if isinstance(part, ast.ClassDef | ast.FunctionDef)]
            nodes += [(part.name, part) for part in inner if not part.name.startswith("_")]


def test_no_docstring_begins_as_a_riddle():
    riddles = [
        f"{path.relative_to(PACKAGE)}: {name}"
        for path in FILES
        for name, text in public_docstrings(ast.parse(path.read_text(encoding="utf-8")))
        if text.split(maxsplit=1)[:1] and text.split(maxsplit=1)[0] in RIDDLES and name not in EXCEPTIONS
    ]
    assert len(FILES) > 400 and not riddles, f"say what it is or does: {riddles}"
