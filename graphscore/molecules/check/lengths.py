"""Narrow limits of bond lengths, around those at rest in MMFF94."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rdkit.Chem import rdForceFieldHelpers
from rdkit.ForceField import rdForceField  # noqa: F401 (its classes, which RDKit 2025.3 leaves out)

from graphscore.molecules.exact import exact_components
from graphscore.molecules.graph import Chem, rdBase
from graphscore.molecules.polyhedra import polyhedral_centres

# Å below and above the length at rest, by order and elements (N stands for oxygen, too, X for all others). 0.08 % of
# the bonds of the data set gfn2-ensembles are beyond, and 0.07 % of those of 7,406 molecules by DFT (the 8k set of
# CASCADE, Guan et al. 2021); of S=O, C-P and N-N 0.4 to 0.9 %. Counted by tests/benchmarks/bench_lengths.py.
# Aromatic N-O is up to 1.56 Å by B3LYP; in MMFF94, ammonium in betaine has C-N of 1.58.
STRETCHES = {
    "single": {
        "CC": (0.07, 0.085),
        "CN": (0.08, 0.11),
        "NN": (0.095, 0.095),
        "CX": (0.065, 0.105),
        "NX": (0.11, 0.11),
        "XX": (0.075, 0.11),
    },
    "double": {
        "CC": (0.05, 0.09),
        "CN": (0.06, 0.06),
        "NN": (0.09, 0.06),
        "CX": (0.1, 0.05),
        "NX": (0.08, 0.06),
        "XX": (0.08, 0.06),
    },
    "triple": {"CC": (0.05, 0.05), "CN": (0.05, 0.05)},
    "aromatic": {
        "CC": (0.05, 0.09),
        "CN": (0.075, 0.075),
        "NN": (0.1, np.inf),
        "CX": (0.06, 0.085),
        "NX": (0.135, 0.09),
    },
}
STRETCH_SMALL_RING = 0.1  # upward, in rings of four
STRETCH_PUSH_PULL = 0.12  # upward, of conjugated double bonds of carbon
STRETCH_EQUAL = 0.05  # of the two bonds of a carboxylate, which are equally long
STRETCH_CROWDED = 0.17  # upward, of two atoms with five other heavy neighbors; MMFF94: tri-tert-butylmethanol 0.15
DISAGREEMENT = 0.15  # Å, of MMFF94 and RDKit's bounds; O-O: 0.13, S=O of sulphur trioxide: 0.24
SHORTEST = 0.12  # below RDKit's bounds, of double bonds for which they disagree

_NITROSAMINE = Chem.MolFromSmarts("[#7X3]-[#7]=[OX1]")  # N-N is up to 0.12 Å shorter than MMFF94 has it
_CARBOXYLATE = Chem.MolFromSmarts("[OX1-]-[#6]=[OX1]")
_ELEMENTS = {6: "C", 7: "N", 8: "N"}
_ORDERS = {Chem.BondType.SINGLE: "single", Chem.BondType.DOUBLE: "double", Chem.BondType.TRIPLE: "triple"}
_SP = Chem.HybridizationType.SP


class Lengths(NamedTuple):
    """Limits of bonds between heavy atoms.

    Attributes:
        atoms: The two atoms of B bonds, the smaller number first, ``[B, 2]``.
        lower: Smallest lengths in Å, ``[B]``.
        upper: Largest lengths in Å, ``[B]``.
    """

    atoms: NDArray[np.intp]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]


def length_limits(mol: Chem.Mol, bounds: tuple[NDArray[np.float64], NDArray[np.float64]]) -> Lengths:
    """Find the limits of the bonds whose length MMFF94 knows: not of azides, nitrosamines, single bonds of sp atoms.

    Args:
        mol: Sanitized molecule with explicit hydrogens.
        bounds: Result of :func:`~graphscore.molecules.check.limits.distance_bounds`; where MMFF94 does not agree with
            them, double bonds have lower limits by these bounds, and other bonds no limits here.
    """
    with rdBase.BlockLogs():
        field = rdForceFieldHelpers.MMFFGetMoleculeProperties(mol)
    heavy = [atom for atom in mol.GetAtoms() if atom.GetAtomicNum() > 1]
    elements = {atom.GetIdx(): _ELEMENTS.get(atom.GetAtomicNum(), "X") for atom in heavy}
    linear = {atom.GetIdx() for atom in heavy if atom.GetHybridization() == _SP}
    unknown = {frozenset(match[:2]) for match in mol.GetSubstructMatches(_NITROSAMINE)}
    equal = {frozenset(match[k : k + 2]) for match in mol.GetSubstructMatches(_CARBOXYLATE) for k in (0, 1)}
    other = {atom for atoms, _ in exact_components(mol) for atom in atoms} | set(polyhedral_centres(mol))
    other |= {atom.GetIdx() for atom in heavy if atom.GetDegree() > 4}
    bonds = {tuple(sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))): bond for bond in mol.GetBonds()}
    bonds = {pair: bond for pair, bond in bonds.items() if pair[0] in elements and pair[1] in elements}
    neighbors = Counter(atom for pair in bonds for atom in pair)
    atoms, lower, upper = [], [], []
    for (i, j), bond in bonds.items():
        if field is None or i in other or j in other or {i, j} in unknown:
            continue
        kind, single = elements[i] + elements[j], bond.GetBondType() == Chem.BondType.SINGLE
        if (i in linear and j in linear) if single else "C" not in kind and (i in linear or j in linear):
            continue
        stretches = _stretches(bond, "".join(sorted(kind)), neighbors[i] + neighbors[j])
        if stretches is None:
            continue
        known = field.GetMMFFBondStretchParams(mol, i, j)
        if known and bounds[0][i, j] - DISAGREEMENT < known[2] < bounds[1][i, j] + DISAGREEMENT:
            below, above = (STRETCH_EQUAL, STRETCH_EQUAL) if {i, j} in equal else stretches
            limits = known[2] - below, known[2] + above
        elif bond.GetBondType() == Chem.BondType.DOUBLE:
            limits = bounds[0][i, j] - SHORTEST, np.inf
        else:
            continue
        atoms.append((i, j))
        lower.append(limits[0])
        upper.append(limits[1])
    return Lengths(np.array(atoms, dtype=np.intp).reshape(-1, 2), np.array(lower), np.array(upper))


def _stretches(bond: Chem.Bond, elements: str, neighbors: int) -> tuple[float, float] | None:
    """Return by how much a bond may be shorter and longer than at rest, in Å; ``None`` if that is not known.

    Args:
        bond: Bond of two heavy atoms.
        elements: Their kinds, as in :data:`STRETCHES`.
        neighbors: Number of their heavy neighbors, themselves counted.
    """
    order = "aromatic" if bond.GetIsAromatic() else _ORDERS.get(bond.GetBondType(), "")
    known = STRETCHES.get(order, {}).get(elements)
    if known is None or (elements == "NN" and bond.IsInRingSize(3)):
        return None
    if order == "double" and elements == "CC" and bond.GetIsConjugated():
        return known[0], STRETCH_PUSH_PULL
    if neighbors >= 7:
        return known[0], max(known[1], STRETCH_CROWDED)
    return known[0], max(known[1], STRETCH_SMALL_RING) if bond.IsInRingSize(4) else known[1]
