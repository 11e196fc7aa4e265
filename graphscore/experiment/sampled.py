"""Samples with what is to be known of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch_geometric.data import Data


@dataclass
class Sampled:
    """What :class:`~graphscore.experiment.sampling.Session` returns.

    Attributes:
        samples: For each graph its samples. Numbers are attributes: ``sample``, from 1, ``seed``, and ``drift``, see
            :func:`~graphscore.samplers.drift`; of molecules, as far as asked for, ``energy`` and ``relative_energy`` in
            kcal/mol, ``fixed_rmsd`` in Angstrom.
        failures: For each graph, the reason why samples are missing, or ``None``.
        notes: For each graph, what else is to be known of its samples.
        evaluations: Evaluations of the network for a sample, those drawn again included, on average.
        seconds: Time by what it was spent on.
        workers: Processes that shared the work.
    """

    samples: list[list[Data]]
    failures: list[str | None]
    notes: list[list[str]]
    evaluations: float
    seconds: dict[str, float] = field(default_factory=dict)
    workers: int = 1

    @classmethod
    def join(cls, parts: Sequence[Sampled], tasks: Sequence[Sequence[int]], elapsed: float, workers: int) -> Sampled:
        """Put together what workers made.

        Args:
            parts: What each task gave.
            tasks: The numbers of its graphs.
            elapsed: Seconds that it took in all, which are divided in proportion to what the workers spent.
            workers: Their number.
        """
        rows = [
            (number, *row)
            for task, part in zip(tasks, parts, strict=True)
            for number, row in zip(task, zip(part.samples, part.failures, part.notes, strict=True), strict=True)
        ]
        _, samples, failures, notes = map(list, zip(*sorted(rows, key=lambda row: row[0]), strict=True))
        sizes = [sum(map(len, part.samples)) for part in parts]
        evaluations = sum(part.evaluations * size for part, size in zip(parts, sizes, strict=True))
        spent = {name: sum(part.seconds[name] for part in parts) for name in parts[0].seconds}
        share = elapsed / sum(spent.values())
        seconds = {name: share * value for name, value in spent.items()}
        return cls(samples, failures, notes, evaluations / max(1, sum(sizes)), seconds, workers)
