from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from torch_geometric.data import Batch

from graphscore.denoiser import ScoreModel
from graphscore.drift import LastEstimates
from graphscore.fields import Field
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


def test_is_the_root_mean_square_of_the_last_change_in_data_units():
    batch = ragged_batch((4, 0, 3, 1))
    first, second, third = ({"pos": torch.randn(8, 3).double()} for _ in range(3))
    model, t = Script(first, second, third), torch.ones(4).double()
    with LastEstimates(model) as estimates:
        for _ in range(3):
            model(batch, t)
    squares = (2 * (third["pos"] - second["pos"])).square().sum(1)
    expected = [squares[:4].mean().sqrt(), 0.0, squares[4:7].mean().sqrt(), squares[7].sqrt()]
    assert_close(estimates.drift(batch), torch.tensor(expected).double(), rtol=0, atol=1e-14)


def test_is_the_largest_of_several_fields():
    batch = ragged_batch((2, 2))
    batch.h = torch.zeros(4, 1).double()
    still, change = torch.zeros(4, 3).double(), torch.tensor([[1.0], [1], [0], [0]]).double()
    moved = torch.tensor([[0.0, 0, 0], [0, 0, 0], [0, 3, 4], [5, 0, 0]]).double()
    model = Script({"pos": still, "h": 0 * change}, {"pos": moved, "h": change})
    with LastEstimates(model) as estimates:
        for _ in range(2):
            model(batch, torch.ones(2).double())
    assert_close(estimates.drift(batch), torch.tensor([0.5, 10.0]).double(), rtol=0, atol=1e-14)


@pytest.mark.parametrize("calls", [0, 1])
def test_there_is_none_without_two_evaluations(calls: int):
    batch = ragged_batch((2, 3))
    model = Script({"pos": torch.randn(5, 3)})
    with LastEstimates(model) as estimates:
        for _ in range(calls):
            model(batch, torch.ones(2))
    assert estimates.drift(batch).tolist() == [0, 0]


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
