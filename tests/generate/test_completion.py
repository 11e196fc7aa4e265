"""Completion of partial graphs: given rows are kept bit by bit, and the others follow their conditional law."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch_geometric.data import Batch, Data

from graphscore.experiment.config.schema import check_model
from graphscore.experiment.sampling.pipeline import Pipeline
from graphscore.fields import Field
from graphscore.molecules.request import ConformerRequest
from graphscore.process import ForwardProcess
from graphscore.sdes import EDMSDE, HarmonicSDE
from graphscore.testing import GaussianScore

PATH = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]])
SPRINGS = HarmonicSDE(EDMSDE(), stiffness=2.0, component_std=0.8)
STD, SCALE, MEAN = 0.9, 1.7, 0.5


def pipeline(zero_mean: bool = False, **sampling: object) -> Pipeline:
    """Exact model of correlated positions along a path, as if it had been loaded."""
    field = Field("pos", scale=SCALE, zero_mean=zero_mean, width=2)
    described = {
        "fields": [{"name": "pos", "width": 2, "scale": SCALE, "zero_mean": zero_mean, "sde": "edm"}],
        "network": {"backbone": "egnn"},
        "sampling": {"num_steps": 20, **sampling},
    }
    model = GaussianScore(ForwardProcess({field: EDMSDE()}), MEAN, STD, SPRINGS).eval()
    return Pipeline(model, check_model(described, "test"), {"known": {}}, Path("none"), "cpu")


def partial(*given: int, offset: float = 0.0) -> Data:
    pos = torch.full((5, 2), torch.nan, dtype=torch.float64)
    pos[list(given)] = torch.tensor([[0.3, -1.1], [1.7, 0.2]], dtype=torch.float64)[: len(given)] + offset
    return Data(pos=pos, edge_index=PATH, num_nodes=5)


def conditional(item: Data) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and covariance of the rows that are not given, in data units."""
    batch = Batch.from_data_list([item])
    unit = torch.eye(5, dtype=torch.float64)
    covariance = (STD * SCALE) ** 2 * SPRINGS.covariance(batch, Field("pos")).multiply(unit)
    unknown = item.pos.isnan().all(1)
    gain = covariance[unknown][:, ~unknown] @ covariance[~unknown][:, ~unknown].inverse()
    mean = SCALE * MEAN + gain @ (item.pos[~unknown] - SCALE * MEAN)
    return mean, covariance[unknown][:, unknown] - gain @ covariance[~unknown][:, unknown]


@pytest.mark.exact
def test_moment_matching_follows_the_conditional_distribution():
    """Means, variances and correlations are right up to chance."""
    item, num = partial(1, 4), 1000
    (outcome,) = pipeline(num_steps=40).sample([item], num=num, complete="moments")
    unknown = item.pos.isnan().all(1)
    found = torch.stack([sample.pos[unknown] for sample in outcome.samples])
    mean, covariance = conditional(item)
    spread = covariance.diagonal().sqrt()[:, None]
    assert ((found.mean(0) - mean) / spread).abs().max() < 4.5 / num**0.5
    centred = (found - found.mean(0)).transpose(0, 2)  # columns are independent and alike
    estimate = torch.einsum("cuk,cvk->uv", centred, centred) / (2 * num)
    assert ((estimate - covariance) / (spread * spread.T)).abs().max() < 4.5 / num**0.5


def test_completion_has_sampling_options_of_its_own():
    """They count where something is given, and those of a request go before them."""
    options = {"num_steps": 7, "completion": {"num_steps": 3, "prior_scale": 0.4}}
    whole, given = Data(edge_index=PATH, num_nodes=5), partial(1)
    sampled = [
        next(iter(pipeline(**options).sample([item], **kwargs)))
        for item, kwargs in (
            (whole, {}),
            (given, {"complete": "moments"}),
            (given, {"complete": "moments", "num_steps": 5}),
        )
    ]
    assert [one.cost.evaluations for one in sampled] == [15, 7, 11]  # two for a step of Heun, one more at the end
    (plain,) = pipeline(num_steps=3, prior_scale=0.4).sample([given], complete="moments")
    assert torch.equal(sampled[1].samples[0].pos, plain.samples[0].pos)


def test_wrong_options_of_completion_are_refused_with_the_configuration():
    with pytest.raises(ValueError, match="num_step"):
        pipeline(completion={"num_step": 3})
    with pytest.raises(ValueError, match="no completion of its own|completion of its own"):
        pipeline(completion={"completion": {}})


@pytest.mark.parametrize("method", ["resampling", "moments"])
@pytest.mark.parametrize("zero_mean", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_given_rows_are_kept_to_the_bit(method, zero_mean, dtype):
    """Wherever they lie, also where only relative positions matter, in the type of the input."""
    item = partial(1, 3, offset=1 / 3)
    item.pos = item.pos.to(dtype)
    before = item.pos.clone()
    (outcome,) = pipeline(zero_mean).sample([item], num=3, complete=method)
    assert torch.equal(item.pos.nan_to_num(7), before.nan_to_num(7))
    for sample in outcome.samples:
        assert sample.pos.dtype == dtype and bool(sample.pos.isfinite().all())
        assert torch.equal(sample.pos[[1, 3]], before[[1, 3]])
        assert sorted(sample.keys()) == ["drift", "edge_index", "method", "num_nodes", "pos", "sample", "seed"]
        assert (sample.pos[[0, 2, 4]] - before[[1, 3]].mean(0)).norm(dim=1).max() < 20
    assert not torch.equal(outcome.samples[0].pos[0], outcome.samples[1].pos[0])


def test_nothing_or_everything_may_be_given():
    everything = partial(0, 1)
    everything.pos = torch.randn(5, 2)
    nothing = partial()
    outcomes = list(pipeline().sample([everything, nothing], num=2, complete="moments"))
    assert all(torch.equal(sample.pos, everything.pos) for sample in outcomes[0].samples)
    assert all(bool(sample.pos.isfinite().all()) for sample in outcomes[1].samples)


def test_without_the_option_given_rows_are_sampled_as_ever():
    item = partial(1, 3)
    (outcome,) = pipeline().sample([item], num=1)
    assert not torch.equal(outcome.samples[0].pos[1], item.pos[1])


def test_values_that_cannot_be_completed_are_refused():
    torn, infinite, absent, short = partial(1, 3), partial(1, 3), Data(edge_index=PATH, num_nodes=5), partial(1)
    torn.pos[2, 0], infinite.pos[3, 1] = 1.0, torch.inf
    short.pos = short.pos[:4]
    failures = [one.failure for one in pipeline().sample([torn, infinite, absent, short], complete="resampling")]
    expected = ["row 2 of pos must be", "row 3 of pos must be", "none of the sampled fields", "5 in all"]
    assert all(text in failure for text, failure in zip(expected, failures, strict=True))
    with pytest.raises(ValueError, match="'repaint'; expected one of .*'resampling', 'moments'"):
        list(pipeline().sample([torn], complete="repaint"))


def test_a_sampler_that_repeats_its_steps_is_kept():
    model = pipeline(sampler={"name": "resampling", "method": "ddim", "num_resamples": 2})
    request = model.request_type(complete="resampling")
    assert model.configure(request).sampling.sampler.options == {"method": "ddim", "num_resamples": 2}


def test_molecules_are_completed_around_a_fragment():
    with pytest.raises(ValueError, match="--fix SMARTS --from FILE"):
        ConformerRequest(complete="moments")
