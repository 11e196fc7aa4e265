"""Recall and precision of generated point clouds."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

from graphscore.clouds.metrics import evaluate_clouds


def test_recall_and_precision_differ_where_modes_are_missed():
    a, b = torch.tensor([[0.0, 0.0], [2.0, 0.0]]), torch.tensor([[0.0, 0.0], [6.0, 0.0]])
    both = [Data(pos=a), Data(pos=b + 100)]  # where a cloud lies does not matter
    report = evaluate_clouds([both], [[Data(pos=a - 5), Data(pos=a)]])
    assert report["precision"] == pytest.approx(0, abs=1e-6)
    assert report["recall"] == pytest.approx(1)  # b's points are 2 from a's after centering: half of (0 + 2)


def test_nothing_generated_is_none_not_zero():
    assert evaluate_clouds([[Data(pos=torch.zeros(1, 2))]], [[]])["recall"] is None
