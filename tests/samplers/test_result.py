"""Results of samplers beside the sample: the last two estimates, their drift, and the number of evaluations."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from torch_geometric.data import Batch

from graphscore.denoiser import ScoreModel
from graphscore.denoiser.self_conditioning import SelfConditioning
from graphscore.fields import Field, replace
from graphscore.guidance import ClassifierFreeGuidance, Condition, HarmonicRestraint
from graphscore.process import ForwardProcess
from graphscore.rng import GraphGenerator
from graphscore.samplers import SAMPLERS, DDIMSampler, HeunSampler, LogDensity, Sampler, SamplerResult, drift
from graphscore.sdes import VESDE, VPSDE, RectifiedSDE
from graphscore.testing import GaussianScore, ragged_batch
from graphscore.times import karras_grid

SIZES = (0, 4, 1, 0, 5, 3, 0)
PROCESS = ForwardProcess({Field("pos", scale=2.0, zero_mean=True, width=3): VESDE(), Field("x", width=2): VESDE()})


class Noting(GaussianScore):
    """An exact model that remembers its estimates."""

    def __init__(self) -> None:
        super().__init__(PROCESS, std=0.5)
        self.given: list[dict[str, Tensor]] = []

    def forward(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:
        self.given.append(super().forward(batch, t))
        return self.given[-1]


@pytest.mark.parametrize("denoise_last", [True, False])
@pytest.mark.parametrize("name", SAMPLERS)
def test_the_last_two_estimates_and_all_evaluations_of_a_run_come_with_the_sample(name, denoise_last):
    options = {"num_corrections": 2, "tolerance": math.inf} if name == "annealed-langevin" else {}
    model = Noting()
    sampler = SAMPLERS[name](model, karras_grid(3, VESDE(), end=1e-3), denoise_last, **options)
    for _ in range(2):  # the second run counts for itself
        model.given.clear()
        result = sampler(ragged_batch(SIZES), GraphGenerator(range(7)))
        for field, scale in (("pos", 2.0), ("x", 1.0)):
            assert_close(result.x0_hat[field], model.given[-1][field] * scale, rtol=0, atol=0)
            assert_close(result.previous[field], model.given[-2][field] * scale, rtol=0, atol=0)
            assert not denoise_last or torch.equal(result.batch[field], result.x0_hat[field])
        assert result.num_evaluations.shape == (7,) and result.num_evaluations.dtype == torch.long
        if name == "adaptive":
            assert (result.num_evaluations <= len(model.given)).all()
            assert int(result.num_evaluations.max()) > 0.9 * len(model.given)
        else:
            assert set(result.num_evaluations.tolist()) == {len(model.given)}
    # The adaptive method's last stage is at the end of its step: there it rests by construction.
    moved = [size > 0 and not (name == "adaptive" and denoise_last) for size in SIZES]
    assert (drift(result, PROCESS) > 0).tolist() == moved


def test_evaluations_are_those_of_the_network_inside_all_guidance():
    model, batch = Noting(), ragged_batch(SIZES)
    batch = replace(batch, {"known": torch.ones(13, dtype=torch.bool), "target": batch.pos})
    inner = SelfConditioning(HarmonicRestraint(model, "pos", "known", "target", 1.0, num_iterations=3))
    condition = Condition("z", 0, "node")
    for guided, each in ((inner, 1), (ClassifierFreeGuidance(inner, [condition], 2.0), 2)):
        for _ in range(2):  # guidance around guidance
            model.given.clear()
            result = HeunSampler(guided, 3)(batch, GraphGenerator(range(7)))
            assert guided.evaluations_per_call == each and len(model.given) == 7 * each
            assert result.num_evaluations.tolist() == [7 * each] * 7
            guided, each = ClassifierFreeGuidance(guided, [condition], 2.0), 2 * each


def test_a_result_says_what_it_is():
    sampler, batch = HeunSampler(Noting(), 3), ragged_batch(SIZES)
    shown = "SamplerResult(7 graphs: pos [13, 3], x [13, 2]; 7 network evaluations)"
    assert repr(sampler(batch)) == shown
    counts = torch.arange(7)
    assert repr(sampler(batch)._replace(num_evaluations=counts)).endswith("; 0 to 6 network evaluations)")


def test_a_log_density_says_what_it_is():
    numbers = torch.arange(8).double() - 2.25
    density = LogDensity(*[numbers] * 5)
    assert repr(density) == "LogDensity(8 graphs: -2.25, -1.25, -0.25, 0.75, 1.75, 2.75, ... nats)"
    assert repr(LogDensity(*[numbers[:1]] * 5)) == "LogDensity(1 graphs: -2.25 nats)"


@pytest.mark.parametrize("sde", [VESDE(), RectifiedSDE(), VPSDE()], ids=repr)
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_number_of_steps_means_the_karras_grid_of_the_first_field(name, sde):
    model = GaussianScore(ForwardProcess({Field("pos"): sde, Field("x"): VPSDE()}))
    sampler = SAMPLERS[name](model, 5)
    assert torch.equal(sampler.grid, karras_grid(5, sde))
    with pytest.raises(ValueError, match="at least 1 step, but num_steps is 0"):
        SAMPLERS[name](model, 0)


def test_a_sampler_says_what_it_is():
    model = GaussianScore(PROCESS)
    assert repr(HeunSampler(model, 20)) == "HeunSampler(GaussianScore, 20 steps from t = 1 to 1e-05)"
    karras = SAMPLERS["karras"](model, 3, False, churn=4.0, prior_scale=0.5)
    options = "denoise_last=False, churn=4.0, prior_scale=0.5"
    assert repr(karras) == f"KarrasSampler(GaussianScore, 3 steps from t = 1 to 1e-05, {options})"
    for kind in SAMPLERS.values():
        shown = "GaussianScore, 2 steps from t = 1 to 1e-05"
        inner = f", method=AncestralSampler({shown})" if kind is SAMPLERS["resampling"] else ""
        assert repr(kind(model, 2)) == f"{kind.__name__}({shown}{inner})"


def test_a_bar_is_shown_on_request_and_leaves_the_sample_alone(capsys):
    sampler, batch, seen = HeunSampler(Noting(), 4), ragged_batch(SIZES), []
    plain = sampler(batch, GraphGenerator(range(7)))
    assert not "".join(capsys.readouterr())
    shown = sampler(batch, GraphGenerator(range(7)), lambda step, t, noisy: seen.append(step), progress=True)
    assert torch.equal(shown.batch.pos, plain.batch.pos) and seen == [0, 1, 2, 3, 4]
    assert "HeunSampler: 100%" in (bar := capsys.readouterr().err) and "4/4" in bar


def test_a_step_that_evaluates_another_model_than_its_own_is_refused():
    class Old(Sampler):
        order, stochastic = 1, False

        def step(self, model, batch, t, s, memory, generator):
            return self.model.process.combine(batch, lambda sde: (s / t, 1 - s / t), self.model(batch, t)), memory

    with pytest.raises(RuntimeError, match="Old.step did not evaluate the model that it was given"):
        Old(Noting(), 3)(ragged_batch(SIZES))


def result_of(batch: Batch, *estimates: dict[str, Tensor]) -> tuple[SamplerResult, ForwardProcess]:
    """A result with these last two estimates."""
    fields = {"pos": Field("pos", zero_mean=True, width=3), "h": Field("h", width=1)}
    process = ForwardProcess({fields[name]: VESDE() for name in estimates[0]})
    *before, last = estimates
    counts = torch.full((batch.num_graphs,), len(estimates))
    return SamplerResult(batch, last, before[-1] if before else None, counts), process


def test_drift_is_the_last_change_relative_to_the_last_estimate():
    batch = ragged_batch((4, 0, 3, 1))
    before, last = ({"pos": torch.randn(8, 3).double()} for _ in range(2))
    last["pos"][7] = before["pos"][7]
    change, end = last["pos"] - before["pos"], last["pos"]
    expected = [change[:4].norm() / end[:4].norm(), 0.0, change[4:7].norm() / end[4:7].norm(), 0.0]
    assert_close(drift(*result_of(batch, before, last)), torch.tensor(expected).float(), rtol=0, atol=1e-6)


def test_drift_is_the_largest_of_several_fields():
    batch = ragged_batch((2, 2))
    batch.h = torch.zeros(4, 1).double()
    first = {"pos": torch.zeros(4, 3).double(), "h": torch.zeros(4, 1).double()}
    last = {"pos": torch.ones(4, 3).double(), "h": torch.tensor([[4.0], [0], [1], [1]]).double()}
    first["pos"][:2], first["h"][2:] = 0.5, 0.9
    assert_close(drift(*result_of(batch, first, last)), torch.tensor([1.0, 1.0]), rtol=0, atol=1e-6)
    first["h"][:2] = torch.tensor([[3.0], [0]])
    first["pos"][2:] = 0.7
    assert_close(drift(*result_of(batch, first, last)), torch.tensor([0.5, 0.3]), rtol=0, atol=1e-6)


def test_there_is_no_drift_without_two_evaluations():
    class Once(ScoreModel):
        def forward(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:
            return {name: torch.ones_like(batch[name]) for name in self.fields}

    result = DDIMSampler(Once(PROCESS), 1, denoise_last=False)(ragged_batch((2, 3)))
    assert result.previous is None and result.num_evaluations.tolist() == [1, 1]
    assert drift(result, PROCESS).tolist() == [0, 0]


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e30])
@pytest.mark.parametrize("which", [0, 1])
def test_drift_is_infinite_where_an_estimate_is_not_finite_or_has_no_finite_square(bad: float, which: int):
    estimates = [{"pos": torch.randn(5, 3)}, {"pos": torch.randn(5, 3)}]
    estimates[which]["pos"][3, 1] = bad
    fine, broken = drift(*result_of(ragged_batch((2, 3)), *estimates)).tolist()
    assert 0 < fine < math.inf and broken == math.inf
