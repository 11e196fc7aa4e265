"""Batches with graphs of unusual sizes, for tests."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data


def ragged_batch(
    sizes: Sequence[int] = (0, 4, 1, 0, 5, 3, 0),
    *,
    edgeless: Sequence[int] = (3,),
    dim: int = 3,
    channels: int = 2,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
) -> Batch:
    """Make a small random batch that includes empty, one-node and edgeless graphs.

    Args:
        sizes: Number of nodes of each graph; all graphs are complete, apart from the edgeless ones.
        edgeless: Sizes of the graphs without edges.
        dim: Width D of ``pos``.
        channels: Width C of ``x``, ``edge_attr`` and ``y``.
        dtype: Floating type.
        seed: Seed of the random values.

    Returns:
        A batch with ``pos`` [N, D], ``x`` [N, C], ``z`` [N] (integers below 4), ``edge_attr`` [E, C] and ``y`` [B, C].
    """
    generator = torch.Generator().manual_seed(seed)

    def randn(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator).to(dtype)

    graphs = []
    for size in sizes:
        edge_index = torch.cartesian_prod(torch.arange(size), torch.arange(size)).reshape(-1, 2).T
        edge_index = edge_index[:, (edge_index[0] != edge_index[1]) & (size not in edgeless)]
        graph = Data(edge_index=edge_index, pos=randn(size, dim), x=randn(size, channels), num_nodes=size)
        graph.z = torch.randint(4, (size,), generator=generator)
        graph.edge_attr, graph.y = randn(edge_index.shape[1], channels), randn(1, channels)
        graphs.append(graph)
    return Batch.from_data_list(graphs)
