"""What every backbone of the registry promises: symmetry, independence of graphs, and finite numbers everywhere."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters
from torch_geometric.data import Batch

from graphscore.fields import replace
from graphscore.nn import BACKBONES, randomize_heads
from graphscore.testing import assert_batch_independent, assert_equivariant, ragged_batch

SIZES = (0, 4, 1, 0, 5, 3, 0)
HIDDEN = 16
TRANSFORMS = {
    "E": ("rotation", "reflection", "translation", "permutation"),
    "SE": ("rotation", "translation", "permutation"),
    "none": ("translation", "permutation"),
}
DIMENSIONS = {"E": (0, 1, 2, 3), "SE": (3,), "none": (3,)}
BY_DIMENSION = [(name, dim) for name, network in BACKBONES.items() for dim in DIMENSIONS[network.symmetry]]
KNOW_ROTATION = [name for name, network in BACKBONES.items() if network.symmetry != "none"]
ENDS = {"inputs": {"pos": "position"}, "outputs": {"scalars": "scalar", "vectors": "vector"}}


def perturbed(module: nn.Module) -> nn.Module:
    """Outputs start at zero, which hides what is behind them: move all parameters away from there."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return module.double()


def build(name: str, **options) -> nn.Module:
    options = {"num_layers": 3, "edge_channels": 2, "cond_channels": 3, "vector_channels": 2, **options}
    return perturbed(BACKBONES[name](HIDDEN, **options))


@pytest.fixture(params=BACKBONES)
def name(request):
    return request.param


@pytest.fixture
def make(name):
    return lambda **options: build(name, **options)


def batch_with_features(sizes=SIZES, **options) -> Batch:
    batch = ragged_batch(sizes, **options)
    batch.h, batch.cond = torch.randn(batch.num_nodes, HIDDEN).double(), torch.randn(batch.num_graphs, 3).double()
    return batch


def test_one_graph_needs_no_batch_and_no_condition(make):
    backbone, batch = make(edge_channels=0, cond_channels=0), batch_with_features((4, 5))
    for one in (batch_with_features((5,)), batch):
        given = (one.h, one.pos, one.edge_index)
        expected = backbone(*given, one.batch, one.h.new_zeros(one.num_graphs, 0))
        output = backbone(*given, *([one.batch] if one is batch else []))
        assert torch.equal(output[0], expected[0]) and torch.equal(output[1], expected[1])
    with pytest.raises(ValueError, match=r"cond must be a tensor \[\*, 3\], but is nothing"):
        make(edge_channels=0)(*given)


def test_vectors_start_at_zero_unless_heads_are_drawn(name):
    backbone, batch = BACKBONES[name](HIDDEN, 2, 2, 3, 2).double(), batch_with_features()
    assert (call(backbone, batch)["vectors"] == 0).all()
    outputs = call(randomize_heads(backbone), batch)
    assert outputs["vectors"][batch.batch == 4].abs().min() > 0 and outputs["scalars"].isfinite().all()


def call(backbone, batch):
    edge_attr = batch.edge_attr if backbone.edge_channels else None
    cond = batch.cond[:, : backbone.cond_channels]
    scalars, vectors = backbone(batch.h, batch.pos, batch.edge_index, batch.batch, cond, edge_attr)
    return {"scalars": scalars, "vectors": vectors}


def single(batch: Batch) -> Batch:
    """The batch in float32."""
    names = ("h", "pos", "cond", "edge_attr")
    return replace(batch, {name: batch[name].float() for name in names})


def relative_error(value: Tensor, expected: Tensor) -> float:
    difference = torch.linalg.vector_norm((value.double() - expected.double()).detach())
    return float(difference / torch.linalg.vector_norm(expected.detach().double()))


@pytest.mark.parametrize(("name", "dim"), BY_DIMENSION)
@pytest.mark.parametrize("vector_channels", [1, 2])
def test_equivariance(name, dim, vector_channels):
    backbone, batch = build(name, vector_channels=vector_channels), batch_with_features(dim=dim)
    transforms = TRANSFORMS[BACKBONES[name].symmetry]
    assert_equivariant(lambda b: call(backbone, b), batch, **ENDS, transforms=transforms)
    output = call(backbone, batch)
    assert output["scalars"].shape == (13, HIDDEN) and output["vectors"].shape == (13, vector_channels, dim)
    assert dim == 0 or float(output["vectors"].detach().abs().max()) > 1e-3


@pytest.mark.parametrize("size", [10, 200])
def test_equivariance_of_larger_graphs(name, make, size):
    """In float64 to 1e-10; in float32, where positions are rounded anew, to 1e-5 of the size of the output."""
    backbone, batch = make(), batch_with_features((size, 3))
    symmetry = BACKBONES[name].symmetry
    assert_equivariant(lambda b: call(backbone, b), batch, **ENDS, transforms=TRANSFORMS[symmetry])
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))[0]
    turn = {"E": turn, "SE": turn * torch.linalg.det(turn).sign(), "none": torch.eye(3).double()}[symmetry]
    moved = replace(batch, {"pos": batch.pos @ turn.T + torch.randn(3, dtype=torch.float64)})
    backbone.float()
    before, after = (call(backbone, single(b)) for b in (batch, moved))
    assert relative_error(after["scalars"], before["scalars"]) < 1e-5
    assert relative_error(after["vectors"], before["vectors"].double() @ turn.T) < 1e-5


def fluorochlorobromomethane(name: str) -> tuple[Batch, nn.Module]:
    """Hydrogen, fluorine, chlorine and bromine at the corners of a tetrahedron around carbon."""
    corners = torch.tensor([[0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=torch.float64)
    length = torch.tensor([0, 1.09, 1.36, 1.76, 1.94], dtype=torch.float64)
    batch = ragged_batch((5,), edgeless=())
    batch.pos, batch.edge_attr = corners / 3**0.5 * length[:, None], torch.ones(20, 2).double()
    batch.h, batch.cond = torch.randn(5, HIDDEN).double(), torch.randn(1, 3).double()
    return batch, build(name)


def energy(backbone: nn.Module, batch: Batch) -> float:
    return float(call(backbone, batch)["scalars"].detach().sum())


def test_enantiomers_are_told_apart_by_networks_that_are_not_mirror_symmetric(name):
    batch, backbone = fluorochlorobromomethane(name)
    mirrored = replace(batch, {"pos": batch.pos * torch.tensor([1, 1, -1])})
    difference = abs(energy(backbone, batch) - energy(backbone, mirrored))
    assert difference < 1e-10 if BACKBONES[name].symmetry == "E" else difference > 1e-2


@pytest.mark.parametrize("name", KNOW_ROTATION)
def test_mirror_images_of_an_achiral_molecule_are_the_same(name):
    """Two hydrogens instead of one: the mirror image is the molecule seen from the other side."""
    batch, backbone = fluorochlorobromomethane(name)
    pos, h = batch.pos.clone(), batch.h.clone()
    pos[2], h[2] = pos[2] / pos[2].norm() * pos[1].norm(), h[1]
    molecule = replace(batch, {"pos": pos, "h": h})
    mirrored = replace(molecule, {"pos": pos * torch.tensor([1, 1, -1])})
    assert energy(backbone, molecule) == pytest.approx(energy(backbone, mirrored), abs=1e-10)


@pytest.mark.parametrize("what", ["pos", "h", "cond", "edge_attr"])
def test_every_input_counts(make, what):
    backbone, batch = make(), batch_with_features()
    before, after = (call(backbone, b) for b in (batch, replace(batch, {what: 1.1 * batch[what]})))
    for name in before:
        assert float((before[name] - after[name]).detach().abs().max()) > 1e-4


def test_a_graph_alone_gives_the_same_as_in_a_batch(make):
    """Gradients across graphs are exactly zero."""
    backbone = make()

    def function(batch: Batch) -> dict[str, Tensor]:
        return call(backbone, replace(batch, {"h": batch.x.repeat(1, HIDDEN // 2), "cond": batch.y.repeat(1, 2)}))

    for sizes in (SIZES, (10, 1, 50)):
        assert_batch_independent(function, ragged_batch(sizes), inputs=("pos", "x", "edge_attr"))


@pytest.mark.parametrize("size", [10, 200])
def test_a_graph_alone_gives_the_same_in_float32(make, size):
    backbone, batch = make().float(), single(batch_with_features((3, size, 7)))
    rows, graph = slice(3, 3 + size), batch[1]
    alone = Batch.from_data_list([graph.update({"h": batch.h[rows], "cond": batch.cond[1:2]})])
    together, alone = call(backbone, batch), call(backbone, alone)
    assert all(relative_error(alone[name], together[name][rows]) < 1e-5 for name in alone)


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


@pytest.mark.parametrize("name", KNOW_ROTATION)
def test_one_node_graphs_do_not_move(name):
    """No direction is singled out."""
    backbone, batch = build(name), batch_with_features((1, 1))
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


def test_bfloat16_autocast_is_close_and_trains(make):
    backbone, batch = make().float(), single(batch_with_features((12, 30)))
    expected = call(backbone, batch)
    with torch.autocast("cpu", torch.bfloat16):
        output = call(backbone, batch)
    for name, value in output.items():
        assert relative_error(value, expected[name]) < 5e-2, name
    sum(value.float().square().sum() for value in output.values()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in backbone.parameters())


def test_a_fresh_network_gives_zero_vectors(name):
    """So that training starts from the skip connection of a denoiser."""
    batch = single(batch_with_features())
    backbone = BACKBONES[name](HIDDEN, num_layers=2, edge_channels=2, cond_channels=3)
    assert (call(backbone, batch)["vectors"] == 0).all()


def test_state_dict_round_trip(make):
    one, two = make(), make()
    batch = batch_with_features()
    two.load_state_dict(one.state_dict())
    for a, b in zip(call(one, batch).values(), call(two, batch).values(), strict=True):
        assert torch.equal(a, b)


def test_evaluates_many_positions_at_once(make):
    backbone, batch = make(), batch_with_features((4, 3))
    moved = batch.pos + torch.randn(5, *batch.pos.shape).double()
    evaluate = lambda pos: tuple(call(backbone, replace(batch, {"pos": pos})).values())  # noqa: E731
    for together, *alone in zip(torch.vmap(evaluate)(moved), *map(evaluate, moved), strict=True):
        assert relative_error(together, torch.stack(alone)) < 1e-12


def test_exporters_see_the_arguments_of_the_call(name):
    """They read them off `forward`; how-to/other-libraries.md exports a backbone."""
    call_names = list(inspect.signature(BACKBONES[name].__call__).parameters)
    assert list(inspect.signature(BACKBONES[name](HIDDEN).forward).parameters) == call_names[1:]


def test_compiles_whole_and_once_for_batches_of_any_size(make):
    """Without graph breaks; sizes of 0 and 1 are special to the compiler, others must share a graph."""
    torch._dynamo.reset()
    counters["stats"].clear()
    backbone = make(num_layers=2).float()
    compiled = torch.compile(backbone, backend="eager", fullgraph=True, dynamic=True)
    for sizes in ((4, 5, 3), (2, 7, 3, 6), (9, 8)):
        batch = single(batch_with_features(sizes))
        expected = call(backbone, batch)
        cond, edge_attr = batch.cond[:, : backbone.cond_channels], batch.edge_attr
        got = compiled(batch.h, batch.pos, batch.edge_index, batch.batch, cond, edge_attr)
        for value, other in zip(got, expected.values(), strict=True):
            assert relative_error(value, other) < 1e-5
    assert counters["stats"]["unique_graphs"] <= 2
    torch._dynamo.reset()
