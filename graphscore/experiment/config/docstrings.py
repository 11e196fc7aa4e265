"""Reading of docstrings: the first sentence, the meaning of each argument, and the texts below attributes."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

_HEADING = re.compile(r"^(\w[\w ]*):$")
_ARGUMENT = re.compile(r"^ {4}\*{0,2}(\w+)(?: \(.*?\))?:(.*)$")
# Roles of Sphinx, of which the last part of the target is shown, and quotes of code.
_ROLE, _CODE = re.compile(r":\w+:`~?(?:[\w.]*\.)?(\w+)`"), re.compile(r"``(.*?)``")


def summary(documented: Any) -> str:
    """Return the first paragraph of a docstring without its full stop; empty if there is none."""
    return plain((inspect.getdoc(documented) or "").partition("\n\n")[0]).removesuffix(".")


def arguments(documented: Any) -> dict[str, str]:
    """Return the meaning of each argument under ``Args:`` in a docstring, or in those of base classes, by name."""
    kinds = reversed(documented.__mro__[:-1]) if inspect.isclass(documented) else [documented]
    return {name: text for kind in kinds for name, text in _own_arguments(kind).items()}


def _own_arguments(documented: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    heading = name = ""
    for line in inspect.cleandoc(documented.__doc__ or "").splitlines():
        if title := _HEADING.match(line):
            heading, name = title[1], ""
        elif heading == "Args" and (argument := _ARGUMENT.match(line)):
            name = argument[1]
            found[name] = argument[2]
        elif name and line.startswith(" " * 8):
            found[name] += f" {line.strip()}"
        elif line:
            name = ""
    return {name: plain(text) for name, text in found.items()}


def below_attributes(documented: type) -> dict[str, str]:
    """Return the text below each annotated attribute in the source of a class at the top of a module, by name."""
    source = Path(str(sys.modules[documented.__module__].__file__)).read_text(encoding="utf-8")
    found = {}
    for definition in ast.parse(source).body:
        if isinstance(definition, ast.ClassDef) and definition.name == documented.__name__:
            for attribute, text in pairwise(definition.body):
                match attribute, text:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                        found[name] = inspect.cleandoc(words)
    return found


def plain(text: str) -> str:
    """Return a text of a docstring in one line, without the markup of Sphinx."""
    return " ".join(_CODE.sub(r"\1", _ROLE.sub(r"\1", text)).split())
