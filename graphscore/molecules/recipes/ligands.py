"""Recipe of ligands of the Protein Data Bank: the shapes that proteins select, with the bonds of a force field.

Ligands as refined from diffraction have the right torsions, but noisy bonds and angles: relaxed freely, they move by
half an Angstrom and fold up in vacuum. Here each is relaxed by MMFF94 while its heavy atoms are held near their places,
so that bonds and angles become right and the shape stays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphscore.molecules.datasets.ensembles import ConformerEnsembles
from graphscore.molecules.exact import superposed
from graphscore.molecules.forcefield import ForceField
from graphscore.molecules.graph import rdBase
from graphscore.molecules.recipes.comparison import check_same_molecule
from graphscore.molecules.recipes.lists import Reject, flat_key, part_of_molecule
from graphscore.molecules.recipes.records import compute_all, pack, packed
from graphscore.molecules.recipes.search import Ensemble
from graphscore.molecules.smiles import mol_from_smiles

SOURCE, ENVIRONMENT, LEVEL = "pdb", "crystal", "mmff94, restrained"
DATA_FILE, WORK_FILE = "pdb_ligands.npz", "pdb_ligands.jsonl"
MAX_STEPS = 1000  # of relaxing
MAX_MOVE = 0.2  # Angstrom, RMSD of heavy atoms by relaxing; what moves farther is strained


def build(
    out: str | Path,
    num_workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
    *,
    data: Path | None = None,
    limit: int | None = None,
) -> tuple[Path, Path]:
    """Relax ligands with restraints and write the data file, resuming an earlier run in the same folder.

    Args:
        out: Folder for the data file, the report of rejected ligands, and the work file.
        num_workers: Number of processes; 0 for one per CPU core.
        progress: Called with (ligands done, total) after each ligand.
        data: Ligands as refined, with all hydrogens, in the layout of ``gfn2_ensembles.npz``; parts in it are ignored.
        limit: Largest number of ligands, the first of the file; all by default.

    Returns:
        Paths of the data file and of the report.

    Raises:
        FileNotFoundError: If there is no file of ligands.
        ValueError: If none is given, or it has another layout.
    """
    if data is None:
        raise ValueError("pdb-ligands needs a file of ligands: --data FILE.npz")
    given = ConformerEnsembles(data)
    ligands = {smiles: given.ensemble(number) for number, smiles in enumerate(given.smiles[:limit])}
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    records = compute_all(compute, ligands, out / WORK_FILE, num_workers, progress, key="smiles")
    versions = [f"rdkit {rdBase.rdkitVersion}"]
    return pack(records, out / DATA_FILE, versions, level=LEVEL, environment=ENVIRONMENT)


def compute(ligand: Ensemble) -> dict[str, Any]:
    """Relax the conformers of one ligand, as a record of plain values; its energies are 0, since they mean nothing."""
    flat = flat_key(ligand.smiles)
    relaxed, moved, rejects = [], [], []
    kept = np.zeros(len(ligand.pos), dtype=bool)
    for number, pos in enumerate(ligand.pos):
        try:
            found = relax(ligand.smiles, pos)
        except ValueError as error:
            rejects.append(Reject(ligand.smiles, "relaxation", f"conformer {number}: {error}"))
            continue
        kept[number] = True
        relaxed.append(found.pos - found.pos.mean(axis=0))
        moved.append(found.moved)
    ensemble = Ensemble(ligand.smiles, np.array(relaxed), np.zeros(len(relaxed)), ligand.mirrors[kept])
    return {
        "source": SOURCE,
        "smiles": ligand.smiles,
        "part": part_of_molecule(flat),
        "flat": flat,
        "moved": moved,
        "rejects": [asdict(reject) for reject in rejects],
        "ensemble": packed(ensemble) if relaxed else None,
    }


@dataclass
class Relaxed:
    """Coordinates ``[N, 3]`` in Angstrom, and the RMSD of the heavy atoms from where they were."""

    pos: NDArray[np.float64]
    moved: float


def relax(smiles: str, pos: NDArray[np.float64]) -> Relaxed:
    """Relax coordinates by MMFF94 with restraints: heavy atoms that move by more than 0.1 Angstrom are pulled back.

    Args:
        smiles: Canonical SMILES; its order of atoms, added hydrogens last, is that of the coordinates.
        pos: Coordinates in Angstrom, ``[N, 3]``.

    Raises:
        ValueError: If MMFF94 lacks parameters, the molecule becomes another one, or moves by more than
            :data:`MAX_MOVE`.
    """
    mol = mol_from_smiles(smiles)
    heavy = [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetAtomicNum() != 1]
    found, _, _ = ForceField(mol).minimize(pos, max_steps=MAX_STEPS, restrained=heavy)
    check_same_molecule(mol, smiles, found)
    apart = superposed(found[heavy], pos[heavy]) - pos[heavy]
    moved = float(np.sqrt(np.square(apart).sum(-1).mean()))
    if moved > MAX_MOVE:
        raise ValueError(f"its heavy atoms move by {moved:.2f} A, more than {MAX_MOVE}")
    return Relaxed(found, round(moved, 4))
