"""Samples that start from their inputs: seeds, transforms, place and size, and inputs that give no start."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.data import Data

from graphscore.data import load_dataset
from graphscore.experiment.config.schema import check_model
from graphscore.experiment.sampling.pipeline import Pipeline
from graphscore.fields import Field
from graphscore.process import ForwardProcess
from graphscore.sdes import EDMSDE
from graphscore.testing import GaussianScore

PATH = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]])


def pipeline(*transforms: str, zero_mean: bool = True) -> Pipeline:
    """Exact model of independent positions, as if it had been loaded."""
    described = {
        "transforms": [{"name": name} for name in transforms],
        "fields": [{"name": "pos", "width": 2, "zero_mean": zero_mean, "sde": "edm"}],
        "network": {"backbone": "egnn"},
        "sampling": {"num_steps": 30, "grid": {"name": "karras", "end": 1e-6}},
    }
    model = GaussianScore(ForwardProcess({Field("pos", zero_mean=zero_mean, width=2): EDMSDE()})).eval()
    return Pipeline(model, check_model(described, "test"), {"known": {}}, Path("none"), "cpu")


def graph(seed: int = 0, size: int = 5) -> Data:
    pos = torch.randn(size, 2, generator=torch.Generator().manual_seed(seed)) + 5
    return Data(pos=pos, edge_index=PATH[:, : size - 1], num_nodes=size)


@pytest.mark.parametrize("transforms", [(), ("normalize",)])
@pytest.mark.parametrize("zero_mean", [True, False])
def test_little_noise_gives_the_input_back_in_its_place_and_size(transforms, zero_mean):
    item = graph()
    (outcome,) = pipeline(*transforms, zero_mean=zero_mean).sample([item], num=2, noise=2e-6)
    assert [sample.sample for sample in outcome.samples] == [1, 2] and outcome.failure is None
    for sample in outcome.samples:
        assert_close(sample.pos, item.pos, rtol=0, atol=2e-3)
        assert not torch.equal(sample.pos, item.pos)
        assert sorted(sample.keys()) == ["drift", "edge_index", "method", "num_nodes", "pos", "sample", "seed"]


def test_samples_depend_on_graph_start_seed_and_number_alone():
    one, two, model = graph(0), graph(1), pipeline()

    def sample(items, **options):
        outcomes = model.sample(items, num=2, noise=0.02, **options)
        return [[sample.pos for sample in outcome.samples] for outcome in outcomes]

    (first, again), (second,), (other,) = sample([one, one.clone()]), sample([two]), sample([one], seed=1)
    mixed = sample([graph(3, 3), two, one])
    for a, b in ((again, first), (mixed[1], second), (mixed[2], first)):
        assert_close(a, b)
    shift = [x - one.pos for x in first], [x - two.pos for x in second], [x - one.pos for x in other]
    for k, (a, b, c) in enumerate(zip(*shift, strict=True)):  # starts of one graph get noise of their own
        assert not torch.allclose(a, b, atol=1e-2) and not torch.allclose(a, c, atol=1e-2), k


def test_trajectories_begin_at_the_noisy_start():
    item, seen = graph(), []
    list(pipeline().sample([item], noise=1e-5, trace=lambda jobs, step, t, batch: seen.append((step, t, batch.pos))))
    assert seen[0][:2] == (0, 1e-5) and (seen[0][2] - item.pos).abs().max() < 5e-3


def test_what_gives_no_start_fails_by_name():
    bare = Data(edge_index=PATH, num_nodes=5)
    torn, wide = graph(), graph()
    torn.pos[2, 0], wide.pos = torch.nan, torch.zeros(5, 3)
    failures = [outcome.failure for outcome in pipeline().sample([bare, torn, wide], noise=0.1)]
    expected = [
        "no coordinates (pos) to start from",
        "1 of 10 are infinite or NaN",
        "pos has 3 columns, but the model 2",
    ]
    assert all(text in failure for text, failure in zip(expected, failures, strict=True))


@pytest.mark.parametrize("noise", [0.0, -1.0, 1.5, float("nan")])
def test_noise_out_of_range_is_refused(noise):
    with pytest.raises(ValueError, match=r"noise is a time, above 0 .* and at most 1 .*, but is"):
        list(pipeline().sample([graph()], noise=noise))


def test_completion_has_unknown_rows_which_give_no_start():
    with pytest.raises(ValueError, match="noise starts from all rows"):
        list(pipeline().sample([graph()], noise=0.1, complete="moments"))


@pytest.mark.parametrize(("weights", "dataset"), [("digits", "digits"), ("poses", "cmu-poses")])
def test_shipped_models_edit_digits_and_poses(weights, dataset):
    """The more noise, the farther from the start; a pose stays where it stands."""
    model = Pipeline.load(weights, device="cpu")
    items = [group[0] for group in load_dataset(dataset).groups("test")[:2]]
    for item in items:
        item.pos = item.pos + 3.0 * ("pos" in item and weights == "poses")
    moved = []
    for noise in (0.003, 0.05):
        outcomes = list(model.sample(items, num=2, noise=noise, num_steps=12, workers=1))
        assert all(outcome.failure is None for outcome in outcomes)
        pairs = [(sample.pos, outcome.input.pos) for outcome in outcomes for sample in outcome.samples]
        moved.append(sum(float((a - b).square().mean().sqrt()) for a, b in pairs))
        if weights == "poses":
            assert all(bool(((a - b).mean(0).abs() < 1e-4).all()) for a, b in pairs)
    assert 0 < moved[0] < moved[1]
