"""Examination of an installation: versions, devices and memory, and a self-test of a few seconds."""

from __future__ import annotations

import math
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from torch_geometric.data import Batch, Data

from graphscore import ops
from graphscore.data.transforms import CompleteGraph
from graphscore.denoiser import Denoiser
from graphscore.fields import Field
from graphscore.nn import EGNN, ScoreNetwork, randomize_heads
from graphscore.process import ForwardProcess
from graphscore.rng import GraphGenerator
from graphscore.runtime.settings import choose_device
from graphscore.runtime.version import __version__
from graphscore.samplers import HeunSampler
from graphscore.sdes import VESDE
from graphscore.testing.symmetry import assert_equivariant

CORE = ("torch", "torch-geometric", "networkx", "numpy")
EXTRAS = {
    "cli": ("pydantic", "pyyaml", "typer", "rich", "safetensors"),
    "train": ("lightning", "tensorboard"),
    "mol": ("rdkit",),
    "viz": ("matplotlib",),
    "clouds": ("scikit-learn",),
    "scatter": ("torch-scatter",),
    "eval": ("posebusters",),
    "ase": ("ase",),
}
"""Packages of each extra of this package."""
NUM_STEPS = 20


@dataclass(frozen=True)
class Check:
    """Result of one check.

    Attributes:
        name: What was checked.
        problem: What is wrong; empty if nothing is.
        seconds: Time that it took.
    """

    name: str
    problem: str
    seconds: float


@dataclass(frozen=True)
class Examination:
    """Facts about an installation, pairs of a label and a text, and the results of the checks."""

    facts: list[tuple[str, str]]
    checks: list[Check]

    @property
    def broken(self) -> bool:
        """True if a check failed."""
        return any(check.problem for check in self.checks)

    def results(self) -> list[tuple[str, str]]:
        """Return the results of the checks as pairs of a label and a text."""
        words = [
            f"broken: {check.problem}" if check.problem else f"works ({check.seconds:.1f} s)" for check in self.checks
        ]
        return [(check.name, text) for check, text in zip(self.checks, words, strict=True)]


def examine() -> Examination:
    """Examine the installation; no check raises an error."""
    device = choose_device()
    checks = [
        _checked("sums of ops", _sums),
        _checked("equivariance", _equivariance),
        _checked("training and sampling on the CPU", lambda: _training(torch.device("cpu"))),
    ]
    if device.type != "cpu":
        checks.append(_checked(f"training and sampling on {device}", lambda: _training(device)))
    return Examination([*_versions(), *_machine()], checks)


def _versions() -> list[tuple[str, str]]:
    facts = [("graphscore", __version__), ("Python", f"{platform.python_version()} on {platform.platform()}")]
    facts += [(name, _version(name) or "missing") for name in CORE]
    for extra, names in EXTRAS.items():
        found = [f"{name} {_version(name) or 'missing'}" for name in names]
        complete = all(_version(name) for name in names)
        facts.append(
            (f"extra {extra}", ", ".join(found) + ("" if complete else f': pip install "graphscore[{extra}]"'))
        )
    return facts


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _machine() -> list[tuple[str, str]]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    free, total = _memory()
    facts = [
        ("back ends of ops", ", ".join(_backends())),
        ("CPU", f"{torch.get_num_threads()} threads on {cores} cores, {torch.backends.cpu.get_cpu_capability()}"),
    ]
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        properties = torch.cuda.get_device_properties(number)
        facts.append((f"cuda:{number}", f"{properties.name}, {_size(properties.total_memory)}"))
    facts.append(("device", f"{choose_device()}, chosen by --device auto"))
    if total:
        facts.append(("memory", f"{_size(free)} free of {_size(total)}"))
    for name, path in (("this folder", Path.cwd()), ("temporary files", Path(tempfile.gettempdir()))):
        facts.append((f"disk, {name}", f"{_size(shutil.disk_usage(path).free)} free in {path}"))
    return facts


def _memory() -> tuple[int, int]:
    """Available and total memory in bytes; zeros where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        kib = {line.partition(":")[0]: int(line.split()[1]) for line in lines}
        return 1024 * kib["MemAvailable"], 1024 * kib["MemTotal"]
    except (OSError, KeyError, ValueError, IndexError):
        return 0, 0


def _size(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"


def _backends() -> list[str]:
    return [name for name in ops.BACKENDS if name == "native" or _version("torch-scatter")]


def _checked(name: str, check: Callable[[], None]) -> Check:
    started = time.perf_counter()
    try:
        check()
        problem = ""
    except Exception as error:  # whatever is wrong with the installation
        problem = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return Check(name, problem, time.perf_counter() - started)


def _sums() -> None:
    values, index = torch.arange(12.0).reshape(6, 2), torch.tensor([0, 0, 2, 2, 2, 3])
    wanted = torch.tensor([[2.0, 4.0], [0.0, 0.0], [18.0, 21.0], [10.0, 11.0]])
    for name in _backends():
        with ops.use_backend(name):
            found = ops.sum(values, index, 4)
        if not torch.equal(found, wanted):
            raise ArithmeticError(f"the back end {name} sums to {found.tolist()} instead of {wanted.tolist()}")


def _graphs() -> Batch:
    generator = torch.Generator().manual_seed(0)
    clouds = [Data(pos=torch.randn(size, 3, generator=generator)) for size in (4, 6, 9, 5)]
    return Batch.from_data_list([CompleteGraph()(cloud) for cloud in clouds])


def _model() -> Denoiser:
    process = ForwardProcess({Field("pos", zero_mean=True): VESDE()})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Denoiser(ScoreNetwork(EGNN(16, 2), process), process)


def _equivariance() -> None:
    model, batch = _model(), _graphs()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        randomize_heads(model).double()
    t = torch.linspace(0.2, 0.8, batch.num_graphs, dtype=torch.float64)
    assert_equivariant(lambda given: model(given, t), batch, inputs={"pos": "position"}, outputs={"pos": "vector"})


def _training(device: torch.device) -> None:
    model, batch = _model().to(device), _graphs().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    t = torch.full((batch.num_graphs,), 0.3, dtype=torch.float64, device=device)
    losses = []
    for _ in range(NUM_STEPS):
        optimizer.zero_grad()
        loss = model.loss(batch, t=t, generator=GraphGenerator(range(batch.num_graphs)))
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    if not losses[-1] < losses[0] or not math.isfinite(losses[-1]):
        raise ArithmeticError(f"the loss does not fall in {NUM_STEPS} steps: from {losses[0]:g} to {losses[-1]:g}")
    pos = HeunSampler(model, 5)(batch, generator=GraphGenerator(range(batch.num_graphs))).batch.pos
    if not bool(pos.isfinite().all()):
        raise ArithmeticError("samples are not finite")
