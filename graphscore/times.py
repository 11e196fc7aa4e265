r"""Diffusion times: densities of training times and time grids for sampling.

Time ``t`` in [0, 1] runs from data (0) to noise (1), always in float64, with one training time per graph, ``[B]``. At
t = 0 there is no noise. The forward process is defined there, but models and samplers divide by the noise or take its
logarithm, and need t > 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from graphscore import ops
from graphscore.rng import Generator, GraphGenerator
from graphscore.sdes import SDE

Density = Callable[[Tensor, SDE], Tensor]
"""A density of training times: a function of uniform numbers and the noise process that returns times."""

LOWEST_LEVEL = 10**-2.5
"""Default noise level ``std / alpha`` at the end of a grid: 0.003 of the data's standard deviation."""


def in_range(t: Tensor, *, zero: bool = False) -> Tensor:
    """Check that times lie in (0, 1]; on other devices than the CPU, set times outside to NaN instead.

    The check would have to wait for the device. NaN spreads to all results that are computed from such a time.

    Args:
        t: One time per graph, shape ``[B]``.
        zero: Whether t = 0 is allowed.

    Returns:
        The times.

    Raises:
        ValueError: If times on the CPU lie outside, or are NaN.
    """
    inside = ((t >= 0) if zero else (t > 0)) & (t <= 1)
    if not ops.on_host(t):
        return torch.where(inside, t, torch.nan)
    if not bool(inside.all()):
        graph = int(inside.flatten().long().argmin())
        raise ValueError(
            f"Times run from 0, the data, to 1, the noise, and must lie in {'[' if zero else '('}0, 1], but that of "
            f"graph {graph} is {float(t.flatten()[graph]):g}"
        )
    return t


def stratified(num_graphs: int, *, generator: Generator = None, device: torch.device | str | None = None) -> Tensor:
    r"""Draw stratified uniform numbers, one per graph: ``(i + u_i) / B``, in random order.

    Each number alone is uniform on [0, 1); together they cover the interval evenly, which lowers the variance of the
    loss.

    Args:
        num_graphs: Number of graphs B.
        generator: Source of randomness; ``None`` is PyTorch's global one.
        device: Device of the result; by default that of the generator.

    Returns:
        Shape ``[B]``, float64.
    """
    if isinstance(generator, GraphGenerator):
        raise ValueError(
            "Stratified times couple the graphs of a batch: pass a torch.Generator, not a GraphGenerator, or times"
        )
    device = generator.device if generator is not None and device is None else device
    offsets = torch.rand(num_graphs, dtype=torch.float64, device=device, generator=generator)
    strata = torch.randperm(num_graphs, device=device, generator=generator)
    return (strata + offsets) / max(num_graphs, 1)


def uniform(u: Tensor, sde: SDE | None = None, eps: float = 1e-5) -> Tensor:
    r"""Map uniform numbers to times ``t ~ U(eps, 1)``, the density of Song et al. (2021).

    Args:
        u: Uniform numbers in [0, 1), any shape.
        sde: The noise process; it has no influence.
        eps: Smallest time; above 0, so that the noise never vanishes.

    Returns:
        Times of the shape of ``u``.

    Raises:
        ValueError: If ``eps`` does not lie between 0 and 1.
    """
    _check_smallest(eps)
    return eps + (1 - eps) * u


def log_normal(u: Tensor, sde: SDE, mean: float = -1.2, std: float = 1.2, eps: float = 1e-5) -> Tensor:
    r"""Map uniform numbers to times whose noise level ``std / alpha`` is log-normal.

    Args:
        u: Uniform numbers in [0, 1), any shape.
        sde: The noise process.
        mean: Mean of the natural logarithm of the level.
        std: Standard deviation of the natural logarithm of the level.
        eps: Smallest time.

    Returns:
        Times of the shape of ``u``, clipped to ``[eps, 1]``.

    Raises:
        ValueError: If ``eps`` does not lie between 0 and 1.

    References:
        Karras et al. (2022), Elucidating the design space of diffusion-based generative models, table 1.
    """
    _check_smallest(eps)
    normal = math.sqrt(2) * torch.erfinv((2 * u - 1).clamp(-1 + 1e-12, 1 - 1e-12))
    return sde.time((mean + std * normal).exp()).clamp(eps, 1)


def linear_grid(
    num_steps: int, sde: SDE | None = None, *, start: float | None = None, end: float | None = None
) -> Tensor:
    """Make a grid of evenly spaced sampling times.

    Args:
        num_steps: Number of steps S.
        sde: The noise process, for the default ends.
        start: First, largest time; by default that of the largest moderate noise level of the process, or 1.
        end: Last, smallest time; by default that of the noise level :data:`LOWEST_LEVEL`, or 1e-5.

    Returns:
        Shape ``[S + 1]``, float64, strictly falling.

    Raises:
        ValueError: If there is no step, or the ends do not fall within (0, 1].
    """
    high, low = (1.0, 1e-5) if sde is None else _ends(sde)
    start, end = high if start is None else start, low if end is None else end
    _check_grid(num_steps, start, end)
    return torch.linspace(start, end, num_steps + 1, dtype=torch.float64)


def karras_grid(
    num_steps: int, sde: SDE, *, start: float | None = None, end: float | None = None, rho: float = 7.0
) -> Tensor:
    r"""Make the sampling grid of Karras et al., on which ``(std / alpha)^(1/rho)`` falls evenly.

    Args:
        num_steps: Number of steps S.
        sde: The noise process.
        start: First, largest time; by default that of the largest moderate noise level of the process.
        end: Last, smallest time; by default that of the noise level :data:`LOWEST_LEVEL`.
        rho: Larger values put more steps at low noise.

    Returns:
        Shape ``[S + 1]``, float64, strictly falling.

    Raises:
        ValueError: If there is no step, or the ends do not fall within (0, 1].

    References:
        Karras et al. (2022), Elucidating the design space of diffusion-based generative models, equation 5.
    """
    return _level_grid(num_steps, sde, start, end, lambda level: level ** (1 / rho), lambda root: root**rho)


def log_snr_grid(num_steps: int, sde: SDE, *, start: float | None = None, end: float | None = None) -> Tensor:
    r"""Make a sampling grid on which the log signal-to-noise ratio ``2 log(alpha / std)`` rises evenly.

    Args:
        num_steps: Number of steps S.
        sde: The noise process.
        start: First, largest time; by default that of the largest moderate noise level of the process.
        end: Last, smallest time; by default that of the noise level :data:`LOWEST_LEVEL`.

    Returns:
        Shape ``[S + 1]``, float64, strictly falling.

    Raises:
        ValueError: If there is no step, or the ends do not fall within (0, 1].

    References:
        Lu et al. (2022), DPM-Solver: a fast ODE solver for diffusion probabilistic model sampling in around 10 steps,
        section 3.3.
    """
    return _level_grid(num_steps, sde, start, end, torch.log, torch.exp)


def cut_grid(grid: Tensor, start: float) -> Tensor:
    """Cut a sampling grid at a time, from which on its steps are taken: that of data that are diffused first.

    The times below it stay, but the next one is left out if its step would be shorter than half of that after it.

    Args:
        grid: Falling times, shape ``[S + 1]``.
        start: Time in (0, 1], the new first one; where the grid starts lower, it is kept as it is.

    Returns:
        Falling times, at most as many.

    Raises:
        ValueError: If the time lies outside (0, 1], or not above the last one of the grid.
    """
    if not 0 < start <= 1:
        raise ValueError(f"The time up to which data are diffused must lie in (0, 1], but is {start}")
    if start >= grid[0]:
        return grid
    if start <= grid[-1]:
        raise ValueError(
            f"Data with the noise of time {start} are cleaner than samples, whose last time is {float(grid[-1]):g}: "
            "diffuse them further, or let the grid end lower"
        )
    below = grid[grid < start]
    if len(below) > 1 and start - below[0] < (below[0] - below[1]) / 2:
        below = below[1:]
    return torch.cat([grid.new_tensor([start]), below])


def _level_grid(
    num_steps: int,
    sde: SDE,
    start: float | None,
    end: float | None,
    forth: Callable[[Tensor], Tensor],
    back: Callable[[Tensor], Tensor],
) -> Tensor:
    """Times between which a function ``forth`` of the noise level, with its inverse ``back``, falls evenly."""
    largest, lowest = _ends(sde)
    start, end = largest if start is None else start, lowest if end is None else end
    _check_grid(num_steps, start, end)
    high, low = forth(sde.level(torch.tensor([start, end], dtype=torch.float64)))
    grid = sde.time(back(torch.linspace(float(high), float(low), num_steps + 1, dtype=torch.float64)))
    grid[0], grid[-1] = start, end
    return grid


def _ends(sde: SDE) -> tuple[float, float]:
    """Times of the largest moderate noise level of a process and of the lowest that sampling needs."""
    return sde.max_time, float(sde.time(torch.tensor(LOWEST_LEVEL, dtype=torch.float64)))


def _check_smallest(eps: float) -> None:
    if not 0 < eps < 1:
        raise ValueError(f"eps must lie between 0 and 1, but is {eps}")


def _check_grid(num_steps: int, start: float, end: float) -> None:
    if num_steps < 1:
        raise ValueError(f"A time grid needs at least 1 step, but num_steps is {num_steps}")
    if not 0 < end < start <= 1:
        raise ValueError(
            f"A time grid runs from `start` down to `end` with 0 < end < start <= 1, but got {start}, {end}"
        )


DENSITIES: dict[str, Callable[..., Tensor]] = {"uniform": uniform, "log-normal": log_normal}
GRIDS: dict[str, Callable[..., Tensor]] = {"linear": linear_grid, "karras": karras_grid, "log-snr": log_snr_grid}
