"""Named densities of training times and grids of sampling times, as functions of a noise process."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from graphscore import times
from graphscore.sdes import SDE


def _uniform(u: Tensor, sde: SDE, eps: float = 1e-5) -> Tensor:
    return times.uniform(u, eps)


def _log_normal(u: Tensor, sde: SDE, mean: float = -1.2, std: float = 1.2, eps: float = 1e-5) -> Tensor:
    return times.log_normal(u, sde.time, mean, std, eps)


def _linear(num_steps: int, sde: SDE, start: float | None = None, end: float | None = None) -> Tensor:
    return times.linear_grid(num_steps, **_ends(sde, start, end))


def _karras(num_steps: int, sde: SDE, start: float | None = None, end: float | None = None, rho: float = 7.0) -> Tensor:
    return times.karras_grid(num_steps, sde.time, sde.level, rho=rho, **_ends(sde, start, end))


def _log_snr(num_steps: int, sde: SDE, start: float | None = None, end: float | None = None) -> Tensor:
    return times.log_snr_grid(num_steps, sde.time, sde.level, **_ends(sde, start, end))


def _ends(sde: SDE, start: float | None, end: float | None) -> dict[str, float]:
    """Unless told otherwise, sample from the largest moderate noise level of a process down to 0.003 of the scale."""
    lowest = float(sde.time(torch.tensor(10**-2.5, dtype=torch.float64)))
    return {"start": sde.max_time if start is None else start, "end": lowest if end is None else end}


DENSITIES: dict[str, Callable[..., Tensor]] = {"uniform": _uniform, "log-normal": _log_normal}
GRIDS: dict[str, Callable[..., Tensor]] = {"linear": _linear, "karras": _karras, "log-snr": _log_snr}
