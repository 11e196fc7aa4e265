"""Sampling trajectories of molecules, from noise to conformer, as SDF records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from torch_geometric.data import Batch, Data

from graphscore.experiment.sampling.trajectories import LEVEL, SAMPLE, STEP, State, Trajectories
from graphscore.generate.tries import Job
from graphscore.molecules.files import mol_record
from graphscore.molecules.graph import bare_mol, canonical_smiles, set_positions
from graphscore.molecules.hydrogens import skeleton
from graphscore.sdes import SDE


class MoleculeTrajectories(Trajectories):
    """Recorder of sampling trajectories of molecules, whose steps are SDF records with coordinates in Angstrom.

    Records have the data fields ``SMILES``, ``sample`` (from 1), ``step`` and ``level``. They lack the hydrogens that
    are not in the network's graph.

    Args:
        sde: The noise process of the coordinates ``pos``.
        record: Not used: records are made from the skeletons of molecules.
    """

    formats: ClassVar[Sequence[str]] = (".sdf", ".sdf.gz")

    def __init__(self, sde: SDE, record: Callable[[Data], Any]) -> None:
        super().__init__(sde, record)
        self.kept: dict[int, list[int]] = {}  # atoms in the network's graph, by number of the molecule

    def __call__(self, jobs: Sequence[Job], step: int, t: float, batch: Batch) -> None:
        """Record a step of a batch."""
        super().__call__(jobs, step, t, batch)
        sizes = batch.ptr.diff().tolist()
        kept = [atoms.tolist() for atoms in batch["kept"].split(sizes)] if "kept" in batch else map(range, sizes)
        self.kept |= {job[0]: [*atoms] for job, atoms in zip(jobs, kept, strict=True)}

    def maker(self, number: int, item: Data) -> Callable[[int, State], str]:  # noqa: D102 (documented on Trajectories)
        mol, names = skeleton(bare_mol(item), self.kept.pop(number)), {key: item.get(key) for key in ("name", "smiles")}
        smiles = item.get("smiles") or canonical_smiles(mol)

        def make(sample: int, state: State) -> str:
            set_positions(mol, state.pos.numpy())
            return mol_record(mol, Data(**names, **{SAMPLE: sample, STEP: state.step, LEVEL: state.level}), smiles)

        return make
