"""Normalization of each graph: exact frames, training data, and samples in the units of their input."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data

from graphscore.data.normalization import METHODS, Frame, Normalize, frame_of
from graphscore.data.own.given import GivenDataset
from graphscore.experiment.config.schema import Config
from graphscore.experiment.datasets import build_dataset
from graphscore.experiment.sampling.pipeline import Pipeline
from graphscore.experiment.sampling.request import Request
from graphscore.experiment.training.run import train_model

SQUARE = torch.tensor([[1.0, 1], [3, 1], [3, 5], [1, 5]])
NAN = torch.full((1, 2), torch.nan)


@pytest.mark.parametrize(
    ("method", "points", "origin", "unit"),
    [
        ("bounding-box", SQUARE, [2, 3], 2),
        ("unit-sphere", SQUARE, [2, 3], 5**0.5),
        ("standard", SQUARE, [2, 3], (5 / 2) ** 0.5),
        ("bounding-box", torch.cat([SQUARE, NAN, SQUARE[:1]]), [2, 3], 2),
        ("unit-sphere", torch.tensor([[0.0, 0], [0, 0], [3, 0]]), [1, 0], 2),
        ("standard", torch.tensor([[7.0, 7], [7, 7]]), [7, 7], 1),
        ("bounding-box", NAN, [0, 0], 1),
        ("standard", torch.empty(0, 2), [0, 0], 1),
    ],
)
def test_frames_are_exact(method, points, origin, unit):
    frame = frame_of(points, method)
    assert frame.origin.tolist() == origin and float(frame.unit) == pytest.approx(unit, rel=1e-15)


@given(st.sampled_from(METHODS), st.integers(0, 2**32), st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_shape_alone_remains_and_points_come_back(method, seed, unit, shift):
    points = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    frame, moved = frame_of(points, method), frame_of(points * unit + shift, method)
    torch.testing.assert_close(moved.inside(points * unit + shift), frame.inside(points), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(frame.outside(frame.inside(points)), points)


def test_there_is_no_other_method():
    with pytest.raises(ValueError, match="'cube'; expected one of .'bounding-box', 'unit-sphere', 'standard'"):
        Normalize(method="cube")


def clouds() -> list[Data]:
    sizes = torch.logspace(-2, 2, 30)
    return [Data(pos=size * torch.randn(6 + k % 3, 3) + 10 * size) for k, size in enumerate(sizes)]


def test_training_data_are_normalized_and_what_was_given_is_not_changed():
    given_clouds = clouds()
    before = [cloud.pos.clone() for cloud in given_clouds]
    for cloud in GivenDataset(given_clouds, transform=Normalize(method="bounding-box")).split("train"):
        assert float(cloud.pos.abs().max()) == pytest.approx(1, rel=1e-6)
        assert torch.allclose(cloud.pos.amin(0), -cloud.pos.amax(0), atol=1e-6)
    assert all(torch.equal(cloud.pos, pos) for cloud, pos in zip(given_clouds, before, strict=True))


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory) -> Pipeline:
    """A tiny model of clouds that are normalized one by one."""
    config = Config.model_validate(
        {
            "data": {"dataset": {"name": "given"}},
            "transforms": [{"name": "normalize", "method": "standard"}, "complete-graph"],
            "fields": [{"name": "pos", "width": 3, "sde": "edm"}],
            "network": {"backbone": {"name": "egnn", "hidden_channels": 8, "num_layers": 1}},
            "training": {"max_steps": 3, "batch_size": 8},
            "sampling": {"num_steps": 3},
        }
    )
    out = tmp_path_factory.mktemp("run")
    train_model(config, out, progress=False, data=clouds())
    return Pipeline.load(out)


def sampled(pipeline: Pipeline, *items: Data, **options) -> list[Data]:
    return [outcome.samples[0] for outcome in pipeline.sample(items, Request(seed=3, **options))]


def test_the_unit_of_the_network_is_that_of_normalized_graphs(pipeline):
    assert float(pipeline.model.fields["pos"].scale) == pytest.approx(1, abs=0.01)


def test_completed_clouds_have_the_units_of_what_is_given(pipeline):
    cloud = torch.randn(7, 3)
    cloud[4:] = torch.nan
    frame = Frame(torch.tensor([5.0, -3, 100]), torch.tensor(40.0))
    small, large = sampled(pipeline, Data(pos=cloud), Data(pos=frame.outside(cloud)), complete="resampling")
    assert torch.equal(small.pos[:4], cloud[:4]) and torch.equal(large.pos[:4], frame.outside(cloud)[:4])
    torch.testing.assert_close(
        sampled(pipeline, Data(pos=frame.outside(cloud)), complete="resampling")[0].pos, frame.outside(small.pos),
        rtol=1e-4, atol=2e-3,
    )  # fmt: skip
    assert not [key for key in small.to_dict() if "origin" in key or "unit" in key or "given" in key]


def test_samples_without_given_values_and_references_are_normalized(pipeline):
    (sample,) = sampled(pipeline, Data(pos=100 + 10 * torch.randn(7, 3)))
    assert float(sample.pos.mean().abs()) < 10
    config = Config.model_validate({**pipeline.config.model_dump(), "data": {"dataset": {"name": "given"}}})
    for cloud in build_dataset(config, transformed=False, data=clouds()).split("test"):
        assert float(cloud.pos.square().mean()) == pytest.approx(1, rel=1e-5) and "hops" not in cloud


def test_likelihoods_do_not_depend_on_place_and_size(pipeline):
    cloud = torch.randn(7, 3)
    first, second = pipeline.log_likelihood([Data(pos=cloud), Data(pos=50 * cloud + 9)], num_probes=None)
    assert first.nats == pytest.approx(second.nats, rel=1e-3) and not first.failure
