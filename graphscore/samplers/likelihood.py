r"""Log-densities of data under a score model, by the change of variables along the probability flow."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore.denoiser import ScoreModel
from graphscore.linalg.autograd import check_differentiable, differentiable, outside_inference_mode
from graphscore.linalg.divergence import Projection, random_directions
from graphscore.linalg.runge_kutta import State, solve
from graphscore.rng import Generator
from graphscore.samplers.adaptive import StraightFlow
from graphscore.samplers.flow_divergence import FlowDivergence
from graphscore.sdes import CircleSDE

_NUM_SHOWN = 6
"""Number of graphs whose log-density is printed."""
_LOG = ""  # no attribute of a batch has this name


class LogDensity(NamedTuple):
    """Log-densities of the graphs of a batch: result of :func:`log_density`.

    Attributes:
        nats: Log-density of all fields together in data units, shape ``[B]``, float64.
        bits_per_dim: ``-nats / (dimension ln 2)``, shape ``[B]``; NaN where there is no dimension.
        dimension: Number of dimensions: rows times width, less one row for zero-mean fields, shape ``[B]``, float64.
        num_evaluations: Evaluations of the flow and its divergence, shape ``[B]``, int64.
        standard_error: Standard error of ``nats`` by the random directions: 0 if the divergence is exact, and NaN with
            a single direction, which gives no estimate. Shape ``[B]``, float64.
    """

    nats: Tensor
    bits_per_dim: Tensor
    dimension: Tensor
    num_evaluations: Tensor
    standard_error: Tensor

    def __repr__(self) -> str:
        shown = ", ".join(f"{value:.4g}" for value in self.nats[:_NUM_SHOWN].tolist())
        more = ", ..." if len(self.nats) > _NUM_SHOWN else ""
        return f"{type(self).__name__}({len(self.nats)} graphs: {shown}{more} nats)"


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
    max_pairs: int = 2**16,
    progress: Callable[[float], None] | None = None,
    generator: Generator = None,
) -> LogDensity:
    r"""Compute the log-density (likelihood) of clean graphs under a score model.

    The density is that of the prior at time ``end``, transported along the probability flow to time ``start``, by an
    adaptive solver with error control for each graph. In straight coordinates (see
    :mod:`graphscore.samplers.adaptive`), ``log p`` falls by the divergence of the flow. The density of a zero-mean
    field is that on the centre-free subspace, of ``(n - 1) d`` dimensions for n nodes.

    The prior ``N(0, std^2 C)`` neglects the data at time ``end``: for a variance-exploding process that ends at the
    level s, the density is that of a distribution whose variance is wrong by a share of about ``1 / s^2``. The density
    of angles is that on the circle, with a uniform prior.

    The solver takes six evaluations a step, mostly 50 to 500 in total at the default tolerances, each with the
    divergence. The exact divergence costs as much as an evaluation and a backward pass of the model on ``n d`` copies
    of a graph of n nodes in d dimensions: the square of the number of nodes, or its cube if all pairs are connected.
    With M random directions, M copies are needed. Copies are evaluated together within ``max_pairs``. Attributes that
    were set on the batch after its graphs were collated cannot be copied; directions are then evaluated one after
    another.

    Args:
        model: The score model, whose output must be differentiable by its input. Graphs of a batch must not influence
            each other.
        batch: Clean data, in data units.
        num_probes: ``None`` for the exact divergence; or the number M of random directions that estimate it
            (Hutchinson). The directions stay the same along the flow, and the estimate of the log-density is unbiased
            apart from solver errors; with two or more directions its standard error is estimated, too.
        projection: ``"rademacher"`` or ``"gaussian"`` directions.
        rtol: Relative tolerance of the solver.
        atol: Absolute tolerance of the solver.
        start: Time assigned to the data, above 0.
        end: Time of the prior; by default 1, or the largest at which the model is defined.
        max_steps: Largest number of solver steps.
        max_pairs: Limit on memory: largest number of pairs of nodes in all copies that are evaluated at once.
        progress: Called before the first and after each step with the fraction of the flow that the slowest graph has
            covered, from 0 to 1; computing it waits for the device.
        generator: Source of the directions.

    Returns:
        The log-density in nats and bits per dimension, with its dimension and cost.

    Raises:
        ValueError: If a field is missing or malformed, or an option is out of range.
        RuntimeError: If a graph does not reach the end within ``max_steps``.

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
    for field, _ in model.process:
        batch = field.write(batch, clean[field.name])
    flow = StraightFlow(model, batch)
    directions = None if num_probes is None else _directions(model, batch, num_probes, projection, generator)
    divergence = FlowDivergence(model, batch, directions, max_pairs)

    def function(tau: Tensor, state: State) -> dict[str, Tensor]:
        slopes, change = divergence(tau, state)
        return {**slopes, _LOG: change}

    early, late = (torch.full((num_graphs,), time, dtype=torch.float64, device=device) for time in (start, end))
    index = {**flow.index, _LOG: torch.arange(num_graphs, device=device)}
    logs = torch.zeros(num_graphs, divergence.num_columns, dtype=torch.float64, device=device)
    solution = solve(
        function, {**flow.straighten(batch, early), _LOG: logs}, index, flow.tau(early), flow.tau(late),
        rtol=rtol, atol=atol, max_steps=max_steps, progress=progress,
    )  # fmt: skip
    estimates = solution.state[_LOG]
    nats = estimates.mean(1)
    noise = flow.bend({name: solution.state[name] for name in clean}, late)
    dimension = torch.zeros_like(nats)
    for field, sde in model.process:
        covariance, width = sde.covariance(batch, field), clean[field.name].shape[1]
        own = covariance.rank * width
        after, before = (sde.alpha(t) + sde.std(t) for t in (late, early))
        circle = isinstance(sde, CircleSDE)  # with a uniform prior
        prior = -own * math.log(2 * math.pi) if circle else covariance.log_density(noise[field.name], sde.std(late))
        nats = nats + prior + own * (after / before / field.scale).log()
        dimension = dimension + own
    error = torch.zeros_like(nats) if num_probes is None else _standard_error(estimates)
    return LogDensity(nats, -nats / (dimension * math.log(2)), dimension, solution.num_evaluations, error)


def _directions(
    model: ScoreModel, batch: Batch, num_probes: int, projection: Projection, generator: Generator
) -> dict[str, Tensor]:
    """Random directions within the space of each field, ``[M, rows, width]``."""
    directions = {}
    for name, field in model.process.fields.items():
        x, index = batch[name], field.index(batch)
        drawn = random_directions(
            x, index, batch.num_graphs, count=num_probes, projection=projection, generator=generator
        )
        directions[name] = torch.stack([field.project(direction, index, batch.num_graphs) for direction in drawn])
    return directions


def _standard_error(estimates: Tensor) -> Tensor:
    """Standard error of the mean of independent estimates ``[B, M]``, shape ``[B]``; NaN for a single estimate."""
    number = estimates.shape[1]
    if number < 2:
        return torch.full_like(estimates[:, 0], math.nan)
    squares = (estimates - estimates.mean(1, keepdim=True)).square().sum(1)
    return (squares / (number * (number - 1))).sqrt()
