"""The batches that are measured: molecules of given sizes, as plain tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from graphscore.nn.edges.neighbors import complete_edges, knn_edges, radius_edges

SEED = 0
BOND = 1.5  # Angstrom


def drawn(number: int, low: int, high: int) -> tuple[int, ...]:
    """As many sizes from ``low`` to ``high``, uniform."""
    return tuple(torch.randint(low, high + 1, (number,), generator=torch.Generator().manual_seed(SEED)).tolist())


CASES: dict[str, tuple[int, ...]] = {
    "qm9": drawn(64, 9, 29),
    "mixed": (9, 118, 11, 122),
    "single": (19,),
    "drug": drawn(16, 40, 60),
}


Outputs = tuple[Tensor, Tensor | None]
"""Scalars ``[N, F]``, and vectors ``[N, V, 3]`` if the network has any."""


class Graphs(NamedTuple):
    """A batch of graphs.

    Attributes:
        sizes: Number of nodes of each graph.
        z: Atomic numbers, shape ``[N]``.
        pos: Positions in Angstrom, shape ``[N, 3]``.
        batch: Graph of each node, shape ``[N]``.
        edge_index: Source and target of each edge, sorted by target, shape ``[2, E]``.
    """

    sizes: tuple[int, ...]
    z: Tensor
    pos: Tensor
    batch: Tensor
    edge_index: Tensor


def molecules(sizes: Sequence[int]) -> Graphs:
    """Graphs without edges.

    Positions are random walks of steps as long as a bond, centered: their radius of gyration, 2.7 Angstrom at 19 atoms
    and 6.7 at 120, is about that of a molecule.
    """
    generator, counts = torch.Generator().manual_seed(SEED), torch.tensor(sizes)
    steps = torch.randn(sum(sizes), 3, generator=generator)
    steps = BOND * steps / steps.norm(dim=1, keepdim=True)
    walks = [part.cumsum(0) for part in steps.split(list(sizes))]
    return Graphs(
        sizes=tuple(sizes),
        z=torch.tensor([1, 6, 7, 8])[torch.randint(4, (sum(sizes),), generator=generator)],
        pos=torch.cat([walk - walk.mean(0) for walk in walks]),
        batch=torch.arange(len(sizes)).repeat_interleave(counts),
        edge_index=counts.new_zeros(2, 0),
    )


def complete(graphs: Graphs) -> Graphs:
    """The same nodes, with edges between all pairs."""
    ends = torch.tensor((0, *graphs.sizes)).cumsum(0)
    return graphs._replace(edge_index=complete_edges(ends))


def within(graphs: Graphs, cutoff: float) -> Graphs:
    """The same nodes, with edges between those closer than ``cutoff``."""
    return graphs._replace(edge_index=radius_edges(graphs.pos, graphs.batch, len(graphs.sizes), cutoff))


def nearest(graphs: Graphs, degree: int) -> Graphs:
    """The same nodes, with edges from the ``degree`` nearest ones."""
    return graphs._replace(edge_index=knn_edges(graphs.pos, graphs.batch, len(graphs.sizes), degree))


class Features(NamedTuple):
    """What a backbone takes, in the order of its arguments."""

    h: Tensor
    pos: Tensor
    edge_index: Tensor
    batch: Tensor
    cond: Tensor
    edge_attr: Tensor | None


def features(graphs: Graphs, hidden: int, cond: int, edge: int) -> Features:
    """Random node scalars, conditions and edge attributes of the given widths.

    They depend on the seed and not on the positions: graphs that are turned get the same ones.
    """
    generator = torch.Generator().manual_seed(SEED)
    dtype = graphs.pos.dtype

    def randn(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator).to(dtype)

    return Features(
        h=randn(len(graphs.z), hidden),
        pos=graphs.pos,
        edge_index=graphs.edge_index,
        batch=graphs.batch,
        cond=randn(len(graphs.sizes), cond),
        edge_attr=randn(graphs.edge_index.shape[1], edge) if edge else None,
    )
