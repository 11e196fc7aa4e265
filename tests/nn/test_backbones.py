"""What every backbone of the registry promises: symmetry, independence of graphs, and finite numbers everywhere."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from torch_geometric.data import Batch

from graphscore.fields import replace
from graphscore.nn import BACKBONES
from graphscore.testing import assert_equivariant, ragged_batch

SIZES = (0, 4, 1, 0, 5, 3, 0)
HIDDEN = 8


def perturbed(module: nn.Module) -> nn.Module:
    """Outputs start at zero, which hides what is behind them: move all parameters away from there."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return module.double()


@pytest.fixture(params=BACKBONES)
def make(request):
    def build(**options):
        options = {"edge_channels": 2, "cond_channels": 3, "vector_channels": 2, **options}
        return perturbed(BACKBONES[request.param](HIDDEN, num_layers=3, **options))

    return build


def batch_with_features(sizes=SIZES, **options) -> Batch:
    batch = ragged_batch(sizes, **options)
    batch.h, batch.cond = torch.randn(batch.num_nodes, HIDDEN).double(), torch.randn(batch.num_graphs, 3).double()
    return batch


def call(backbone, batch):
    edge_attr = batch.edge_attr if backbone.edge_channels else None
    cond = batch.cond[:, : backbone.cond_channels]
    scalars, vectors = backbone(batch.h, batch.pos, batch.edge_index, batch.batch, cond, edge_attr)
    return {"scalars": scalars, "vectors": vectors}


@pytest.mark.parametrize("dim", [0, 1, 2, 3])
@pytest.mark.parametrize("vector_channels", [1, 2])
def test_equivariance(make, dim, vector_channels):
    backbone = make(vector_channels=vector_channels)
    batch = batch_with_features(dim=dim)
    assert_equivariant(
        lambda b: call(backbone, b),
        batch,
        inputs={"pos": "position"},
        outputs={"scalars": "scalar", "vectors": "vector"},
    )
    output = call(backbone, batch)
    assert output["scalars"].shape == (13, HIDDEN) and output["vectors"].shape == (13, vector_channels, dim)
    assert dim == 0 or float(output["vectors"].detach().abs().max()) > 1e-3


@pytest.mark.parametrize("what", ["pos", "h", "cond", "edge_attr"])
def test_every_input_counts(make, what):
    backbone, batch = make(), batch_with_features()
    before, after = (call(backbone, b) for b in (batch, replace(batch, {what: 1.1 * batch[what]})))
    for name in before:
        assert float((before[name] - after[name]).detach().abs().max()) > 1e-4


def test_a_graph_alone_gives_the_same_as_in_a_batch(make):
    backbone, batch = make(), batch_with_features()
    together = call(backbone, batch)
    start = 0
    for graph, size in enumerate(SIZES):
        rows = slice(start, start + size)
        data = batch[graph].update({"h": batch.h[rows], "cond": batch.cond[graph : graph + 1]})
        alone = call(backbone, Batch.from_data_list([data]))
        for name, value in alone.items():
            assert_close(value, together[name][rows], rtol=0, atol=1e-12)
        start += size


def test_no_gradient_crosses_between_graphs(make):
    backbone, batch = make(), batch_with_features()
    batch.pos.requires_grad_()
    batch.h.requires_grad_()
    output = call(backbone, batch)
    mine = batch.batch == 4
    loss = output["scalars"][mine].square().sum() + output["vectors"][mine].square().sum()
    for gradient in torch.autograd.grad(loss, (batch.pos, batch.h)):
        assert (gradient[~mine] == 0).all() and (gradient[mine] != 0).any()


def test_every_parameter_gets_a_finite_gradient(make):
    backbone, batch = make(), batch_with_features()
    output = call(backbone, batch)
    (output["scalars"].square().sum() + output["vectors"].square().sum()).backward()
    for name, parameter in backbone.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert bool((parameter.grad != 0).any()), name


@pytest.mark.parametrize("case", ["coincident", "far", "near", "edgeless", "empty"])
def test_hard_geometries_give_finite_values_and_two_finite_gradients(make, case):
    backbone, batch = make(), batch_with_features((0,) if case == "empty" else SIZES)
    factor = {"coincident": 0.0, "far": 1e4, "near": 1e-9}.get(case, 1.0)
    batch.pos = (factor * batch.pos).requires_grad_()
    if case == "edgeless":
        batch.edge_index, batch.edge_attr = batch.edge_index[:, :0], batch.edge_attr[:0]
    output = call(backbone, batch)
    loss = output["scalars"].square().sum() + output["vectors"].square().sum()
    (gradient,) = torch.autograd.grad(loss, batch.pos, create_graph=True)
    (gradient.square().sum() + loss).backward()
    gradients = [parameter.grad for parameter in backbone.parameters() if parameter.grad is not None]
    assert len(gradients) > 5
    for value in (*output.values(), gradient, batch.pos.grad, *gradients):
        assert value.isfinite().all()


def test_one_node_graphs_do_not_move(make):
    backbone, batch = make(), batch_with_features((1, 1))
    assert (call(backbone, batch)["vectors"] == 0).all()


def test_inputs_are_not_changed(make):
    backbone, batch = make(), batch_with_features()
    copies = {name: batch[name].clone() for name in ("h", "pos", "cond", "edge_attr")}
    call(backbone, batch)
    assert all(torch.equal(batch[name], value) for name, value in copies.items())


def test_without_edge_attributes_or_condition(make):
    backbone = make(edge_channels=0, cond_channels=0)
    output = call(backbone, batch_with_features())
    assert all(value.isfinite().all() for value in output.values())


def test_scales_with_dense_graphs(make):
    """Sums over neighbors are normalised: a graph of 100 nodes gives displacements of the size of one of 5."""
    backbone = make()
    small, large = (
        float(call(backbone, batch_with_features((n,) * k))["vectors"].detach().square().mean().sqrt())
        for n, k in ((5, 20), (100, 1))
    )
    assert 0.1 < large / small < 10


def test_float32_is_kept(make):
    backbone = make().float()
    batch = batch_with_features(dtype=torch.float32)
    batch.h, batch.cond = batch.h.float(), batch.cond.float()
    assert all(value.dtype == torch.float32 for value in call(backbone, batch).values())


def test_state_dict_round_trip(make):
    one, two = make(), make()
    batch = batch_with_features()
    two.load_state_dict(one.state_dict())
    for a, b in zip(call(one, batch).values(), call(two, batch).values(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    "options", [{"vector_channels": 0}, {"edge_channels": -1}, {"cond_channels": -1}], ids=lambda o: str(*o)
)
def test_bad_sizes_are_rejected(make, options):
    with pytest.raises(ValueError):
        make(**options)
