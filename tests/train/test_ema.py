"""Averaged weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from graphscore.train.ema import EMA


def test_it_is_the_recursion_with_its_warm_up():
    module = nn.Linear(2, 1).double()
    ema = EMA(module, 0.9)
    expected = module.weight.detach().clone()
    for number in range(200):
        with torch.no_grad():
            module.weight.add_(torch.randn(1, 2, generator=torch.Generator().manual_seed(number), dtype=torch.float64))
        decay = min(0.9, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * module.weight.detach()
        ema.update(module, number)
    torch.testing.assert_close(ema.module.weight.detach(), expected, rtol=1e-12, atol=0)


def test_it_leaves_the_module_alone_and_wants_no_gradient():
    module = nn.BatchNorm1d(2)
    ema = EMA(module)
    module(torch.randn(5, 2))
    ema.update(module, 0)
    assert torch.equal(ema.module.running_mean, module.running_mean)
    assert module.training and not ema.module.training
    assert all(p.requires_grad for p in module.parameters())
    assert not any(p.requires_grad for p in ema.parameters())


def test_the_decay_is_checked():
    with pytest.raises(ValueError, match="1.0"):
        EMA(nn.Linear(1, 1), 1.0)
