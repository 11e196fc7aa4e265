"""Energy guidance: sampling from the data's density times ``exp(-energy)``."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch

from graphscore.denoiser import ScoreModel
from graphscore.fields import replace
from graphscore.guidance.base import Guidance, Posterior
from graphscore.linalg.autograd import check_differentiable, differentiable, outside_inference_mode

Energy = Callable[[Batch], Tensor]
"""A function of a batch of clean fields, in data units, that returns one number per graph, ``[B]``, in nats."""


class EnergyGuidance(Guidance):
    r"""Guidance by a differentiable energy: tilts the density of the data by ``exp(-strength E(x0))``.

    ``x0 = x0_hat - strength V grad E(x0_hat)``, with V the covariance of ``p(x0 | xt)``, see
    :class:`~graphscore.guidance.base.Posterior`. Through the network this is
    ``x0_hat - strength std^2 / alpha C grad_xt E(x0_hat(xt))``: one backward pass a step. Exact for linear energies of
    Gaussian data, and otherwise of first order in the energy's change over the spread of ``p(x0 | xt)``. For stiff
    quadratic energies use :class:`~graphscore.guidance.moment_matching.Restraint`.

    Args:
        model: The score model.
        energy: Maps a batch of clean fields, in data units, to one number per graph, ``[B]``, in nats. If the energy of
            a graph depends on others, so do samples. If it is a module, it is registered.
        strength: Factor of the energy; 0 for none.
        max_step: Largest shift of a row of ``x0_hat``, in the data units of its field; no limit by default. If a row
            would move further, the shift of the whole graph is scaled down, which keeps its direction and zero mean.
        through_network: Whether V is the derivative of the model, or that of data of unit variance. The derivative is
            multiplied by ``std^2 / alpha``, and so is the error of a network: ``max_step`` bounds it at high noise
            levels, and alpha must not vanish (``needs_signal``).

    Raises:
        ValueError: If a field is periodic, or ``strength`` or ``max_step`` out of range; at a call, if the energy is
            not one number per graph or does not depend on the fields.

    References:
        Chung et al. (2023), Diffusion posterior sampling for general noisy inverse problems, equation 16 (a gradient
        through the network, with other step sizes).
        Ho et al. (2022), Video diffusion models, section 3.1 (reconstruction guidance).
        Boys et al. (2023), Tweedie moment projected diffusions for inverse problems, proposition 1 (the covariance).
    """

    def __init__(
        self,
        model: ScoreModel,
        energy: Energy,
        strength: float = 1.0,
        max_step: float | None = None,
        through_network: bool = True,
    ) -> None:
        super().__init__(model)
        self._refuse_angles()
        if not 0 <= strength < math.inf or not (max_step is None or max_step > 0):
            raise ValueError(
                f"{type(self).__name__}: the strength must be finite and at least 0 and max_step positive, but they "
                f"are {strength} and {max_step}"
            )
        self.energy = energy
        self.strength = strength
        self.max_step = max_step
        self.through_network = through_network
        self.needs_signal = model.needs_signal or through_network

    @outside_inference_mode()
    def forward(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:  # noqa: D102 (documented on ScoreModel)
        batch, t = differentiable(batch), differentiable(t)
        posterior = Posterior(self.model, batch, t, self.through_network)
        step = posterior.multiply(self._gradient(batch, posterior.mean))
        scaled = {name: -self.strength * shift for name, shift in step.items()}
        return self._moved(batch, posterior.mean, scaled, self.max_step)

    def _gradient(self, batch: Batch, x0_hat: dict[str, Tensor]) -> dict[str, Tensor]:
        """Gradient of the energy at the posterior mean, in units of the fields' scales."""
        recording = torch.is_grad_enabled()
        if isinstance(self.energy, nn.Module):
            check_differentiable(self.energy)
        with torch.enable_grad():
            clean = {name: x if x.requires_grad else x.detach().requires_grad_() for name, x in x0_hat.items()}
            energy = self.energy(self.process.to_data(replace(batch, clean)))
            if energy.shape != (batch.num_graphs,):
                raise ValueError(
                    f"The energy must give one number per graph, shape [{batch.num_graphs}], but gave shape "
                    f"{list(energy.shape)}; sum over the rows of each graph by ops.sum"
                )
            if not energy.requires_grad:
                raise ValueError(f"The energy does not depend on the fields {sorted(clean)} in a differentiable way")
            gradients = torch.autograd.grad(
                energy.sum(),
                list(clean.values()),
                create_graph=recording,
                allow_unused=True,
                materialize_grads=True,
            )
        return dict(zip(clean, gradients, strict=True))
