"""Metrics of graph drawings: stress, crossings, edge lengths, neighborhoods and angles, per graph."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data
from torch_geometric.utils import to_dense_batch

from graphscore import ops
from graphscore.layouts.distances import shortest_paths
from graphscore.nn.edges.sets import ragged_range, simple_edges

METRICS = ("stress", "crossings", "edge length variance", "neighborhood preservation", "angular resolution")
PAIRS = 500_000
"""Pairs of edges that are tested for crossings at once."""
ENTRIES = 500_000
"""Entries of a table of distances of drawings that are measured at once."""


def measure_drawings(drawings: Sequence[Data]) -> dict[str, Tensor]:
    """Measure drawings of graphs in the plane by all metrics of this module.

    Edges are taken as undirected, parallel edges as one, and self-loops as none. Stress is that of graph distances in
    edges, whatever lengths edges may have.

    Args:
        drawings: Graphs with ``pos`` ``[N, 2]``.

    Returns:
        By name of the metric, a value for each drawing, float64 ``[number of drawings]``.

    Raises:
        ValueError: If a drawing has no finite positions in the plane.
    """
    for number, data in enumerate(drawings):
        pos = data.pos
        if pos is None or pos.shape != (data.num_nodes, 2) or not bool(pos.isfinite().all()):
            got = "no pos" if pos is None else f"pos {list(pos.shape)}" + ", not all finite" * (pos.dim() == 2)
            raise ValueError(f"Expected finite positions [N, 2] in each drawing, but number {number} has {got}")
    values = {name: torch.zeros(len(drawings), dtype=torch.float64) for name in METRICS}
    # By size, so that little of the tables is padding.
    order = sorted(range(len(drawings)), key=lambda number: int(drawings[number].num_nodes or 0))
    while order:
        most = max(int(drawings[order[-1]].num_nodes or 0), 1)
        count = max(1, ENTRIES // most**2)
        part, order = order[-count:], order[:-count]
        for name, found in _measure([drawings[number] for number in part]).items():
            values[name][part] = found.double()
    return values


def drawn_edges(data: Data | Batch) -> Tensor:
    """List the edges ``[2, E]`` of a drawing or a batch of them: all of its pairs, or those whose ``link`` is not 0."""
    if data.edge_index is None:
        return torch.empty(2, 0, dtype=torch.long)
    return data.edge_index[:, data.link > 0] if "link" in data else data.edge_index


def _measure(drawings: Sequence[Data]) -> dict[str, Tensor]:
    """Measure drawings of about equal size."""
    graphs = (Data(edge_index=drawn_edges(data), pos=data.pos, num_nodes=data.num_nodes) for data in drawings)
    batch = Batch.from_data_list([*graphs])
    both = simple_edges(batch.edge_index, batch.num_nodes)
    edges, of, count = both[:, both[0] < both[1]], batch.batch, len(drawings)
    distances = shortest_paths(edges, of, count)
    padded, present = to_dense_batch(batch.pos.double(), of, batch_size=count)
    plane = batch.pos.double(), edges, of, count
    return {
        "stress": scaled_stress(padded, distances),
        "crossings": crossings(*plane),
        "edge length variance": edge_length_variance(*plane),
        "neighborhood preservation": neighborhood_preservation(padded, distances == 1, present),
        "angular resolution": angular_resolution(*plane),
    }


def scaled_stress(pos: Tensor, distances: Tensor) -> Tensor:
    r"""Compute the stress of drawings, each scaled so that it is smallest.

    .. math::
        \min_s \sum_{i \neq j} \left(\frac{s \lVert x_i - x_j \rVert - d_{ij}}{d_{ij}}\right)^2

    over ordered pairs, so that each pair of nodes counts twice, as in published tables. Pairs without a path are left
    out.

    Args:
        pos: Positions ``[B, n, D]``.
        distances: Distances ``[B, n, n]`` of :func:`~graphscore.layouts.distances.shortest_paths`.

    Returns:
        Shape ``[B]``, float64. A drawing whose nodes all coincide has the number of ordered pairs.

    References:
        Gansner, Koren and North (2005), Graph drawing by stress majorization, equation 1.
        Wang et al. (2024), SmartGD: a GAN-based graph drawing framework for diverse aesthetic goals (the scale).
    """
    counted = distances.isfinite() & (distances > 0)
    wanted = torch.where(counted, distances, 1).double()
    pos = pos.double()
    # Not by matrix products: they lose half of the digits where nodes are close.
    drawn = torch.cdist(pos, pos, compute_mode="donot_use_mm_for_euclid_dist")
    ratio = torch.where(counted, drawn / wanted, 0.0)
    first, second = ratio.sum((1, 2)), ratio.square().sum((1, 2))
    scale = torch.where(second > 0, first / second, 0.0)
    return (torch.where(counted, scale[:, None, None] * ratio - 1, 0.0)).square().sum((1, 2))


def crossings(pos: Tensor, edges: Tensor, batch: Tensor, num_graphs: int) -> Tensor:
    """Count the pairs of edges without a common end whose segments have a point in common.

    Segments that only touch, or lie on each other, count as well: nodes that are drawn on top of each other do not
    remove crossings.

    Args:
        pos: Positions in the plane ``[N, 2]``.
        edges: Edges ``[2, E]``, each once, ordered by graph.
        batch: Graph of each node ``[N]``.
        num_graphs: Number of graphs B.

    Returns:
        Shape ``[B]``, int64.

    Raises:
        ValueError: If positions are not in the plane.
    """
    if pos.dim() != 2 or pos.shape[1] != 2:
        raise ValueError(f"Crossings are those of drawings in the plane, pos [N, 2], but pos is {list(pos.shape)}")
    graph = batch[edges[0]]
    found = torch.zeros(num_graphs, dtype=torch.long, device=pos.device)
    # Each edge is paired with those after it in its graph.
    last = torch.bincount(graph, minlength=num_graphs).cumsum(0)[graph]
    later = last - torch.arange(1, len(graph) + 1, device=graph.device)
    ends = later.cumsum(0)
    start = 0
    while start < len(graph):
        done = int(ends[start - 1]) if start else 0
        stop = max(int(torch.searchsorted(ends, done + PAIRS, right=True)), start + 1)
        row, place = ragged_range(later[start:stop])
        first = row + start
        crossed = _intersect(pos.double(), edges[:, first], edges[:, first + 1 + place])
        found += torch.bincount(graph[first[crossed]], minlength=num_graphs)
        start = stop
    return found


def edge_length_variance(pos: Tensor, edges: Tensor, batch: Tensor, num_graphs: int) -> Tensor:
    """Compute the variance of the lengths of edges, in units of the square of their mean.

    Args:
        pos: Positions ``[N, D]``.
        edges: Edges ``[2, E]``, each once.
        batch: Graph of each node ``[N]``.
        num_graphs: Number of graphs B.

    Returns:
        Shape ``[B]``, float64: 0 if all edges are equally long, or there are none; NaN if all have the length 0.
    """
    graph = batch[edges[0]]
    length = (pos[edges[0]] - pos[edges[1]]).double().norm(dim=1)[:, None]
    mean = ops.mean(length, graph, num_graphs)
    variance = ops.mean((length - mean[graph]).square(), graph, num_graphs)
    none = torch.bincount(graph, minlength=num_graphs) == 0
    return torch.where(none, 0.0, (variance / mean.square())[:, 0])


def neighborhood_preservation(pos: Tensor, adjacent: Tensor, present: Tensor) -> Tensor:
    """Compare the neighbors of each node in the graph with as many nearest nodes in the drawing.

    Args:
        pos: Positions ``[B, n, D]``.
        adjacent: Whether two nodes are joined by an edge ``[B, n, n]``.
        present: Whether a place holds a node ``[B, n]``.

    Returns:
        Jaccard index of the two sets, mean over the nodes with edges, ``[B]`` float64: 1 is best. Of nodes equally
        near, the first are taken. A graph without edges has 1.

    References:
        Kruiger et al. (2017), Graph layouts by t-SNE, section 4.
    """
    pos = pos.double()
    drawn = torch.cdist(pos, pos, compute_mode="donot_use_mm_for_euclid_dist")
    degree = adjacent.sum(-1)
    nobody = torch.eye(pos.shape[1], dtype=torch.bool, device=pos.device) | ~present[:, None]
    order = drawn.masked_fill(nobody, math.inf).argsort(dim=-1, stable=True)
    taken = torch.arange(pos.shape[1], device=pos.device) < degree[..., None]
    common = (adjacent.gather(-1, order) & taken).sum(-1).double()
    index = common / (2 * degree - common).clamp(min=1)
    counted = degree > 0
    return torch.where(counted.any(-1), (index * counted).sum(-1) / counted.sum(-1).clamp(min=1), 1.0)


def angular_resolution(pos: Tensor, edges: Tensor, batch: Tensor, num_graphs: int) -> Tensor:
    r"""Compute the smallest angle between two edges at a node, relative to that of evenly spread edges.

    Args:
        pos: Positions in the plane ``[N, 2]``.
        edges: Edges ``[2, E]``, each once.
        batch: Graph of each node ``[N]``.
        num_graphs: Number of graphs B.

    Returns:
        Smallest angle over :math:`2 \pi / \mathrm{degree}`, mean over the nodes with at least two edges, ``[B]``
        float64: 1 is best. A graph without such nodes has 1.
    """
    centre, other = torch.cat([edges, edges.flip(0)], dim=1)
    x, y = (pos[other] - pos[centre]).double().unbind(1)
    angle = torch.atan2(y, x)
    by_angle = angle.argsort(stable=True)
    order = by_angle[centre[by_angle].argsort(stable=True)]
    centre, angle = centre[order], angle[order]
    degree = torch.bincount(centre, minlength=len(batch))
    last = degree.cumsum(0)[centre] - 1
    following = torch.arange(1, len(centre) + 1, device=pos.device)
    wraps = following > last
    following = torch.where(wraps, last + 1 - degree[centre], following)
    gap = angle[following] - angle + 2 * math.pi * wraps.double()
    smallest = gap.new_full((len(batch),), math.inf).scatter_reduce(0, centre, gap, "amin")
    counted = degree > 1
    ratio = (smallest * degree / (2 * math.pi))[counted][:, None]
    mean = ops.mean(ratio, batch[counted], num_graphs)[:, 0]
    return torch.where(torch.bincount(batch[counted], minlength=num_graphs) > 0, mean, 1.0)


def _intersect(pos: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Tell whether segments have a point in common, for edges ``[2, P]`` without a common end."""
    (a, b), (c, d) = pos[first], pos[second]
    sides = [_side(a, b, c), _side(a, b, d), _side(c, d, a), _side(c, d, b)]
    apart = (sides[0] * sides[1] > 0) | (sides[2] * sides[3] > 0)
    # On a line, segments meet unless their extents are apart.
    low, high = torch.minimum(a, b), torch.maximum(a, b)
    beside = ((torch.maximum(c, d) < low) | (torch.minimum(c, d) > high)).any(1)
    joined = (first[:, None] == second[None]).any(0).any(0)
    return ~(apart | beside | joined)


def _side(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Sign of the turn from b to c seen from a."""
    u, v = b - a, c - a
    return (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]).sign()
