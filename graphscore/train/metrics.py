"""Numbers of the training log: the loss by field and noise level, speed and memory."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from graphscore.denoiser import ScoreModel
from graphscore.runtime.precision import double_device
from graphscore.times import Density
from graphscore.train.task import TaskOutput

if sys.platform != "win32":
    import resource

NUM_LEVELS = 5


class LevelBins:
    """Bins of noise levels with equal shares of the training times.

    Args:
        model: The model; noise levels are those of its first field, in units of the field.
        density: Density of the training times.

    Attributes:
        edges: Inner edges of the bins as times, ascending, float64, ``[K - 1]``.
        names: Name of each bin, such as ``"level<0.1"`` or ``"level=0.1-0.5"``.
    """

    def __init__(self, model: ScoreModel, density: Density) -> None:
        _, sde = next(iter(model.process))
        shares = torch.linspace(0, 1, NUM_LEVELS + 1, dtype=torch.float64)[1:-1]
        self.edges = density(shares, sde).sort().values
        levels = [f"{level:.2g}" for level in sde.level(self.edges).tolist()]
        between = [f"level={low}-{high}" for low, high in pairwise(levels)]
        self.names = [f"level<{levels[0]}", *between, f"level>{levels[-1]}"]


def by_level(values: Tensor, t: Tensor, bins: LevelBins) -> Tensor:
    """Sum values ``[rows, B]`` of graphs with the times ``t`` ``[B]`` by noise level: ``[rows, K]``."""
    places = torch.bucketize(
        t.to(values.device).contiguous(), bins.edges.to(values.device, non_blocking=True), right=True
    )
    # A product, since sums by index_add in a device's order of threads would not be reproducible.
    return values @ torch.nn.functional.one_hot(places, NUM_LEVELS).to(values)


class LossMeans:
    """Sums of the losses of graphs, and their means by field and noise level.

    Args:
        fields: Names of the fields.
        bins: Bins of noise levels.
    """

    def __init__(self, fields: Sequence[str], bins: LevelBins) -> None:
        self.fields, self.bins = list(fields), bins
        self.reset()

    def reset(self) -> None:
        """Forget all losses."""
        # Rows: number of graphs, loss, losses of the fields; columns: bins.
        self.sums = torch.zeros(2 + len(self.fields), NUM_LEVELS, dtype=torch.float64)

    def add(self, out: TaskOutput) -> None:
        """Add the losses of a batch; nothing waits for the device."""
        device = double_device(out.t.device)
        t, losses = out.t.to(device), torch.stack([out.losses[name] for name in self.fields])
        rows = torch.cat([torch.ones_like(losses[:1]), losses.sum(0, keepdim=True), losses]).to(device, torch.float64)
        # Not in place: ranks that are spawned begin with one tensor in shared memory.
        self.sums = self.sums.to(device, non_blocking=True) + by_level(rows, t, self.bins)

    def means(self, name: str, reduce: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        """Compute the means over all ranks, and forget the losses; this does not wait for the device.

        Args:
            name: Name of the mean loss, such as ``"loss"``; others are ``name/FIELD``, if there are several fields, and
                ``name/level...``, not a number for a level that no graph had.
            reduce: Sums a tensor over ranks.
        """
        counts, *losses = reduce(self.sums)
        self.reset()
        total = counts.sum()
        of_fields = [row.sum() / total for row in losses[1:]] if len(self.fields) > 1 else []
        return dict(zip(self.names(name), [losses[0].sum() / total, *of_fields, *losses[0] / counts], strict=True))

    def names(self, name: str) -> list[str]:
        """Names of the means."""
        of_fields = [f"{name}/{field}" for field in self.fields] if len(self.fields) > 1 else []
        return [name, *of_fields, *(f"{name}/{level}" for level in self.bins.names)]


SPEEDS = ("graphs_per_second", "nodes_per_second", "peak_memory_gb")


class Speed:
    """Graphs and nodes per second since the last row of the log, without the time of validations."""

    def __init__(self) -> None:
        self.num_graphs = self.num_nodes = 0
        self.started = time.monotonic()

    def add(self, num_graphs: int, num_nodes: int) -> None:
        """Count the graphs and nodes of a step, over all ranks."""
        self.num_graphs += num_graphs
        self.num_nodes += num_nodes

    def pause(self) -> None:
        """Begin anew after other work."""
        self.num_graphs = self.num_nodes = 0
        self.started = time.monotonic()

    def row(self, device: torch.device) -> dict[str, float]:
        """Compute the values :data:`SPEEDS`, and begin anew."""
        seconds = max(time.monotonic() - self.started, 1e-9)
        values = (self.num_graphs / seconds, self.num_nodes / seconds, peak_memory(device) / 1e9)
        self.pause()
        return dict(zip(SPEEDS, values, strict=True))


def peak_memory(device: torch.device) -> int:
    """Read the largest amount of memory that this process has used so far.

    Args:
        device: A CUDA device, for the memory of tensors on it; with any other, that of the whole process is read.

    Returns:
        Bytes; 0 where the system does not tell.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
