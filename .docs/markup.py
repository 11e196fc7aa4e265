"""Two translations for the documentation: docstrings to Markdown, and equations of pages to MathML.

MathML needs neither a script nor a font of ours: browsers draw it themselves, with or without a network.
"""

from __future__ import annotations

import html
import re
from typing import Any

from griffe import Extension as GriffeExtension
from griffe import Object
from latex2mathml.converter import convert
from markdown import Markdown
from markdown.extensions import Extension
from markdown.postprocessors import Postprocessor

_ROLE = re.compile(r":(\w+):`(~?)([^`]+)`")
_EQUATION = re.compile(r"^( *)\.\. math::\n+((?:\1 +.*(?:\n|\Z)|\n)+)", re.MULTILINE)
_TABLE = re.compile(r"^( *)=+(?: +=+)+\n((?:.*\n)+?)\1=+(?: +=+)+$", re.MULTILINE)
_BLOCK = re.compile(r"::\n(?=\n {4})")
_SESSION = re.compile(r"^( *)>>> .*(?:\n\1\S.*)*", re.MULTILINE)
_REFERENCES = re.compile(r"^( *)References:\n((?:\1 +.*(?:\n|\Z))+)", re.MULTILINE)
_LARGE = re.compile(r"\\[bB]igg?(?=\\[lr]Vert|\\[{}|])")  # sizes of delimiters that the converter does not know
_MATH = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


class Docstrings(GriffeExtension):
    """Markdown from the reStructuredText of docstrings: roles, equations, tables and blocks of code."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite the docstring of an object before it is parsed."""
        if obj.docstring:
            obj.docstring.value = to_markdown(obj.docstring.value)


def to_markdown(text: str) -> str:
    """Translate the reStructuredText that docstrings of this library use; links that lead nowhere become plain text."""
    text = _REFERENCES.sub(lambda found: re.sub(r"\.$", ".  ", found[0], flags=re.MULTILINE), text)  # one a line
    text = _SESSION.sub(r"\1```pycon\n\g<0>\n\1```", text)
    text = _EQUATION.sub(lambda found: f"{found[1]}$$\n{found[2].rstrip()}\n{found[1]}$$\n\n", text)
    return _ROLE.sub(_role, _TABLE.sub(_table, _BLOCK.sub(":\n", text)))


def _role(found: re.Match[str]) -> str:
    kind, short, target = found.groups()
    if kind == "math":
        return f"${target}$"
    shown = target.rpartition(".")[2] if short else target
    if not target.startswith("graphscore."):  # a name next to the object, or in its module
        return f"`{shown}`"
    return f'<autoref optional identifier="{target}"><code>{shown}</code></autoref>'


def _table(found: re.Match[str]) -> str:
    """A table of two columns without a head; a line that begins with spaces continues the cell above."""
    rows: list[list[str]] = []
    indent = len(found[1])
    for line in found[2].replace("|", r"\|").splitlines():
        if line[indent:].startswith(" "):
            rows[-1][-1] += f" {line.strip()}"
        else:
            rows.append(re.split(r"(?<=``) +", line.strip(), maxsplit=1))
    return "\n".join(found[1] + line for line in ("| | |", "|---|---|", *(f"| {' | '.join(row)} |" for row in rows)))


class MathML(Extension):
    """MathML instead of the LaTeX that ``pymdownx.arithmatex`` leaves in a page."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 (the name that Markdown calls)
        """Register the last step of a page."""
        md.postprocessors.register(_Equations(md), "mathml", -10)


class _Equations(Postprocessor):
    def run(self, text: str) -> str:
        return _MATH.sub(_mathml, text)


def _mathml(found: re.Match[str]) -> str:
    display = "block" if found[1] == "div" else "inline"
    text = _LARGE.sub("", html.unescape(found[2]).strip())
    result = convert(text, display=display)
    if "\\" in result:
        raise ValueError(f"An equation has a command that cannot be drawn: {text}")
    return result


def makeExtension(**options: Any) -> MathML:  # noqa: N802 (the name that Markdown calls)
    """Return the extension of Markdown in this module."""
    return MathML(**options)
