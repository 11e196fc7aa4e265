"""What happens before PyTorch is loaded, and what needs no PyTorch at all."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import graphscore
from graphscore.runtime.startup import SPINS, let_waiting_threads_sleep, postponed


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
    "sample CCO --out x.sdf --set sampler.eta": "key=value",
    "sample CCO --out x.sdf --set num_step=3": "sampling.num_step: there is no such key; did you mean 'num_steps'",
    "config new --data none.sdf --out x.yaml": "none.sdf",
    "config new --data a.docx --out x.json": "x.json",
    "--version": "graphscore 0.",
    "info nowhere": "There is no file nowhere",
    "info none.safetensors": "There is no file none.safetensors",
    "info a.docx": "Cannot read a.docx",
    "doctor --help": "Usage",
    "config list": "conformers-small",
    "config show digits": "Handwritten digits",
    "config show digits --full": "gradient_clip: 1.0",
    "config show conformers.safetensors": "conformers.safetensors",
    "demo --set training.max_step=3": "max_step",
}


def run_fresh(program: str, folder: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs a program in a new interpreter, where nothing is loaded yet."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    environment = clean | variables | {"PYTHONPATH": str(Path(graphscore.__file__).parents[1])}
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )


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
    result = run_fresh(program, tmp_path, {})
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [("tra", "train"), ("train --conf", "--config"), ("train --config dig", "digits"), ("config sh", "show")],
)
def test_a_shell_completes_commands_and_names_without_pytorch(tmp_path, typed, wanted):
    program = """
import sys
from graphscore import cli
sys.modules["torch"] = sys.modules["torch_geometric"] = None  # importing them fails
sys.argv = ["graphscore"]
cli.main()
"""
    words = f"graphscore {typed}"
    asked = {"_GRAPHSCORE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    result = run_fresh(program, tmp_path, asked)
    assert result.returncode == 0, result.stderr
    assert wanted in result.stdout.split()


@pytest.mark.parametrize(
    ("variables", "spins"), [({}, SPINS), ({"GOMP_SPINCOUNT": "77"}, 77)], ids=["as shipped", "spins given"]
)
def test_pytorch_loads_with_threads_that_sleep_soon_unless_told_otherwise(tmp_path, variables, spins):
    program = "from graphscore.runtime import startup\nstartup.let_waiting_threads_sleep()\nimport torch"
    result = run_fresh(program, tmp_path, variables | {"OMP_DISPLAY_ENV": "verbose"})  # it prints what it has read
    assert result.returncode == 0, result.stderr
    found = re.search(r"GOMP_SPINCOUNT = '(\d+)'", result.stderr)
    if found is None:
        pytest.skip("this PyTorch does not come with GNU OpenMP")
    assert int(found[1]) == spins


@pytest.mark.parametrize("variable", ["OMP_WAIT_POLICY", "OMP_NUM_THREADS"])
def test_whoever_says_how_threads_wait_or_how_many_there_are_is_left_alone(monkeypatch, variable):
    monkeypatch.setattr(os, "environ", {variable: "1"})
    let_waiting_threads_sleep()
    assert os.environ == {variable: "1"}
