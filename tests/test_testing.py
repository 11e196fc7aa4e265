from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from graphscore import ops
from graphscore.fields import Field, replace
from graphscore.process import ForwardProcess
from graphscore.sdes import VESDE
from graphscore.testing import GaussianMixtureScore, GaussianScore, assert_equivariant, ragged_batch

SIZES = (0, 4, 1, 0, 5, 3, 0)
T = torch.tensor([0.9, 0.01, 0.5, 0.2, 1.0, 0.3, 0.7], dtype=torch.float64)


@pytest.fixture(params=["ve", "vp"])
def sde(request, vp):
    return vp if request.param == "vp" else VESDE()


def with_means(batch, components=3, width=3):
    means = torch.randn(batch.num_nodes, components, width, dtype=torch.float64)
    return replace(batch, {"means": means, "mean": means[:, 0]})


def gradient(log_density, x):
    x = x.detach().requires_grad_()
    return torch.autograd.grad(log_density(x).sum(), x)[0]


@pytest.mark.parametrize("zero_mean", [False, True])
@pytest.mark.parametrize("mean", [0.5, "mean"])
def test_gaussian_score_is_the_gradient_of_the_log_density(sde, zero_mean, mean):
    field = Field("pos", zero_mean=zero_mean)
    model = GaussianScore(ForwardProcess({field: sde}), mean, std=0.7)
    batch = with_means(ragged_batch(SIZES))
    batch.pos = field.project(batch.pos, batch.batch, 7)
    m = batch.mean if mean == "mean" else torch.full((13, 3), 0.5).double()

    def log_density(x):
        alpha, std = (c[batch.batch, None] for c in (sde.alpha(T), sde.std(T)))
        difference = field.project(x - alpha * m, batch.batch, 7)
        return torch.distributions.Normal(0.0, ((0.7 * alpha) ** 2 + std**2).sqrt()).log_prob(difference)

    assert_close(model.score(batch, T)["pos"], gradient(log_density, batch.pos), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("zero_mean, per_graph", [(False, False), (False, True), (True, True)])
@pytest.mark.parametrize("weights", [None, [0.5, 0.2, 0.3]])
def test_mixture_score_is_the_gradient_of_the_log_density(sde, zero_mean, per_graph, weights):
    field = Field("pos", zero_mean=zero_mean)
    model = GaussianMixtureScore(ForwardProcess({field: sde}), std=0.3, weights=weights, per_graph=per_graph)
    batch = with_means(ragged_batch(SIZES))
    batch.pos = field.project(batch.pos, batch.batch, 7)

    def log_density(x):
        alpha, std = (c[batch.batch, None, None] for c in (sde.alpha(T), sde.std(T)))
        difference = field.project(x[:, None] - alpha * batch.means, batch.batch, 7)
        logs = torch.distributions.Normal(0.0, ((0.3 * alpha) ** 2 + std**2).sqrt()).log_prob(difference).sum(-1)
        if per_graph:
            logs = torch.stack([part.sum(0) for part in logs.split(SIZES)])
        return (logs + torch.tensor(weights or [1.0, 1.0, 1.0], dtype=x.dtype).log()).logsumexp(-1)

    assert_close(model.score(batch, T)["pos"], gradient(log_density, batch.pos), rtol=1e-9, atol=1e-9)


def test_a_mixture_of_one_is_the_gaussian(sde):
    process = ForwardProcess({Field("pos", zero_mean=True): sde})
    batch = with_means(ragged_batch(SIZES), components=1)
    batch.pos = ops.center(batch.pos, batch.batch, 7)
    assert_close(GaussianMixtureScore(process)(batch, T), GaussianScore(process, "mean")(batch, T))


def test_gaussian_samples_have_the_stated_moments():
    process = ForwardProcess({Field("pos", scale=2.0): VESDE(), Field("y", "graph"): VESDE()})
    model = GaussianScore(process, mean=3.0, std=0.5)
    sample = model.sample(ragged_batch([20] * 500), torch.Generator().manual_seed(0), torch.float64)
    for name, scale in (("pos", 2.0), ("y", 1.0)):
        x = sample[name]
        assert float(x.mean()) == pytest.approx(3 * scale, abs=4 * 0.5 * scale / x.numel() ** 0.5)
        assert float(x.std()) == pytest.approx(0.5 * scale, rel=4 / (2 * x.numel()) ** 0.5)


@pytest.mark.parametrize("per_graph", [False, True])
def test_mixture_samples_have_the_stated_moments(per_graph):
    model = GaussianMixtureScore(
        ForwardProcess({Field("pos"): VESDE()}), std=0.1, weights=[0.8, 0.2], per_graph=per_graph
    )
    batch = ragged_batch([0, 3, 1] * 700, dim=1)
    batch.means = torch.tensor([[[-1.0], [1.0]]]).double().expand(batch.num_nodes, 2, 1)
    x = model.sample(batch, torch.Generator().manual_seed(0)).pos
    assert x.dtype == torch.float64
    assert float((x > 0).double().mean()) == pytest.approx(0.2, abs=0.05)
    assert float((x.abs() - 1).std()) == pytest.approx(0.1, rel=0.05)
    one_sign = (ops.mean(x.sign(), batch.batch, batch.num_graphs).abs() == 1)[1::3]
    assert bool(one_sign.all()) == per_graph


def test_flow_is_that_of_the_ordinary_differential_equation(sde):
    """The slope of the closed form equals ``f x - g^2 score / 2``."""
    process = ForwardProcess({Field("pos", zero_mean=True): sde})
    model, batch = GaussianScore(process, "mean", std=0.6), with_means(ragged_batch(SIZES))
    batch.pos = ops.center(batch.pos, batch.batch, 7)
    t, h = torch.full((7,), 0.4).double(), 1e-6
    ahead, behind = (model.flow(batch, t, t + d).pos for d in (h, -h))
    t_rows = t[batch.batch]
    expected = sde.drift(batch.pos, t_rows) - sde.diffusion(t_rows)[:, None] ** 2 / 2 * model.score(batch, t)["pos"]
    assert_close((ahead - behind) / (2 * h), expected, rtol=1e-7, atol=1e-7)


def test_a_mixture_of_independent_rows_cannot_be_zero_mean():
    with pytest.raises(ValueError, match="not independent"):
        GaussianMixtureScore(ForwardProcess({Field("pos", zero_mean=True): VESDE()}), per_graph=False)


def test_ragged_batch():
    batch = ragged_batch((0, 4, 1, 3), edgeless=(3,), dim=2, channels=5, dtype=torch.float32)
    assert batch.num_graphs == 4 and batch.ptr.tolist() == [0, 0, 4, 5, 8]
    assert batch.pos.shape == (8, 2) and batch.x.shape == (8, 5) and batch.x.dtype == torch.float32
    assert batch.edge_index.shape == (2, 12) and batch.edge_attr.shape == (12, 5) and batch.y.shape == (4, 5)
    assert {tuple(edge) for edge in batch.edge_index.T.tolist()} == {
        (i, j) for i in range(4) for j in range(4) if i != j
    }
    assert torch.equal(ragged_batch((3,), seed=1).pos, ragged_batch((3,), seed=1).pos)
    assert not torch.equal(ragged_batch((3,), seed=1).pos, ragged_batch((3,), seed=2).pos)


INPUTS, OUTPUTS = (
    {"pos": "position"},
    {"vector": "vector", "position": "position", "scalar": "scalar", "graph": "vector"},
)


def equivariant(batch):
    source, target = batch.edge_index
    difference = batch.pos[target] - batch.pos[source]
    vector = ops.sum(difference * batch.edge_attr[:, :1], target, batch.num_nodes)
    return {
        "vector": vector,
        "position": batch.pos + vector,
        "scalar": vector.square().sum(-1, keepdim=True) * batch.x + batch.y[batch.batch],
        "graph": ops.sum(vector * batch.x[:, :1], batch.batch, batch.num_graphs),
    }


@pytest.mark.parametrize("dim", [0, 1, 2, 3, 5])
def test_assert_equivariant_passes_what_is(dim):
    assert_equivariant(equivariant, ragged_batch(SIZES, dim=dim), inputs=INPUTS, outputs=OUTPUTS)


def test_assert_equivariant_takes_stacked_vectors():
    def stacked(batch):
        vector = equivariant(batch)["vector"]
        return {"vector": torch.stack([vector, 2 * vector], 1), "position": batch.pos[:, None].expand(-1, 2, -1)}

    outputs = {"vector": "vector", "position": "position"}
    assert_equivariant(stacked, ragged_batch(SIZES), inputs=INPUTS, outputs=outputs)


BROKEN = {
    "rotation": lambda b: b.pos * torch.tensor([1.0, 1.0, 1.001]).double(),
    "reflection": lambda b: torch.linalg.cross(b.pos, ops.sum(b.pos, b.batch, 7)[b.batch]),
    "translation": lambda b: b.pos,
    "permutation": lambda b: equivariant(b)["vector"] * (1 + 1e-6 * torch.arange(13)[:, None]),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_assert_equivariant_finds_each_broken_symmetry(broken):
    def function(batch):
        return {"out": BROKEN[broken](batch)}

    with pytest.raises(AssertionError) as caught:
        assert_equivariant(function, ragged_batch(SIZES), inputs=INPUTS, outputs={"out": "vector"})
    lines = [line for line in str(caught.value).splitlines() if line.startswith(broken)]
    assert len(lines) == 1 and lines[0].endswith("<- too large")
    others = tuple(name for name in BROKEN if name != broken)
    if broken in ("translation", "permutation"):
        assert_equivariant(function, ragged_batch(SIZES), inputs=INPUTS, outputs={"out": "vector"}, transforms=others)


def test_a_chiral_function_passes_without_reflection():
    def chiral(batch):
        center = ops.center(batch.pos, batch.batch, 7)
        pull = ops.sum(center * batch.x[:, :1], batch.batch, 7)[batch.batch]
        return {"out": torch.linalg.cross(center, pull)}

    arguments = {"inputs": INPUTS, "outputs": {"out": "vector"}}
    with pytest.raises(AssertionError, match=r"rotation .*e-1\d\nreflection .* too large\ntranslation .*e-1\d\n"):
        assert_equivariant(chiral, ragged_batch(SIZES), **arguments)
    assert_equivariant(chiral, ragged_batch(SIZES), **arguments, transforms=("rotation", "translation", "permutation"))


def test_assert_equivariant_rejects_values_that_are_not_finite():
    with pytest.raises(AssertionError, match="nan"):
        assert_equivariant(
            lambda b: {"out": b.pos / 0 * 0}, ragged_batch(SIZES), inputs=INPUTS, outputs={"out": "vector"}
        )


def test_assert_equivariant_computes_modules_in_float64_and_leaves_them_alone():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.rand(1))

        def forward(self, batch):
            return {"vector": self.scale * equivariant(batch)["vector"]}

    model = Model()
    batch = ragged_batch(SIZES, dtype=torch.float32)
    assert_equivariant(model, batch, inputs=INPUTS, outputs={"vector": "vector"})
    assert model.scale.dtype == torch.float32 and batch.pos.dtype == torch.float32


def test_assert_equivariant_needs_rows_that_it_can_tell_apart():
    with pytest.raises(ValueError, match="needs different numbers of nodes, edges and graphs, but has 2, 2 and 1"):
        assert_equivariant(equivariant, ragged_batch([2]), inputs=INPUTS, outputs=OUTPUTS)
    with pytest.raises(ValueError, match="Unknown transform 'scaling'"):
        assert_equivariant(equivariant, ragged_batch(SIZES), inputs=INPUTS, outputs=OUTPUTS, transforms=("scaling",))
