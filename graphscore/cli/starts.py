"""Inputs of a sampling job with the values that their samples start from, which another file holds."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphscore.cli.inputs import Inputs, label
from graphscore.data.readers import Failure
from graphscore.domains import domain_of
from graphscore.registry import resolve


class StartedInputs:
    """Inputs of a job, each with the starts that are the same graph: one input for each pair, in the order of both.

    Args:
        inputs: The inputs, which may lack the sampled fields.
        starts: Graphs with these fields, which are kept in memory; nodes may be in another order where the domain can
            tell, see :attr:`~graphscore.domains.Domain.identity`. A graph without stereo marks takes the starts of all
            its stereoisomers.

    Attributes:
        files: All files.
        nums: ``None``: the request says how many samples there are of each start.
        notes: Warnings: starts that belong to no input.

    Raises:
        ValueError: If a start cannot be read, or an input has none.
    """

    nums: Sequence[int] | None = None

    def __init__(self, inputs: Inputs, starts: Inputs) -> None:
        self.inputs, self.starts = inputs, starts
        self.files = [*inputs.files, *starts.files]
        self._found: dict[bool, dict[str, list[tuple[int, Data, Tensor]]]] = {True: {}, False: {}}
        for number, start in enumerate(starts):
            if isinstance(start, Failure):
                raise ValueError(f"{start.source}, {start.location}: {start.reason}")
            for marks, found in self._found.items():
                key, order = resolve(domain_of(start).identity)(start, marks=marks)
                found.setdefault(key, []).append((number, start, order))
        used, self.num = set[int](), 0
        for number, item in enumerate(inputs):
            matches = [(0, item, torch.empty(0))] if isinstance(item, Failure) else self._starts_of(item)[0]
            if not matches:
                raise ValueError(
                    f"{label(item, number)}: none of the {len(starts)} starts is this graph, with the same atoms or "
                    "nodes, bonds or edges, and stereo marks"
                )
            self.num += len(matches)
            used |= set() if isinstance(item, Failure) else {one for one, _, _ in matches}
        unused = len(starts) - len(used)
        self.notes = [*inputs.notes, *([f"{unused} of {len(starts)} starts belong to no input"] if unused else [])]

    def __len__(self) -> int:
        return self.num

    def __iter__(self) -> Iterator[Data | Failure]:
        for item in self.inputs:
            if isinstance(item, Failure):
                yield item
                continue
            starts, order = self._starts_of(item)
            for _, start, other in starts:
                started, size = copy.copy(item), len(order)
                for name, value in start.to_dict().items():
                    if isinstance(value, Tensor) and value.is_floating_point():
                        started[name] = value
                        if len(value) == size:
                            started[name] = torch.empty_like(value)
                            started[name][order] = value[other]
                yield started

    def _starts_of(self, item: Data) -> tuple[list[tuple[int, Data, Tensor]], Tensor]:
        """The starts of an input with their numbers and orders of nodes, and the order of its own."""
        identify = resolve(domain_of(item).identity)
        key, order = identify(item, marks=True)
        if key in self._found[True]:
            return self._found[True][key], order
        flat, order = identify(item, marks=False)
        return self._found[False].get(flat, []) if flat == key else [], order

    def first(self) -> Data:
        """Read the first valid graph; see :meth:`Inputs.first`."""
        return self.inputs.first()

    def digest(self) -> str:
        """Compute a hash of the content of all files."""
        return hashlib.sha256((self.inputs.digest() + self.starts.digest()).encode()).hexdigest()
