from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from graphscore.nn import AngleEmbedding, GaussianFourierEmbedding, SinusoidalEmbedding


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


def test_gaussian_fourier_embedding():
    embedding = GaussianFourierEmbedding(6, std=2.0).double()
    x = torch.tensor([[0.0, 0.3], [-1.0, 2.0]]).double()
    output = embedding(x)
    assert output.shape == (2, 2, 6)
    for i, frequency in enumerate(embedding.frequencies.tolist()):
        assert_close(output[..., i], (2 * torch.pi * frequency * x).sin())
        assert_close(output[..., i + 3], (2 * torch.pi * frequency * x).cos())


def test_gaussian_fourier_embedding_is_a_random_feature_map_of_a_gaussian_kernel():
    """Inner products of embeddings are those of a Gaussian of width 1 / (2 pi std)."""
    torch.manual_seed(0)
    embedding = GaussianFourierEmbedding(200_000, std=0.5)
    x = torch.tensor([0.0, 0.1, 0.4, 1.0])
    kernel = embedding(x) @ embedding(x).T / 100_000
    expected = torch.exp(-0.5 * (torch.pi * (x[:, None] - x)) ** 2)
    assert_close(kernel, expected, rtol=0, atol=0.02)


def test_random_frequencies_are_saved_and_not_trained():
    one, two = GaussianFourierEmbedding(8), GaussianFourierEmbedding(8)
    x = torch.randn(5)
    assert not torch.equal(one(x), two(x)) and not list(one.parameters())
    two.load_state_dict(one.state_dict())
    assert torch.equal(one(x), two(x))


@pytest.mark.parametrize("embedding", [SinusoidalEmbedding, GaussianFourierEmbedding])
@pytest.mark.parametrize("channels", [0, 1, 3])
def test_bad_embeddings_are_rejected(embedding, channels):
    with pytest.raises(ValueError, match=f"{embedding.__name__}: channels must be even and at least 2, but is"):
        embedding(channels)


@pytest.mark.parametrize("std", [0.0, -1.0])
def test_bad_frequencies_are_rejected(std):
    with pytest.raises(ValueError, match="std must be positive, but is"):
        GaussianFourierEmbedding(4, std)


def test_constants_move_with_the_module_and_are_not_saved():
    module = SinusoidalEmbedding(4)
    assert not module.state_dict() and not list(module.parameters())
    assert module.double()(torch.zeros(1, 1).double()).dtype == torch.float64


def test_angles_are_read_up_to_full_turns_and_told_apart():
    embedding, x = AngleEmbedding(2, 16, harmonics=3).double(), torch.randn(50, 2, dtype=torch.float64)
    turns = 2 * torch.pi * torch.randint(-3, 4, x.shape).double()
    assert_close(embedding(x + turns), embedding(x), rtol=0, atol=1e-12)
    output = embedding(torch.cat([x, -x]))
    assert output.shape == (100, 16)
    assert float((torch.cdist(output, output) + torch.eye(100)).min()) > 1e-3
