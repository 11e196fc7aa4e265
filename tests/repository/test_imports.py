"""The library imports with its core dependencies alone, and importing it has no side effect.

Every check runs in a fresh interpreter: in this one, other tests have imported everything already.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import graphscore

EXTRAS = (
    "ase",
    "lightning",
    "matplotlib",
    "posebusters",
    "pyarrow",
    "pydantic",
    "rdkit",
    "rich",
    "safetensors",
    "scipy",
    "sklearn",
    "tensorboard",
    "torch_scatter",
    "typer",
    "yaml",
)

# A blocked package looks exactly as if it were not installed: other libraries probe with `find_spec`, for which
# a finder that raises would be an error.
BLOCK = """
import sys
from importlib.machinery import PathFinder

class Blocker(PathFinder):
    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        return None if fullname.split(".")[0] in {blocked!r} else super().find_spec(fullname, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Blocker
"""


def run_fresh(code: str) -> subprocess.CompletedProcess[str]:
    """Runs `code` in a new interpreter that finds the graphscore under test."""
    environment = os.environ | {"PYTHONPATH": str(Path(graphscore.__file__).parents[1])}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=300, check=False
    )


def run_without(blocked: tuple[str, ...], code: str) -> subprocess.CompletedProcess[str]:
    """Runs `code` in a new interpreter where the packages `blocked` cannot be imported."""
    return run_fresh(BLOCK.format(blocked=blocked) + code)


@pytest.mark.parametrize("package", ["rich", "networkx"])
def test_the_blocker_blocks(package: str) -> None:
    result = run_without((package,), f"import {package}")
    assert result.returncode != 0
    assert f"No module named '{package}'" in result.stderr


# Checks that share an interpreter, which takes seconds to load PyTorch: whatever an earlier one has imported was
# imported without the extras, too.
WITHOUT_EXTRAS = {
    "core": "import graphscore, graphscore.nn, graphscore.samplers, graphscore.objectives, graphscore.train.task",
    "saving": """
from graphscore.denoiser import Denoiser
from graphscore.fields import Field
from graphscore.nn import EGNN, ScoreNetwork
from graphscore.process import ForwardProcess
from graphscore.sdes import VESDE
process = ForwardProcess({Field("pos"): VESDE()})
Denoiser(ScoreNetwork(EGNN(8, 1), process), process).save("model.safetensors")
""",
    "help": """
import pydoc, graphscore
text = pydoc.plain(pydoc.render_doc(graphscore))
assert "class HeunSampler" in text and "Where to begin" in text and "class ConformerModel" not in text
for name, module, extra in (("ConformerModel", "rdkit", "mol"), ("load", "pydantic", "train")):
    try:
        getattr(graphscore, name)
    except ImportError as error:
        assert str(error) == f'graphscore.{name} needs {module}: pip install "graphscore[{extra}]"', error
    else:
        raise AssertionError(name)
""",
    "data": "import graphscore.data",
    "notebook": """
import torch
from torch_geometric.data import Data
from graphscore.generate.outcome import Outcome
assert Outcome(Data(), [Data(pos=torch.rand(4, 3), edge_index=torch.tensor([[0, 1], [1, 2]]))])._repr_html_() is None
""",
}


@pytest.fixture(scope="module")
def errors() -> dict[str, str]:
    """The traceback of each check without extras; empty if it passes."""
    program = """
import json, traceback
errors = {{}}
for name, code in {checks!r}.items():
    try:
        exec(code, {{"__name__": name}})
        errors[name] = ""
    except BaseException:
        errors[name] = traceback.format_exc()
print(json.dumps(errors))
"""
    result = run_without(EXTRAS, program.format(checks=WITHOUT_EXTRAS))
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def test_the_core_imports_without_any_extra(errors: dict[str, str]) -> None:
    assert not errors["core"], errors["core"]


def test_saving_a_model_says_what_it_needs(errors: dict[str, str]) -> None:
    assert errors["saving"].splitlines()[-1] == (
        'ImportError: Model files need safetensors: pip install "graphscore[train]"'
    )


def test_an_outcome_is_shown_as_text_in_a_notebook(errors: dict[str, str]) -> None:
    assert not errors["notebook"], errors["notebook"]


def test_help_shows_what_is_there_and_the_rest_says_what_it_needs(errors: dict[str, str]) -> None:
    assert not errors["help"], errors["help"]


def test_the_extra_free_half_of_data_imports_without_any_extra(errors: dict[str, str]) -> None:
    assert not errors["data"], errors["data"]


def test_networks_run_with_torch_and_pyg_alone() -> None:
    result = run_without(
        (*EXTRAS, "networkx"),
        """
from graphscore.nn import EGNN
runtime = {".runtime", *(f".runtime.{name}" for name in ("derivatives", "lazy", "precision", "version"))}
core = {"", ".rng", ".ops", ".nn", *runtime}
loaded = {m for m in sys.modules if m.split(".")[0] == "graphscore" and not m.startswith("graphscore.nn.")}
more = {m for m in loaded if m.removeprefix("graphscore") not in core}
assert not more, f"graphscore.nn loads {sorted(more)}"
""",
    )
    assert result.returncode == 0, result.stderr


def test_import_has_no_side_effect() -> None:
    result = run_fresh(
        """
import contextlib, io, logging, os, random, sys, warnings
import numpy, torch, torch_geometric

def state():
    return {
        "default dtype": torch.get_default_dtype(),
        "default device": torch.get_default_device(),
        "threads": torch.get_num_threads(),
        "gradients": torch.is_grad_enabled(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "matmul precision": torch.get_float32_matmul_precision(),
        "torch generator": torch.get_rng_state().tolist(),
        "numpy generator": str(numpy.random.get_state()),
        "python generator": random.getstate(),
        "root handlers": list(logging.getLogger().handlers),
        "root level": logging.getLogger().level,
        "warning filters": list(warnings.filters),
        "environment": dict(os.environ),
        "excepthook": sys.excepthook,
        "sys.path": list(sys.path),
    }

before = state()
output = io.StringIO()
with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
    import graphscore, graphscore.nn, graphscore.samplers, graphscore.objectives
after = state()
changed = [name for name in before if before[name] != after[name]]
assert not changed, f"import graphscore changes {changed}"
assert not output.getvalue(), f"import graphscore prints {output.getvalue()!r}"
"""
    )
    assert result.returncode == 0, result.stderr
