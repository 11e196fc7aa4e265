"""Restraints by moment matching: a measurement combined with the Gaussian posterior of the model."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor
from torch.func import jvp
from torch_geometric.data import Batch

from graphscore.denoiser import ScoreModel
from graphscore.guidance.base import Guidance, Posterior
from graphscore.linalg.autograd import differentiable, outside_inference_mode
from graphscore.linalg.residuals import conjugate_residuals


class Restraint(Guidance):
    r"""Base class of restraints: tilts the density of the data by ``exp(-k/2 || r(x0) ||^2)``.

    Here r are residuals of one field and k is the strength.
    ``x0 = x0_hat - V A^T (1/k + A V A^T)^-1 r(x0_hat)``, with A the Jacobian of r at ``x0_hat`` and V the covariance of
    ``p(x0 | xt)``, see :class:`~graphscore.guidance.base.Posterior`: the mean of the Gaussian of these moments, given
    ``r = 0`` as a measurement with the variance ``1/k``. Exact for Gaussian data and linear residuals, at any strength.
    The strength may be infinite, which makes the linearised residuals vanish.

    The system is solved by a fixed number of iterations of :func:`~graphscore.linalg.residuals.conjugate_residuals`.
    With ``through_network``, each costs a backward pass; as many as there are residuals in a graph are exact, but a few
    are mostly enough. Other fields are moved, too, as far as the network correlates them.

    Subclasses implement :meth:`residuals` and :meth:`residual_index`.

    Args:
        model: The score model.
        field: Name of the field.
        strength: Strength k, at least 0, in units of one over the square of a residual.
        num_iterations: Number of iterations.
        through_network: Whether to take V from the derivative of the model, or that of data of unit variance.
        max_step: Largest shift of a row of ``x0_hat``, in data units; see
            :class:`~graphscore.guidance.energy.EnergyGuidance`.

    Raises:
        ValueError: If there is no such field, a field is periodic, or a number is out of range.

    References:
        Rozet et al. (2024), Learning diffusion priors from observations by expectation maximization, section 4.1
        (moment matching by conjugate gradients).
        Boys et al. (2023), Tweedie moment projected diffusions for inverse problems, equation 10.
    """

    def __init__(
        self,
        model: ScoreModel,
        field: str,
        strength: float,
        num_iterations: int = 10,
        through_network: bool = True,
        max_step: float | None = None,
    ) -> None:
        super().__init__(model)
        self._refuse_angles()
        if not strength >= 0 or num_iterations < 1 or not (max_step is None or max_step > 0):
            raise ValueError(
                f"{type(self).__name__}: the strength must be at least 0, num_iterations and max_step positive, but "
                f"they are {strength}, {num_iterations} and {max_step}"
            )
        self.field = self._field(field)
        self.strength = strength
        self.num_iterations = num_iterations
        self.through_network = through_network
        self.max_step = max_step
        self.needs_signal = model.needs_signal or through_network

    @abstractmethod
    def residuals(self, batch: Batch, x: Tensor) -> Tensor:
        """Compute the residuals of the field's values ``x`` [rows, width], in data units: ``[M, *]``."""

    @abstractmethod
    def residual_index(self, batch: Batch) -> Tensor:
        """Return the graph of each residual, shape ``[M]``."""

    @outside_inference_mode()
    def forward(self, batch: Batch, t: Tensor) -> dict[str, Tensor]:  # noqa: D102 (documented on ScoreModel)
        batch, t = differentiable(batch), differentiable(t)
        posterior = Posterior(self.model, batch, t, self.through_network)
        name, scale = self.field.name, self.field.scale
        recording = torch.is_grad_enabled()

        def residuals(x: Tensor) -> Tensor:
            return self.residuals(batch, scale * x)

        with torch.enable_grad():
            x = posterior.mean[name]
            x = x if x.requires_grad else x.detach().requires_grad_()
            value = residuals(x)

        def spread(u: Tensor) -> dict[str, Tensor]:
            (pulled,) = torch.autograd.grad(value, x, u, retain_graph=True, create_graph=recording)
            return posterior.multiply({name: pulled})

        # In units of 1/k, or of the covariance if k is infinite, so that k = 0 and infinity are exact.
        own, stiffness = (0.0, 1.0) if math.isinf(self.strength) else (1.0, self.strength)

        def system(u: Tensor) -> Tensor:
            return own * u + stiffness * jvp(residuals, (x,), (spread(u)[name],))[1]

        target = stiffness * (value if recording else value.detach())
        weights = conjugate_residuals(system, target, self.residual_index(batch), batch.num_graphs, self.num_iterations)
        return self._moved(batch, posterior.mean, {f: -shift for f, shift in spread(weights).items()}, self.max_step)
