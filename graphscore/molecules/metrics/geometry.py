r"""Geometry metrics: Wasserstein distances of bond lengths, bond angles and torsions from the references, by type.

The 1-Wasserstein distance of two distributions with cumulative functions F and G is :math:`\int |F - G|`; on a circle,
where no angle comes first, it is :math:`\min_c \int |F - G - c|`. All values of one type are pooled. The weight of a
molecule is the number of values in one of its conformers, for references and generated conformers alike.

References:
    J. Rabin, J. Delon, Y. Gousseau (2011), Transportation distances on the circle, eq. 8 and 9.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from graphscore.experiment.evaluation.wasserstein import wasserstein
from graphscore.molecules.graph import Chem
from graphscore.molecules.metrics.comparison import Attempt, Comparison, prepare

KINDS = {"bonds": "Angstrom", "angles": "degrees", "torsions": "degrees"}
_SYMBOLS = {
    Chem.BondType.SINGLE: "-", Chem.BondType.DOUBLE: "=", Chem.BondType.TRIPLE: "#", Chem.BondType.AROMATIC: ":",
}  # fmt: skip


class Coordinates(NamedTuple):
    """Internal coordinates of the conformers of one molecule.

    Attributes:
        types: Type of each coordinate, such as ``C-O``.
        references: Values ``[R, K]``, in the unit of ``KINDS``.
        generated: Values ``[G, K]``.
    """

    types: list[str]
    references: NDArray[np.float64]
    generated: NDArray[np.float64]


def internal_coordinates(comparison: Comparison) -> dict[str, Coordinates]:
    """Compute all bond lengths and angles, and the torsions of heavy atoms that are not collinear.

    Args:
        comparison: The conformers of one molecule.

    Returns:
        For each of ``KINDS``, the coordinates; torsions from -180 to 180 degrees.
    """
    mol = comparison.mol
    bonds = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in mol.GetBonds()]
    neighbors = [sorted(other.GetIdx() for other in atom.GetNeighbors()) for atom in mol.GetAtoms()]
    heavy = [atom.GetAtomicNum() > 1 for atom in mol.GetAtoms()]
    bent = [atom.GetHybridization() != Chem.HybridizationType.SP for atom in mol.GetAtoms()]
    angles = [(i, j, k) for j, around in enumerate(neighbors) for i in around for k in around if i < k]
    torsions = [
        (i, j, k, m) for j, k in bonds for i in neighbors[j] for m in neighbors[k]
        if len({i, j, k, m}) == 4 and heavy[i] and heavy[m] and bent[j] and bent[k]
    ]  # fmt: skip
    out = {}
    for kind, paths, size in zip(KINDS, (bonds, angles, torsions), (2, 3, 4), strict=True):
        index = np.array(paths, dtype=np.intp).reshape(-1, size)
        values = [_values(pos[:, index]) for pos in (comparison.references, comparison.generated)]
        out[kind] = Coordinates([_type(mol, path) for path in paths], *values)
    return out


def compare_coordinates(molecules: Iterable[dict[str, Coordinates]]) -> dict[str, Any]:
    """Compare the distributions of internal coordinates, pooled over molecules, by Wasserstein distances.

    Args:
        molecules: Results of :func:`internal_coordinates`; those without references or generated conformers are left
            out on both sides.

    Returns:
        For each of ``KINDS``: ``unit``; ``mean``, the mean Wasserstein distance over coordinates (None if there are
        none); ``by_type``: for each type its ``distance`` and the number of coordinates, ``num``, of one conformer
        of every molecule, most frequent first.
    """
    pools: dict[str, dict[str, list[Coordinates]]] = {kind: defaultdict(list) for kind in KINDS}
    for molecule in molecules:
        for kind, (types, references, generated) in molecule.items():
            if len(references) and len(generated):
                names = np.array(types)
                for name in dict.fromkeys(types):
                    chosen = names == name
                    pools[kind][name].append(Coordinates([name], references[:, chosen], generated[:, chosen]))
    out = {}
    for kind, unit in KINDS.items():
        types = {}
        for name, parts in sorted(pools[kind].items(), key=lambda item: -_count(item[1])):
            distance = wasserstein(*_pooled(parts), period=360.0 if kind == "torsions" else None)
            types[name] = {"distance": distance, "num": _count(parts)}
        total = sum(entry["num"] for entry in types.values())
        mean = sum(entry["distance"] * entry["num"] for entry in types.values()) / total if total else None
        out[kind] = {"unit": unit, "mean": mean, "by_type": types}
    return out


def bond_length_deviation(generated: Sequence[Attempt], references: Sequence[Data]) -> float | None:
    """Compute the mean absolute deviation of bond lengths from the references' mean length of the same bond.

    Bonds to hydrogen are included. If the generated atoms are in another order, equivalent bonds may be exchanged.

    Args:
        generated: All attempts for one molecule; failed ones are left out.
        references: Its reference conformers.

    Returns:
        Deviation in Angstrom; None if there is no usable conformer, reference or bond.
    """
    _, expected, lengths = internal_coordinates(prepare(references, generated))["bonds"]
    return float(np.abs(lengths - expected.mean(axis=0)).mean()) if lengths.size and expected.size else None


def _count(parts: Sequence[Coordinates]) -> int:
    return sum(part.references.shape[1] for part in parts)


def _pooled(parts: Sequence[Coordinates]) -> list[NDArray[np.float64]]:
    """Values of the references and of the generated conformers, and the weights of both."""
    sides = [[part.references for part in parts], [part.generated for part in parts]]
    values = [np.concatenate([part.ravel() for part in side]) for side in sides]
    weights = [np.concatenate([np.full(part.size, 1 / len(part)) for part in side]) for side in sides]
    return [*values, *weights]


def _values(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Length, angle or torsion of paths of 2, 3 or 4 atoms, ``[M, K, 2 to 4, 3]`` to ``[M, K]``."""
    steps = np.diff(points, axis=2)
    if steps.shape[2] == 1:
        return np.linalg.norm(steps[:, :, 0], axis=-1)
    normals = np.cross(steps[:, :, :-1], steps[:, :, 1:])
    if steps.shape[2] == 2:
        sine, cosine = np.linalg.norm(normals[:, :, 0], axis=-1), -(steps[:, :, 0] * steps[:, :, 1]).sum(axis=-1)
    else:
        sine = np.linalg.norm(steps[:, :, 1], axis=-1) * (steps[:, :, 0] * normals[:, :, 1]).sum(axis=-1)
        cosine = (normals[:, :, 0] * normals[:, :, 1]).sum(axis=-1)
    return np.degrees(np.arctan2(sine, cosine))


def _type(mol: Chem.Mol, path: Sequence[int]) -> str:
    """Elements and bonds along a path, read in the direction that sorts first."""

    def read(path: Sequence[int]) -> str:
        bonds = [_SYMBOLS[mol.GetBondBetweenAtoms(i, j).GetBondType()] for i, j in pairwise(path)]
        atoms = [mol.GetAtomWithIdx(i).GetSymbol() for i in path]
        return atoms[0] + "".join(bond + atom for bond, atom in zip(bonds, atoms[1:], strict=True))

    return min(read(path), read(path[::-1]))
