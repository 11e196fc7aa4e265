from __future__ import annotations

import pytest
import torch

from graphscore.nn import EGNN
from graphscore.testing import ragged_batch


def test_positions_start_still():
    """A fresh network moves nothing, so that training starts from the skip connection of the denoiser."""
    batch = ragged_batch(dtype=torch.float32)
    _, vectors = EGNN(8, 2)(torch.randn(13, 8), batch.pos, batch.edge_index, batch.batch, torch.zeros(7, 0))
    assert (vectors == 0).all()


def test_repr_and_channels():
    backbone = EGNN(8, 2, edge_channels=3, cond_channels=4)
    assert repr(backbone) == "EGNN(8, num_layers=2)"
    assert (backbone.hidden_channels, backbone.edge_channels, backbone.cond_channels) == (8, 3, 4)


@pytest.mark.parametrize("options", [{"hidden_channels": 0}, {"num_layers": 0}, {"vector_channels": 0}])
def test_bad_sizes_are_named(options):
    with pytest.raises(ValueError, match="must be at least 1, but"):
        EGNN(**options)
