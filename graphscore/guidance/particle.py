"""Particle guidance: repulsion between the samples of a graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.denoiser import ScoreModel
from graphscore.fields import Field
from graphscore.guidance.base import read
from graphscore.guidance.energy import EnergyGuidance
from graphscore.linalg.autograd import TensorMemo
from graphscore.linalg.kabsch import align

KERNELS: dict[str, Callable[[Tensor], Tensor]] = {
    "rbf": lambda square: torch.exp(-square / 2),
    "quadratic": lambda square: -square / 2,
}


class ParticleGuidance(EnergyGuidance):
    r"""Particle guidance: sample the graphs of a group jointly, with a repulsion between them.

    The density is ``prod_i p(x_i) exp(-strength sum_{i<j} k(x_i, x_j))``, for data of unit variance and to first order
    in the strength. It costs no backward pass; for the covariance of the network, give :class:`Repulsion` to an
    :class:`~graphscore.guidance.energy.EnergyGuidance`.

    Args:
        model: The score model.
        field: Name of the field to compare.
        group: Name of the attribute with the group of each graph, an integer, ``[B]``. The graphs of a group are
            samples of one graph: they must have the same number of nodes in the same order.
        strength: Height of the repulsion of a pair, in nats; 0 for none.
        bandwidth: Root mean square deviation h at which the repulsion fades, in data units.
        kernel: ``"rbf"``, ``k = exp(-d^2 / (2 h^2))`` with d the root mean square deviation of a pair; or
            ``"quadratic"``, ``k = -d^2 / (2 h^2)``, which does not fade: at low strength, it widens the spread of a
            group.
        rigid: Whether to superpose pairs before comparing, so that they are not driven to different orientations.
        max_step: Largest shift of a row, in data units.

    Raises:
        ValueError: If there is no such field or kernel, or a number is out of range; at a call, if graphs of a group
            have different numbers of rows.

    References:
        Corso et al. (2023), Particle guidance: non-i.i.d. diverse sampling with diffusion models, equation 4 (here the
        kernel compares posterior means).
    """

    def __init__(
        self,
        model: ScoreModel,
        field: str,
        group: str,
        strength: float,
        bandwidth: float,
        kernel: str = "rbf",
        rigid: bool = False,
        max_step: float | None = None,
    ) -> None:
        if field not in model.fields:
            raise ValueError(f"ParticleGuidance: the process has no field {field!r}; it has {sorted(model.fields)}")
        repulsion = Repulsion(model.fields[field], group, bandwidth, kernel, rigid)
        super().__init__(model, repulsion, strength, max_step, through_network=False)


class _Pairs(NamedTuple):
    first: Tensor  # graphs of each pair, [P]
    second: Tensor
    first_rows: Tensor  # their rows one after another, [R]
    second_rows: Tensor
    pair: Tensor  # pair of each of these rows, [R]


class Repulsion:
    """Repulsive energy between the graphs of a group: for each graph, half the sum of its kernels with the others.

    Memory grows with the number of pairs times their rows. The pairs are formed once for a batch, not at each step.

    Args:
        field: The field to compare.
        group: Name of the attribute of the groups.
        bandwidth: Root mean square deviation at which the repulsion fades, in data units.
        kernel: ``"rbf"`` or ``"quadratic"``.
        rigid: Whether to superpose pairs before comparing.

    Raises:
        ValueError: As for :class:`ParticleGuidance`.
    """

    def __init__(self, field: Field, group: str, bandwidth: float, kernel: str = "rbf", rigid: bool = False) -> None:
        if not bandwidth > 0:
            raise ValueError(f"The bandwidth must be positive, but is {bandwidth}")
        if kernel not in KERNELS:
            raise ValueError(f"Unknown kernel {kernel!r}; expected one of {sorted(KERNELS)}")
        self.field = field
        self.group = group
        self.bandwidth = bandwidth
        self.kernel = kernel
        self.rigid = rigid
        self._known: TensorMemo[_Pairs] = TensorMemo()

    def __call__(self, batch: Batch) -> Tensor:
        """Compute the energy of each graph, in units of the strength: shape ``[B]``."""
        x, pairs = batch[self.field.name], self._pairs(batch)
        num_pairs = len(pairs.first)
        one, other = x.index_select(0, pairs.first_rows), x.index_select(0, pairs.second_rows)
        if self.rigid:
            other = align(other, one, pairs.pair, num_pairs)
        square = ops.mean((one - other).square().sum(-1), pairs.pair, num_pairs)
        kernels = KERNELS[self.kernel](square / self.bandwidth**2)
        return (ops.sum(kernels, pairs.first, batch.num_graphs) + ops.sum(kernels, pairs.second, batch.num_graphs)) / 2

    def _pairs(self, batch: Batch) -> _Pairs:
        # All steps of a sampler share these tensors, since their batches are shallow copies of each other.
        group = read(batch, self.group, [batch.num_graphs])
        owners = [batch.batch, batch.edge_index] if self.field.level == "edge" else [batch.batch]

        def find() -> _Pairs:
            rows = ops.count(self.field.index(batch), batch.num_graphs)
            return _find_pairs(group, rows, self.group)

        return self._known.get([group, *owners], batch.num_graphs, find)


def _find_pairs(group: Tensor, rows: Tensor, name: str) -> _Pairs:
    """List all pairs of graphs in a group, and their rows; the rows of a graph are consecutive."""
    if group.is_floating_point() or group.dtype == torch.bool:
        raise ValueError(f"The attribute {name!r} must hold an integer for each graph, but is of type {group.dtype}")
    order = group.argsort(stable=True)
    begin = torch.searchsorted(group[order], group[order])  # first position of the group in this order
    later, before = _ranges(torch.arange(len(order), device=order.device) - begin)
    first, second = order[begin[later] + before], order[later]
    unequal = rows[first] != rows[second]
    if bool(unequal.any()):
        a, b = (int(graphs[unequal][0]) for graphs in (first, second))
        raise ValueError(
            f"Graphs {a} and {b} are both of group {int(group[a])} of {name!r}, but have {int(rows[a])} and "
            f"{int(rows[b])} rows; a group holds samples of one graph, in the same order of nodes"
        )
    pair, local = _ranges(rows[first])
    start = rows.cumsum(0) - rows
    return _Pairs(first, second, start[first][pair] + local, start[second][pair] + local, pair)


def _ranges(lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Enumerate several ranges one after another: the range of each entry, and its position in the range."""
    which = torch.repeat_interleave(lengths)
    start = lengths.cumsum(0) - lengths
    return which, torch.arange(len(which), device=lengths.device) - start[which]
