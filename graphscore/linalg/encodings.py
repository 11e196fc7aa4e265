r"""Positional encodings of nodes from the edges of their graph.

Edges are taken as undirected and counted once; self-loops are ignored. ``batch_index`` ``[N]`` names the graph of each
node, in any order. Encodings are computed in float64, once for each graph of a data set, not in training steps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from graphscore import ops
from graphscore.nn.edges.sets import simple_edges


def laplacian_encoding(
    edge_index: Tensor, batch_index: Tensor, num_graphs: int, k: int, dtype: torch.dtype | None = None
) -> Tensor:
    r"""Compute Laplacian eigenvectors: of ``L = D^-1/2 (D - A) D^-1/2``, those of the smallest eigenvalues.

    The trivial eigenvector, with entries ``sqrt(degree)``, is left out (a node without edges counts as of degree 1);
    all others are orthogonal to it and have unit norm. The remaining null vectors of a graph of several components come
    first. Eigenvectors are not unique:

    - The sign of each is arbitrary: in training, draw signs anew at every step by :func:`flip_signs`.
    - If an eigenvalue is repeated, as often in symmetric graphs and for the null vectors of components, any rotation of
      its eigenvectors is valid too. The columns then depend on the order of the nodes, also where ``k`` cuts off some
      of them. :func:`random_walk_encoding` has neither ambiguity.

    Graphs of equal size are decomposed together, in time proportional to ``n^3`` each.

    Args:
        edge_index: Edges, shape ``[2, E]``.
        batch_index: Graph of each node, shape ``[N]``.
        num_graphs: Number of graphs B, empty ones included.
        k: Number of eigenvectors.
        dtype: Floating type of the result, PyTorch's default if ``None``.

    Returns:
        Shape ``[N, k]``; a graph of n nodes has ``n - 1`` eigenvectors, followed by zeros.

    Raises:
        ValueError: If k is less than 1.

    References:
        Dwivedi et al. (2023), Benchmarking graph neural networks.
    """
    if k < 1:
        raise ValueError(f"laplacian_encoding: k must be at least 1, but is {k}")
    num_nodes = batch_index.shape[0]
    source, target = simple_edges(edge_index, num_nodes)
    sizes = ops.count(batch_index, num_graphs)
    first = sizes.cumsum(0) - sizes
    order, local = _places(batch_index, first)
    degree = ops.count(target, num_nodes, torch.float64)
    root = degree.clamp(min=1).sqrt()
    out = root.new_zeros(num_nodes, k)
    for size in sizes[sizes > 1].unique().tolist():
        graphs = (sizes == size).nonzero()[:, 0]
        nodes = order[first[graphs, None] + torch.arange(size, device=graphs.device)]
        place = torch.zeros_like(sizes).index_copy(0, graphs, torch.arange(len(graphs), device=graphs.device))
        mine = sizes[batch_index[target]] == size
        i, j = target[mine], source[mine]
        laplacian = torch.diag_embed((degree[nodes] > 0).to(root))
        laplacian[place[batch_index[i]], local[i], local[j]] = -1 / (root[i] * root[j])
        # Eigenvalues lie between 0 and 2: shifted to 3, the trivial one comes last.
        trivial = torch.nn.functional.normalize(root[nodes], dim=1)
        laplacian += 3 * trivial[:, :, None] * trivial[:, None, :]
        vectors = torch.linalg.eigh(laplacian).eigenvectors[..., : min(k, size - 1)]
        out[nodes, : vectors.shape[-1]] = vectors
    return out.to(dtype or torch.get_default_dtype())


def flip_signs(encoding: Tensor, batch_index: Tensor, num_graphs: int, generator: ops.Generator = None) -> Tensor:
    """Multiply each column of each graph by a random sign, for training on Laplacian encodings.

    Args:
        encoding: From :func:`laplacian_encoding`, shape ``[N, k]``.
        batch_index: Graph of each node, shape ``[N]``.
        num_graphs: Number of graphs B.
        generator: Source of the signs; with a :class:`~graphscore.rng.GraphGenerator`, those of a graph do not depend
            on the rest of the batch.

    Returns:
        Shape ``[N, k]``.
    """
    graphs = torch.arange(num_graphs, device=encoding.device)
    normal = ops.randn(graphs, num_graphs, encoding.shape[1], dtype=torch.float32, generator=generator)
    return encoding * ops.broadcast(torch.where(normal < 0, -1.0, 1.0).to(encoding), batch_index)


def random_walk_encoding(
    edge_index: Tensor, batch_index: Tensor, num_graphs: int, steps: int, dtype: torch.dtype | None = None
) -> Tensor:
    r"""Compute the return probabilities of a random walk: ``diag(P^k)`` for ``k = 1 ... steps``, with ``P = D^-1 A``.

    Memory grows as N times the largest number of nodes of a graph, and the time of a step as E times that number.

    Args:
        edge_index: Edges, shape ``[2, E]``.
        batch_index: Graph of each node, shape ``[N]``.
        num_graphs: Number of graphs B, empty ones included.
        steps: Length of the longest walk.
        dtype: Floating type of the result, PyTorch's default if ``None``.

    Returns:
        Shape ``[N, steps]``. The first column is zero, since self-loops are ignored; a node without edges has zeros.

    Raises:
        ValueError: If there is no step.

    References:
        Dwivedi et al. (2022), Graph neural networks with learnable structural and positional representations.
    """
    if steps < 1:
        raise ValueError(f"random_walk_encoding: steps must be at least 1, but is {steps}")
    num_nodes = batch_index.shape[0]
    edges = simple_edges(edge_index, num_nodes)
    sizes = ops.count(batch_index, num_graphs)
    node = torch.arange(num_nodes, device=batch_index.device)
    _, local = _places(batch_index, sizes.cumsum(0) - sizes)
    weight = 1 / ops.count(edges[1], num_nodes, torch.float64)[edges[1]]
    walk = torch.sparse_coo_tensor(
        edges.flip(0), weight, (num_nodes, num_nodes), is_coalesced=True, check_invariants=False
    )
    # Column c holds, for all graphs at once, the chances to end at their c-th node.
    chances = weight.new_zeros(num_nodes, int(sizes.max()) if num_graphs else 0)
    chances[node, local] = 1
    returns = []
    for _ in range(steps):
        chances = torch.sparse.mm(walk, chances)
        returns.append(chances[node, local])
    return torch.stack(returns, dim=1).to(dtype or torch.get_default_dtype())


def _places(batch_index: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
    """The nodes sorted by their graph, and the place of each node within its graph, both ``[N]``."""
    order = batch_index.argsort(stable=True)
    rank = torch.arange(len(order), device=order.device) - first[batch_index[order]]
    return order, torch.empty_like(order).index_copy(0, order, rank)
