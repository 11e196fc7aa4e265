"""The documentation: its examples run, every public name has a place in it, every page is in the menu."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TypeVar, get_origin

import pytest
import torch
import yaml

from graphscore import cli

ROOT = Path(__file__).parents[2]
DOCS = ROOT / ".docs"
PAGES = sorted((DOCS / "pages").rglob("*.md"))
# A block, and the reason why it is not run, if there is one: a comment in the line above.
BLOCK = re.compile(r"(?:<!-- not run: ([^\n]+) -->\n)?```(python|sh)\n(.*?)```", re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str]]:
    """Language and text of the examples of a page that are run."""
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [(language, text) for reason, language, text in found if not reason]


def module_of(name: str) -> ModuleType:
    """A module of the folder of the documentation, which is no package."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_shell(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a line of a shell; our command within this process, which has imported everything already."""
    words = shlex.split(line, comments=True)
    if words[:1] != ["graphscore"]:
        subprocess.run(line, shell=True, check=True)
        return
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code, line


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page)], ids=lambda page: page.relative_to(DOCS / "pages").as_posix()
)
def test_the_examples_of_a_page_run_one_after_the_other(page: Path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names: dict[str, object] = {}
    for number, (language, text) in enumerate(blocks(page), 1):
        if language == "python":
            exec(compile(text, f"{page.name}, example {number}", "exec"), names)
        else:
            for line in text.splitlines():
                run_shell(line, monkeypatch)


def test_the_readme_is_short_and_leads_to_twelve_answers():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(readme.splitlines()) <= 150 and "(.docs/pages/index.md)" in readme
    index = (DOCS / "pages" / "index.md").read_text(encoding="utf-8")
    questions = re.findall(r"^\| [^|]*\? \|(.*)\|$", index, re.MULTILINE)
    assert len(questions) == 12 and all("](" in answer for answer in questions)


def test_every_page_is_in_the_menu():
    menu = yaml.safe_load((DOCS / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    listed = set(re.findall(r"[\w/-]+\.md", str(menu)))
    pages = {page.relative_to(DOCS / "pages").as_posix() for page in PAGES}
    pages |= {*module_of("build").included().values()} - {"README.md"}
    pages |= {f"reference/{folder}.md" for folder in module_of("generated").REFERENCE}
    assert pages <= listed
    assert listed - pages == {f"reference/{name}.md" for name in ("index", "configuration", "commands")} | {
        "concepts/what-works.md"
    }


def test_every_folder_has_a_page_of_concepts():
    folders = {path.parent.name for path in ROOT.glob("graphscore/*/__init__.py")}
    assert folders <= {page.stem for page in DOCS.glob("pages/concepts/*.md")}


REFERENCE = module_of("generated").REFERENCE
MODULES = [module for modules in REFERENCE.values() for module in modules]


def lists_names(path: Path) -> bool:
    """Tell whether a package lists its public names."""
    return "\n__all__ = " in path.read_text(encoding="utf-8")


def test_every_package_that_lists_its_names_is_in_the_reference():
    packages = [path.parent for path in ROOT.glob("graphscore/**/__init__.py") if lists_names(path)]
    found = {".".join(package.relative_to(ROOT / "graphscore").parts) for package in packages}
    assert found - {""} <= {*MODULES}
    for home in import_module("graphscore")._HOMES:
        assert home in MODULES, f"graphscore.{home} has public names, but no place in the reference"


def documented(module: str, name: str) -> bool:
    """Tell whether a name has a docstring of its own: a class or function, or a value with a string below it."""
    found = getattr(import_module(module), name)
    if get_origin(found) is None and (inspect.isclass(found) or inspect.isfunction(inspect.unwrap(found))):
        return bool(found.__doc__)
    body = ast.parse(Path(str(import_module(module).__file__)).read_text(encoding="utf-8")).body
    for node, below in zip(body, [*body[1:], ast.Pass()], strict=True):
        if isinstance(node, ast.ImportFrom) and name in [alias.asname or alias.name for alias in node.names]:
            return documented(str(node.module), name)
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if name in [target.id for target in targets if isinstance(target, ast.Name)]:
            return isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
    return False


@pytest.mark.parametrize("module", [f"graphscore.{module}" for module in MODULES])
def test_every_public_name_has_a_docstring(module: str):
    found = import_module(module)
    own = {name for name, value in vars(found).items() if getattr(value, "__module__", None) == module}
    own -= {name for name, value in vars(found).items() if isinstance(value, TypeVar)}
    names = getattr(found, "__all__", [name for name in own if not name.startswith("_")])
    assert names and not [name for name in names if not documented(module, name)]
