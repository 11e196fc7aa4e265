"""Real modules of PyTorch Geometric and e3nn, and custom functions, as backbones."""

from __future__ import annotations

import pytest
import torch
import torch_geometric.nn as pyg
from torch import nn
from torch.testing import assert_close

from graphscore.denoiser import Denoiser
from graphscore.fields import Field, replace
from graphscore.nn import EGNN, Feature, ScoreNetwork
from graphscore.nn.backbones.adapters import IrrepsReadout, ModuleBackbone
from graphscore.process import ForwardProcess
from graphscore.sdes import VESDE
from graphscore.testing import assert_batch_independent, assert_equivariant, ragged_batch

SIZES = (0, 4, 1, 0, 5, 3, 0)
F = 8


class Layer(nn.Module):
    """One layer of GPS, without the normalisation over the batch that is its default."""

    def __init__(self):
        super().__init__()
        self.gps = pyg.GPSConv(F, pyg.GINEConv(nn.Linear(F, F), edge_dim=16), heads=2, norm="layer_norm")

    def forward(self, x, edge_index, batch, edge_attr):
        return self.gps(x, edge_index, batch, edge_attr=edge_attr)


X = {"x": "h", "edge_index": "edge_index"}
PYG = {
    "GIN": lambda: ModuleBackbone(pyg.GIN(F, F, 2), X, F, 2, 3, 2),
    "GAT": lambda: ModuleBackbone(
        pyg.GAT(F, F, 2, v2=True, edge_dim=16), {**X, "edge_attr": "edge_features"}, F, 2, 3, 2
    ),
    "GCN": lambda: ModuleBackbone(pyg.GCN(F, F, 2), {**X, "edge_weight": "edge_weight"}, F, 2, 3, 2),
    "GPS": lambda: ModuleBackbone(Layer(), {**X, "batch": "batch", "edge_attr": "edge_features"}, F, 2, 3, 2),
    "Transformer": lambda: ModuleBackbone(
        pyg.TransformerConv(F, F // 2, heads=2, edge_dim=5), {**X, "edge_attr": "edge_features"}, F, 2, 3, 2, edge_dim=5
    ),
}


def perturbed(module: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return module.double()


def make_batch(sizes=SIZES, dim=3):
    batch = ragged_batch(sizes, dim=dim)
    batch.h, batch.cond = torch.randn(batch.num_nodes, F).double(), torch.randn(batch.num_graphs, 3).double()
    return batch


def call(backbone, batch):
    edge_attr = batch.edge_attr if backbone.edge_channels else None
    cond = batch.cond[:, : backbone.cond_channels]
    scalars, vectors = backbone(batch.h, batch.pos, batch.edge_index, batch.batch, cond, edge_attr)
    return {"scalars": scalars, "vectors": vectors}


@pytest.mark.parametrize("name", PYG)
def test_modules_of_pyg_become_equivariant_backbones(name):
    backbone, batch = perturbed(PYG[name]()), make_batch()
    assert_equivariant(
        lambda b: call(backbone, b), batch,
        inputs={"pos": "position"}, outputs={"scalars": "scalar", "vectors": "vector"},
    )  # fmt: skip
    output = call(backbone, batch)
    assert output["scalars"].shape == (13, F) and output["vectors"].shape == (13, 2, 3)
    assert output["vectors"].abs().max() > 1e-2


@pytest.mark.parametrize("name", PYG)
def test_graphs_stay_independent_and_every_parameter_learns(name):
    backbone, batch = perturbed(PYG[name]()), make_batch((4, 1, 5, 3))
    assert_batch_independent(
        lambda b: call(backbone, replace(b, {"cond": b.y[:, [0, 1, 1]], "h": b.x.repeat(1, 4)})), batch,
        inputs=("pos", "x", "y"),
    )  # fmt: skip
    output = call(backbone, batch)
    (output["scalars"].square().sum() + output["vectors"].square().sum()).backward()
    for parameter_name, parameter in backbone.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), parameter_name


@pytest.mark.parametrize("name", PYG)
@pytest.mark.parametrize("what", ["pos", "h", "cond", "edge_attr"])
def test_every_input_of_a_pyg_module_counts(name, what):
    backbone, batch = perturbed(PYG[name]()), make_batch()
    before, after = (call(backbone, b) for b in (batch, replace(batch, {what: 1.1 * batch[what]})))
    assert ((before["vectors"] - after["vectors"]).abs() > 1e-4).any()


def test_a_fresh_adapter_moves_nothing():
    assert (call(PYG["GIN"]().double(), make_batch())["vectors"] == 0).all()


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_any_dimension(dim):
    assert call(perturbed(PYG["GAT"]()), make_batch(dim=dim))["vectors"].shape == (13, 2, dim)


class Recorder(nn.Module):
    """Keeps what it was called with."""

    def forward(self, **given):
        self.given = given
        return given["a"], given["b"][:, None]


def test_a_module_gets_what_it_asks_for_under_its_own_names():
    recorder, batch = Recorder(), make_batch()
    wanted = {
        "a": "h", "b": "pos", "c": "edge_index", "d": "batch", "e": "cond", "f": "edge_attr", "g": "num_graphs",
        "i": "source", "j": "target", "k": "difference", "m": "edge_features", "n": "edge_weight",
    }  # fmt: skip
    backbone = ModuleBackbone(recorder, wanted, F, 2, 3, edge_dim=7, gives_vectors=True).double()
    scalars, vectors = call(backbone, batch).values()
    given, (source, target) = recorder.given, batch.edge_index
    assert list(given) == list(wanted) and given["g"] == 7
    for name, value in {"a": batch.h, "b": batch.pos, "d": batch.batch, "e": batch.cond, "f": batch.edge_attr}.items():
        assert given[name] is value or torch.equal(given[name], value)
    assert torch.equal(given["c"], batch.edge_index)
    assert torch.equal(given["i"], source) and torch.equal(given["j"], target)
    assert torch.equal(given["k"], batch.pos[target] - batch.pos[source])
    assert given["m"].shape == (len(source), 7) and given["n"].shape == (len(source),)
    assert ((given["n"] > 0) & (given["n"] < 1)).all()
    assert scalars is given["a"] and torch.equal(vectors[:, 0], batch.pos)
    # What is not asked for has no parameters.
    assert len(list(ModuleBackbone(recorder, {"a": "h"}, F, 2, gives_vectors=True).parameters())) == 0


def test_an_adapted_backbone_gives_what_the_backbone_gives():
    """The protocol through other names is the protocol."""
    egnn, batch = perturbed(EGNN(F, 2, 2, 3)), make_batch()
    arguments = {"h": "h", "pos": "pos", "edge_index": "edge_index", "batch": "batch", "cond": "cond"}
    adapter = ModuleBackbone(egnn, {**arguments, "edge_attr": "edge_attr"}, F, 2, 3, gives_vectors=True)
    assert_close(call(adapter, batch), call(egnn, batch), rtol=0, atol=0)


def test_a_denoiser_with_a_module_of_pyg():
    network = ScoreNetwork(
        ModuleBackbone(pyg.GIN(F, F, 2), X, F, 2, 3), {"pos": 3, "x": 2}, {"edge_attr": Feature(2, level="edge")}
    )
    process = ForwardProcess({Field("pos", zero_mean=True): VESDE(), Field("x"): VESDE()})
    model, t = Denoiser(perturbed(network), process), torch.linspace(0.1, 0.9, 7).double()
    batch = process.perturb(ragged_batch(SIZES), t).batch
    assert_equivariant(
        lambda b: model(b, t), batch, inputs={"pos": "position"}, outputs={"pos": "vector", "x": "scalar"}
    )


@pytest.mark.parametrize(
    "options, match",
    [
        ({"arguments": {"x": "nodes"}}, r"can be given \['h', .*but not \['nodes'\]"),
        ({"hidden_channels": 0}, "hidden_channels and edge_dim must be at least 1, but are 0, 16"),
        ({"vector_channels": 0}, "vector_channels must be at least 1, but is 0"),
        ({"edge_dim": 0}, "must be at least 1, but are 8, 0"),
        ({"edge_channels": -1}, "edge_channels must be at least 0, but is -1"),
    ],
)
def test_bad_options_are_named(options, match):
    with pytest.raises(ValueError, match=match):
        ModuleBackbone(**{"module": nn.Identity(), "arguments": {"input": "h"}, "hidden_channels": F, **options})


@pytest.mark.parametrize(
    "function, gives_vectors, match",
    [
        (lambda x: x[:, :3], False, r"of the shapes \[\(13, 8\)\], but it returned \[\(13, 3\)\]"),
        (lambda x: (x, x), False, r"\[\(13, 8\)\], but it returned \['tuple'\]"),
        (lambda x: x, True, r"\[\(13, 8\), \(13, 1, 3\)\], but it returned \[\(13, 8\)\]"),
        (lambda x: (x, None), True, r"returned \[\(13, 8\), 'NoneType'\]"),
    ],
)
def test_modules_that_return_something_else_are_named(function, gives_vectors, match):
    backbone = ModuleBackbone(function, {"x": "h"}, F, gives_vectors=gives_vectors).double()
    with pytest.raises(ValueError, match=match):
        call(backbone, make_batch())


def test_irreps_are_read_in_their_places():
    """Scalars and vectors from several blocks, in order; other irreps, pseudoscalars and pseudovectors not at all."""
    irreps = "2x0e + 1x1o + 3x0o + 1e + 2x2e + 0e + 2x1o"
    features = torch.randn(5, 2 + 3 + 3 + 3 + 10 + 1 + 6)
    readout = IrrepsReadout(lambda: features, irreps, F, vector_channels=2)
    nn.init.normal_(readout.vector.weight)
    scalars, vectors = readout()
    assert_close(scalars, readout.scalar(features[:, [0, 1, 21]]))
    blocks = torch.stack([features[:, start : start + 3] for start in (2, 22, 25)], dim=1)
    assert_close(vectors, torch.einsum("vk,nkc->nvc", readout.vector.weight, blocks))
    fresh = IrrepsReadout(lambda: features, irreps, F)()
    assert fresh[0].shape == (5, F) and (fresh[1] == 0).all()


@pytest.mark.parametrize(
    "irreps, match",
    [
        ("2x0e+f", r"written like '64x0e\+16x1o', but the irreps '2x0e\+f' have 'f'"),
        ("", "have ''"),
        ("4x0e+2x1e", "needs scalars 0e and vectors 1o, but the module gives '4x0e.2x1e'"),
        ("4x1o", "needs scalars 0e"),
    ],
)
def test_irreps_that_cannot_be_read_are_named(irreps, match):
    with pytest.raises(ValueError, match=match):
        IrrepsReadout(nn.Identity(), irreps, F)


def test_another_number_of_features_than_that_of_the_irreps_is_named():
    with pytest.raises(ValueError, match="'2x0e.1o' have 5 features, but the module gave 4"):
        IrrepsReadout(nn.Identity(), "2x0e+1o", F)(torch.zeros(3, 4))


def make_e3nn(parity: bool) -> ModuleBackbone:
    """Two layers of tensor products of e3nn, the second with vectors and tensors coming in; float64 constants."""
    o3 = pytest.importorskip("e3nn.o3")

    class Convolution(nn.Module):
        def __init__(self):
            super().__init__()
            hidden = f"{F}x0e+4x1o+2x1e+2x2e" if parity else f"{F}x0e+4x1e+2x2e"
            harmonics = "1x0e+1x1o+1x2e" if parity else "1x0e+1x1e+1x2e"
            self.harmonics = o3.SphericalHarmonics(harmonics, True, irreps_in="1o" if parity else "1e")
            self.products, self.irreps_out = nn.ModuleList(), o3.Irreps(hidden)
            for before in (f"{F}x0e", hidden):
                self.products.append(o3.FullyConnectedTensorProduct(before, harmonics, hidden))

        def forward(self, node_features, edge_src, edge_dst, edge_vec):
            harmonics = self.harmonics(edge_vec)
            for product in self.products:
                messages = product(node_features[edge_src], harmonics)
                node_features = messages.new_zeros(len(node_features), messages.shape[1]).index_add(
                    0, edge_dst, messages
                )
            return node_features

    arguments = {"node_features": "h", "edge_src": "source", "edge_dst": "target", "edge_vec": "difference"}
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        module = Convolution()
    finally:
        torch.set_default_dtype(default)
    irreps = str(module.irreps_out)
    readout = IrrepsReadout(module, irreps if parity else irreps.replace("1e", "1o"), F, 2)
    return perturbed(ModuleBackbone(readout, arguments, F, 0, 3, 2, gives_vectors=True))


@pytest.mark.parametrize("parity", [True, False])
def test_modules_of_e3nn_become_equivariant_backbones(parity):
    backbone, batch = make_e3nn(parity), make_batch()
    everything = {"inputs": {"pos": "position"}, "outputs": {"scalars": "scalar", "vectors": "vector"}}
    proper = ("rotation", "translation", "permutation")
    assert_equivariant(lambda b: call(backbone, b), batch, transforms=proper, **everything)
    assert call(backbone, batch)["vectors"].abs().max() > 1e-2
    if parity:
        assert_equivariant(lambda b: call(backbone, b), batch, transforms=("reflection",), **everything)
    else:
        with pytest.raises(AssertionError, match="reflection"):
            assert_equivariant(lambda b: call(backbone, b), batch, transforms=("reflection",), **everything)
