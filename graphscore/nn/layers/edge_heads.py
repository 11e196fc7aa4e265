"""Output heads for fields of edges, from both end nodes and the inputs of the edge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from graphscore.nn.edges.sets import gather_or_fill, match_edges
from graphscore.nn.edges.sorted import measure
from graphscore.nn.layers.heads import zero_head
from graphscore.nn.layers.radial import GaussianBasis
from graphscore.nn.layers.vector_inputs import invariants


class EdgeHeads(nn.Module):
    r"""Edge heads: read scalars and vectors of edges off pairs of nodes, consistently for both directions of an edge.

    The inputs of an edge are the scalars of both ends, their distance, its own attributes and those of its reverse, if
    that is listed. Then outputs are symmetric: inputs that are equal for both directions give equal outputs, and
    antisymmetric fields with opposite inputs give opposite outputs, exactly. An edge whose reverse is not listed
    distinguishes source and target, and its outputs have no symmetry.

    Vectors are linear combinations of the input vectors of the edge and its reverse, their projections onto the edge,
    the direction of the edge, and sum and difference of the vectors of both ends, as far as their signs under reversal
    agree; the factors are invariants. So vectors rotate with the positions and are invariant under translation. All
    outputs start at zero.

    Each edge is listed once; of several with the same ends the first is taken as the reverse of the others.

    Args:
        hidden_channels: Width F of node scalars.
        attr_channels: Width K of attributes that are the same for both directions, or have no sign.
        symmetric: Number of columns of each symmetric scalar field.
        antisymmetric: Number of columns of each antisymmetric scalar field.
        given: For each input vector of an edge, whether it is antisymmetric.
        vectors: The same for each output vector.
    """

    def __init__(
        self,
        hidden_channels: int,
        attr_channels: int,
        symmetric: Mapping[str, int],
        antisymmetric: Mapping[str, int],
        given: Sequence[bool] = (),
        vectors: Sequence[bool] = (),
    ) -> None:
        super().__init__()
        self.antisymmetric = dict(antisymmetric)
        self.num_vectors = len(vectors)
        self.basis = GaussianBasis()
        crossed = sum(antisymmetric.values()) + len(given)
        num_invariants = len(given) + len(given) * (len(given) + 1) // 2
        width = attr_channels + sum(symmetric.values()) + sum(antisymmetric.values()) + num_invariants
        self.ends = nn.Linear(hidden_channels, 2 * hidden_channels)
        self.own = nn.Linear(width + self.basis.channels, hidden_channels, bias=False)
        self.reverse = nn.Linear(width + crossed, hidden_channels, bias=False) if width else None
        self.mix = nn.Sequential(nn.SiLU(), nn.Linear(hidden_channels, hidden_channels), nn.SiLU())
        widths = {**symmetric} | {name: 4 * width for name, width in antisymmetric.items()}
        self.heads = nn.ModuleDict({name: zero_head(nn.Linear(hidden_channels, w)) for name, w in widths.items()})
        self.differences = nn.ModuleDict(
            {name: nn.Linear(hidden_channels, width, bias=False) for name, width in antisymmetric.items()}
        )
        # Each given vector, its reverse and its projection; the direction; difference and sum of the ends.
        parity = [*given, *given, *given, True, True, False]
        self.factors = zero_head(nn.Linear(hidden_channels, self.num_vectors * len(parity))) if vectors else None
        self.allowed: Tensor
        allowed = torch.tensor([[sign == kind for kind in parity] for sign in vectors], dtype=torch.bool)
        self.register_buffer("allowed", allowed.view(-1, len(parity)), persistent=False)

    def forward(
        self,
        h: Tensor,
        pos: Tensor,
        edge_index: Tensor,
        attributes: Sequence[Tensor],
        fields: Mapping[str, Tensor],
        given: Tensor | None,
        ends: Tensor,
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """Compute the outputs.

        Args:
            h: Node scalars, shape ``[N, F]``.
            pos: Positions, shape ``[N, D]``.
            edge_index: Source and target of each edge, shape ``[2, E]``, in any order.
            attributes: Attributes ``[E, *]`` of K columns in all, and the symmetric scalar fields.
            fields: The antisymmetric scalar fields, each ``[E, width]``.
            given: Vectors of each edge, shape ``[E, V, D]``, or ``None``.
            ends: Vectors of each node, one for each output vector, shape ``[N, num_vectors, D]``.

        Returns:
            Scalars by name, each ``[E, width]``, and vectors ``[E, num_vectors, D]``, if any.
        """
        source, target = edge_index
        place = match_edges(edge_index.flip(0), edge_index, h.shape[0])
        paired = (place >= 0)[:, None]
        distance, direction = measure(pos, source, target)
        back = {name: gather_or_fill(value, place) for name, value in fields.items()}
        features = [*attributes, *(_size(value) for value in fields.values())]
        crossed = [value * back[name] for name, value in fields.items()]
        parts = []
        if given is not None:
            along = (given * direction[:, None]).sum(-1)
            norms, products = invariants(given).tensor_split([given.shape[1]], dim=-1)
            parts = [given, gather_or_fill(given, place), along[:, :, None] * direction[:, None]]
            features += [_size(along), norms, _size(products)]
            crossed.append((given * parts[1]).sum(-1))
        first, second = self.ends(h).chunk(2, dim=-1)
        pair = first.index_select(0, target) + second.index_select(0, source)
        swapped = first.index_select(0, source) + second.index_select(0, target)
        pair = torch.where(paired, (pair + swapped) / 2, pair)
        known = torch.cat(features, dim=-1) if features else h.new_zeros(source.shape[0], 0)
        pair = pair + self.own(torch.cat([known, self.basis(distance)], dim=-1))
        if self.reverse is not None:
            pair = pair + self.reverse(torch.cat([gather_or_fill(known, place), *crossed], dim=-1))
        mixed = self.mix(pair)
        scalars = {name: head(mixed) for name, head in self.heads.items()}
        for name, value in fields.items():
            sent = self.differences[name](h)
            difference = sent.index_select(0, target) - sent.index_select(0, source)
            scalars[name] = _combine(scalars[name], value, back[name], difference, paired)
        if self.factors is None:
            return scalars, None
        # Of an edge with a reverse, only terms with the sign of the field are used.
        factors = self.factors(mixed).unflatten(-1, self.allowed.shape)
        factors = torch.where(paired[:, :, None] & ~self.allowed, 0.0, factors)
        at_target, at_source = ends.index_select(0, target), ends.index_select(0, source)
        vectors = factors[:, :, :-2] @ torch.cat([*parts, direction[:, None]], dim=1)
        vectors = vectors + factors[:, :, -2:-1] * (at_target - at_source)
        return scalars, vectors + factors[:, :, -1:] * (at_target + at_source)


def _combine(factors: Tensor, value: Tensor, back: Tensor, difference: Tensor, paired: Tensor) -> Tensor:
    """Combine antisymmetric scalars with four factors ``[E, 4 width]``; the last is for edges without a reverse."""
    own, reverse, apart, free = factors.chunk(4, dim=-1)
    return own * value + reverse * back + apart * difference + torch.where(paired, 0.0, free)


def _size(values: Tensor) -> Tensor:
    """Compute a smooth absolute value, ``sqrt(1 + x^2)``."""
    return (1 + values.square()).sqrt()
