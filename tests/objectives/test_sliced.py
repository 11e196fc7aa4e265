from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.denoiser import Denoiser, PlainScore, ScoreAdapter
from graphscore.fields import Field, replace
from graphscore.objectives import (
    finite_difference_sliced_score_matching,
    implicit_score_matching,
    sliced_score_matching,
)
from graphscore.process import ForwardProcess
from graphscore.rng import GraphGenerator
from graphscore.sdes import VPSDE
from graphscore.testing import observed_order, ragged_batch

SIZES = (0, 4, 1, 0, 5, 3, 0)
T = torch.tensor([0.9, 0.1, 0.5, 0.2, 1.0, 0.3, 0.7], dtype=torch.float64)


@pytest.fixture(params=[False, True], ids=["free", "zero-mean"])
def setting(request, egnn_network):
    process = ForwardProcess({Field("pos", zero_mean=request.param): VPSDE()})
    return Denoiser(egnn_network(), process), process.perturb(ragged_batch(SIZES), T).batch


def one_size(setting):
    """Five graphs of three nodes, so that all share a frame of directions."""
    model, _ = setting
    return model, model.process.perturb(ragged_batch([3] * 5, edgeless=()), T[:5]).batch


@pytest.mark.exact
@pytest.mark.parametrize("variance_reduction", [False, True])
@pytest.mark.parametrize("reduce", ["sum", "mean"])
def test_the_mean_over_a_frame_of_directions_is_the_implicit_loss(setting, draws, variance_reduction, reduce):
    model, batch = one_size(setting)
    frame = torch.eye(9, dtype=torch.float64).view(9, 3, 3)
    if model.fields["pos"].zero_mean:
        constant = torch.ones(3, 1, dtype=torch.float64)
        centered = torch.linalg.qr(torch.cat([constant, torch.eye(3).double()[:, 1:]], 1))[0][:, 1:]
        frame = torch.einsum("nk,dc->kdnc", centered, torch.eye(3).double()).reshape(6, 3, 3)
    directions = [len(frame) ** 0.5 * axis.repeat(5, 1) for axis in frame]
    sliced = sliced_score_matching(
        model,
        batch,
        T[:5],
        num_projections=len(frame),
        projection="gaussian",
        variance_reduction=variance_reduction,
        reduce=reduce,
        generator=draws(*directions),
    )["pos"]
    implicit = implicit_score_matching(model, batch, T[:5], reduce=reduce)["pos"]
    assert_close(sliced, implicit, rtol=1e-10, atol=1e-10)
    parameters = list(model.parameters())
    gradients = [
        torch.autograd.grad(loss.sum(), parameters, allow_unused=True, materialize_grads=True)
        for loss in (sliced, implicit)
    ]
    assert_close(*gradients, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("projection", ["rademacher", "gaussian"])
def test_estimates_are_unbiased_and_vary_less_with_the_exact_length(setting, projection):
    model, batch = setting
    many = Batch.from_data_list(batch.to_data_list() * 300)
    with torch.no_grad():
        implicit = implicit_score_matching(model, batch, T, reduce="sum")["pos"]
        spreads = []
        for variance_reduction in (False, True):
            estimates = sliced_score_matching(
                model, many, T.repeat(300), projection=projection, variance_reduction=variance_reduction,
                reduce="sum", generator=torch.Generator().manual_seed(2),
            )["pos"].view(300, 7)  # fmt: skip
            spreads.append(estimates.std(0))
            assert ((estimates.mean(0) - implicit).abs() <= 4 * spreads[-1] / 300**0.5 + 1e-12).all()
    # By how much is up to the network: the spread of the estimated trace, which both share, is left.
    assert float(spreads[1].norm()) < float(spreads[0].norm())
    assert spreads[0][[0, 3, 6]].tolist() == [0, 0, 0]


@pytest.mark.exact
@pytest.mark.parametrize("projection", ["rademacher", "gaussian"])
def test_with_the_exact_length_only_the_trace_of_a_linear_score_varies(projection, linear_score):
    """Its Jacobian is -a times the identity: v^T J v is constant for entries of +1 and -1, else -a |v|^2."""
    model = linear_score(ForwardProcess({Field("pos"): VPSDE()}), a=0.8)
    batch = model.process.perturb(ragged_batch([4] * 2000, edgeless=()), torch.full((2000,), 0.5).double()).batch
    batch.pos = batch.pos[:4].repeat(2000, 1)
    with torch.no_grad():
        plain, reduced = (
            sliced_score_matching(
                model, batch, torch.full((2000,), 0.5).double(), projection=projection, variance_reduction=exact,
                reduce="sum", generator=torch.Generator().manual_seed(0),
            )["pos"].std()
            for exact in (False, True)
        )  # fmt: skip
    expected = 0.0 if projection == "rademacher" else 0.8 * (2 * 12) ** 0.5
    assert float(reduced) == pytest.approx(expected, rel=0.05, abs=1e-10)
    assert float(plain) > 1.1 * float(reduced)


@pytest.mark.exact
@pytest.mark.parametrize("variance_reduction", [False, True])
def test_differences_converge_with_the_square_of_their_step(setting, variance_reduction):
    model, batch = setting
    t = T.clamp(min=0.3)

    def options():
        return {"variance_reduction": variance_reduction, "reduce": "sum", "generator": GraphGenerator(range(7))}

    exact = sliced_score_matching(model, batch, t, **options())["pos"]
    steps, errors = (0.02, 0.01, 0.005, 0.0025), []
    for step in steps:
        loss = finite_difference_sliced_score_matching(model, batch, t, step=step, **options())["pos"]
        errors.append(float((loss - exact).detach().abs().sum()))
    assert observed_order([1 / h for h in steps], errors) == pytest.approx(2, abs=0.05)


def test_the_usual_step_serves_in_single_precision(egnn_network):
    process = ForwardProcess({Field("pos", zero_mean=True): VPSDE()})
    single, double = (Denoiser(egnn_network().to(dtype), process) for dtype in (torch.float32, torch.float64))
    batch = process.perturb(ragged_batch(SIZES), T).batch
    directions = {"num_projections": 3, "reduce": "mean"}
    exact = sliced_score_matching(double, batch, T, generator=GraphGenerator(range(7)), **directions)["pos"]
    rounded = replace(batch, {name: batch[name].float() for name in ("pos", "x", "edge_attr")})
    loss = finite_difference_sliced_score_matching(
        single, rounded, T, generator=GraphGenerator(range(7)), **directions
    )["pos"]
    assert loss.dtype == torch.float32
    assert_close(loss.double(), exact, rtol=5e-3, atol=5e-3)


@pytest.mark.exact
def test_a_linear_score_has_its_closed_form():
    """``s = -x``: ``(v^T x)^2 / 2 - v^T v``, in the subspace of a zero-mean field; the same by differences."""
    batch = ragged_batch(SIZES)
    for zero_mean in (False, True):
        field = Field("pos", zero_mean=zero_mean)
        model = PlainScore(lambda batch, t: -batch.pos, [field])
        x, v = field.project(batch.pos, batch.batch, 7), torch.randn_like(batch.pos)
        inside = field.project(v, batch.batch, 7)

        class Fixed(GraphGenerator):
            def randn(self, *_, v=v):
                return v

        parts = [zip(x.split(SIZES), inside.split(SIZES), strict=True)]
        expected = torch.stack([(a * b).sum() ** 2 / 2 - b.square().sum() for a, b in parts[0]])
        for function in (sliced_score_matching, finite_difference_sliced_score_matching):
            loss = function(model, batch, T, projection="gaussian", reduce="sum", generator=Fixed(range(7)))["pos"]
            assert_close(loss, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("function", [sliced_score_matching, finite_difference_sliced_score_matching])
def test_where_a_zero_mean_batch_lies_does_not_count(function):
    model = PlainScore(lambda batch, t: -(batch.pos**3), [Field("pos", zero_mean=True)])
    batch = ragged_batch(SIZES)
    moved = replace(batch, {"pos": batch.pos + 2.0})
    here, there = (function(model, b, T, reduce="sum", generator=GraphGenerator(range(7))) for b in (batch, moved))
    assert_close(here["pos"], there["pos"])


@pytest.mark.exact
@pytest.mark.parametrize("function", [sliced_score_matching, finite_difference_sliced_score_matching])
def test_fields_of_all_levels_have_a_loss_each(function):
    """Signs as directions find the trace of a diagonal Jacobian exactly: ``s = -x / 2`` in each entry."""
    fields = [Field("x"), Field("edge_attr", "edge"), Field("y", "graph")]
    model = PlainScore(lambda batch, t: {f.name: -batch[f.name] / 2 for f in fields}, fields)
    batch = ragged_batch(SIZES)
    losses = function(model, batch, T, variance_reduction=True, reduce="sum")
    expected = implicit_score_matching(model, batch, T, reduce="sum")
    assert set(losses) == {"x", "edge_attr", "y"}
    for name, loss in losses.items():
        assert_close(loss, expected[name])


@pytest.mark.parametrize("function", [sliced_score_matching, finite_difference_sliced_score_matching])
def test_bad_arguments_are_rejected(function):
    model, batch = PlainScore(lambda batch, t: -batch.pos, [Field("pos")]), ragged_batch(SIZES)
    with pytest.raises(ValueError, match="one time per graph"):
        function(model, batch, T[:2], reduce="sum")
    with pytest.raises(ValueError, match="0 were asked for"):
        function(model, batch, T, num_projections=0, reduce="sum")
    with pytest.raises(ValueError, match="'rademacher' or 'gaussian'"):
        function(model, batch, T, projection="axes", reduce="sum")
    with pytest.raises(ValueError, match="step must be positive, but is 0"):
        finite_difference_sliced_score_matching(model, batch, T, step=0, reduce="sum")


@pytest.mark.exact
def test_the_step_is_relative_to_the_noise_where_there_is_a_process():
    """``s = -x^3``: ``(s+ - s-) / (2 h) = -(3 x^2 + h^2)`` and ``(s+ + s-) / 2 = -(x^3 + 3 x h^2)`` along signs."""

    def cubic(batch, t):
        return -(batch.pos**3)

    batch, field, sde = ragged_batch(SIZES), Field("pos"), VPSDE()
    plain, noisy = PlainScore(cubic, [field]), ScoreAdapter(cubic, ForwardProcess({field: sde}))
    for model, h in ((plain, torch.full((7,), 0.3, dtype=torch.float64)), (noisy, 0.3 * sde.std(T))):
        x, h = batch.pos, h[batch.batch, None]
        expected = ops.sum(((x**3 + 3 * x * h**2) ** 2 / 2 - 3 * x**2 - h**2).sum(-1), batch.batch, 7)
        loss = finite_difference_sliced_score_matching(
            model, batch, T, step=0.3, variance_reduction=True, reduce="sum"
        )["pos"]  # fmt: skip
        assert_close(loss, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("function", [sliced_score_matching, finite_difference_sliced_score_matching])
def test_directions_lie_in_the_space_of_a_zero_mean_field(function):
    """A force on a graph as a whole is seen along no direction, even if a score does not leave it out itself."""

    class Forced(PlainScore):
        def score(self, batch, t):
            return {"pos": self.function(batch, t) + 5.0}

    field = Field("pos", zero_mean=True)
    models = [kind(lambda batch, t: -(batch.pos**3), [field]) for kind in (PlainScore, Forced)]
    losses = [
        function(model, ragged_batch(SIZES), T, reduce="sum", generator=GraphGenerator(range(7)))["pos"]
        for model in models
    ]
    assert_close(*losses)
