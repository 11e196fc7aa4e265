"""Objects say what they were built with: the name of their class and an attribute for each constructor argument."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn

from graphscore.nn import BACKBONES, NEIGHBORS, ModuleBackbone
from graphscore.testing import ragged_batch

# One value per name that is no default anywhere.
VALUES = {
    "hidden_channels": 12, "num_layers": 2, "edge_channels": 3, "cond_channels": 2, "vector_channels": 4,
    "num_heads": 3, "num_tokens": 5, "pairwise": True, "num_basis": 7, "cutoff": 2.5, "input_vectors": 1, "dim": 2,
    "module": nn.Linear(12, 12), "arguments": {"input": "h"}, "edge_dim": 5, "gives_vectors": True,
    "k": 3, "radius": 0.5, "max_neighbors": 2,
}  # fmt: skip
CLASSES = {**BACKBONES, "module": ModuleBackbone, **NEIGHBORS}


@pytest.mark.parametrize("name", CLASSES)
def test_every_constructor_argument_is_an_attribute_that_builds_the_same_again(name):
    options = {option: VALUES[option] for option in inspect.signature(CLASSES[name]).parameters}
    built = CLASSES[name](**options)
    described = {option: getattr(built, option) for option in options}
    assert described == options
    again = CLASSES[name](**described)
    if isinstance(built, nn.Module):
        shapes = [{key: value.shape for key, value in one.state_dict().items()} for one in (built, again)]
        assert shapes[0] == shapes[1]
    else:
        batch = ragged_batch((4, 1, 5))
        assert torch.equal(built(batch.pos, batch.batch, 3), again(batch.pos, batch.batch, 3))
