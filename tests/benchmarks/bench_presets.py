"""Measure what the presets of conformers cost and find: ``python tests/benchmarks/bench_presets.py``.

The validation molecules of a list in the data set ``gfn2-ensembles``, or those of a file of reference conformers, such
as GEOM-Drugs: ``--references FILE.sdf.gz``. For each molecule twice as many conformers are asked for as there are
references, of which at most 16 (``--most``) count, evenly spread. AMR-R is the mean distance of a reference to the
closest conformer, AMR-P that of a conformer to the closest reference (heavy-atom RMSD in Angstrom, mean over
molecules), with the share closer than the threshold in brackets; seconds are those of all processes on the CPU, without
loading. The preset analogue holds the ring scaffold as it is in the first reference; what it is for is in the column
"to the first": the distance of this reference to the closest conformer.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from rdkit import Chem
from rdkit.Chem.Scaffolds import MurckoScaffold
from torch_geometric.data import Data

from graphscore.molecules.baselines import BASELINES
from graphscore.molecules.conformers import ConformerModel
from graphscore.molecules.fragments import Fragment
from graphscore.molecules.graph import mol_from_data, remove_hydrogens
from graphscore.molecules.metrics.conformers import rmsd_matrix
from graphscore.molecules.references import ensembles
from graphscore.molecules.request import PRESETS

Make = Callable[[Sequence[Data], int], Sequence[Data]]


def seconds() -> float:
    """CPU time of this process and its finished children."""
    return sum(os.times()[:4])


def scaffold(reference: Data) -> Fragment:
    """The rings of a molecule and what connects them, where they are in a reference."""
    mol = remove_hydrogens(mol_from_data(reference))
    rings = MurckoScaffold.GetScaffoldForMol(mol)
    atoms = mol.GetSubstructMatch(rings)
    return Fragment(Chem.MolFragmentToSmarts(mol, list(atoms), isomericSmarts=False), reference)


def preset(model: ConformerModel, name: str, seed: int, cutoff: float | None) -> Make:
    """The function that makes the conformers of a molecule by a preset, with its RMSD cutoff or another one."""

    def make(group: Sequence[Data], num: int) -> Sequence[Data]:
        fragment = scaffold(group[0]) if name == "analogue" else None
        (outcome,) = model.sample([group[0]], preset=name, num=num, seed=seed, fragment=fragment, rmsd_cutoff=cutoff)
        return outcome.samples

    return make


def measure(make: Make, molecules: Sequence[Sequence[Data]], threshold: float) -> str:
    """Row of a table."""
    recalls, precisions, closest, counts, spent, failed = [], [], [], 0, 0.0, 0
    for group in molecules:
        started = seconds()
        try:
            made = make(group, 2 * len(group))
        except ValueError:
            made = []
        spent += seconds() - started
        if not made:
            failed += 1
            continue
        counts += len(made)
        rmsd = rmsd_matrix(group, made)
        best, nearest = rmsd.min(axis=1), rmsd.min(axis=0)
        recalls.append((best.mean(), (best < threshold).mean()))
        precisions.append((nearest.mean(), (nearest < threshold).mean()))
        closest.append(best[0])
    if not recalls:
        return "none"
    (recall, near), (precision, right) = np.mean(recalls, axis=0), np.mean(precisions, axis=0)
    return (
        f"{recall:.3f} ({100 * near:2.0f} %) | {precision:.3f} ({100 * right:2.0f} %) | "
        f"{counts / len(recalls):4.1f} | {spent / len(molecules):6.2f} | {np.mean(closest):.3f} | {failed}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--references", type=Path, help="file of reference conformers")
    parser.add_argument("--source", default="qm9", help="list in gfn2-ensembles")
    parser.add_argument("--limit", type=int, help="number of molecules")
    parser.add_argument("--every", type=int, default=1, help="take one of so many molecules")
    parser.add_argument("--most", type=int, default=16, help="references of a molecule")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rmsd-cutoff", type=float, help="of the presets, instead of their own")
    parser.add_argument("--threshold", type=float, help="1 A for the references of a file, else 0.5 A")
    parser.add_argument("--method", nargs="+", default=["etkdg", "etkdg-mmff", *PRESETS])
    arguments = parser.parse_args()
    threshold = arguments.threshold or (0.5 if arguments.references is None else 1.0)
    source = arguments.source if arguments.references is None else str(arguments.references)
    molecules = ensembles(source, "val", arguments.most, None)[0][:: arguments.every][: arguments.limit]
    model = ConformerModel.load()
    next(iter(model.sample("CCO", preset="ensemble")))  # what is loaded once is not counted
    print(f"{len(molecules)} molecules, {sum(map(len, molecules)) / len(molecules):.1f} references each, A")
    print(f"| | AMR-R (< {threshold:g}) | AMR-P | conformers | CPU s | to the first | failed |\n{7 * '|---'}|")
    for name in arguments.method:
        if name in PRESETS:
            make = preset(model, name, arguments.seed, arguments.rmsd_cutoff)
        else:
            make = lambda group, num, name=name: BASELINES[name](group[0].smiles, num, arguments.seed)  # noqa: E731
        print(f"| {name} | {measure(make, molecules, threshold)} |", flush=True)


if __name__ == "__main__":
    main()
