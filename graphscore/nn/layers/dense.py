"""Dense arrays of ragged batches: the rows of each graph side by side, padded to the longest."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from graphscore import ops


@dataclass(frozen=True)
class Padding:
    """Places of the nodes of a ragged batch in a dense array ``[B, L, *]``.

    Attributes:
        num_graphs: Number of graphs B.
        length: Number L of rows for each graph, at least that of the largest.
        place: Row of each node in the flattened array, shape ``[N]``; ``None`` if nodes fill the array in order.
        node: Node of each row of the flattened array, N for none, shape ``[B * L]``; ``None`` as above.
        absent: Mask of rows without a node, shape ``[B, L]``; ``None`` as above.
    """

    num_graphs: int
    length: int
    place: Tensor | None = None
    node: Tensor | None = None
    absent: Tensor | None = None

    @classmethod
    def of(cls, batch: Tensor, num_graphs: int) -> Padding:
        """Find the places of nodes.

        Waits for the device once, to learn the size of the largest graph; inside ``torch.compile``, which cannot, all
        graphs get as many rows as there are nodes.

        Args:
            batch: Graph of each node, shape ``[N]``, in any order.
            num_graphs: Number of graphs B.
        """
        num_nodes, sizes = batch.shape[0], ops.count(batch, num_graphs)
        if torch.compiler.is_compiling() or not num_graphs:
            length = num_nodes
        else:
            falls = (batch[1:] < batch[:-1]).sum()
            length, least, falls = torch.stack([sizes.max(), sizes.min(), falls]).tolist()
            if length == least and not falls:
                return cls(num_graphs, length)
        # As for edges: exporters of ONNX know no stable sort; the order of nodes in the rows of their graph is free.
        order = batch.argsort() if torch.compiler.is_compiling() else batch.argsort(stable=True)
        rank = torch.arange(num_nodes, device=batch.device) - (sizes.cumsum(0) - sizes)[batch[order]]
        place = torch.empty_like(batch).scatter(0, order, batch[order] * length + rank)
        node = batch.new_full((num_graphs * length,), num_nodes)
        node = node.scatter(0, place, torch.arange(num_nodes, device=batch.device))
        return cls(num_graphs, length, place, node, (node == num_nodes).view(num_graphs, length))

    def pad(self, values: Tensor) -> Tensor:
        """Arrange values of nodes ``[N, F]`` as ``[B, L, F]``, with zeros in the other rows."""
        if self.node is not None:
            values = torch.cat([values, values.new_zeros(1, values.shape[1])]).index_select(0, self.node)
        return values.view(self.num_graphs, self.length, values.shape[1])

    def unpad(self, values: Tensor) -> Tensor:
        """Collect the values of nodes ``[N, F]`` from ``[B, L, F]``."""
        flat = values.flatten(0, 1)
        return flat if self.place is None else flat.index_select(0, self.place)

    def hidden(self, first: int) -> Tensor | None:
        """Mask rows without a node, after ``first`` rows that are all there: ``[B, first + L]``, ``None`` for none."""
        return None if self.absent is None else torch.nn.functional.pad(self.absent, (first, 0), value=False)
