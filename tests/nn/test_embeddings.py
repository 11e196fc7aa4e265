from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from graphscore.nn import GaussianBasis, SinusoidalEmbedding


def test_sinusoidal_embedding():
    embedding = SinusoidalEmbedding(6, max_frequency=100.0).double()
    x = torch.tensor([[0.0, 0.3], [-1.0, 2.0]]).double()
    output = embedding(x)
    assert output.shape == (2, 2, 6)
    for i, frequency in enumerate((1, 10, 100)):
        assert_close(output[..., i], (frequency * x).sin(), rtol=1e-5, atol=1e-5)
        assert_close(output[..., i + 3], (frequency * x).cos(), rtol=1e-5, atol=1e-5)


def test_sinusoidal_embedding_tells_all_noise_levels_apart():
    levels = torch.logspace(-5, 3, 200, dtype=torch.float64).log() / 4
    output = SinusoidalEmbedding(32).double()(levels)
    distance = torch.cdist(output, output) + 10 * torch.eye(200)
    assert float(distance.min()) > 0.1


def test_gaussian_basis():
    basis = GaussianBasis(6, stop=5.0).double()
    output = basis(torch.arange(6.0).double()[:, None])
    expected = torch.exp(-0.5 * (torch.arange(6.0)[:, None] - torch.arange(6.0)) ** 2).double()
    assert_close(output, expected)
    assert basis(torch.zeros(0, 1)).shape == (0, 6)


@pytest.mark.parametrize("channels", [0, 1, 3])
def test_bad_embeddings_are_rejected(channels):
    with pytest.raises(ValueError, match="channels"):
        SinusoidalEmbedding(channels)


@pytest.mark.parametrize("arguments", [(1, 5.0), (4, 0.0), (4, -1.0)])
def test_bad_bases_are_rejected(arguments):
    with pytest.raises(ValueError, match="channels >= 2 and stop > 0"):
        GaussianBasis(*arguments)


def test_constants_move_with_the_module_and_are_not_saved():
    for module in (SinusoidalEmbedding(4), GaussianBasis(4)):
        assert not module.state_dict() and not list(module.parameters())
        assert module.double()(torch.zeros(1, 1).double()).dtype == torch.float64
