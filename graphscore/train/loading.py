"""Sampling of training batches."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler

from graphscore.rng import mix_seed


class StepBatchSampler(Sampler[list[int]]):
    """Shuffled training batches that depend on seed and step alone.

    Shuffled epochs follow one another and are cut into equal batches. Every batch is full, also across epochs, so the
    global number of graphs in a step needs no communication, and a resumed run gets the same batches as an
    uninterrupted one.

    Args:
        num_items: Size of the data set.
        batch_size: Graphs in a global batch.
        num_steps: Total number of steps.
        start: First step.
        seed: Seed of the shuffling.
        rank: Rank of this process; it gets items ``rank, rank + num_ranks, ...`` of each global batch.
        num_ranks: Number of processes.

    Raises:
        ValueError: If there are no items, or the ranks do not divide the batch.
    """

    def __init__(
        self,
        num_items: int,
        batch_size: int,
        num_steps: int,
        start: int = 0,
        seed: int = 0,
        rank: int = 0,
        num_ranks: int = 1,
    ) -> None:
        if num_items < 1:
            raise ValueError("There is nothing to train on: the training part of the data set is empty")
        if batch_size < 1 or batch_size % num_ranks:
            raise ValueError(f"The global batch size must be a multiple of the {num_ranks} ranks, but is {batch_size}")
        self.num_items, self.batch_size, self.num_steps = num_items, batch_size, num_steps
        self.start, self.seed, self.rank, self.num_ranks = start, seed, rank, num_ranks

    def __len__(self) -> int:
        return self.num_steps

    def __iter__(self) -> Iterator[list[int]]:
        epoch, order = -1, torch.empty(0)
        for step in range(self.start, self.num_steps):
            batch = []
            for place in range(step * self.batch_size + self.rank, (step + 1) * self.batch_size, self.num_ranks):
                if place // self.num_items != epoch:
                    epoch = place // self.num_items
                    shuffle = torch.Generator().manual_seed(mix_seed(self.seed, epoch))
                    order = torch.randperm(self.num_items, generator=shuffle)
                batch.append(int(order[place % self.num_items]))
            yield batch
