"""Interpolation through the latent space of the flow, for Gaussian data, whose flow is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from graphscore.fields import Field, replace
from graphscore.process import ForwardProcess
from graphscore.samplers import interpolate
from graphscore.samplers.interpolation import great_circle
from graphscore.sdes import EDMSDE
from graphscore.testing import GaussianScore, ragged_batch

FIELD = Field("pos", scale=1.7, zero_mean=True)


def ends():
    model = GaussianScore(ForwardProcess({FIELD: EDMSDE()}), 0.0, 0.8)
    batches = []
    for seed in (1, 2):
        batch = ragged_batch((4, 0, 1, 7))
        drawn = model.sample(batch, torch.Generator().manual_seed(seed), torch.float64)
        batches.append(drawn)
    return model, *batches


@pytest.mark.exact
def test_graphs_between_are_those_of_the_exact_flow():
    model, first, second = ends()
    found = interpolate(model, first, second, [0.0, 0.3, 1.0], start=1e-4, rtol=1e-8, atol=1e-8)
    assert_close(found[0].pos, first.pos, rtol=0, atol=1e-5)
    assert_close(found[2].pos, second.pos, rtol=0, atol=1e-5)
    # The flow of white data without a mean stretches all graphs alike: great circles stay great circles.
    expected = great_circle(first.pos, second.pos, 0.3, first.batch, 4)
    assert_close(found[1].pos, expected, rtol=0, atol=1e-5)
    assert found[1].edge_index is first.edge_index


def test_great_circles_keep_norms_and_angles():
    first, second = torch.tensor([[3.0, 0], [0, 0], [1, 1]]), torch.tensor([[0.0, 0], [3, 0], [1, 1]])
    index = torch.tensor([0, 0, 2])
    middle = great_circle(first, second, 0.5, index, 3)
    assert_close(middle[:2], torch.tensor([[3 / math.sqrt(2), 0], [3 / math.sqrt(2), 0]]))
    assert_close(middle[2], torch.ones(2))  # parallel: on a line


def test_batches_that_do_not_fit_are_refused():
    model, first, second = ends()
    with pytest.raises(ValueError, match="different shapes"):
        interpolate(model, first, replace(ragged_batch((4, 0, 2, 6)), {"pos": second.pos[:, :2]}), [0.5])
    with pytest.raises(ValueError, match="as many graphs"):
        interpolate(model, first, ragged_batch((4, 1, 7)), [0.5])
    with pytest.raises(ValueError, match="later `end`"):
        interpolate(model, first, second, [0.5], start=0.0)
