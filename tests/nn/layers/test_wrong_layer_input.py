"""Arguments of backbones, networks and layers that do not fit are named in one sentence."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch_geometric.data import Batch

from graphscore.denoiser import Denoiser
from graphscore.fields import Field, replace
from graphscore.nn import (
    BACKBONES,
    EGNN,
    AdaptiveLayerNorm,
    Category,
    EquivariantAttention,
    EquivariantConvolution,
    Feature,
    GatedMessages,
    ModuleBackbone,
    NearestNeighbors,
    ScoreNetwork,
    SelfConditionedNetwork,
    attributes,
    checks,
    knn_edges,
    radius_edges,
)
from graphscore.nn.backbones.equivariant_transformer import EquivariantTransformerLayer
from graphscore.nn.backbones.painn import PaiNNMessage
from graphscore.nn.edges.geometry import EdgeGeometry
from graphscore.nn.edges.sorted import Edges
from graphscore.process import ForwardProcess
from graphscore.sdes import VESDE
from graphscore.testing import ragged_batch

SIZES = (0, 4, 1, 0, 5, 3, 0)
F = 8


def build(name: str, edge_channels: int = 2, cond_channels: int = 3) -> nn.Module:
    if name == "module":
        return ModuleBackbone(nn.Linear(F, F), {"input": "h"}, F, edge_channels, cond_channels)
    return BACKBONES[name](F, num_layers=1, edge_channels=edge_channels, cond_channels=cond_channels)


def arguments() -> dict[str, torch.Tensor]:
    batch = ragged_batch(SIZES, dtype=torch.float32)
    return {
        "h": torch.randn(13, F), "pos": batch.pos, "edge_index": batch.edge_index, "batch": batch.batch,
        "cond": torch.randn(7, 3), "edge_attr": batch.edge_attr,
    }  # fmt: skip


WRONG = {
    "no edge_attr": ("edge_attr", lambda x: None, r"edge_attr must be a tensor \[32, 2\], but is nothing"),
    "edge_attr of one column": ("edge_attr", lambda x: x[:, :1], r"edge_attr .* \[32, 2\], but has \[32, 1\]"),
    "too few edge_attr": ("edge_attr", lambda x: x[1:], r"edge_attr must have shape \[32, 2\], but has \[31, 2\]"),
    "flat edge_attr": ("edge_attr", lambda x: x[:, 0], r"edge_attr must have shape \[32, 2\], but has \[32\]"),
    "h of another width": ("h", lambda x: x[:, 1:], r"h must have shape \[13, 8\], but has \[13, 7\]"),
    "too few h": ("h", lambda x: x[1:], r"h must have shape \[13, 8\], but has \[12, 8\]"),
    "too few pos": ("pos", lambda x: x[1:], r"pos must have shape \[13, \*\], but has \[12, 3\]"),
    "pos of double precision": ("pos", lambda x: x.double(), r"pos must be torch.float32, but is torch.float64"),
    "whole pos": ("pos", lambda x: x.long(), r"pos must be torch.float32, but is torch.int64"),
    "no cond": ("cond", lambda x: None, r"cond must be a tensor \[\*, 3\], but is nothing"),
    "cond of another width": ("cond", lambda x: x[:, :2], r"cond must have shape \[\*, 3\], but has \[7, 2\]"),
    "cond of double precision": ("cond", lambda x: x.double(), r"cond must be torch.float32, but is torch.float64"),
    "no edges": ("edge_index", lambda x: None, r"edge_index must be a tensor \[2, \*\], but is nothing"),
    "edges in rows": ("edge_index", lambda x: x.T, r"edge_index must have shape \[2, \*\], but has \[32, 2\]"),
    "real edges": ("edge_index", lambda x: x.float(), r"edge_index must be torch.int64, but is torch.float32"),
    "real batch": ("batch", lambda x: x.float(), r"batch must be torch.int64, but is torch.float32"),
}  # fmt: skip


@pytest.mark.parametrize("name", [*BACKBONES, "module"])
@pytest.mark.parametrize("case", WRONG)
def test_wrong_arguments_of_a_backbone(name, case):
    backbone, (argument, change, words), values = build(name), WRONG[case], arguments()
    backbone(**values)
    values[argument] = change(values[argument])
    with pytest.raises(ValueError, match=f"^{type(backbone).__name__}: {words}$"):
        backbone(**values)


@pytest.mark.parametrize("name", [*BACKBONES, "module"])
def test_what_a_backbone_would_not_read_is_refused(name):
    with pytest.raises(ValueError, match=r"edge_attr would not be read: build it with edge_channels=2, or give none"):
        build(name, edge_channels=0)(**arguments())
    with pytest.raises(ValueError, match=r"cond must have shape \[\*, 0\], but has \[7, 3\]"):
        build(name, cond_channels=0)(**arguments())


class Recorder(TorchDispatchMode):
    """Counts the operations on tensors, each of which would be a kernel on a device, or a wait for one."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[str] = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.operations.append(str(operation))
        return operation(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", [*BACKBONES, "module"])
def test_arguments_are_checked_without_a_single_operation(name):
    backbone, values, batch = build(name), tuple(arguments().values()), batch_of()
    with Recorder() as recorder:
        checks.check_arguments(backbone, *values, None)
        attributes.read(batch, "x", 13, values[0])
        attributes.edge_index(batch)
    assert recorder.operations == []
    with Recorder() as recorder:
        backbone(*values)
    assert len(recorder.operations) > 10


# The size of the largest graph has to be known, as for the searches of neighbors.
@pytest.mark.parametrize("name", [*sorted(BACKBONES.keys() - {"latent-transformer"}), "module"])
def test_no_value_on_a_device_is_waited_for(name):
    """On the device "meta" there are no values to look at: the attempt is an error."""
    scalars, vectors = build(name).to("meta")(**{key: value.to("meta") for key, value in arguments().items()})
    (scalars.sum() + vectors.sum()).backward()
    assert scalars.shape == (13, F) and vectors.shape == (13, 1, 3) and scalars.is_meta


E0 = torch.tensor([[0, 1], [1, 0]])
EDGES = Edges.from_index(E0, 2)
H, V, C, B = torch.ones(2, F), torch.ones(2, 3, F), torch.ones(1, 3), torch.zeros(2, dtype=torch.long)


def geometry(width: int = 1) -> EdgeGeometry:
    return EdgeGeometry(EDGES, torch.ones(2, width), torch.ones(2), torch.ones(2, 3))


@pytest.mark.parametrize("carries", [True, False])
@pytest.mark.parametrize(
    "call",
    [
        lambda c, v: EquivariantConvolution(F, 1, c)(H.repeat(1, 2), v, torch.ones(2, 1), torch.ones(2, 3), EDGES),
        lambda c, v: EquivariantAttention(F, 1, 2, c)(H, v, geometry()),
        lambda c, v: PaiNNMessage(F, 1, 3, c)(H, v, torch.ones(2, 1), torch.ones(2, 3), EDGES, B, C),
        lambda c, v: EquivariantTransformerLayer(F, 1, 3, 2, c)(H, v, geometry(), B, C),
    ],
    ids=["convolution", "attention", "painn", "transformer"],
)
def test_layers_take_the_vectors_that_they_were_built_to_carry(call, carries):
    call(carries, V if carries else None)
    with pytest.raises(ValueError, match=f"was built with carries={carries}, but it is given"):
        call(carries, None if carries else V)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: EquivariantConvolution(F, 1, False)(H.repeat(1, 2), None, H[:, :2], torch.ones(2, 3), EDGES),
            "EquivariantConvolution: features must have 1 columns",
        ),
        (lambda: EquivariantAttention(F, 1, 2, False)(H, None, geometry(2)), "features must have 1 columns"),
        (lambda: GatedMessages(F, 1)(H, torch.ones(2, 2), EDGES), "GatedMessages: features must have 1 columns"),
        (lambda: AdaptiveLayerNorm(F)(H, C, B), r"AdaptiveLayerNorm: cond must have 0 columns.*\[1, 3\]"),
        (lambda: AdaptiveLayerNorm(F, 2)(H, C, B), r"AdaptiveLayerNorm: cond must have 2 columns.*\[1, 3\]"),
    ],
)  # fmt: skip
def test_layers_name_what_has_another_width(call, words):
    with pytest.raises(ValueError, match=words):
        call()


LEVELS = {"y": Feature(2, level="graph"), "bond": Feature(2, level="edge")}


def network(**options) -> ScoreNetwork:
    inputs = {"z": Category(4), "edge_attr": Feature(2, level="edge"), "label": Category(3, level="graph")}
    return ScoreNetwork(EGNN(F, 1, 4, 4), {"pos": 3, "x": 2, "y": 2, "bond": 2}, LEVELS | inputs, **options)


def batch_of(sizes=SIZES) -> Batch:
    batch = ragged_batch(sizes, dtype=torch.float32)
    batch.bond, batch.label = batch.edge_attr + 1, torch.zeros(len(sizes), dtype=torch.long)
    return batch


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b: {"edge_index": None}, r"The batch has no edge_index \[2, E\]: give graphs their edges"),
        (lambda b: {"edge_index": b.edge_index.float()}, r"'edge_index' must be .* torch.float32"),
        (lambda b: {"edge_index": b.edge_index.T}, r"'edge_index' must be .* but is torch.int64 of shape \[20, 2\]"),
        (lambda b: {"pos": b.pos.double()}, r"'pos' must be of type torch.float32 .* but is torch.float64"),
        (lambda b: {"pos": b.pos[1:]}, r"'pos' must be a tensor of 5 rows for the network, but is .* \[4, 3\]"),
        (lambda b: {"x": b.x[:, :1]}, r"'x' must be of type torch.float32 and shape \[5, 2\] .*\[5, 1\]"),
        (lambda b: {"x": b.x.double()}, r"'x' must be of type torch.float32 .* but is torch.float64"),
        (lambda b: {"x": b.y}, r"'x' must be a tensor of 5 rows"),
        (lambda b: {"y": b.x}, r"'y' must be a tensor of 1 rows"),
        (lambda b: {"bond": b.x}, r"'bond' must be a tensor of 20 rows"),
        (lambda b: {"edge_attr": b.edge_attr[1:]}, r"'edge_attr' must be a tensor of 20 rows"),
        (lambda b: {"z": b.z.float()}, r"'z' must be .* shape \[5\] .* is torch.float32 of shape \[5\]"),
        (lambda b: {"z": b.z[:, None]}, r"'z' must be of type torch.int64 and shape \[5\] .* \[5, 1\]"),
        (lambda b: {"label": b.z}, r"'label' must be a tensor of 1 rows"),
        (lambda b: {"label": None}, r"The batch has no attribute 'label', which the network takes"),
        (lambda b: {"z": [1, 2]}, r"'z' must be a tensor of 5 rows for the network, but is list"),
    ],
)  # fmt: skip
def test_wrong_attributes_of_a_batch(change, words):
    """Of a single graph: what is one row too few would be spread over all rows without a word."""
    batch = batch_of((5,))
    model = network()
    assert model(batch, torch.zeros(1, 4))["y"].shape == (1, 2)
    with pytest.raises(ValueError, match=words):
        model(replace(batch, change(batch)), torch.zeros(1, 4))


def test_noise_levels_are_those_of_the_fields():
    with pytest.raises(ValueError, match=r"noise levels \[B, 4\] of the fields \['pos', 'x', .*got shape \[7, 3\]"):
        network()(batch_of(), torch.zeros(7, 3))
    searching = ScoreNetwork(EGNN(F, 1), {"pos": 3}, neighbors=NearestNeighbors(2))
    with pytest.raises(ValueError, match=r"noise levels \[B, 1\] of the fields \['pos'\], but got shape \[\]"):
        searching(batch_of(), torch.tensor(0.5))


RIGHT = [Field("pos", width=3), Field("x"), Field("y", "graph", width=2), Field("bond", "edge")]


@pytest.mark.parametrize("kind", [ScoreNetwork, SelfConditionedNetwork])
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ([RIGHT[1], RIGHT[0], *RIGHT[2:]], "in the same order"),
        (RIGHT[:3], "but the process has 'pos'"),
        ([*RIGHT[:3], Field("bond")], r"'bond' \(edge, 2 columns\), but the process .*'bond' \(node, 2 columns\)"),
        ([Field("pos", width=2), *RIGHT[1:]], r"'pos' \(node, 3 columns\).*'pos' \(node, 2 columns\)"),
    ],
)
def test_the_fields_of_a_process_are_those_of_its_network(kind, fields, words):
    model = kind(EGNN(F, 1, 4, 4), {"pos": 3, "x": 2, "y": 2, "bond": 2}, LEVELS)
    Denoiser(model, ForwardProcess({field: VESDE() for field in RIGHT}))
    with pytest.raises(ValueError, match=f"The network has the fields .*{words}"):
        Denoiser(model, ForwardProcess({field: VESDE() for field in fields}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b: {"x": None}, "The batch has no attribute 'x'; it has"),
        (lambda b: {"y": b.x}, r"Field 'y' \(graph level\) must have shape \[7, 2\], but has \[13, 2\]"),
        (lambda b: {"bond": b.x}, r"Field 'bond' \(edge level\) must have shape \[32, width\], but has \[13, 2\]"),
        (lambda b: {"edge_index": None}, r"Field 'bond' belongs to edges, but the batch has no edge_index"),
    ],
)
def test_a_denoiser_names_fields_that_the_batch_lacks(change, words):
    model, batch = Denoiser(network(), ForwardProcess({field: VESDE() for field in RIGHT})), batch_of()
    with pytest.raises(ValueError, match=words):
        model(replace(batch, change(batch)), torch.full((7,), 0.5))


FINDERS = {
    "radius": lambda pos, index: radius_edges(pos, index, 4, 1.5),
    "nearest within radius": lambda pos, index: radius_edges(pos, index, 4, 1.5, 2),
    "cells": lambda pos, index: radius_edges(pos, index, 4, 0.5),
    "knn": lambda pos, index: knn_edges(pos, index, 4, 3),
}


@pytest.mark.parametrize("find", FINDERS.values(), ids=FINDERS)
def test_neighbors_of_nodes_in_any_order_are_those_of_sorted_nodes(find):
    sizes = (300, 0, 700, 20)
    generator = torch.Generator().manual_seed(0)
    index = torch.arange(4).repeat_interleave(torch.tensor(sizes))
    pos, order = torch.randn(len(index), 3, generator=generator), torch.randperm(len(index), generator=generator)
    place = order.argsort()
    expected = place[find(pos, index)]
    expected = expected[:, (expected[1] * len(index) + expected[0]).argsort()]
    assert torch.equal(find(pos[order], index[order]), expected) and expected.shape[1] > 0


@pytest.mark.parametrize("find", FINDERS.values(), ids=FINDERS)
@pytest.mark.parametrize(
    ("pos", "index", "words"),
    [
        (torch.zeros(3, 3), torch.tensor([0, 1, 4]), "1 nodes are in graphs of a batch_index that is not from 0 to 3"),
        (torch.zeros(3, 3), torch.tensor([-1, -1, 1]), "2 nodes are in graphs"),
        (torch.zeros(3, 3), torch.tensor([0, 1]), r"batch_index must be torch.int64 \[3\], but is torch.int64 \[2\]"),
        (torch.zeros(3, 3), torch.zeros(3), r"batch_index must be torch.int64 \[3\], but is torch.float32 \[3\]"),
        (torch.zeros(3), torch.zeros(3).long(), r"pos must be real numbers \[N, D\], but is torch.float32 \[3\]"),
    ],
)
def test_nodes_of_no_graph_have_no_neighbors(find, pos, index, words):
    with pytest.raises(ValueError, match=words):
        find(pos, index)
