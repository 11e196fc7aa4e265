"""Aligned targets and aligned noise."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.denoiser import DataAdapter, Denoiser
from graphscore.fields import Field
from graphscore.linalg.kabsch import align as superpose
from graphscore.linalg.kabsch import kabsch
from graphscore.objectives import denoising_score_matching, flow_matching
from graphscore.process import ForwardProcess
from graphscore.rng import GraphGenerator
from graphscore.sdes import VPSDE, HarmonicSDE, RectifiedSDE
from graphscore.testing import ragged_batch

SIZES = (0, 4, 1, 0, 5, 3, 0)
T = torch.tensor([0.9, 0.1, 0.5, 0.2, 1.0, 0.3, 0.7], dtype=torch.float64)
OBJECTIVES = [denoising_score_matching, flow_matching]


def random_rotations(count):
    """Evenly distributed rotations: without the signs of R's diagonal, they would not be."""
    matrix, upper = torch.linalg.qr(torch.randn(count, 3, 3, dtype=torch.float64))
    matrix = matrix * upper.diagonal(dim1=1, dim2=2).sign()[:, None, :]
    return matrix * torch.linalg.det(matrix)[:, None, None].sign()


def turn(rotations, x, index):
    return torch.einsum("nij,nj->ni", rotations[index], x)


@pytest.fixture(params=[False, True], ids=["free", "zero-mean"])
def field(request):
    return Field("pos", zero_mean=request.param)


@pytest.fixture
def white():
    return {"pos": torch.randn(sum(SIZES), 3, dtype=torch.float64)}


class Recorder(DataAdapter):
    """Answers with given clean data, and remembers what it was asked."""

    def __init__(self, process, answer):
        def function(batch, t):
            self.seen = batch.pos
            return answer

        super().__init__(function, process)


@pytest.mark.exact
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_an_answer_that_is_turned_and_moved_is_right_for_an_aligned_target(objective, field, white):
    process, batch = ForwardProcess({field: VPSDE()}), ragged_batch(SIZES)
    x0 = field.read(batch)
    answer = turn(random_rotations(7), x0, batch.batch) + 3.0
    model = Recorder(process, answer)
    plain, aligned = (
        objective(model, batch, T, eps=white, align=align, reduce="sum")["pos"] for align in (None, {"pos": "target"})
    )
    assert (plain[[1, 4, 5]] > 1e-4).all()
    assert_close(aligned, torch.zeros_like(aligned), rtol=0, atol=1e-20)
    mirrored = Recorder(process, -answer)
    assert (objective(mirrored, batch, T, eps=white, align={"pos": "target"}, reduce="sum")["pos"][[1, 4]] > 1e-4).all()


@pytest.mark.exact
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("sde", [VPSDE(), HarmonicSDE()], ids=["vp", "harmonic"])
def test_an_aligned_target_gives_the_minimum_over_motions_and_its_gradient(objective, sde, field, white, egnn_network):
    """With the motion held fixed, the gradient is that of the minimum: the motion's own change counts nothing."""
    model, batch = Denoiser(egnn_network(), ForwardProcess({field: sde})), ragged_batch(SIZES)
    t = T.clamp(max=0.9)
    aligned = objective(model, batch, t, eps=white, align={"pos": "target"}, reduce="sum")["pos"]
    noisy, x0, _ = model.process.perturb(batch, t, white)
    x0_hat = model(noisy, t)["pos"]
    squares = (x0_hat - superpose(x0["pos"], x0_hat, batch.batch, 7)).square().sum(-1)
    plain = objective(model, batch, t, eps=white, reduce="sum")["pos"].detach()
    distance = ops.sum((x0_hat - x0["pos"]).square().sum(-1), batch.batch, 7).detach()
    minimum = plain / distance.clamp(min=1e-300) * ops.sum(squares, batch.batch, 7)
    assert_close(aligned, minimum, rtol=1e-10, atol=1e-12)
    assert (aligned[[1, 4, 5]] < 0.999 * plain[[1, 4, 5]]).all()
    gradients = [
        torch.autograd.grad(loss.sum(), list(model.parameters()), allow_unused=True, materialize_grads=True)
        for loss in (aligned, minimum)
    ]
    assert_close(*gradients, rtol=1e-8, atol=1e-9)


@pytest.mark.exact
@pytest.mark.parametrize("sde", [RectifiedSDE(), HarmonicSDE()], ids=["rectified", "harmonic"])
def test_aligned_noise_is_as_close_to_the_data_as_turning_makes_it(sde, field, white):
    process, batch = ForwardProcess({field: sde}), ragged_batch(SIZES)
    index, x0 = batch.batch, field.read(batch)
    model = Recorder(process, torch.zeros_like(x0))
    flow_matching(model, batch, T, eps=white, align={"pos": "noise"}, reduce="sum")
    alpha, std = sde.alpha(T)[index, None], sde.std(T)[index, None]
    noise, before = (model.seen - alpha * x0) / std, process.perturb(batch, T, white).eps["pos"]

    rotation = kabsch(before, x0, index, 7)
    assert_close(noise, turn(rotation, before, index), rtol=1e-9, atol=1e-9)
    # A law that does not change when space is turned: lengths and the noise's own energy stay.
    covariance = sde.covariance(batch, field)
    for x, y in ((noise, before), (covariance.solve(noise), covariance.solve(before))):
        assert_close(ops.sum((x * noise).sum(-1), index, 7), ops.sum((y * before).sum(-1), index, 7))
    center = ops.center(x0, index, 7)

    def distance(x):
        return ops.sum((ops.center(x, index, 7) - center).square().sum(-1), index, 7)

    assert (distance(noise)[[1, 4, 5]] < distance(before)[[1, 4, 5]]).all()
    for _ in range(20):
        assert (distance(turn(random_rotations(7), noise, index)) >= distance(noise) - 1e-12).all()


def test_noise_aligned_with_data_of_any_orientation_keeps_its_law():
    """Second and fourth moments of each entry over many graphs."""
    field = Field("pos", zero_mean=True)
    process, count = ForwardProcess({field: RectifiedSDE()}), 4000
    batch = ragged_batch([3] * count, edgeless=())
    shape = torch.tensor([[1.0, 0, 0], [0, 2, 0], [0, 0, 0.5]], dtype=torch.float64)
    batch.pos = turn(random_rotations(count), shape.repeat(count, 1), batch.batch)
    t = torch.ones(count, dtype=torch.float64)
    model = Recorder(process, torch.zeros_like(batch.pos))
    flow_matching(model, batch, t, align={"pos": "noise"}, reduce="sum", generator=torch.Generator().manual_seed(4))
    noise = model.seen.view(count, 9)
    centering = (torch.eye(3) - 1 / 3).double()
    expected = torch.kron(centering, torch.eye(3).double())
    assert_close(noise.T @ noise / count, expected, rtol=0, atol=4 * 2**0.5 / count**0.5)
    assert_close((noise**4).mean(0), torch.full((9,), 3 * (2 / 3) ** 2).double(), rtol=0.25, atol=0)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("way", ["target", "noise"])
def test_a_batch_equals_its_graphs_one_by_one(objective, way, field, egnn_network):
    model, batch = Denoiser(egnn_network(), ForwardProcess({field: VPSDE()})), ragged_batch(SIZES)
    together = objective(
        model, batch, T, align={"pos": way}, reduce="mean", generator=GraphGenerator(range(7))
    )["pos"]  # fmt: skip
    for graph in range(7):
        alone = objective(
            model, Batch.from_data_list([batch[graph]]), T[graph : graph + 1], align={"pos": way}, reduce="mean",
            generator=GraphGenerator([graph]),
        )["pos"]  # fmt: skip
        assert_close(together[graph : graph + 1], alone, rtol=1e-9, atol=1e-12)


def test_other_fields_are_left_alone(white, egnn_network):
    process = ForwardProcess({Field("pos", zero_mean=True): VPSDE(), Field("x"): VPSDE()})
    model, batch = Denoiser(egnn_network({"pos": 3, "x": 2}), process), ragged_batch(SIZES)
    white = {**white, "x": torch.randn_like(batch.x)}
    plain, aligned = (
        denoising_score_matching(model, batch, T, eps=white, align=align, reduce="sum")
        for align in (None, {"pos": "target"})
    )
    assert torch.equal(plain["x"], aligned["x"]) and not torch.equal(plain["pos"], aligned["pos"])


def test_bad_arguments_are_rejected(white):
    model = Recorder(ForwardProcess({Field("pos"): VPSDE()}), white["pos"])
    with pytest.raises(ValueError, match=r"align names the field 'x', but the process has \['pos'\]"):
        denoising_score_matching(model, ragged_batch(SIZES), T, align={"x": "target"}, reduce="sum")
    with pytest.raises(ValueError, match="'pos' must be 'target' or 'noise', but is 'both'"):
        flow_matching(model, ragged_batch(SIZES), T, align={"pos": "both"}, reduce="sum")
