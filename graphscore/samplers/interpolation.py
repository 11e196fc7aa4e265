r"""Interpolation of graphs in the latent space of the probability flow.

The flow maps data to noise and back, one to one. Both graphs are carried to noise, the noise is interpolated along a
great circle, so that its norm stays that of noise, and carried back. Angles are interpolated along their shorter arcs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphscore import ops
from graphscore.denoiser import ScoreModel
from graphscore.fields import check_batch, replace
from graphscore.linalg.runge_kutta import solve
from graphscore.samplers.adaptive import StraightFlow


@torch.no_grad()
def interpolate(
    model: ScoreModel,
    first: Batch,
    second: Batch,
    shares: Sequence[float] | Tensor,
    *,
    start: float = 1e-5,
    end: float = 1.0,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    max_steps: int = 1000,
) -> list[Batch]:
    """Interpolate between the graphs of two batches through the latent space of a diffusion model.

    Args:
        model: The score model.
        first: Clean data, in data units.
        second: Other values of the fields on the same graphs.
        shares: Shares of the second batch, from 0 to 1; with 0 and 1, both batches are given back up to rounding and
            errors of the solver.
        start: Time assigned to the data, above 0.
        end: Time of the noise.
        rtol: Relative tolerance of the solver.
        atol: Absolute tolerance of the solver.
        max_steps: Largest number of steps of the solver.

    Returns:
        For each share, a shallow copy of the first batch with the fields replaced, in data units.

    Raises:
        ValueError: If the batches have fields of different shapes, or times are out of range.
        RuntimeError: If a graph does not reach the end within ``max_steps``.

    References:
        Song et al. (2021), Score-based generative modeling through stochastic differential equations, section D.3.
        Shoemake (1985), Animating rotation with quaternion curves (interpolation along great circles).
    """
    if not 0 < start < end <= 1:
        raise ValueError(f"The flow runs from `start` to a later `end` in (0, 1], but they are {start} and {end}")
    if check_batch(first).num_graphs != check_batch(second).num_graphs:
        raise ValueError(f"Expected as many graphs, but got {first.num_graphs} and {second.num_graphs}")

    def carried(batch: Batch, values: dict[str, Tensor], since: float, until: float) -> dict[str, Tensor]:
        flow = StraightFlow(model, batch)
        early, late = (torch.full((batch.num_graphs,), time, dtype=torch.float64) for time in (since, until))
        early, late = (time.to(batch.batch.device) for time in (early, late))
        given = replace(batch, values)
        solution = solve(
            flow.slopes, flow.straighten(given, early), flow.index, flow.tau(early), flow.tau(late),
            rtol=rtol, atol=atol, max_steps=max_steps,
        )  # fmt: skip
        bent = flow.bend(solution.state, late)
        return {field.name: bent[field.name] for field, _ in model.process}

    ends = []
    for batch in (first, second):
        clean = {field.name: field.read(batch) for field, _ in model.process}
        if batch is second and any(clean[name].shape != value.shape for name, value in ends[0].items()):
            raise ValueError("The batches have fields of different shapes")
        ends.append(carried(batch, clean, start, end))
    found = []
    for share in torch.as_tensor(shares).tolist():
        between = {}
        for field, _ in model.process:
            a, b = (latents[field.name] for latents in ends)
            if field.periodic:  # along the shorter arc of each angle, which keeps their distribution uniform
                between[field.name] = a + share * field.wrap(b - a)
            else:
                between[field.name] = great_circle(a, b, share, field.index(first), first.num_graphs)
        values = carried(first, between, end, start)
        found.append(model.process.to_data(replace(first, values)))
    return found


def great_circle(first: Tensor, second: Tensor, share: float, index: Tensor, num_graphs: int) -> Tensor:
    """Interpolate the rows of each graph, taken together as one vector, along a great circle.

    Args:
        first: Rows ``[rows, width]``.
        second: Rows ``[rows, width]``.
        share: Share of the second.
        index: Graph of each row, ``[rows]``.
        num_graphs: Number of graphs.

    Returns:
        Rows ``[rows, width]``; on a straight line where the vectors of a graph are parallel.
    """
    products = [
        ops.sum((a * b).sum(-1), index, num_graphs) for a, b in ((first, second), (first, first), (second, second))
    ]
    cosine = products[0] / (products[1] * products[2]).sqrt().clamp(min=torch.finfo(first.dtype).tiny)
    angle = cosine.clamp(-1, 1).acos()
    sine = angle.sin()
    on_circle = sine > 1e-4
    weights = [
        torch.where(on_circle, (part * angle).sin() / torch.where(on_circle, sine, 1.0), part)
        for part in (1 - share, share)
    ]
    return ops.per_row(weights[0], first, index) * first + ops.per_row(weights[1], second, index) * second
