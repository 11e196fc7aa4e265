"""The top level of the package: names that are loaded when used, a map, and examples that run."""

from __future__ import annotations

import ast
import doctest
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import graphscore
import graphscore.data

PACKAGE = Path(graphscore.__file__).parent
LAZY = {"graphscore": graphscore, "graphscore.data": graphscore.data}
EXAMPLES = sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if ">>> " in path.read_text("utf-8"))


def imports_for_checkers(module: ModuleType) -> set[tuple[str, str]]:
    """Names and their homes, as the type checker is told them."""
    (block,) = (
        node.body
        for node in ast.parse(Path(str(module.__file__)).read_text("utf-8")).body
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name)
    )
    return {(name.name, str(line.module)) for line in block for name in line.names}


@pytest.mark.parametrize("package", LAZY)
def test_the_names_are_the_same_for_users_checkers_and_python(package):
    module = LAZY[package]
    homes = {(name, f"{package}.{home}") for home, names in module._HOMES.items() for name in names}
    homes |= {(name, package) for name in getattr(module, "_MODULES", ())}
    assert imports_for_checkers(module) == homes
    names = {name for names in module._HOMES.values() for name in names}
    assert sorted(module.__all__) == sorted(names) and {*module.__all__} <= {*dir(module)}
    for name, home in homes:
        found = getattr(module, name)
        expected = f"{package}.{name}" if isinstance(found, ModuleType) else name
        assert found.__name__ == expected and (home == package) == isinstance(found, ModuleType)
        assert isinstance(found, ModuleType) or not (PACKAGE / name).is_dir()  # a folder would take its place


@pytest.mark.parametrize(
    "package, wrong, meant",
    [("graphscore", "HeunSamplr", "HeunSampler"), ("graphscore.data", "load_datset", "load_dataset")],
)
def test_a_name_that_is_none_is_an_error_that_suggests_another(package, wrong, meant):
    code = f"import {package} as package; package.{wrong}"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"module '{package}' has no attribute '{wrong}'. Did you mean: '{meant}'?" in result.stderr


def test_importing_the_package_loads_nothing_until_a_name_is_used():
    code = (
        "import sys, graphscore as gs, graphscore.data; dir(gs), gs.__version__, gs.data;"
        "heavy = {'torch', 'torch_geometric', 'numpy', 'networkx', 'rdkit', 'lightning', 'yaml'};"
        "print(sorted(heavy & sys.modules.keys()));"
        "gs.HeunSampler; print(sorted({'torch', 'rdkit'} & sys.modules.keys()))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == ["[]", "['torch']"]


def test_the_map_names_every_folder():
    assert graphscore.__doc__ is not None
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    named = {name for name in folders if f"``{name}``" in graphscore.__doc__}
    assert named == folders


@pytest.mark.parametrize("path", EXAMPLES)
def test_examples_in_docstrings_run(path):
    module = import_module(".".join(["graphscore", *Path(path).with_suffix("").parts]).removesuffix(".__init__"))
    result = doctest.testmod(module)
    assert result.attempted > 0 and result.failed == 0
