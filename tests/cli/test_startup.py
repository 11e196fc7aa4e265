"""Modules that are loaded when they are used, and not before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import graphscore
from graphscore.startup import postponed


def test_a_postponed_module_is_loaded_once_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("slow_one", "quick_one"):
        (tmp_path / f"{name}.py").write_text("import builtins\nbuiltins.loaded_here.append(__name__)\nvalue = 3\n")
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    loaded: list[str] = []
    monkeypatch.setattr("builtins.loaded_here", loaded, raising=False)
    before = list(sys.meta_path)
    with postponed("slow_one"):
        import quick_one
        import slow_one
    assert loaded == ["quick_one"] and sys.meta_path == before
    assert slow_one.value == quick_one.value == 3
    assert loaded == ["quick_one", "slow_one"]


# Answered in a moment: whatever takes PyTorch waits seconds for its import.
AT_ONCE = {
    "--help": "Usage",
    "sample --help": "Usage",
    "data --help": "Usage",
    "sample C(C --out x.sdf": "'C(C' is not a SMILES string",
    "sample --out x.sdf": "--input",
    "sample --input none.smi --out x.sdf": "none.smi",
    "sample --input a.docx --out x.sdf": "a.docx",
    "sample CCO --out x.pdb": "x.pdb",
    "sample CCO --out x.sdf --report x.txt": "x.txt",
    "sample CCO --out x.sdf --checkpoint nowhere": "nowhere",
    "sample CCO --out x.sdf --fix CO --from none.sdf": "none.sdf",
    "evaluate none.sdf other.sdf": "none.sdf",
    "view none.sdf --out x.html": "none.sdf",
    "benchmark geom-qm9 --checkpoint nowhere": "nowhere",
    "train --config smol --out run": "smol",
    "train --config conformers --data none.sdf --out run": "none.sdf",
    "train --config conformers --init nowhere --out run": "nowhere",
    "demo --set training.max_step=3": "max_step",
}


def test_help_and_wrong_names_need_no_pytorch(tmp_path: Path):
    program = f"""
import contextlib, io, sys
from graphscore import cli
sys.modules["torch"] = sys.modules["torch_geometric"] = None  # importing them fails
for command, word in {AT_ONCE!r}.items():
    sys.argv = ["graphscore", *command.split()]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            cli.main()
        except SystemExit:
            pass
    assert word in printed.getvalue(), (command, printed.getvalue())
"""
    (tmp_path / "a.docx").write_text("CCO")
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(graphscore.__file__).parents[1])},
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
