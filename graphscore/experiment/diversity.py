"""Diversity: samples of a graph that keep away from each other."""

from __future__ import annotations

from torch import Tensor
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.attributes import TEMPLATE
from graphscore.denoiser import ScoreModel
from graphscore.fields import Field
from graphscore.guidance import EnergyGuidance, Repulsion

# Chosen for recall of the shipped model on validation molecules; from 1 nat on, recall falls.
REPULSION, BANDWIDTH = 0.25, 1.0  # nats per node, and data units


def diversify(model: ScoreModel, field: Field) -> ScoreModel:
    """Guide a model so that samples of a graph that share a batch keep away from each other.

    Args:
        model: The model.
        field: Positions in space, of which rotations and shifts make no difference.
    """
    repulsion = _Repulsion(Repulsion(field, TEMPLATE, BANDWIDTH, rigid=True))
    return EnergyGuidance(model, repulsion, REPULSION, through_network=False)


class _Repulsion:
    """Repulsion that neither fades in large graphs nor grows with the number of samples."""

    def __init__(self, repulsion: Repulsion) -> None:
        self.repulsion = repulsion

    def __call__(self, batch: Batch) -> Tensor:
        rows = ops.count(batch.batch, batch.num_graphs)
        others = (batch[TEMPLATE][:, None] == batch[TEMPLATE]).sum(1) - 1
        return rows / others.clamp(min=1) * self.repulsion(batch)
