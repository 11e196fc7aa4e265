from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from torch_geometric.data import Batch

from graphscore.denoiser import ScoreModel
from graphscore.fields import Field
from graphscore.generate.drift import LastEstimates
from graphscore.process import ForwardProcess
from graphscore.sdes import VESDE
from graphscore.testing import ragged_batch


class Script(ScoreModel):
    """Gives what it was told to, in the order of calls."""

    def __init__(self, *estimates: dict[str, Tensor]) -> None:
        scales = {"pos": Field("pos", zero_mean=True, width=3, scale=2.0), "h": Field("h", width=1, scale=0.5)}
        super().__init__(ForwardProcess({scales[name]: VESDE() for name in estimates[0]}))
        self.estimates = iter(estimates)

    def forward(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:
        return next(self.estimates)


def test_is_the_last_change_relative_to_the_last_estimate():
    batch = ragged_batch((4, 0, 3, 1))
    first, second, third = ({"pos": torch.randn(8, 3).double()} for _ in range(3))
    third["pos"][7] = second["pos"][7]
    model, t = Script(first, second, third), torch.ones(4).double()
    with LastEstimates(model) as estimates:
        for _ in range(3):
            model(batch, t)
    change, last = third["pos"] - second["pos"], third["pos"]
    expected = [change[:4].norm() / last[:4].norm(), 0.0, change[4:7].norm() / last[4:7].norm(), 0.0]
    assert_close(estimates.drift(batch), torch.tensor(expected).float(), rtol=0, atol=1e-6)


def test_is_the_largest_of_several_fields():
    batch = ragged_batch((2, 2))
    batch.h = torch.zeros(4, 1).double()
    first = {"pos": torch.zeros(4, 3).double(), "h": torch.zeros(4, 1).double()}
    last = {"pos": torch.ones(4, 3).double(), "h": torch.tensor([[4.0], [0], [1], [1]]).double()}
    first["pos"][:2], first["h"][2:] = 0.5, 0.9
    model = Script(first, last)
    with LastEstimates(model) as estimates:
        for _ in range(2):
            model(batch, torch.ones(2).double())
    assert_close(estimates.drift(batch), torch.tensor([1.0, 1.0]), rtol=0, atol=1e-6)
    first["h"][:2] = torch.tensor([[3.0], [0]])
    first["pos"][2:] = 0.7
    model = Script(first, last)
    with LastEstimates(model) as estimates:
        for _ in range(2):
            model(batch, torch.ones(2).double())
    assert_close(estimates.drift(batch), torch.tensor([0.5, 0.3]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("calls", [0, 1])
def test_there_is_none_without_two_evaluations(calls: int):
    batch = ragged_batch((2, 3))
    model = Script({"pos": torch.randn(5, 3)})
    with LastEstimates(model) as estimates:
        for _ in range(calls):
            model(batch, torch.ones(2))
    assert estimates.drift(batch).tolist() == [0, 0]


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e30])
@pytest.mark.parametrize("which", [0, 1])
def test_is_infinite_where_an_estimate_is_not_finite_or_has_no_finite_square(bad: float, which: int):
    batch = ragged_batch((2, 3))
    scripted = [{"pos": torch.randn(5, 3)}, {"pos": torch.randn(5, 3)}]
    scripted[which]["pos"][3, 1] = bad
    model = Script(*scripted)
    with LastEstimates(model) as estimates:
        for _ in range(2):
            model(batch, torch.ones(2))
    fine, broken = estimates.drift(batch).tolist()
    assert 0 < fine < math.inf and broken == math.inf


def test_models_are_watched_inside_the_block_only():
    batch, zero = ragged_batch((2, 3)), torch.zeros(5, 3)
    model = Script(*({"pos": zero + number} for number in range(4)))
    model(batch, torch.ones(2))
    with LastEstimates(model) as estimates:
        model(batch, torch.ones(2))
        model(batch, torch.ones(2))
    model(batch, torch.ones(2))
    assert estimates.before is not None and estimates.last is not None
    assert (estimates.before["pos"] == 1).all() and (estimates.last["pos"] == 2).all()
