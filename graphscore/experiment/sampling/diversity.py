"""Diverse sampling: repulsion between the samples of a graph."""

from __future__ import annotations

from torch import Tensor
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.attributes import TEMPLATE
from graphscore.denoiser import ScoreModel
from graphscore.fields import Field
from graphscore.guidance import EnergyGuidance, Repulsion

# Chosen for the recall of the shipped model on validation molecules, which falls from 1 nat on.
REPULSION, BANDWIDTH = 0.25, 1.0  # nats per node, and data units


def diversify(model: ScoreModel, field: Field) -> ScoreModel:
    """Wrap a model in guidance by a repulsion between samples of the same graph in a batch.

    Args:
        model: The model.
        field: Positions in space, which are compared up to rotations and translations.
    """
    repulsion = _Repulsion(Repulsion(field, TEMPLATE, BANDWIDTH, rigid=True))
    return EnergyGuidance(model, repulsion, REPULSION, through_network=False)


class _Repulsion:
    """Repulsion per node and averaged over samples, so that its strength depends on neither number."""

    def __init__(self, repulsion: Repulsion) -> None:
        self.repulsion = repulsion

    def __call__(self, batch: Batch) -> Tensor:
        rows = ops.count(batch.batch, batch.num_graphs)
        others = (batch[TEMPLATE][:, None] == batch[TEMPLATE]).sum(1) - 1
        return rows / others.clamp(min=1) * self.repulsion(batch)
