"""The transformer through latent tokens, beyond what all backbones promise."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from torch.testing import assert_close

from graphscore.nn import LatentTransformer, randomize_heads
from graphscore.nn.backbones.latent_transformer import CrossAttention

F, H = 8, 2
NO_EDGES = torch.zeros(2, 0, dtype=torch.long)


@pytest.mark.exact
def test_attention_is_that_of_the_dense_formula():
    attention = CrossAttention(F, H).double()
    queries, sources = torch.randn(3, 4, F).double(), torch.randn(3, 5, 2 * F).double()
    hidden = torch.rand(3, 5) < 0.3
    hidden[:, 0] = False
    query, key, value = (
        part.unflatten(-1, (H, -1)).transpose(1, 2) for part in (attention.query(queries), *sources.chunk(2, dim=-1))
    )
    dense = scaled_dot_product_attention(query, key, value, attn_mask=~hidden[:, None, None])
    expected = attention.mix(dense.transpose(1, 2).flatten(2))
    assert_close(attention(queries, sources, hidden), expected, rtol=1e-12, atol=1e-12)


def test_nodes_know_of_each_other_without_edges():
    backbone = randomize_heads(LatentTransformer(F, 1, num_heads=H)).double()
    h, pos = torch.zeros(6, F).double(), torch.randn(6, 3).double()
    moved = pos.clone()
    moved[5] += 1
    before, after = (backbone(h, places, NO_EDGES)[1] for places in (pos, moved))
    # More than by the centroid alone, from which all positions are taken.
    shifted = backbone(h[:5], pos[:5] - pos.mean(0), NO_EDGES)[1]
    assert (before - after)[:5].abs().min() > 1e-6 and (before[:5] - shifted).abs().min() > 1e-6


def test_memory_of_the_largest_graph_grows_with_its_nodes_alone():
    """A graph of 20,000 nodes: an array of pairs would take 1.6 GB."""
    backbone = LatentTransformer(F, 2, num_heads=H)
    scalars, vectors = backbone(torch.zeros(20_000, F), torch.randn(20_000, 3), NO_EDGES)
    assert scalars.isfinite().all() and vectors.shape == (20_000, 1, 3)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"dim": 0}, "dim and num_tokens must be at least 1, but are 0, 32"),
        ({"num_tokens": 0}, "3, 0"),
        ({"hidden_channels": 10}, "multiple of num_heads, but is 10 with 4 heads"),
    ],
)
def test_bad_sizes_are_named(options, match):
    with pytest.raises(ValueError, match=match):
        LatentTransformer(**options)


def test_positions_of_another_dimension_are_named():
    with pytest.raises(ValueError, match=r"dim=3\) got positions of 2 dimensions"):
        LatentTransformer(F, 1, num_heads=H)(torch.zeros(2, F), torch.zeros(2, 2), NO_EDGES)
