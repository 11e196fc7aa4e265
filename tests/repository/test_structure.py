"""The structure that the import contract does not hold: roots, hidden imports, chemistry in its folder, sizes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "graphscore"
FILES = sorted(PACKAGE.rglob("*.py"))
# What may be missing: extras, and modules that some systems lack; and what of this library needs an extra.
OPTIONAL = {"rdkit", "ase", "posebusters", "matplotlib", "sklearn", "torch_scatter", "safetensors", "lightning", "tqdm"}
OPTIONAL |= {"fcntl", "lzma", "pyarrow", "trimesh", "h5py", "pybvh"}
NEEDS_EXTRAS = ("graphscore.molecules.", "graphscore.cli.app")
# Workers are started, and headers of model files read, by programs that may need no PyTorch.
WITHOUT_TORCH = {"runtime/workers.py", "runtime/storage.py"}


def hidden_imports(path: Path) -> Iterator[str]:
    """Modules that are imported inside of functions."""
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.ImportFrom):
                    yield node.module or ""
                elif isinstance(node, ast.Import):
                    yield from (alias.name for alias in node.names)


def test_at_most_ten_modules_lie_at_the_root():
    assert len(list(PACKAGE.glob("*.py"))) <= 10


def test_only_what_may_be_missing_is_imported_inside_of_functions():
    found = []
    for path in FILES:
        name = path.relative_to(PACKAGE).as_posix()
        allowed = OPTIONAL | ({"torch"} if name in WITHOUT_TORCH else set())
        found += [
            f"{name}: {module}"
            for module in hidden_imports(path)
            if module.partition(".")[0] not in allowed and not module.startswith(NEEDS_EXTRAS)
        ]
    assert len(FILES) > 400 and not found


def test_chemistry_lies_in_its_folder():
    outside = [path for path in FILES if not path.is_relative_to(PACKAGE / "molecules")]
    assert not [path for path in outside if "is_molecule" in path.read_text(encoding="utf-8")]


def test_no_file_is_longer_than_a_reader_keeps_in_mind():
    long = {path.name: lines for path in FILES if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 300}
    assert not long
