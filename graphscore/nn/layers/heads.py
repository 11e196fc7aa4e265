"""Heads: the last layers of a network, which start at zero."""

from __future__ import annotations

from torch import nn


def zero_head(layer: nn.Linear) -> nn.Linear:
    """Set the weights and the bias of a head to zero, so that the first output of a network is zero."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    # An attribute of the layer, for `randomize_heads` to find it.
    layer.starts_at_zero = True  # pyright: ignore[reportArgumentType, reportAttributeAccessIssue]
    return layer


def randomize_heads(network: nn.Module) -> nn.Module:
    """Draw the weights of all heads in a network as those of other layers are, instead of zeros.

    The heads of all networks here start at zero: positions and vectors of backbones start still, and so does every
    output of a score network, which makes the first steps of training stable. Layers that are behind a head get no
    gradient in the first step.

    Args:
        network: A backbone, a score network, or whatever holds them; changed in place.

    Returns:
        The same network.
    """
    for module in network.modules():
        if getattr(module, "starts_at_zero", False):
            nn.Linear.reset_parameters(module)  # pyright: ignore[reportArgumentType]
    return network
