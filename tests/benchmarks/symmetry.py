"""Symmetry and independence of graphs, of every backbone at its size and in both floating types."""

from __future__ import annotations

import torch
from cases import Features, complete, molecules
from contenders import Contender, build
from measure import equivariance_error, relative_error
from rich.table import Table

SIZES = (10, 200)
DTYPES = {"fp32": torch.float32, "fp64": torch.float64}


def alone(inputs: Features, number: int) -> Features:
    """One graph of a batch by itself."""
    nodes = inputs.batch == number
    edges = nodes[inputs.edge_index[1]]
    return Features(
        h=inputs.h[nodes],
        pos=inputs.pos[nodes],
        edge_index=inputs.edge_index[:, edges] - nodes.nonzero()[0],
        batch=torch.zeros_like(inputs.batch[nodes]),
        cond=inputs.cond[number : number + 1],
        edge_attr=None if inputs.edge_attr is None else inputs.edge_attr[edges],
    )


def batch_error(contender: Contender, inputs: Features) -> float:
    """Largest relative difference between a graph in the batch and by itself."""
    together, errors = contender.forward(inputs), []
    for number in range(len(inputs.cond)):
        mine = inputs.batch == number
        pairs = zip(together, contender.forward(alone(inputs, number)), strict=True)
        errors += [relative_error(a[mine], b) for a, b in pairs if a is not None and b is not None]
    return max(errors)


def gradient_across(contender: Contender, inputs: Features) -> float:
    """Largest entry of the gradient of one graph's outputs by the inputs of the others."""
    inputs = inputs._replace(h=inputs.h.clone().requires_grad_(), pos=inputs.pos.clone().requires_grad_())
    outputs, mine = contender.module(*inputs), inputs.batch == 1
    loss = torch.stack([values[mine].square().sum() for values in outputs if values is not None]).sum()
    return max(float(gradient[~mine].abs().max()) for gradient in torch.autograd.grad(loss, (inputs.h, inputs.pos)))


def errors(name: str, size: tuple[int, int] | None) -> dict[str, float]:
    """All errors of a backbone."""
    found, across = {}, 0.0
    for kind, dtype in DTYPES.items():
        contender = build(name, "fp32", size)
        contender.module.to(dtype)
        for nodes in SIZES:
            graphs = complete(molecules((nodes,)))
            graphs = graphs._replace(pos=graphs.pos.to(dtype))
            found[f"{nodes} nodes, {kind}"] = equivariance_error(contender, graphs)
        graphs = complete(molecules((5, 20, 10)))
        inputs = Features(*contender.prepare(graphs._replace(pos=graphs.pos.to(dtype))))
        found[f"batch, {kind}"] = batch_error(contender, inputs)
        across = max(across, gradient_across(contender, inputs))
    return {**dict(sorted(found.items())), "gradients across": across}


def table(names: list[str], size: tuple[int, int] | None) -> Table:
    """Errors of the backbones, one row for each."""
    rows = {name: errors(name, size) for name in names}
    found = Table(
        title="Errors in float32 and float64",
        caption="Relative errors under rotation, and of a graph in a batch against the graph alone; largest gradient "
        "of a graph's outputs by the inputs of another.",
        title_justify="left",
        caption_justify="left",
    )
    found.add_column("backbone")
    for column in next(iter(rows.values()), {}):
        found.add_column(column, justify="right")
    for name, values in rows.items():
        found.add_row(name, *(f"{value:.1e}" for value in values.values()))
    return found
