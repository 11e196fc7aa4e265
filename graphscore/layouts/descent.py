"""Descent of drawings in stress plus energies, by gradients."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from graphscore.layouts.energies import DrawingEnergy
from graphscore.linalg.autograd import outside_inference_mode

STEPS, LENGTH = 150, 0.1
"""Number of steps, and length of the first ones in lengths of an edge."""


class Descended(NamedTuple):
    """Drawings after a descent.

    Attributes:
        pos: Positions ``[K, n, 2]``.
        cost: Stress, over ordered pairs, plus the energy, ``[K]``.
    """

    pos: Tensor
    cost: Tensor


@outside_inference_mode()
def descend(
    pos: Tensor, distances: Tensor, adjacent: Tensor, energy: DrawingEnergy, held: Tensor | None = None
) -> Descended:
    r"""Lessen stress plus an energy of drawings of one graph, by Adam; the best of all steps is returned.

    .. math::
        \sum_{i \neq j} \left(\frac{\lVert x_i - x_j \rVert - d_{ij}}{d_{ij}}\right)^2 + E(x)

    Args:
        pos: Drawings ``[K, n, 2]``, in lengths of an edge.
        distances: Wanted distances ``[n, n]``.
        adjacent: Whether two nodes are joined by an edge ``[n, n]``.
        energy: The energy; its unit is that of the stress.
        held: Nodes that stay where they are, bool ``[n]``.

    References:
        Kingma and Ba (2015), Adam: a method for stochastic optimization.
    """
    count, size, _ = pos.shape
    edges = adjacent.nonzero().t()
    batch = Batch.from_data_list([Data(edge_index=edges, num_nodes=size)] * count)
    counted = distances.isfinite() & (distances > 0)
    inverse = torch.where(counted, 1 / distances, 0.0)

    def cost(x: Tensor) -> Tensor:
        square = (x[:, :, None] - x[:, None]).square().sum(-1)
        drawn = torch.where(counted, square, 1.0).clamp(min=1e-12).sqrt()
        batch.pos = x.flatten(0, 1)
        return (torch.where(counted, drawn * inverse - 1, 0.0)).square().sum((1, 2)) + energy(batch)

    with torch.enable_grad():
        x = pos.detach().clone().requires_grad_()
        optimizer = torch.optim.Adam([x], lr=LENGTH, betas=(0.9, 0.95))
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, STEPS)
        best = Descended(pos.detach(), torch.full((count,), torch.inf, dtype=pos.dtype))
        for _ in range(STEPS + 1):
            value = cost(x)
            better = value.detach() < best.cost
            best = Descended(
                torch.where(better[:, None, None], x.detach(), best.pos), torch.where(better, value.detach(), best.cost)
            )
            optimizer.zero_grad()
            value.sum().backward()
            if x.grad is not None and held is not None:
                x.grad[:, held] = 0
            optimizer.step()
            schedule.step()
    return best
