"""Self-conditioning: a score network that reads an earlier estimate of the fields."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.nn.attributes import edge_index as read_edges
from graphscore.nn.attributes import read
from graphscore.nn.backbones.base import Backbone
from graphscore.nn.edges.search import Search
from graphscore.nn.edges.sorted import measure
from graphscore.nn.inputs import Input, ModuleInput, Process, Vector, field_shapes
from graphscore.nn.layers.radial import GaussianBasis
from graphscore.nn.score_network import ScoreNetwork


class SelfConditionedNetwork(nn.Module):
    r"""Self-conditioned :class:`ScoreNetwork`: reads an earlier estimate of each field, ``<field>_estimate``.

    An estimate is an attribute of the same level as its field. Features are read by a linear map. Positions, relative
    to their centroid, and vectors are read as vectors, multiples of which are added to the output. If the backbone has
    edge channels, distances between estimated positions along all edges are read too. The network has the symmetry of
    :class:`ScoreNetwork`. An estimate of zeros means that there is none.

    Args:
        backbone: The backbone; numbers of channels that it leaves open are chosen as in :class:`ScoreNetwork`.
        process: The forward process, or the number of columns of each field by name.
        inputs: The further attributes that the network reads by name, see :mod:`graphscore.nn.inputs`.
        positions: Attribute of the positions; ``None`` for graphs without.
        neighbors: Neighbor search at each call.
        oriented: Whether to read and write the positions and vectors as plain numbers too.
        zero_init: Whether all outputs start at zero.

    Raises:
        ValueError: As :class:`ScoreNetwork`, or if a field is periodic.

    References:
        Chen, Zhang and Hinton (2023), Analog bits: generating discrete data using diffusion models with
        self-conditioning.
    """

    def __init__(
        self,
        backbone: Backbone,
        process: Process | Mapping[str, int],
        inputs: Mapping[str, Input] | None = None,
        *,
        positions: str | None = "pos",
        neighbors: Search | None = None,
        oriented: bool = False,
        zero_init: bool = True,
    ) -> None:
        super().__init__()
        self.inputs = dict(inputs or {})
        self.positions = positions
        self.neighbors = neighbors
        self.oriented = oriented
        shapes, estimates = field_shapes(process, self.inputs), {}
        for name, (level, width, periodic) in shapes.items():
            if periodic:
                raise ValueError(f"SelfConditionedNetwork reads no estimates of angles, as {name!r} are")
            given = self.inputs.get(name)
            options = {"level": level, "antisymmetric": given is not None and given.antisymmetric}
            if name == positions or isinstance(given, Vector):
                estimates[f"{name}_estimate"] = _VectorEstimate(width if oriented else None, **options)
            else:
                estimates[f"{name}_estimate"] = ModuleInput(partial(_unbiased, width), **options)
        self.estimate = f"{positions}_estimate" if positions in shapes else ""
        # A backbone with open edge channels gets some if there are other attributes of edges to read.
        of_edges = [*(given.level for given in self.inputs.values()), *(shape.level for shape in shapes.values())]
        reads_edges = bool(backbone.edge_channels) or (
            "edge" in of_edges and "edge_channels" in getattr(backbone, "open_channels", ())
        )
        self.distance = f"{self.estimate}_distance" if self.estimate and reads_edges else ""
        if self.distance:
            estimates[self.distance] = ModuleInput(_distance_embedding, level="edge")
        self.network = ScoreNetwork(
            backbone, process, {**self.inputs, **estimates}, positions=positions, neighbors=neighbors,
            oriented=oriented, zero_init=zero_init,
        )  # fmt: skip

    @property
    def backbone(self) -> Backbone:
        """The backbone of the network."""
        return self.network.backbone

    def forward(self, batch: Batch, levels: Tensor) -> dict[str, Tensor]:
        """Compute the raw outputs of the network.

        Args:
            batch: A batch whose fields have unit variance, with an estimate of each, ``[rows, width]``.
            levels: Noise level of each graph and field, shape ``[B, number of fields]``.

        Returns:
            For each field ``[rows, width]``.
        """
        num_nodes, num_graphs = batch.batch.shape[0], levels.shape[0]
        names = [name for name in self.network.edge_inputs if name != self.distance]
        # Distances are read along the edges that are found, too.
        extended = copy.copy(self.network.connect(batch, levels, names))
        if self.estimate:
            estimate = read(batch, self.estimate, num_nodes, self.network.bias)
            extended[self.estimate] = ops.center(estimate, batch.batch, num_graphs)
        if self.distance:
            extended[self.distance], _ = measure(extended[self.estimate], *read_edges(extended))
        return self.network.evaluate(extended, levels)

    def check_fields(self, fields: Mapping[str, tuple[str, int | None]]) -> None:
        """Check that the fields of a process are those of the network, see :meth:`ScoreNetwork.check_fields`."""
        self.network.check_fields(fields)


@dataclass(frozen=True)
class _VectorEstimate(Vector):
    """An input vector that an oriented network reads as ``width`` plain numbers too."""

    width: int | None = None

    def embedding(self, channels: int) -> nn.Module | None:
        return None if self.width is None else _unbiased(self.width, channels)


def _unbiased(width: int | None, channels: int) -> nn.Linear:
    # Without a bias, an estimate of zeros adds nothing. Fields without columns are refused by the network.
    return nn.Linear(width or 1, channels, bias=False)


def _distance_embedding(channels: int) -> nn.Module:
    basis = GaussianBasis()
    return nn.Sequential(basis, nn.Linear(basis.channels, channels))
