"""Budget of a batch: its largest number of edges, which is halved when memory runs out."""

from __future__ import annotations

import torch

CPU_EDGES, GPU_EDGES = 10_000, 500_000
"""Default largest number of edges in a batch: on a CPU, small enough for messages to fit in cache, and elsewhere."""


class Budget:
    """Largest number of edges in a batch, for all batches of a job.

    Args:
        max_edges: At the beginning.

    Attributes:
        max_edges: Now.
        is_halved: Whether it was halved.
    """

    def __init__(self, max_edges: int) -> None:
        self.max_edges, self.is_halved = max_edges, False

    @classmethod
    def of(cls, device: torch.device) -> Budget:
        """Make the default budget of a device."""
        return cls(CPU_EDGES if device.type == "cpu" else GPU_EDGES)

    @property
    def halved(self) -> int | None:
        """Largest number of edges now, if it was halved."""
        return self.max_edges if self.is_halved else None

    def halve(self, num_edges: int) -> None:
        """Halve the budget after a batch of so many edges, for which memory did not suffice."""
        self.max_edges, self.is_halved = max(1, min(self.max_edges, num_edges) // 2), True
