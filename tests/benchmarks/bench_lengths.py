"""Bonds of reference conformers beyond the narrow limits of the check: ``python tests/benchmarks/bench_lengths.py``.

Conformers of the data set ``gfn2-ensembles``, or of a file in its layout, such as one of DFT minima. The table has a
line for each kind of bond: how many there are, and the shares that are below and above the limits.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np

from graphscore.molecules.check.lengths import length_limits
from graphscore.molecules.check.limits import distance_bounds
from graphscore.molecules.datasets.ensembles import ConformerEnsembles, GFN2Ensembles
from graphscore.molecules.graph import Chem, mol_from_data


def kind_of(bond: Chem.Bond) -> str:
    """Order of a bond and its elements."""
    symbols = sorted(atom.GetSymbol() for atom in (bond.GetBeginAtom(), bond.GetEndAtom()))
    return f"{bond.GetBondType().name.lower()} {'-'.join(symbols)}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path", type=Path, help="file in the layout of gfn2-ensembles")
    parser.add_argument("--every", type=int, default=1, help="take one of so many molecules of the part train")
    parser.add_argument("--most", type=int, default=4, help="conformers of a molecule")
    parser.add_argument("--least", type=int, default=100, help="bonds of a kind that has a line of its own")
    options = parser.parse_args()
    data = GFN2Ensembles() if options.path is None else ConformerEnsembles(options.path)
    counts, below, above = Counter[str](), Counter[str](), Counter[str]()
    for group in data.groups("train")[:: options.every]:
        mol = mol_from_data(group[0])
        limits = length_limits(mol, distance_bounds(mol))
        kinds = [kind_of(mol.GetBondBetweenAtoms(i, j)) for i, j in limits.atoms.tolist()]
        for item in group[: options.most]:
            pos = item["pos"].double().numpy()
            lengths = np.linalg.norm(pos[limits.atoms[:, 0]] - pos[limits.atoms[:, 1]], axis=1)
            for kind, short, long in zip(kinds, lengths < limits.lower, lengths > limits.upper, strict=True):
                counts[kind] += 1
                below[kind] += short
                above[kind] += long
    total = counts.total()
    print(f"{total} bonds, {below.total() / total:.4%} below, {above.total() / total:.4%} above")
    for kind, count in counts.most_common():
        if count >= options.least:
            print(f"{kind:15} {count:7}  {below[kind] / count:7.3%} {above[kind] / count:7.3%}")


if __name__ == "__main__":
    main()
