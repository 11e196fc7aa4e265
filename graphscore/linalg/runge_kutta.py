r"""Adaptive Runge-Kutta solver with a separate step size, error and time for each graph of a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from graphscore import ops
from graphscore.runtime.precision import double

State = Mapping[str, Tensor]
RightHandSide = Callable[[Tensor, State], State]

# Dormand and Prince (1980), A family of embedded Runge-Kutta formulae: order 5, with an error estimate of order 4.
_NODES = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
_STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_ERRORS = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)

# Number of steps between checks that all graphs have arrived: a check waits for the device.
_STEPS_PER_LOOK = {"cpu": 1}


class Solution(NamedTuple):
    """Final state of an integration, with its cost: result of :func:`solve`.

    Attributes:
        state: The state at the end.
        num_evaluations: Evaluations of the right-hand side that each graph needed, shape ``[B]``, int64.
        step: Last accepted step size of each graph, shape ``[B]``: a good first one for a continued integration.
    """

    state: dict[str, Tensor]
    num_evaluations: Tensor
    step: Tensor


def solve(
    function: RightHandSide,
    state: State,
    index: Mapping[str, Tensor],
    start: Tensor,
    end: Tensor,
    *,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    step: Tensor | None = None,
    max_steps: int = 1000,
    progress: Callable[[float], None] | None = None,
) -> Solution:
    r"""Integrate the ODE ``dy / dtau = f(tau, y)`` for all graphs of a batch at once.

    The method is Dormand and Prince's pair of orders 5 and 4. The error of a graph is the root mean square over all its
    entries of the estimated error, divided by ``atol + rtol |y|``, where ``|y|`` is the root mean square of each row,
    so that rotated graphs take the same steps. It decides whether that graph's step is accepted, and the size of the
    next one; graphs at their last time stay there. No graph depends on the others.

    Args:
        function: Called with one time per graph ``[B]`` and a state; returns the time derivatives.
        state: Tensors by name, ``[rows, width]``.
        index: Graph of each row of each tensor, ``[rows]``.
        start: First time of each graph, ``[B]``, float64.
        end: Last time of each graph, ``[B]``, above or below the first.
        rtol: Relative tolerance.
        atol: Absolute tolerance, in units of the state.
        step: First step size of each graph, positive, ``[B]``; a twentieth of the interval by default.
        max_steps: Largest number of steps, including rejected ones.
        progress: Called before the first and after each step with the fraction of its interval that the slowest graph
            has covered.

    Returns:
        The state at the end, the number of evaluations and the last step sizes.

    Raises:
        ValueError: If a tolerance or ``max_steps`` is not positive.
        RuntimeError: If a graph has not arrived after ``max_steps``.

    References:
        Hairer, Nørsett and Wanner (1993), Solving ordinary differential equations I, section II.4.
    """
    if not (rtol > 0 and atol > 0) or max_steps < 1:
        raise ValueError(f"rtol, atol and max_steps must be positive, but are {rtol}, {atol} and {max_steps}")
    num_graphs = len(start)
    span = (end - start).abs()
    direction = (end - start).sign()
    entries = sum(ops.count(index[name], num_graphs).to(start) * y.shape[1] for name, y in state.items())
    step = span / 20 if step is None else step
    now, y, evaluations = start.clone(), dict(state), torch.zeros_like(start, dtype=torch.long)
    look = _STEPS_PER_LOOK.get(start.device.type, 8)
    slopes = function(now, y)
    for number in range(max_steps):
        remaining = (end - now).abs()
        if progress is not None:
            gone = 1 - remaining / torch.where(span > 0, span, 1.0)
            progress(float(gone.min()) if num_graphs else 1.0)
        if number % look == 0 and not bool((remaining > 0).any()):
            return Solution(y, evaluations + 1, step)
        last = step >= remaining * (1 - 1e-12)
        h = direction * torch.where(last, remaining, step)
        stages, trial = [slopes], y
        for node, weights in zip(_NODES, _STAGES, strict=True):
            trial = {name: _advance(y[name], h, index[name], weights, [k[name] for k in stages]) for name in y}
            stages.append(function(torch.where(last & (node == 1), end, now + node * h), trial))
        error = _error(y, trial, h, index, stages, num_graphs, rtol, atol) / entries.clamp(min=1)
        error = error.sqrt()
        moving = remaining > 0
        accept = moving & (error <= 1)
        evaluations = evaluations + moving * len(_NODES)
        factor = (0.9 * error.clamp(min=1e-10) ** -0.2).clamp(0.2, 5.0)
        # A last step that was cut short to end on time does not reduce the step size.
        grown = torch.where(accept & last, torch.maximum(step, h.abs() * factor), h.abs() * factor)
        step = torch.where(moving, torch.where(error.isfinite(), grown, h.abs() * 0.2), step)
        now = torch.where(accept, torch.where(last, end, now + h), now)
        rows = {name: ops.broadcast(accept.to(index[name].device), index[name])[:, None] for name in y}
        y = {name: torch.where(rows[name], trial[name], y[name]) for name in y}
        slopes = {name: torch.where(rows[name], stages[-1][name], slopes[name]) for name in y}
    if bool((end != now).any()):
        graph = int((end - now).abs().argmax())
        raise RuntimeError(
            f"Graph {graph} is at {float(now[graph]):.4g} on its way from {float(start[graph]):.4g} to "
            f"{float(end[graph]):.4g} after {max_steps} steps: its score may not be smooth; allow more steps or larger "
            f"tolerances than rtol={rtol}, atol={atol}"
        )
    return Solution(y, evaluations + 1, step)


def _advance(y: Tensor, h: Tensor, index: Tensor, weights: tuple[float, ...], slopes: list[Tensor]) -> Tensor:
    total = sum(weight * slope for weight, slope in zip(weights, slopes, strict=True) if weight)
    return y + ops.per_row(h, y, index) * total


def _error(
    y: State,
    trial: State,
    h: Tensor,
    index: Mapping[str, Tensor],
    stages: list[State],
    num_graphs: int,
    rtol: float,
    atol: float,
) -> Tensor:
    """Sum over each graph's entries of the squared error estimate, in units of the tolerance: ``[B]``, float64."""
    total = torch.zeros_like(h)
    for name, before in y.items():
        estimate = _advance(torch.zeros_like(before), h, index[name], _ERRORS, [k[name] for k in stages])
        size = torch.maximum(*(y.square().mean(-1, keepdim=True).sqrt() for y in (before, trial[name])))
        scale = atol + rtol * size
        squares = double(estimate / scale).square().sum(-1)
        total = total + ops.sum(squares, index[name].to(squares.device), num_graphs)
    return total
