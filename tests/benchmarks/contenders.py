"""What is compared: a backbone at a size, in a variant, ready for forward passes and training steps."""

from __future__ import annotations

import inspect
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from baselines import DenseEGNN, NaiveEGNN, padded, unpadded
from cases import CASES, SEED, Features, Graphs, Outputs, complete, features, molecules, within
from external import EXTERNAL, arguments
from torch import Tensor, nn

from graphscore.nn import BACKBONES

CUTOFF = 5.0  # Angstrom
BASELINES = ("dense", "naive")
EAGER = ("fp32", "medium", "bf16")
VARIANTS = (*BASELINES, *EAGER, "compile")
LEARNING_RATE = 0.0  # a whole step of AdamW, after which all variants still have the same weights


@dataclass(frozen=True)
class Setup:
    """A network at a size.

    Attributes:
        network: Its name among ``BACKBONES`` or ``EXTERNAL``.
        hidden: Width of node scalars.
        layers: Number of layers.
        edge: Width of edge attributes.
        cond: Width of the condition.
        num_basis: Number of radial functions, where the network lets one choose.
        complete: Whether edges are all pairs; those within ``CUTOFF`` otherwise.
        variants: Which variants are measured unless others are asked for.
        partner: The external network to set it against.
        cases: The cases it runs.
    """

    network: str
    hidden: int = 128
    layers: int = 6
    edge: int = 0
    cond: int = 0
    num_basis: int = 50
    complete: bool = False
    variants: tuple[str, ...] = EAGER
    partner: str | None = None
    cases: tuple[str, ...] = tuple(CASES)

    @property
    def possible(self) -> tuple[str, ...]:
        """Which variants there are."""
        if self.network in EXTERNAL:
            return ("fp32",)
        return VARIANTS if self.network == "egnn" else (*EAGER, "compile")

    def graphs(self, case: str) -> Graphs:
        """The batch of a case."""
        graphs = molecules(CASES[case])
        return complete(graphs) if self.complete else within(graphs, CUTOFF)


# The conformer-sized network is that of graphscore/molecules/configs/small-molecules.yaml.
CONFORMER = Setup("egnn", 96, 5, edge=32, cond=64, num_basis=16, complete=True, cases=("single",))
KNOWN = {
    "egnn": Setup("egnn", 256, 9, edge=32, cond=64, num_basis=16, complete=True, variants=VARIANTS),
    "egnn-5x96": CONFORMER,
    "painn": Setup("painn", layers=3, num_basis=20, partner="schnetpack-painn"),
    "equivariant-transformer": Setup("equivariant-transformer", partner="torchmd-net-et"),
    "schnetpack-painn": Setup("schnetpack-painn", layers=3, num_basis=20, variants=("fp32",)),
    "torchmd-net-et": Setup("torchmd-net-et", variants=("fp32",)),
    "pyg-schnet": Setup("pyg-schnet", variants=("fp32",)),
    "pyg-visnet": Setup("pyg-visnet", num_basis=32, variants=("fp32",)),
}
SETUPS = {
    **{name: setup for name, setup in KNOWN.items() if setup.network in {*BACKBONES, *EXTERNAL}},
    **{name: Setup(name) for name in BACKBONES if name not in KNOWN},
}


@contextmanager
def float32_precision(precision: str) -> Iterator[None]:
    """Multiply matrices of float32 in this precision: ``"highest"`` or ``"medium"``."""
    previous = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(previous)


def identity(outputs: Outputs, graphs: Graphs) -> Outputs:
    return outputs


@dataclass
class Contender:
    """A network with its optimizer and its numerical settings.

    Attributes:
        name: One of ``SETUPS``.
        variant: One of ``VARIANTS``.
        module: Maps what ``prepare`` gives to scalars and vectors.
        prepare: The arguments of the module for a batch.
        optimizer: Of the module's parameters.
        restore: From the outputs of the module to rows of nodes.
        precision: Precision of float32 matrix products.
        autocast: Whether to compute in bfloat16 where autocast does.
    """

    name: str
    variant: str
    module: nn.Module
    prepare: Callable[[Graphs], tuple[Any, ...]]
    optimizer: torch.optim.Optimizer
    restore: Callable[[Any, Graphs], Outputs] = identity
    precision: str = "highest"
    autocast: bool = False

    def forward(self, inputs: tuple[Any, ...]) -> Outputs:
        """A forward pass."""
        with float32_precision(self.precision), self.cast(), torch.no_grad():
            return self.module(*inputs)

    def train(self, inputs: tuple[Any, ...]) -> None:
        """A training step: mean squares of both outputs, and AdamW."""
        with float32_precision(self.precision):
            self.optimizer.zero_grad()
            with self.cast():
                outputs = self.module(*inputs)
                loss = torch.stack([values.float().square().mean() for values in outputs if values is not None]).sum()
            loss.backward()
            self.optimizer.step()

    def cast(self) -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, enabled=self.autocast)

    def outputs(self, graphs: Graphs) -> Outputs:
        """Scalars and vectors of all nodes, in float32 at least."""
        scalars, vectors = self.restore(self.forward(self.prepare(graphs)), graphs)
        return widened(scalars), None if vectors is None else widened(vectors)


def widened(values: Tensor) -> Tensor:
    return values.float() if values.dtype == torch.bfloat16 else values


def backbone(setup: Setup) -> Any:
    """A network of ours, the same at each call, its parameters moved a bit: some start at zero and hide others."""
    torch.manual_seed(SEED)
    network: Any = BACKBONES[setup.network]
    options = {"num_basis": setup.num_basis, "cutoff": CUTOFF}
    known = inspect.signature(network).parameters
    options = {name: value for name, value in options.items() if name in known}
    module = network(setup.hidden, setup.layers, edge_channels=setup.edge, cond_channels=setup.cond, **options)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    return module


def build(name: str, variant: str, size: tuple[int, int] | None = None) -> Contender:
    """Build a network of ``SETUPS`` in a variant.

    Args:
        name: Its name in ``SETUPS``.
        variant: One of ``VARIANTS``.
        size: Number of layers and width instead of those of the set-up.

    Raises:
        ImportError: If another library is needed and missing.
    """
    setup = SETUPS[name] if size is None else replace(SETUPS[name], layers=size[0], hidden=size[1])
    if setup.network in EXTERNAL:
        torch.manual_seed(SEED)
        module = EXTERNAL[setup.network](setup.hidden, setup.layers, setup.num_basis, CUTOFF)
        return Contender(name, variant, module, arguments, optimizer(module))

    def inputs(graphs: Graphs) -> Features:
        return features(graphs, setup.hidden, setup.cond, setup.edge)

    module = backbone(setup)
    if variant == "dense":
        module = DenseEGNN(module)
        return Contender(
            name, variant, module, lambda graphs: padded(inputs(graphs), graphs.sizes), optimizer(module),
            restore=lambda outputs, graphs: unpadded(outputs, graphs.sizes),
        )  # fmt: skip
    if variant == "naive":
        module = NaiveEGNN(module)
    compiled: Any = torch.compile(module, dynamic=True) if variant == "compile" else module
    return Contender(
        name,
        variant,
        compiled,
        inputs,
        optimizer(module),
        precision="medium" if variant == "medium" else "highest",
        autocast=variant == "bf16",
    )


def optimizer(module: nn.Module) -> torch.optim.Optimizer:
    """The optimizer of all contenders."""
    return torch.optim.AdamW(module.parameters(), lr=LEARNING_RATE, fused=True)


def has_compiler() -> bool:
    """Whether ``torch.compile`` finds a compiler of C++."""
    return shutil.which(os.environ.get("CXX", "g++")) is not None
