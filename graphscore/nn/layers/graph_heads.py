"""Output heads for fields of graphs, from pooled nodes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from graphscore import ops
from graphscore.nn.layers.heads import zero_head
from graphscore.nn.layers.vector_inputs import VectorInputs


class GraphHeads(nn.Module):
    r"""Graph heads: pool the nodes of each graph, and read scalars and vectors of the graph off the result.

    With the scalars :math:`h_i` of the n nodes of a graph, its condition c, and perceptron MLP,

    .. math::
        y = \mathrm{MLP}\Big(\Big[\tfrac{1}{n} \sum_i h_i, \log(1 + n), c\Big]\Big), \qquad
        w = g(y) \, \tfrac{1}{n} \sum_i v_i + \sum_a f_a(y) \, w_a:

    scalars are linear in y, and vectors are the mean of those of the nodes times a number, plus multiples of the
    input vectors of the graph. Since n is an input, outputs can be sums over the nodes as well as means. For graphs
    without nodes, outputs depend only on the condition. Scalars start at zero.

    Args:
        hidden_channels: Width F of node scalars.
        cond_channels: Width C of the per-graph condition.
        widths: Number of columns of each scalar output by name.
        num_given: Number V of input vectors of a graph.
        num_vectors: Number of output vectors.
    """

    def __init__(
        self, hidden_channels: int, cond_channels: int, widths: Mapping[str, int], num_given: int, num_vectors: int
    ) -> None:
        super().__init__()
        width = hidden_channels + 1 + cond_channels
        self.mix = nn.Sequential(
            nn.Linear(width, hidden_channels), nn.SiLU(), nn.Linear(hidden_channels, hidden_channels), nn.SiLU()
        )
        self.scalars = nn.ModuleDict(
            {name: zero_head(nn.Linear(hidden_channels, width)) for name, width in widths.items()}
        )
        self.given = VectorInputs(num_given, hidden_channels, num_vectors) if num_given else None
        self.gain = nn.Linear(hidden_channels, num_vectors) if num_vectors else None
        if self.gain is not None:
            nn.init.zeros_(self.gain.weight)
            nn.init.ones_(self.gain.bias)

    def forward(
        self, h: Tensor, vectors: Tensor, batch: Tensor, cond: Tensor, given: Tensor | None
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """Compute the outputs.

        Args:
            h: Node scalars, shape ``[N, F]``.
            vectors: Vectors of each node, one for each output vector, shape ``[N, num_vectors, D]``.
            batch: Graph of each node, shape ``[N]``.
            cond: Condition of each graph, shape ``[B, C]``.
            given: Vectors of each graph, shape ``[B, V, D]``, or ``None``.

        Returns:
            Scalars by name, each ``[B, width]``, and vectors ``[B, num_vectors, D]``, if any.
        """
        num_graphs = cond.shape[0]
        size = ops.count(batch, num_graphs, h.dtype)[:, None].log1p()
        first, *rest = self.mix
        pooled = first(torch.cat([ops.mean(h, batch, num_graphs), size, cond], dim=-1))
        if self.given is not None and given is not None:
            pooled = pooled + self.given(given)
        for layer in rest:
            pooled = layer(pooled)
        scalars = {name: head(pooled) for name, head in self.scalars.items()}
        if self.gain is None or self.given is None or given is None:
            return scalars, None
        mean = ops.mean(vectors, batch, num_graphs)
        return scalars, self.gain(pooled)[:, :, None] * mean + self.given.combine(given, pooled)
