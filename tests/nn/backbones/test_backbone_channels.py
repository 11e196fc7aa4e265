"""Channels of backbones: those that are left open, and wrong numbers."""

from __future__ import annotations

import pytest
import torch

from graphscore.nn import BACKBONES, Feature, ScoreNetwork, Vector

HIDDEN = 16


@pytest.mark.parametrize("name", BACKBONES)
def test_channels_that_are_left_open_are_those_that_are_needed(name):
    backbone = BACKBONES[name](HIDDEN).double()
    assert [backbone.edge_channels, backbone.cond_channels, backbone.vector_channels] == [0, 0, 1]
    inputs = {"edge_attr": Feature(2, level="edge"), "v": Vector()}
    network = ScoreNetwork(backbone, {"pos": 3, "v": 3}, inputs)
    own = network.backbone
    assert type(own) is type(backbone) and own.num_layers == backbone.num_layers
    assert [own.edge_channels, own.cond_channels, own.vector_channels] == [HIDDEN, HIDDEN, 2]
    assert {parameter.dtype for parameter in own.parameters()} == {torch.float64}
    given = BACKBONES[name](HIDDEN, 1, 3, 4, 2)
    assert ScoreNetwork(given, {"pos": 3, "v": 3}, inputs).backbone is given
    with pytest.raises(ValueError, match="vector_channels=1, but the vector fields are"):
        ScoreNetwork(BACKBONES[name](HIDDEN, vector_channels=1), {"pos": 3, "v": 3}, inputs)


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize(
    "options, match",
    [
        ({"vector_channels": 0}, "vector_channels must be at least 1, but is 0"),
        ({"edge_channels": -1}, "edge_channels must be at least 0, but is -1"),
        ({"cond_channels": -1}, "cond_channels must be at least 0, but is -1"),
    ],
)
def test_bad_sizes_are_named(name, options, match):
    with pytest.raises(ValueError, match=match):
        BACKBONES[name](HIDDEN, **options)
