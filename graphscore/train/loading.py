"""Loading of training batches: the order of graphs over the steps, and the micro-batches of a rank."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler
from torch_geometric.data import Batch, Data

from graphscore.data.packed.gathered import collate
from graphscore.rng import mix_seed
from graphscore.train.parts import UNLIMITED, Budget, Sizes, micro_batches, share_of


class MicroBatch(NamedTuple):
    """Graphs that go through the network at once.

    Attributes:
        batch: The graphs.
        places: Place of each graph in the step, over all ranks.
    """

    batch: Batch
    places: list[int]


Share = list[tuple[list[int], list[int]]]
"""What a rank computes of a step: for each micro-batch the places in the step, and the indices of the graphs."""


class StepOrder:
    """Order of training graphs, which depends on seed and step alone.

    Shuffled epochs follow one another and are cut into steps of equally many graphs. Every step is full, also across
    epochs, and a resumed run gets the same steps as an uninterrupted one.

    Args:
        num_items: Size of the data set.
        batch_size: Graphs of a step, over all ranks.
        seed: Seed of the shuffling.

    Raises:
        ValueError: If there are no items.
    """

    def __init__(self, num_items: int, batch_size: int, seed: int = 0) -> None:
        if num_items < 1:
            raise ValueError("There is nothing to train on: the training part of the data set is empty")
        self.num_items, self.batch_size, self.seed = num_items, batch_size, seed
        self._epoch, self._order = -1, torch.empty(0)

    def indices(self, step: int) -> list[int]:
        """List the graphs of a step."""
        found: list[int] = []
        place, end = step * self.batch_size, (step + 1) * self.batch_size
        while place < end:
            epoch, first = divmod(place, self.num_items)
            last = min(first + end - place, self.num_items)
            found += self._shuffled(epoch)[first:last].tolist()
            place += last - first
        return found

    def _shuffled(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            shuffle = torch.Generator().manual_seed(mix_seed(self.seed, epoch))
            self._epoch, self._order = epoch, torch.randperm(self.num_items, generator=shuffle)
        return self._order


class FixedOrder:
    """Order of validation graphs: the same consecutive graphs each time; the last step may have fewer.

    Args:
        num_items: Size of the data set.
        batch_size: Graphs of a step, over all ranks.
    """

    def __init__(self, num_items: int, batch_size: int) -> None:
        self.num_items, self.batch_size = num_items, batch_size

    def indices(self, step: int) -> list[int]:
        """List the graphs of a step."""
        return list(range(step * self.batch_size, min((step + 1) * self.batch_size, self.num_items)))


class StepSampler(Sampler[Share]):
    """The share of a rank in each step, in micro-batches within a budget.

    Args:
        order: The graphs of each step.
        sizes: Sizes of all graphs of the data set.
        steps: Steps to list.
        budget: Largest micro-batch.
        rank: Rank of this process.
        num_ranks: Number of processes.
    """

    def __init__(
        self,
        order: StepOrder | FixedOrder,
        sizes: Sizes,
        steps: range,
        budget: Budget = UNLIMITED,
        rank: int = 0,
        num_ranks: int = 1,
    ) -> None:
        self.order, self.sizes, self.steps, self.budget = order, sizes, steps, budget
        self.rank, self.num_ranks = rank, num_ranks

    def __len__(self) -> int:
        return self.steps.stop  # Lightning counts the steps before a checkpoint, too

    def __iter__(self) -> Iterator[Share]:
        return map(self.share, self.steps)

    def share(self, step: int) -> Share:
        """Compute the share of a step."""
        indices = self.order.indices(step)
        mine = share_of(self.sizes.pick(indices), self.rank, self.num_ranks)
        sizes = self.sizes.pick([indices[place] for place in mine])
        parts = [[mine[k] for k in part] for part in micro_batches(sizes, self.budget)]
        return [(places, [indices[place] for place in places]) for places in parts]


class Shares(Dataset[list[MicroBatch]]):
    """The graphs of a share, collated; the data set of a ``DataLoader`` that does not batch itself.

    Args:
        graphs: The graphs. Those of a sequence with ``__getitems__`` are read by one call for each micro-batch.
    """

    def __init__(self, graphs: Sequence[Data]) -> None:
        self.graphs = graphs

    def __getitem__(self, share: Share) -> list[MicroBatch]:
        return [MicroBatch(collate(self._read(indices)), places) for places, indices in share]

    def _read(self, indices: list[int]) -> Sequence[Data]:
        read_all = getattr(self.graphs, "__getitems__", None)
        return [self.graphs[index] for index in indices] if read_all is None else read_all(indices)
