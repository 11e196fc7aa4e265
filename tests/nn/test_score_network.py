from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.func import jvp
from torch.testing import assert_close
from torch_geometric.data import Batch

from graphscore.denoiser import Denoiser
from graphscore.fields import Field, replace
from graphscore.nn import EGNN, Category, Feature, ModuleInput, ScoreNetwork, Vector
from graphscore.nn.edges.search import NearestNeighbors, RadiusNeighbors
from graphscore.process import ForwardProcess
from graphscore.sdes import VESDE
from graphscore.testing import assert_equivariant, ragged_batch

SIZES = (0, 4, 1, 0, 5, 3, 0)
T = torch.tensor([0.9, 0.01, 0.5, 0.2, 1.0, 0.3, 0.7], dtype=torch.float64)


def perturbed(network: nn.Module) -> nn.Module:
    """Outputs start at zero, which hides what is behind them: move all parameters away from there."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return network.double()


def make_network(fields=None, edges=True, inputs=None, vectors=(), **options) -> ScoreNetwork:
    fields = fields or {"pos": 3, "x": 2}
    backbone = EGNN(8, 2, edge_channels=4 if edges else 0, cond_channels=4, vector_channels=len(fields))
    inputs = {"z": Category(4), **(inputs or {}), **dict.fromkeys(vectors, Vector())}
    if edges:
        inputs["edge_attr"] = Feature(2, level="edge", fill=0.5)
    return perturbed(ScoreNetwork(backbone, fields, inputs, **options))


VECTORS = ("velocity", "force")


def batch_with_vectors(dim: int = 3) -> Batch:
    batch = ragged_batch(SIZES, dim=dim)
    generator = torch.Generator().manual_seed(1)
    for name in VECTORS:
        batch[name] = torch.randn(13, dim, generator=generator).double()
    return batch


def make_denoiser(zero_mean: bool = True, dim: int = 3, **options) -> Denoiser:
    process = ForwardProcess({Field("pos", zero_mean=zero_mean): VESDE(), Field("x"): VESDE(5.0)})
    return Denoiser(make_network({"pos": dim, "x": 2}, **options), process)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_network_equivariance(dim):
    network, levels = make_network({"pos": dim, "x": 2}), torch.randn(7, 2).double()
    assert_equivariant(
        lambda batch: network(batch, levels), ragged_batch(SIZES, dim=dim),
        inputs={"pos": "position"}, outputs={"pos": "vector", "x": "scalar"},
    )  # fmt: skip


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("method", ["forward", "score"])
def test_denoiser_equivariance(dim, method):
    """Zero-mean positions: estimates turn with the graph, and do not know where it was."""
    model = make_denoiser(dim=dim)
    batch = model.process.perturb(ragged_batch(SIZES, dim=dim), T).batch
    assert_equivariant(
        lambda b: getattr(model, method)(b, T), batch,
        inputs={"pos": "position"}, outputs={"pos": "vector", "x": "scalar"},
    )  # fmt: skip


def test_denoiser_of_free_positions_estimates_turn_with_the_graph():
    model = make_denoiser(zero_mean=False)
    batch = model.process.perturb(ragged_batch(SIZES), T).batch
    assert_equivariant(
        lambda b: model(b, T), batch, inputs={"pos": "vector"}, outputs={"pos": "vector", "x": "scalar"},
        transforms=("rotation", "reflection", "permutation"),
    )  # fmt: skip


def test_a_graph_alone_gives_the_same_as_in_a_batch():
    model = make_denoiser()
    batch = model.process.perturb(ragged_batch(SIZES), T).batch
    together = model(batch, T)
    for graph in range(7):
        alone = model(Batch.from_data_list([batch[graph]]), T[graph : graph + 1])
        rows = batch.batch == graph
        assert_close(alone, {name: value[rows] for name, value in together.items()}, rtol=0, atol=1e-12)


def test_each_graph_is_told_its_own_noise_level():
    network, batch = make_network(), ragged_batch(SIZES)
    levels = torch.randn(7, 2).double()
    before = network(batch, levels)
    for field in range(2):
        changed = levels.clone()
        changed[4, field] += 0.5
        after = network(batch, changed)
        for name in ("pos", "x"):
            differs = (after[name] != before[name]).any(-1)
            assert torch.equal(differs, batch.batch == 4)


def test_no_gradient_crosses_between_graphs():
    model = make_denoiser()
    batch = model.process.perturb(ragged_batch(SIZES), T).batch
    batch = replace(batch, {"pos": batch.pos.requires_grad_(), "x": batch.x.requires_grad_()})
    output = model(batch, T)
    mine = batch.batch == 1
    loss = output["pos"][mine].square().sum() + output["x"][mine].square().sum()
    for gradient in torch.autograd.grad(loss, (batch.pos, batch.x)):
        assert (gradient[~mine] == 0).all() and (gradient[mine] != 0).any()


def test_graphs_without_positions():
    """``positions=None``: a plain message-passing network for features."""
    network = make_network({"x": 2}, positions=None)
    batch = ragged_batch(SIZES)
    output = network(batch, torch.zeros(7, 1).double())
    assert set(output) == {"x"} and output["x"].shape == (13, 2)
    del batch.pos
    assert torch.equal(network(batch, torch.zeros(7, 1).double())["x"], output["x"])


def test_positions_that_are_given_and_do_not_diffuse():
    network, batch = make_network({"x": 2}), ragged_batch(SIZES)
    levels = torch.zeros(7, 1).double()
    output = network(batch, levels)
    assert set(output) == {"x"}
    moved = network(replace(batch, {"pos": 1.5 * batch.pos}), levels)
    assert not torch.allclose(moved["x"], output["x"])


@pytest.mark.parametrize("what", ["z", "x", "edge_attr", "pos"])
def test_every_input_counts(what):
    network, batch = make_network(), ragged_batch(SIZES)
    levels = torch.zeros(7, 2).double()
    value = 3 - batch.z if what == "z" else 1.5 * batch[what]
    before, after = network(batch, levels), network(replace(batch, {what: value}), levels)
    assert all(not torch.allclose(before[name], after[name]) for name in before)


def test_channels_for_which_there_is_nothing_and_missing_ones_are_named():
    with pytest.raises(ValueError, match="edge_channels=0, but the inputs of edges are"):
        ScoreNetwork(EGNN(8, 1, edge_channels=0), {"pos": 3}, {"edge_attr": Feature(2, level="edge")})
    with pytest.raises(ValueError, match="edge_channels=4, but the inputs of edges are"):
        ScoreNetwork(EGNN(8, 1, edge_channels=4, cond_channels=4), {"pos": 3})
    with pytest.raises(ValueError, match="cond_channels > 0"):
        ScoreNetwork(EGNN(8, 1, cond_channels=0), {"pos": 3})


def test_one_node_and_edgeless_graphs_are_finite():
    model = make_denoiser()
    for sizes in ((1,), (1, 0), (3,), (0,)):
        batch, t = ragged_batch(sizes, edgeless=(3,)), torch.full((len(sizes),), 0.5)
        output = model(batch, t)
        assert all(value.isfinite().all() for value in output.values())
        assert output["pos"].shape == (sum(sizes), 3)


def test_graph_inputs_tell_each_graph_its_own():
    inputs = {"label": Category(3, level="graph"), "y": Feature(2, level="graph")}
    inputs["energy"] = ModuleInput(lambda channels: nn.Linear(1, channels, bias=False), level="graph")
    network, batch = make_network(inputs=inputs), ragged_batch(SIZES)
    batch.label, batch.energy = torch.tensor([0, 1, 2, 0, 1, 2, 0]), torch.randn(7).double()
    levels = torch.randn(7, 2).double()
    before = network(batch, levels)
    for name, change in (("label", 1), ("y", 0.5), ("energy", 0.5)):
        value = batch[name].clone()
        value[4] += change
        after = network(replace(batch, {name: value}), levels)
        assert all(torch.equal((after[out] != before[out]).any(-1), batch.batch == 4) for out in before)
    matrix = replace(batch, {"energy": batch.energy[:, None]})
    assert all(torch.equal(value, before[name]) for name, value in network(matrix, levels).items())


FINDERS = {"knn": NearestNeighbors(2), "radius": RadiusNeighbors(1.5)}


@pytest.mark.parametrize("find", FINDERS.values(), ids=FINDERS)
def test_found_neighbors_keep_every_symmetry(find):
    model = make_denoiser(neighbors=find)
    batch = model.process.perturb(ragged_batch(SIZES), T).batch
    batch = replace(batch, {"edge_index": batch.edge_index[:, ::3], "edge_attr": batch.edge_attr[::3]})
    assert_equivariant(
        lambda b: model(b, T), batch, inputs={"pos": "position"}, outputs={"pos": "vector", "x": "scalar"}
    )
    together = model(batch, T)
    for graph in range(7):
        rows, edges = batch.batch == graph, batch.batch[batch.edge_index[0]] == graph
        alone = Batch.from_data_list([ragged_batch(SIZES)[graph]])
        alone = replace(alone, {name: batch[name][rows] for name in ("pos", "x", "z")})
        start = int(batch.ptr[graph])
        edge_index = batch.edge_index[:, edges] - start
        alone = replace(alone, {"edge_index": edge_index, "edge_attr": batch.edge_attr[edges]})
        output = model(alone, T[graph : graph + 1])
        assert_close(output, {name: value[rows] for name, value in together.items()}, rtol=0, atol=1e-12)


def test_neighbors_are_found_from_the_positions_of_the_call():
    """The same outputs as with the edges and their attributes given, for positions at two noise levels."""
    find = NearestNeighbors(2)
    network = make_network({"pos": 3}, edges=True, neighbors=find)
    plain = make_network({"pos": 3}, edges=True)
    plain.load_state_dict(network.state_dict())
    batch, levels = ragged_batch(SIZES), torch.zeros(7, 1).double()
    few = replace(batch, {"edge_index": batch.edge_index[:, :0], "edge_attr": batch.edge_attr[:0]})
    sets = []
    for pos in (batch.pos, torch.randn(13, 3).double()):
        edge_index = find(pos, batch.batch, 7)
        filled = torch.full((edge_index.shape[1], 2), 0.5).double()
        given = replace(batch, {"pos": pos, "edge_index": edge_index, "edge_attr": filled})
        assert torch.equal(network(replace(few, {"pos": pos}), levels)["pos"], plain(given, levels)["pos"])
        sets.append(edge_index)
    assert not torch.equal(*sets)


def test_point_clouds_need_no_edges_of_their_own():
    network = make_network({"pos": 3}, edges=False, neighbors=NearestNeighbors(2))
    batch = ragged_batch(SIZES)
    expected = network(replace(batch, {"edge_index": batch.edge_index[:, :0]}), torch.zeros(7, 1).double())["pos"]
    del batch.edge_index
    assert torch.equal(network(batch, torch.zeros(7, 1).double())["pos"], expected) and (expected != 0).any()


@pytest.mark.parametrize("find", FINDERS.values(), ids=FINDERS)
def test_derivatives_of_both_modes_pass_found_neighbors(find):
    """Edges are piecewise constant: both derivatives are those of the network on fixed edges."""
    network, batch = make_network({"pos": 3}, edges=False, neighbors=find), ragged_batch(SIZES)
    direction = torch.randn(13, 3).double()

    def outputs(pos):
        return network(replace(batch, {"pos": pos}), torch.zeros(7, 1).double())["pos"]

    _, forward = jvp(outputs, (batch.pos,), (direction,))
    step = 1e-6 * direction
    assert_close(forward, (outputs(batch.pos + step) - outputs(batch.pos - step)) / 2e-6, rtol=1e-6, atol=1e-6)
    pos = batch.pos.clone().requires_grad_()
    weights = torch.randn(13, 3).double()
    (backward,) = torch.autograd.grad((outputs(pos) * weights).sum(), pos)
    assert_close((backward * direction).sum(), (forward * weights).sum())


def test_every_parameter_of_every_option_gets_a_gradient():
    network = make_network(
        {"pos": 3, "x": 2, "velocity": 3}, vectors=VECTORS, inputs={"y": Feature(2, level="graph")},
        neighbors=NearestNeighbors(2),
    )  # fmt: skip
    outputs = network(batch_with_vectors(), torch.randn(7, 3).double())
    sum(value.square().sum() for value in outputs.values()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and bool((parameter.grad != 0).any()), (
            name
        )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"vectors": VECTORS}, r"vector_channels=1, but the vector fields are \['pos', 'velocity'\]"),
        ({"vectors": {"pos"}}, "'pos' are the positions: name other attributes as inputs"),
        ({"vectors": {"force"}, "positions": None}, "need positions"),
        ({"neighbors": NearestNeighbors(1), "positions": None}, "need positions"),
        ({"process": {"pos": 3, "x": 2}, "vectors": {"x"}, "wide": 2}, "same number of columns, but have .*'x': 2"),
    ],
)
def test_options_that_do_not_fit_are_named(options, words):
    options = {"process": {"pos": 3, "velocity": 3}, "wide": 1, **options}
    options["inputs"] = dict.fromkeys(options.pop("vectors", ()), Vector())
    backbone = EGNN(8, 1, cond_channels=4, vector_channels=options.pop("wide"))
    with pytest.raises(ValueError, match=words):
        ScoreNetwork(backbone, **options)


@pytest.mark.parametrize("what", ["z", "x", "edge_attr", "pos", "force", "y"])
def test_missing_attributes_are_named(what):
    network = make_network(vectors={"force"}, inputs={"y": Feature(2, level="graph")})
    batch = batch_with_vectors()
    del batch[what]
    with pytest.raises(ValueError, match=f"no attribute {what!r}, which the network takes; it has .*'edge_index'"):
        network(batch, torch.zeros(7, 2).double())
