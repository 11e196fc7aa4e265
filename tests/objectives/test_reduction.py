from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from graphscore.denoiser.reduction import reduce_graphs

VALUES = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]])
INDEX = torch.tensor([1, 1, 3])


def test_sum_and_mean_per_graph():
    assert_close(reduce_graphs(VALUES, INDEX, 5, "sum"), torch.tensor([0.0, 10, 0, 12, 0]))
    assert_close(reduce_graphs(VALUES, INDEX, 5, "mean"), torch.tensor([0.0, 2.5, 0, 6, 0]))


@pytest.mark.parametrize("reduce", ["none", "batch", None])
def test_other_reductions_are_rejected(reduce):
    with pytest.raises(ValueError, match="'sum' or 'mean'"):
        reduce_graphs(VALUES, INDEX, 5, reduce)
