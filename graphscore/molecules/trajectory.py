"""Sampling trajectories of molecules, from noise to conformer, as SDF records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from graphscore.generate.tries import Job
from graphscore.molecules.files import mol_record
from graphscore.molecules.graph import bare_mol, canonical_smiles, set_positions
from graphscore.molecules.hydrogens import skeleton
from graphscore.sdes import SDE


class Frame(NamedTuple):
    """Frame of a trajectory: a sample after one step.

    Attributes:
        step: Number of the step: 0 is noise.
        level: Noise level, ``std / alpha``; 0 for the result.
        pos: Coordinates in Angstrom of the atoms in the network's graph, ``[n, 3]``.
    """

    step: int
    level: float
    pos: Tensor


class Trajectories:
    """Recorder of sampling trajectories: a ``trace`` for :func:`graphscore.generate.jobs.generate`.

    Args:
        sde: The noise process of the coordinates ``pos``.
    """

    def __init__(self, sde: SDE) -> None:
        self.sde = sde
        self.frames: dict[Job, list[Frame]] = {}
        self.kept: dict[int, list[int]] = {}  # atoms in the network's graph, by number of the molecule

    def __call__(self, jobs: Sequence[Job], step: int, t: float, batch: Batch) -> None:
        """Record a step of a batch."""
        level = float(self.sde.level(torch.tensor(t, dtype=torch.float64))) if t > 0 else 0.0
        sizes = batch.ptr.diff().tolist()
        kept = batch["kept"].split(sizes) if "kept" in batch else [torch.arange(size) for size in sizes]
        for job, pos, atoms in zip(jobs, batch["pos"].cpu().split(sizes), kept, strict=True):
            if step == 0:
                self.frames[job] = []  # also where a sample is drawn again
            self.frames[job].append(Frame(step, level, pos.clone()))
            self.kept[job[0]] = atoms.tolist()

    def records(self, number: int, item: Data) -> Iterator[str]:
        """Yield the trajectories of an input's samples as SDF records, and remove them from the recorder.

        Records have the data fields ``SMILES``, ``sample`` (from 1), ``step`` and ``level``. They lack the hydrogens
        that are not in the network's graph. Steps that are not finite are left out.

        Args:
            number: Number of the input.
            item: The molecule.
        """
        frames = {k: self.frames.pop((other, k)) for other, k in sorted(self.frames) if other == number}
        if not frames:
            return
        mol, names = skeleton(bare_mol(item), self.kept.pop(number)), {key: item.get(key) for key in ("name", "smiles")}
        for k, steps in frames.items():
            for step, level, pos in steps:
                if bool(pos.isfinite().all()):
                    set_positions(mol, pos.numpy())
                    data = Data(**names, sample=k + 1, step=step, level=level)
                    yield mol_record(mol, data, item.get("smiles") or canonical_smiles(mol))
