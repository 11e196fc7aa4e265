"""Base of all guidance: a score model around another, and the posterior moments of the inner one."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.denoiser import ScoreModel
from graphscore.fields import Field, replace
from graphscore.linalg.autograd import check_differentiable
from graphscore.process import ForwardProcess
from graphscore.runtime.reprs import options_of
from graphscore.sdes import SDE


class Guidance(ScoreModel):
    """Base class of guidance: a score model that changes the posterior mean of another one.

    Guidance can wrap other guidance, in any order.

    Args:
        model: The score model to guide, itself guided or not.
    """

    def __init__(self, model: ScoreModel) -> None:
        super().__init__(model.process)
        self.model = model
        self.needs_signal = model.needs_signal

    def extra_repr(self) -> str:
        """Options of the guidance; the guided model is shown below with the process."""
        return ", ".join(options_of(self, skip=("model",)))

    @property
    def evaluations_per_call(self) -> int:  # noqa: D102 (documented on ScoreModel)
        return self.model.evaluations_per_call

    def _field(self, name: str, *attributes: str) -> Field:
        """Find a field by name, and check that attributes with given values have other names than fields."""
        if name not in self.fields:
            raise ValueError(f"{type(self).__name__}: the process has no field {name!r}; it has {sorted(self.fields)}")
        for attribute in attributes:
            if attribute in self.fields:
                raise ValueError(
                    f"{type(self).__name__}: the attribute {attribute!r} is a field, which sampling overwrites; store "
                    "what is known under another name"
                )
        return self.fields[name]

    def _refuse_angles(self) -> None:
        """Check that no field is periodic, for guidance that rests on the moments of ``p(x0 | xt)``.

        Raises:
            ValueError: If one is: full turns widen the posterior on the line, but not that on the circle.
        """
        periodic = sorted(name for name, field in self.fields.items() if field.periodic)
        if periodic:
            raise ValueError(
                f"{type(self).__name__} rests on the spread of clean values on the line, which that of the angles "
                f"{periodic} is not; for angles there are Inpainting and ClassifierFreeGuidance"
            )

    def _moved(
        self, batch: Batch, x0_hat: Mapping[str, Tensor], step: Mapping[str, Tensor], max_step: float | None
    ) -> dict[str, Tensor]:
        """Add shifts to fields; a graph's shift is scaled down so that no row moves further than ``max_step``."""
        moved = dict(x0_hat)
        for name, shift in step.items():
            if max_step is not None:
                field = self.fields[name]
                index, limit = field.index(batch), max_step / field.scale
                lengths = torch.linalg.vector_norm(shift, dim=-1)
                longest = lengths.new_zeros(batch.num_graphs).scatter_reduce(0, index, lengths, "amax")
                shift = ops.per_row(limit / longest.clamp(min=limit), shift, index) * shift
            moved[name] = moved[name] + shift
        return moved


def check_levels(levels: tuple[float, float] | None) -> tuple[float, float] | None:
    """Check the lowest and highest noise level that are guided.

    Raises:
        ValueError: If they do not rise from 0 or more.
    """
    if levels is None:
        return None
    if not 0 <= levels[0] < levels[1]:
        raise ValueError(f"levels must rise from 0 or more, but are {levels[0]} and {levels[1]}")
    return levels[0], levels[1]


def extrapolate(
    process: ForwardProcess,
    batch: Batch,
    t: Tensor,
    start: Mapping[str, Tensor],
    end: Mapping[str, Tensor],
    strength: float,
    levels: tuple[float, float] | None = None,
) -> dict[str, Tensor]:
    """Extrapolate from one posterior mean through another one: ``start + strength (end - start)``.

    Args:
        process: The process of both.
        batch: A batch at time ``t``.
        t: One time per graph, shape ``[B]``.
        start: Posterior mean of each field, ``[rows, width]``.
        end: The other one.
        strength: 0 gives the first exactly, and 1 the other one.
        levels: Lowest and highest noise level at which it is done; ``end`` stays as it is at others. All by default.
    """
    found = {}
    for field, sde in process:
        one, other, factor = start[field.name], end[field.name], strength
        if levels is not None:
            level = sde.level(t)
            inside = (levels[0] <= level) & (level <= levels[1])
            factor = ops.per_row(torch.where(inside, strength, 1.0), other, field.index(batch))
        found[field.name] = torch.lerp(one, other, factor)  # lerp gives its ends exactly
    return found


class Posterior:
    r"""Mean and covariance of ``p(x0 | xt)`` for the fields of a batch.

    With ``through_network``, the covariance is the derivative of the mean, ``V = std^2 / alpha C J^T`` with
    ``J = d x0_hat / d xt`` and C the covariance of the noise. A product with it costs one backward pass through the
    model; it couples all rows and fields of a graph. Otherwise it is that of uncorrelated data of unit variance,
    ``V = std^2 C (alpha^2 + std^2 C)^-1``, which is ``std^2 / (alpha^2 + std^2)`` for isotropic noise: independent of
    the model, and without a backward pass.

    Args:
        model: The score model.
        batch: A batch at time ``t``.
        t: One time per graph, shape ``[B]``.
        through_network: Whether to use the derivative of the model.

    Inside ``torch.inference_mode()``, make and use it within
    :func:`~graphscore.linalg.autograd.outside_inference_mode`.

    Raises:
        ValueError: If the derivative is needed, but the model's output cannot be differentiated by its input, such as
            that of a model made inside ``torch.inference_mode()``.

    References:
        Efron (2011), Tweedie's formula and selection bias, equation 2.8 (mean and variance).
        Boys et al. (2023), Tweedie moment projected diffusions for inverse problems, proposition 1.
    """

    def __init__(self, model: ScoreModel, batch: Batch, t: Tensor, through_network: bool) -> None:
        self._process, self._batch, self._t, self._through_network = model.process, batch, t, through_network
        # If gradients are recorded, guidance must be differentiable itself: other guidance may be around it.
        self._differentiable = torch.is_grad_enabled()
        if not through_network:
            self._mean = self.mean = model(batch, t)
            return
        check_differentiable(model)
        with torch.enable_grad():
            noisy = {name: batch[name] for name in model.fields}
            self._xt = {name: x if x.requires_grad else x.detach().requires_grad_() for name, x in noisy.items()}
            self._mean = model(replace(batch, self._xt), t)
        if not all(x0_hat.requires_grad for x0_hat in self._mean.values()):
            raise ValueError(
                f"{type(model).__name__} passes no gradient from its input to its output, which guidance through the "
                "network needs: remove no_grad and detach from it, or set through_network=False"
            )
        self.mean = {name: x if self._differentiable else x.detach() for name, x in self._mean.items()}

    def multiply(self, gradient: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Multiply the covariance with a gradient of some fields, ``[rows, width]``: a shift for each coupled field."""
        if not self._through_network:
            return {
                field.name: self._uncorrelated(field, sde, gradient[field.name])
                for field, sde in self._process
                if field.name in gradient
            }
        pulled = torch.autograd.grad(
            [self._mean[name] for name in gradient],
            list(self._xt.values()),
            list(gradient.values()),
            retain_graph=True,
            create_graph=self._differentiable,
            allow_unused=True,
            materialize_grads=True,
        )
        steps = {}
        for (field, sde), back in zip(self._process, pulled, strict=True):
            factor = ops.per_row(sde.std(self._t) ** 2 / sde.alpha(self._t), back, field.index(self._batch))
            steps[field.name] = factor * sde.covariance(self._batch, field).multiply(back)
        return steps

    def _uncorrelated(self, field: Field, sde: SDE, gradient: Tensor) -> Tensor:
        index = field.index(self._batch)
        alpha, std = (ops.broadcast(c, index) for c in (sde.alpha(self._t), sde.std(self._t)))
        return sde.covariance(self._batch, field).apply(
            lambda noise: std**2 * noise / (alpha**2 + std**2 * noise), gradient
        )


def read_known(batch: Batch, field: str, mask: str, values: str) -> tuple[Tensor, Tensor]:
    """Read the given rows of a field and their values.

    Args:
        batch: A batch with the field and both attributes.
        field: Name of the field.
        mask: Name of the attribute that marks the given rows: bool, shape ``[rows]``.
        values: Name of the attribute of the values, in data units, ``[rows, width]``; other rows are ignored.

    Returns:
        The mask as a column, ``[rows, 1]``, and the values in data units, ``[rows, width]``, zero in other rows.

    Raises:
        ValueError: If an attribute is missing or has another shape or type.
    """
    x = batch[field]
    known, given = read(batch, mask, [len(x)]), read(batch, values, list(x.shape))
    if known.dtype != torch.bool:
        raise ValueError(f"The mask {mask!r} must be of type bool, but is {known.dtype}")
    return known[:, None], torch.where(known[:, None], given.to(x), 0.0)


def read(batch: Batch, name: str, shape: list[int]) -> Tensor:
    """Read an attribute of a batch, and check its shape.

    Raises:
        ValueError: If it is missing or has another shape.
    """
    value = batch.get(name)
    if not isinstance(value, Tensor):
        raise ValueError(f"The batch has no tensor {name!r}; it has {sorted(batch.keys())}")
    if list(value.shape) != shape:
        raise ValueError(f"The attribute {name!r} must have shape {shape}, but has {list(value.shape)}")
    return value


def known_mean(x: Tensor, known: Tensor, index: Tensor, num_graphs: int) -> Tensor:
    """Compute the mean of the given rows of each graph, broadcast to all its rows: ``[rows, width]``; zero if none."""
    total = ops.sum(torch.where(known, x, 0.0), index, num_graphs)
    number = ops.sum(known.to(x.dtype), index, num_graphs).clamp(min=1)
    return ops.broadcast(total / number, index)
