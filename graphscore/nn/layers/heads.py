"""Zero initialisation of heads, the last layers of a network."""

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
    """Initialise all heads of a network at random, as other layers, instead of at zero.

    The heads of all networks here start at zero: the vectors of backbones and all outputs of a score network are zero,
    which makes the first steps of training stable. Layers before a head get no gradient in the first step.

    Args:
        network: A backbone, a score network, or a module that contains one; changed in place.

    Returns:
        The same network.
    """
    for module in network.modules():
        if getattr(module, "starts_at_zero", False):
            nn.Linear.reset_parameters(module)  # pyright: ignore[reportArgumentType]
    return network
