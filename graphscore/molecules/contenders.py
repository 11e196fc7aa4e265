"""Methods that benchmarks compare: the model with one or several requests, and baselines, with what they cost."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch_geometric.data import Data

from graphscore.generate.outcome import Outcome
from graphscore.molecules.baselines import Maker, attempt
from graphscore.molecules.conformers import ConformerModel, ConformerRequest
from graphscore.molecules.metrics.comparison import Attempt
from graphscore.molecules.request import PRESETS
from graphscore.registry import find
from graphscore.runtime.sharing import share
from graphscore.runtime.workers import Progress

MODEL = "model"
ROWS: dict[str, dict[str, Any]] = {
    **{name: {"preset": name} for name in PRESETS if name != "analogue"},  # which needs a fragment to hold
    "ensemble-lowest": {"preset": "ensemble", "select": "lowest"},
    "mmff": {"refine": "mmff"},
    "oversampled": {"refine": "mmff", "energy_rank": True, "rmsd_cutoff": 0.5, "oversample": 8},
}
"""Options of the model by the name of a row: the presets, ``ensemble`` of the lowest energies, relaxed by MMFF94, and
the distinct ones of low energy."""


class Drawn(NamedTuple):
    """Conformers of several molecules by one method.

    Attributes:
        attempts: Those of each molecule, with the reason in place of each that failed. Methods that select distinct
            conformers may give fewer than asked for.
        seconds: CPU time of all processes, in seconds, without loading.
    """

    attempts: list[list[Attempt]]
    seconds: float


def requests_of(rows: Sequence[str], options: Mapping[str, Any]) -> dict[str, ConformerRequest]:
    """Make the requests of the rows of a table by their names; of one row with the options alone, without any.

    Args:
        rows: Keys of :data:`ROWS`.
        options: Options of all rows; those of the row win.

    Raises:
        ValueError: If there is no such row, or as for :class:`ConformerRequest`.
    """
    if not rows:
        return {MODEL: ConformerRequest(**options)}
    return {f"{MODEL} {row}": ConformerRequest(**{**options, **find(row, ROWS, "preset")}) for row in rows}


def draw_by_model(
    model: ConformerModel,
    molecules: Sequence[Data],
    nums: Sequence[int],
    request: ConformerRequest,
    progress: Progress | None = None,
) -> tuple[Drawn, Sequence[Outcome]]:
    """Draw conformers of molecules by the model; also the outcomes, with their costs."""
    started = _cpu_seconds()
    outcomes = list(model.sample(molecules, request, nums=nums, progress=progress))
    seconds, attempts = _cpu_seconds() - started, list[list[Attempt]]()
    for outcome, num in zip(outcomes, nums, strict=True):
        missing = num - len(outcome.samples) if outcome.failure is not None else 0
        attempts.append([*outcome.samples, *[outcome.failure] * missing])
    return Drawn(attempts, seconds), outcomes


def draw_by_baseline(
    make: Maker,
    molecules: Sequence[Data],
    nums: Sequence[int],
    seed: int,
    workers: int | None = 1,
    progress: Progress | None = None,
) -> Drawn:
    """Draw conformers of molecules, given by their SMILES, by a function of :mod:`graphscore.molecules.baselines`."""
    pieces = [(data["smiles"], num) for data, num in zip(molecules, nums, strict=True)]
    parts = share(_Drawing(make, seed), pieces, list(map(float, nums)), workers, sizes=nums, progress=progress)
    found = {
        number: one
        for task, part in zip(parts.tasks, parts.results, strict=True)
        for number, one in zip(task, part, strict=True)
    }
    return Drawn([found[n][0] for n in range(len(pieces))], sum(seconds for _, seconds in found.values()))


@dataclass(frozen=True)
class _Drawing:
    """Drawing of conformers as work for processes: attempts and CPU seconds of each molecule."""

    make: Maker
    seed: int

    def __call__(
        self, pieces: Sequence[tuple[str, int]], progress: Progress | None = None
    ) -> list[tuple[list[Attempt], float]]:
        drawn, done, total = [], 0, sum(num for _, num in pieces)
        for smiles, num in pieces:
            started = time.process_time()
            made = attempt(self.make, smiles, num, self.seed)
            drawn.append((made, time.process_time() - started))
            done += num
            if progress is not None:
                progress(done, total)
        return drawn


def _cpu_seconds() -> float:
    """CPU time of this process and its finished workers."""
    return sum(os.times()[:4])
