"""Harmonic process: noise that is correlated along the edges of a graph."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore.fields import Field
from graphscore.linalg.autograd import TensorMemo
from graphscore.linalg.covariance import Covariance, LaplacianCovariance
from graphscore.sdes.base import SDE, Scheduled
from graphscore.sdes.rectified import RectifiedSDE


class HarmonicSDE(Scheduled):
    r"""Process of any schedule with correlated noise, whose covariance is the pseudo-inverse of the graph's Laplacian.

    The prior is that of masses on springs along the edges: connected nodes start close to each other. Separate
    components (salts), isolated nodes and empty graphs are allowed: modes without a spring have the standard deviation
    ``component_std``; see :class:`~graphscore.linalg.covariance.LaplacianCovariance`. The eigenproblems of a batch are
    solved at its first use, and kept while its edges stay the same.

    Args:
        schedule: Process that gives alpha and std; by default :class:`RectifiedSDE`.
        stiffness: Inverse variance of a single spring, in units of the field's scale.
        component_std: Standard deviation of the mode of each component's translation, in units of the field's scale: a
            component of n nodes moves as a whole by ``component_std / sqrt(n)``.
        edge_mask: Attribute of the edges, shape ``[E]``: those where it is 0 or False carry no spring, as in complete
            graphs whose bonds are marked. All edges do by default.

    Raises:
        ValueError: If a number is not positive and finite, or the schedule has a covariance of its own.

    References:
        Jing et al. (2023), EigenFold: generative protein structure prediction with diffusion models, section 2.
        Stärk et al. (2023), Harmonic self-conditioned flow matching for multi-ligand docking, section 3.2.
    """

    def __init__(
        self,
        schedule: SDE | None = None,
        stiffness: float = 1.0,
        component_std: float = 1.0,
        edge_mask: str | None = None,
    ) -> None:
        schedule = RectifiedSDE() if schedule is None else schedule
        if isinstance(schedule, HarmonicSDE):
            raise ValueError("HarmonicSDE: the schedule must be an ordinary process, but is harmonic itself")
        for name, value in (("stiffness", stiffness), ("component_std", component_std)):
            if not 0 < value < math.inf:
                raise ValueError(f"HarmonicSDE: {name} must be positive and finite, but is {value}")
        super().__init__(schedule)
        self.stiffness = stiffness
        self.component_std = component_std
        self.edge_mask = edge_mask
        self._known: TensorMemo[LaplacianCovariance] = TensorMemo()

    def check_field(self, field: Field) -> None:  # noqa: D102
        if field.level != "node":
            raise ValueError(
                f"HarmonicSDE joins the nodes of a graph by its edges, but field {field.name!r} belongs to "
                f"{field.level}s; use another process for it"
            )

    def covariance(self, batch: Batch, field: Field) -> Covariance:  # noqa: D102
        if batch.edge_index is None:
            raise ValueError("HarmonicSDE joins nodes by the edges of their graph, but the batch has no edge_index")
        # All steps of a sampler share the tensor of edges: their batches are shallow copies of one another.
        edges, nodes, springs = batch.edge_index, batch.batch, self._springs(batch)
        numbers = (batch.num_graphs, field.zero_mean, self.stiffness, self.component_std)

        def solve() -> LaplacianCovariance:
            return LaplacianCovariance(
                nodes,
                batch.num_graphs,
                edges if springs is None else edges[:, springs.to(torch.bool)],
                zero_mean=field.zero_mean,
                stiffness=self.stiffness,
                component_std=self.component_std,
            )

        return self._known.get([edges, nodes] if springs is None else [edges, nodes, springs], numbers, solve)

    def _springs(self, batch: Batch) -> Tensor | None:
        if self.edge_mask is None:
            return None
        mask = batch.get(self.edge_mask)
        if not isinstance(mask, Tensor) or mask.shape != (batch.edge_index.shape[1],):
            got = f"has shape {list(mask.shape)}" if isinstance(mask, Tensor) else f"is {type(mask).__name__}"
            wanted = [batch.edge_index.shape[1]]
            raise ValueError(f"HarmonicSDE: the edge mask {self.edge_mask!r} must have shape {wanted}, but {got}")
        return mask
