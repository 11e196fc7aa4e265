"""EGNN as one would first write it, padded and with ``MessagePassing``: equations and weights are those of ours."""

from __future__ import annotations

import copy
from typing import Any

import torch
from cases import Features
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing
from torch_geometric.utils import scatter

from graphscore.nn import EGNN


def joined(*maps: tuple[Tensor, Tensor | None]) -> nn.Linear:
    """One linear map of a concatenation for a sum of linear maps, given by weights and biases."""
    weight = torch.cat([weight for weight, _ in maps], dim=1).detach()
    linear = nn.Linear(weight.shape[1], weight.shape[0])
    linear.weight = nn.Parameter(weight)
    linear.bias = nn.Parameter(torch.stack([bias for _, bias in maps if bias is not None]).sum(0).detach())
    return linear


class Weights(nn.Module):
    """The modules of a layer of ours, with one map for each concatenation in place of its parts."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        layer = copy.deepcopy(layer)
        ours = layer.messages
        target, source = zip(ours.ends.weight.chunk(2), ours.ends.bias.chunk(2), strict=True)
        first = joined(target, source, (ours.edge.weight, None))
        self.message = nn.Sequential(first, nn.SiLU(), ours.message, nn.SiLU())
        self.gate, self.vector = ours.gate, ours.heads
        own, received = (layer.own.weight, layer.own.bias), (layer.received.weight, None)
        self.update = nn.Sequential(joined(own, received), nn.SiLU(), layer.update)
        self.basis, self.norm, self.modulate = layer.basis, layer.norm.norm, layer.norm.modulate

    def normed(self, h: Tensor, cond: Tensor) -> Tensor:
        """Adaptive layer norm, by a condition ``[*, C]`` for each node."""
        if self.modulate is None:
            return self.norm(h)
        scale, shift = self.modulate(cond).chunk(2, dim=-1)
        return self.norm(h) * (1 + scale) + shift


class DenseEGNN(nn.Module):
    """All pairs of nodes of graphs padded to one size, with masks."""

    def __init__(self, egnn: EGNN) -> None:
        super().__init__()
        self.gain = copy.deepcopy(egnn.gain)
        self.layers = nn.ModuleList(DenseLayer(Weights(layer)) for layer in egnn.layers)

    def forward(
        self, h: Tensor, pos: Tensor, mask: Tensor, pair_mask: Tensor, cond: Tensor, edge_attr: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Map h [B, M, F], pos [B, M, D], masks [B, M, 1] and [B, M, M, 1], cond [B, C], edge_attr [B, M, M, *]."""
        current, vectors = pos, torch.zeros_like(pos)[:, :, None]
        for layer in self.layers:
            current = current + vectors[:, :, 0]
            h, vectors = layer(h, current, mask, pair_mask, cond, edge_attr)
        return h, ((current - pos)[:, :, None] + vectors) * self.gain(h)[..., None]


class DenseLayer(nn.Module):
    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.weights = weights

    def forward(
        self, h: Tensor, pos: Tensor, mask: Tensor, pair_mask: Tensor, cond: Tensor, edge_attr: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        w, size = self.weights, h.shape[1]
        normed = w.normed(h, cond[:, None])
        difference = pos[:, :, None] - pos[:, None]
        distance = (difference.square().sum(-1, keepdim=True) + 1e-12).sqrt()
        h_i = normed[:, :, None].expand(-1, -1, size, -1)
        h_j = normed[:, None].expand(-1, size, -1, -1)
        edge = [] if edge_attr is None else [edge_attr]
        message = w.message(torch.cat([h_i, h_j, *edge, w.basis(distance)], dim=-1)) * pair_mask
        root = pair_mask.sum(2).clamp(min=1).sqrt()
        received = (message * w.gate(message).sigmoid()).sum(2) / root
        h = (h + w.update(torch.cat([normed, received], dim=-1))) * mask
        pull = w.vector(message)[..., None] * (difference / (1 + distance))[..., None, :]
        return h, pull.sum(2) / root[..., None]


def padded(inputs: Features, sizes: tuple[int, ...]) -> tuple[Tensor | None, ...]:
    """The arguments of :class:`DenseEGNN`."""
    number, size = len(sizes), max(sizes)
    mask = torch.arange(size) < torch.tensor(sizes)[:, None]
    h, pos = (values.new_zeros(number, size, values.shape[1]) for values in (inputs.h, inputs.pos))
    h[mask], pos[mask] = inputs.h, inputs.pos
    source, target = inputs.edge_index
    place = torch.cat([torch.arange(n) for n in sizes])
    pairs = inputs.batch[target], place[target], place[source]
    pair_mask = h.new_zeros(number, size, size, 1)
    pair_mask[pairs] = 1
    edge_attr = None
    if inputs.edge_attr is not None:
        edge_attr = h.new_zeros(number, size, size, inputs.edge_attr.shape[1])
        edge_attr[pairs] = inputs.edge_attr
    return h, pos, mask[..., None].to(h.dtype), pair_mask, inputs.cond, edge_attr


def unpadded(outputs: tuple[Tensor, Tensor], sizes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """The rows of nodes, ``[N, *]`` for ``[B, M, *]``."""
    scalars, vectors = outputs
    mask = torch.arange(scalars.shape[1]) < torch.tensor(sizes)[:, None]
    return scalars[mask], vectors[mask]


class NaiveEGNN(nn.Module):
    """Messages along the edges by PyG's ``MessagePassing``."""

    def __init__(self, egnn: EGNN) -> None:
        super().__init__()
        self.gain = copy.deepcopy(egnn.gain)
        self.layers = nn.ModuleList(NaiveLayer(Weights(layer)) for layer in egnn.layers)

    def forward(
        self, h: Tensor, pos: Tensor, edge_index: Tensor, batch: Tensor, cond: Tensor, edge_attr: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """As :class:`~graphscore.nn.EGNN`."""
        current, vectors = pos, torch.zeros_like(pos)[:, None]
        for layer in self.layers:
            current = current + vectors[:, 0]
            h, vectors = layer(h, current, edge_index, batch, cond, edge_attr)
        return h, ((current - pos)[:, None] + vectors) * self.gain(h)[..., None]


class NaiveLayer(MessagePassing):
    def __init__(self, weights: Weights) -> None:
        super().__init__(aggr="sum", node_dim=0)
        self.weights = weights

    def forward(
        self, h: Tensor, pos: Tensor, edge_index: Tensor, batch: Tensor, cond: Tensor, edge_attr: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        w = self.weights
        normed = w.normed(h, cond[batch])
        received, vectors = self.propagate(edge_index, h=normed, pos=pos, edge_attr=edge_attr)
        degree = scatter(torch.ones_like(edge_index[1]), edge_index[1], dim_size=len(h), reduce="sum")
        root = degree.clamp(min=1).to(h.dtype).sqrt()[:, None]
        return h + w.update(torch.cat([normed, received / root], dim=-1)), vectors / root[..., None]

    def message(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, h_i: Tensor, h_j: Tensor, pos_i: Tensor, pos_j: Tensor, edge_attr: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        w, difference = self.weights, pos_i - pos_j
        distance = (difference.square().sum(-1, keepdim=True) + 1e-12).sqrt()
        edge = [] if edge_attr is None else [edge_attr]
        message = w.message(torch.cat([h_i, h_j, *edge, w.basis(distance)], dim=-1))
        pull = w.vector(message)[:, :, None] * (difference / (1 + distance))[:, None]
        return message * w.gate(message).sigmoid(), pull

    def aggregate(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, inputs: tuple[Tensor, Tensor], index: Tensor, dim_size: int
    ) -> tuple[Tensor, Tensor]:
        scalars, vectors = (scatter(values, index, 0, dim_size, reduce="sum") for values in inputs)
        return scalars, vectors
