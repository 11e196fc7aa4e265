r"""Adapters that make a backbone of any module: of PyG, of e3nn, or your own.

A module of PyG for scalars; the adapter computes vectors from its output::

    layers = torch_geometric.nn.GAT(64, 64, num_layers=4, v2=True, edge_dim=16)
    arguments = {"x": "h", "edge_index": "edge_index", "edge_attr": "edge_features"}
    backbone = ModuleBackbone(layers, arguments, 64, cond_channels=64, edge_dim=16)

A module of e3nn, with its own names for its arguments and features of the irreps ``module.irreps_out``::

    readout = IrrepsReadout(module, str(module.irreps_out), 64)
    arguments = {"node_features": "h", "edge_src": "source", "edge_dst": "target", "edge_vec": "difference"}
    backbone = ModuleBackbone(readout, arguments, 64, cond_channels=64, gives_vectors=True)

A custom function that returns both, ``(scalars [N, F], vectors [N, V, D])``::

    arguments = {"features": "h", "coordinates": "pos", "edges": "edge_index", "time": "cond"}
    backbone = ModuleBackbone(function, arguments, 64, cond_channels=64, gives_vectors=True)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from graphscore import ops
from graphscore.nn.backbones.base import CheckedBackbone, Graph
from graphscore.nn.edges.sorted import measure
from graphscore.nn.layers.heads import zero_head
from graphscore.nn.layers.radial import GaussianBasis

INPUTS = (
    "h", "pos", "edge_index", "batch", "cond", "edge_attr",
    "num_graphs", "source", "target", "difference", "edge_features", "edge_weight",
)  # fmt: skip


class ModuleBackbone(CheckedBackbone):
    r"""Backbone that calls a module or function with any signature.

    It is called with keyword arguments, each of which is one of

    - ``h`` ``[N, F]``: node scalars; unless the module takes ``cond`` itself, a linear map of it is added to them;
    - ``pos`` ``[N, D]``, ``edge_index`` ``[2, E]``, ``batch`` ``[N]``, ``cond`` ``[B, C]``, ``edge_attr``
      ``[E, edge_channels]``, ``num_graphs``: as the backbone gets them;
    - ``source``, ``target`` ``[E]``: the rows of ``edge_index``;
    - ``difference`` ``[E, D]``: position of the target less that of the source;
    - ``edge_features`` ``[E, edge_dim]``: a linear map of the edge attributes and the distance in a Gaussian basis;
    - ``edge_weight`` ``[E]``: such a map to one number between 0 and 1.

    The backbone has the symmetry of the module. It is E(n)-equivariant if the module takes no positions or differences.
    A module that normalises over a batch makes graphs depend on each other.

    Args:
        module: The module or function. Returns scalars ``[N, F]``, or ``(scalars, vectors [N, V, D])``.
        arguments: Input for each argument of the module, by the name of the argument.
        hidden_channels: Width F of node scalars, of the module's input and output.
        edge_channels: Width of edge attributes, 0 for none; ``None`` for as many as the network that contains it needs,
            see :class:`~graphscore.nn.backbones.base.SizedBackbone`.
        cond_channels: Width C of the per-graph condition; 0 and ``None`` as above.
        vector_channels: Number V of output vectors per node; ``None`` as above.
        edge_dim: Width of ``edge_features``.
        gives_vectors: Whether the module returns vectors; otherwise :class:`VectorReadout` computes them from scalars.

    Raises:
        ValueError: If there is no such input, or a number is out of range; at a call, if the output of the module has
            the wrong shape.
    """

    def __init__(
        self,
        module: Callable[..., Any],
        arguments: Mapping[str, str],
        hidden_channels: int,
        edge_channels: int | None = None,
        cond_channels: int | None = None,
        vector_channels: int | None = None,
        edge_dim: int = 16,
        gives_vectors: bool = False,
    ) -> None:
        super().__init__()
        if min(hidden_channels, edge_dim) < 1:
            raise ValueError(
                "ModuleBackbone: hidden_channels and edge_dim must be at least 1, but are "
                f"{hidden_channels}, {edge_dim}"
            )
        unknown = sorted(set(arguments.values()) - set(INPUTS))
        if unknown:
            raise ValueError(f"ModuleBackbone: a module can be given {list(INPUTS)}, but not {unknown}")
        self.module = module
        self.arguments = dict(arguments)
        self.hidden_channels = hidden_channels
        self.set_channels(edge_channels=edge_channels, cond_channels=cond_channels, vector_channels=vector_channels)
        self.edge_dim = edge_dim
        self.gives_vectors = gives_vectors
        self.basis = GaussianBasis()
        width, given = self.edge_channels + self.basis.channels, set(arguments.values())
        self.condition = (
            nn.Linear(self.cond_channels, hidden_channels) if self.cond_channels and "cond" not in given else None
        )
        self.edge_features = nn.Linear(width, edge_dim) if "edge_features" in given else None
        self.edge_weight = nn.Linear(width, 1) if "edge_weight" in given else None
        self.readout = None if gives_vectors else VectorReadout(hidden_channels, width, self.vector_channels)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.module}, {self.arguments})"

    def forward(self, h: Tensor, pos: Tensor, graph: Graph) -> tuple[Tensor, Tensor]:
        """Call the module, see :meth:`~graphscore.nn.backbones.base.CheckedBackbone.__call__`."""
        edge_index, batch, cond, edge_attr, _ = graph
        source, target = edge_index
        distance, direction = measure(pos, source, target)
        features = self.basis(distance)
        if edge_attr is not None:
            features = torch.cat([edge_attr, features], dim=-1)
        if self.condition is not None:
            h = h + ops.broadcast(self.condition(cond), batch)
        inputs: dict[str, Any] = {
            "h": h, "pos": pos, "edge_index": edge_index, "batch": batch, "cond": cond, "edge_attr": edge_attr,
            "num_graphs": cond.shape[0], "source": source, "target": target,
            "difference": pos.index_select(0, target) - pos.index_select(0, source),
        }  # fmt: skip
        if self.edge_features is not None:
            inputs["edge_features"] = self.edge_features(features)
        if self.edge_weight is not None:
            inputs["edge_weight"] = self.edge_weight(features).sigmoid()[:, 0]
        output = self.module(**{name: inputs[given] for name, given in self.arguments.items()})
        num_nodes, dim = pos.shape
        shapes = [(num_nodes, self.hidden_channels), (num_nodes, self.vector_channels, dim)]
        if self.readout is None:
            return _check(output, shapes)
        (scalars,) = _check((output,), shapes[:1])
        return scalars, self.readout(scalars, direction, features, edge_index)


def _check(output: Any, shapes: list[tuple[int, ...]]) -> Any:
    parts = output if isinstance(output, tuple) else (output,)
    got = [tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__ for part in parts]
    if got != shapes:
        raise ValueError(f"The module must return tensors of the shapes {shapes}, but it returned {got}")
    return output


class VectorReadout(nn.Module):
    r"""Compute vectors from scalars: directions to neighbors, with weights learned from both nodes and the edge.

    Args:
        hidden_channels: Width F of node scalars.
        edge_channels: Width of edge features.
        vector_channels: Number V of vectors.
    """

    def __init__(self, hidden_channels: int, edge_channels: int, vector_channels: int) -> None:
        super().__init__()
        self.target = nn.Linear(hidden_channels, hidden_channels)
        self.source = nn.Linear(hidden_channels, hidden_channels, bias=False)
        self.edge = nn.Linear(edge_channels, hidden_channels, bias=False)
        self.weight = nn.Linear(hidden_channels, vector_channels, bias=False)
        # Zero, so that positions do not move at the start of training.
        zero_head(self.weight)

    def forward(self, scalars: Tensor, direction: Tensor, features: Tensor, edge_index: Tensor) -> Tensor:
        """Compute vectors from node scalars and edges.

        Args:
            scalars: Node scalars, shape ``[N, F]``.
            direction: Vector of each edge, which turns with the positions, shape ``[E, D]``.
            features: Invariant features of the edges, shape ``[E, edge_channels]``.
            edge_index: Source and target of each edge, shape ``[2, E]``.

        Returns:
            Shape ``[N, V, D]``.
        """
        source, target = edge_index
        pair = self.target(scalars).index_select(0, target) + self.source(scalars).index_select(0, source)
        weight = self.weight(nn.functional.silu(pair + self.edge(features)))
        num_nodes = scalars.shape[0]
        degree = ops.count(target, num_nodes, scalars.dtype).clamp(min=1)
        return ops.sum(weight[:, :, None] * direction[:, None], target, num_nodes) / degree.sqrt()[:, None, None]


class IrrepsReadout(nn.Module):
    r"""Read scalars and vectors off the features of an e3nn module, by linear maps of its ``0e`` and its ``1o`` irreps.

    The other irreps are ignored. Vectors of e3nn are in the order x, y, z, like positions. Modules of e3nn keep the
    constants that they were built with: for symmetry to float64 accuracy, build them with float64 as the default type.

    Args:
        module: Returns features ``[N, dim]``, where dim is that of the irreps. Its input scalars are ``F x 0e``.
        irreps: Layout of these features as e3nn writes it, such as ``"64x0e+16x1o+8x2e"``: ``str(module.irreps_out)``.
            In a module that ignores parity, call the vectors ``1o`` whatever it calls them.
        hidden_channels: Number F of output scalars.
        vector_channels: Number V of output vectors.

    Raises:
        ValueError: If the irreps cannot be read, or have no scalars or vectors; at a call, if there are more or fewer
            features.

    References:
        Geiger and Smidt (2022), e3nn: Euclidean neural networks.
    """

    def __init__(
        self, module: Callable[..., Tensor], irreps: str, hidden_channels: int, vector_channels: int = 1
    ) -> None:
        super().__init__()
        self.module = module
        self.irreps = irreps
        self.hidden_channels = hidden_channels
        self.vector_channels = vector_channels
        self.dim = 0
        self._places: dict[str, list[slice]] = {"0e": [], "1o": []}
        for term in irreps.replace(" ", "").split("+"):
            match = re.fullmatch(r"(?:(\d+)x)?((\d+)[eo])", term)
            if match is None:
                raise ValueError(f"Irreps are written like '64x0e+16x1o', but the irreps {irreps!r} have {term!r}")
            size = int(match[1] or 1) * (2 * int(match[3]) + 1)
            if match[2] in self._places:
                self._places[match[2]].append(slice(self.dim, self.dim + size))
            self.dim += size
        scalars, vectors = (sum(place.stop - place.start for place in self._places[kind]) for kind in ("0e", "1o"))
        if not scalars or not vectors:
            raise ValueError(f"IrrepsReadout needs scalars 0e and vectors 1o, but the module gives {irreps!r}")
        self.scalar = nn.Linear(scalars, hidden_channels)
        self.vector = nn.Linear(vectors // 3, vector_channels, bias=False)
        # Zero, so that positions do not move at the start of training.
        zero_head(self.vector)

    def forward(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Call the module and return scalars ``[N, F]`` and vectors ``[N, V, 3]``."""
        features = self.module(*args, **kwargs)
        if features.shape[-1] != self.dim:
            raise ValueError(
                f"The irreps {self.irreps!r} have {self.dim} features, but the module gave {features.shape[-1]}"
            )
        scalars, vectors = (torch.cat([features[:, s] for s in self._places[kind]], dim=-1) for kind in ("0e", "1o"))
        components = vectors.unflatten(-1, (self.vector.in_features, 3)).transpose(1, 2)
        return self.scalar(scalars), self.vector(components).transpose(1, 2)
