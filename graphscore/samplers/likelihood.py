r"""Log-densities of data under a score model, by the change of variables along the probability flow."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore.autograd import check_differentiable, differentiable, outside_inference_mode
from graphscore.denoiser import ScoreModel
from graphscore.divergence import Projection, divergence, projected_divergence, random_directions
from graphscore.fields import Field, replace
from graphscore.generators import Generator
from graphscore.samplers.adaptive import StraightFlow
from graphscore.samplers.runge_kutta import State, solve

_LOG = ""  # no attribute of a batch has this name


class LogDensity(NamedTuple):
    """What :func:`log_density` returns, for each graph.

    Attributes:
        nats: Log-density of all fields together in data units, shape ``[B]``, float64.
        bits_per_dim: ``-nats / (dimension ln 2)``, shape ``[B]``; NaN where there is no dimension.
        dimension: Number of dimensions: rows times width, less one row for zero-mean fields, shape ``[B]``, float64.
        num_evaluations: Evaluations of the flow and its divergence, shape ``[B]``, int64.
    """

    nats: Tensor
    bits_per_dim: Tensor
    dimension: Tensor
    num_evaluations: Tensor


@outside_inference_mode()
@torch.no_grad()
def log_density(
    model: ScoreModel,
    batch: Batch,
    *,
    num_probes: int | None = None,
    projection: Projection = "rademacher",
    rtol: float = 1e-5,
    atol: float = 1e-5,
    start: float = 1e-5,
    end: float | None = None,
    max_steps: int = 1000,
    generator: Generator = None,
) -> LogDensity:
    r"""Compute the log-density that a model gives to clean graphs.

    The density is that of the prior at time ``end``, carried along the probability flow to time ``start``, with an
    adaptive solver that controls the error of each graph alone. In straight coordinates (see
    :mod:`graphscore.samplers.adaptive`), ``log p`` falls by the divergence of the flow. The density of a zero-mean
    field is one on the centre-free subspace, of ``(n - 1) d`` dimensions for n nodes.

    What is left of the data at time ``end`` is no part of the prior ``N(0, std^2 C)``: for a variance-exploding process
    that ends at the level s, the density is that of a law whose variance is off by a share of about ``1 / s^2``.

    Args:
        model: The score model; the derivative of its output by its input is taken.
        batch: Clean data, in data units.
        num_probes: ``None`` for the exact divergence, at one backward pass for each entry of the largest graph and
            evaluation; or the number of random directions that estimate it, one backward pass each (Hutchinson). The
            directions stay the same along the flow, and the estimate of the log-density is unbiased but for the solver.
        projection: ``"rademacher"`` or ``"gaussian"`` directions.
        rtol: Relative tolerance of the solver.
        atol: Absolute tolerance of the solver.
        start: Time at which the data are taken to be, above 0.
        end: Time of the prior; by default 1, or the largest at which the model is defined.
        max_steps: Largest number of solver steps.
        generator: Source of the directions.

    Returns:
        The log-density in nats and bits per dimension, with its dimension and cost.

    Raises:
        ValueError: If a field is missing or malformed, or an option is out of range.
        RuntimeError: If a graph does not arrive within ``max_steps``.

    References:
        Song et al. (2021), Score-based generative modeling through stochastic differential equations, section 4.3 and
        appendix D.2.
        Grathwohl et al. (2019), FFJORD: free-form continuous dynamics for scalable reversible generative models.
    """
    last = min((sde.max_time for _, sde in model.process), default=1.0) if model.needs_signal else 1.0
    end = last if end is None else end
    if not 0 < start < end <= 1:
        raise ValueError(f"The flow runs from `start` to a later `end` in (0, 1], but they are {start} and {end}")
    check_differentiable(model)
    batch = differentiable(batch)
    num_graphs, device = batch.num_graphs, batch.batch.device
    clean = {field.name: field.read(batch) for field, _ in model.process}
    batch = replace(batch, clean)
    flow = StraightFlow(model, batch)
    directions = {
        name: random_directions(
            x, flow.index[name], num_graphs, count=num_probes, projection=projection, generator=generator
        )
        for name, x in clean.items()
        if num_probes is not None
    }

    def function(tau: Tensor, state: State) -> dict[str, Tensor]:
        slopes, total = {}, torch.zeros_like(tau)
        for name, field in model.process.fields.items():
            slopes[name], change = _slope_and_divergence(flow, field, tau, state, directions.get(name))
            total = total + change.double()
        return {**slopes, _LOG: total[:, None]}

    early, late = (torch.full((num_graphs,), time, dtype=torch.float64, device=device) for time in (start, end))
    index = {**flow.index, _LOG: torch.arange(num_graphs, device=device)}
    state = {**flow.straighten(batch, early), _LOG: torch.zeros(num_graphs, 1, dtype=torch.float64, device=device)}
    solution = solve(function, state, index, flow.tau(early), flow.tau(late), rtol=rtol, atol=atol, max_steps=max_steps)
    nats = solution.state[_LOG][:, 0]
    noise = flow.bend({name: solution.state[name] for name in clean}, late)
    dimension = torch.zeros_like(nats)
    for field, sde in model.process:
        covariance, width = sde.covariance(batch, field), clean[field.name].shape[1]
        own = covariance.rank * width
        after, before = (sde.alpha(t) + sde.std(t) for t in (late, early))
        nats = nats + covariance.log_density(noise[field.name], sde.std(late))
        nats = nats + own * (after / before / field.scale).log()
        dimension = dimension + own
    return LogDensity(nats, -nats / (dimension * math.log(2)), dimension, solution.num_evaluations)


def _slope_and_divergence(
    flow: StraightFlow, field: Field, tau: Tensor, state: State, directions: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The field's slope, and the divergence ``[B]`` of it by the field itself, within the field's space."""
    index, num_graphs = flow.index[field.name], len(tau)
    others = {name: value for name, value in state.items() if name != _LOG}

    def slope(y: Tensor) -> Tensor:
        return flow.slopes(tau, {**others, field.name: field.project(y, index, num_graphs)})[field.name]

    y = state[field.name]
    if directions is None:
        return divergence(slope, y, index, num_graphs)
    inside = torch.stack([field.project(direction, index, num_graphs) for direction in directions])
    value, products = projected_divergence(slope, y, inside, index, num_graphs)
    return value, products.mean(0)
