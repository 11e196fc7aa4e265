r"""Normalisation of scalars and of vectors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphscore import ops
from graphscore.nn.checks import check_width


class AdaptiveLayerNorm(nn.Module):
    r"""Layer norm whose scale and shift are linear in the condition of the graph: :math:`(1 + s) \bar h + b`.

    The map to ``s`` and ``b`` starts at zero, as in diffusion transformers: a fresh network ignores the condition, and
    all layers begin with plainly normalised inputs. Without condition it is the usual layer norm with learned scale and
    shift.

    Args:
        channels: Width F of node scalars.
        cond_channels: Width C of the per-graph condition, 0 for none.

    References:
        Perez et al. (2018), FiLM: visual reasoning with a general conditioning layer.
        Peebles and Xie (2023), Scalable diffusion models with transformers.
    """

    def __init__(self, channels: int, cond_channels: int = 0) -> None:
        super().__init__()
        self.cond_channels = cond_channels
        self.norm = nn.LayerNorm(channels, elementwise_affine=cond_channels == 0)
        self.modulate = nn.Linear(cond_channels, 2 * channels) if cond_channels else None
        if self.modulate is not None:
            nn.init.zeros_(self.modulate.weight)
            nn.init.zeros_(self.modulate.bias)

    def forward(self, h: Tensor, cond: Tensor | None = None, batch: Tensor | None = None) -> Tensor:
        """Normalise node scalars.

        Args:
            h: Node scalars, shape ``[N, F]``.
            cond: Condition of each graph, shape ``[B, C]``; not needed without conditions.
            batch: Graph of each node, shape ``[N]``; not needed without conditions.

        Returns:
            Shape ``[N, F]``.
        """
        if cond is not None:
            check_width(self, "cond", cond, self.cond_channels)
        normed = self.norm(h)
        if self.modulate is None:
            return normed
        if cond is None or batch is None:
            raise ValueError(f"AdaptiveLayerNorm with cond_channels={self.cond_channels} needs cond and batch")
        # One gather, as its derivative is a scattered sum.
        scale, shift = ops.broadcast(self.modulate(cond), batch).chunk(2, dim=-1)
        return torch.addcmul(normed + shift, normed, scale)


class EquivariantLayerNorm(nn.Module):
    r"""Equivariant layer norm: divides the vectors of each node by their root mean square length over channels.

    .. math::
        \bar v_c = w_c \, v_c \Big/ \sqrt{\tfrac{1}{C} \sum_{c'} |v_{c'}|^2 + \varepsilon}

    No mean is subtracted, and directions do not change. The constant is large on purpose. At a symmetric position, such
    as the centre of a tetrahedron, contributions to the vectors cancel up to rounding errors. With a tiny constant,
    layers would amplify these errors to unit length: the output would not rotate with the input, and would jump with
    tiny moves of nodes.

    Args:
        channels: Number C of vectors per node.
        eps: The constant :math:`\varepsilon`; a layer multiplies short vectors by at most its inverse root.

    Shapes:
        - input: ``[N, D, C]``
        - output: ``[N, D, C]``
    """

    def __init__(self, channels: int, eps: float = 0.1) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, vectors: Tensor) -> Tensor:  # noqa: D102
        square = vectors.square().sum((1, 2), keepdim=True) / vectors.shape[2]
        return vectors * ((square + self.eps).rsqrt() * self.weight)
