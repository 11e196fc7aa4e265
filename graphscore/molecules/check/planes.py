"""Groups of atoms that lie in a plane, and rings that do not.

References:
    M. Buttenschoen, G. M. Morris, C. M. Deane (2024), PoseBusters; patterns and limits are those of ``config/mol.yml``
    of the package ``posebusters``, except for single sp2 carbons.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphscore.molecules.graph import Chem

FLAT = 0.25  # Å, largest distance from the common plane
STRAINED = 0.65  # Å, up to which that is a doubtful fault of a double bond in a ring; GFN2: 0.60
CROWDED = 0.35  # Å, the same in a chain; GFN2: 0.28
PUCKERED = 0.05  # Å, smallest, of the farthest atom of a saturated six-membered ring
PYRAMID = 0.50  # Å, an sp2 carbon over its neighbors; C60: 0.29, GFN2: 0.47

AROMATIC, DOUBLE, SATURATED = "aromatic ring", "double bond", "ring"
_PATTERNS = {
    AROMATIC: ["[ar5^2]1[ar5^2][ar5^2][ar5^2][ar5^2]1", "[ar6^2]1[ar6^2][ar6^2][ar6^2][ar6^2][ar6^2]1"],
    DOUBLE: ["[C;X3;^2](*)(*)=[C;X3;^2](*)(*)"],
    SATURATED: [
        "[C,O,S,N;R1]~1[C,O,S,N;R1][C,O,S,N;R1][C,O,S,N;R1][C,O,S,N;R1][C,O,S,N;R1]1",
        "[C;R1]~1[C;R1][C,O,S,N;R1]~[C,O,S,N;R1][C;R1][C;R1]1",
        "[C;R1]~1[C;R1][C;R1]~[C;R1][C,O,S,N;R1][C;R1]1",
        "[C;R1]~1[C;R1][C;R1][C,O,S,N;R1]~[C,O,S,N;R1][C;R1]1",
        "[C;R1]~1[C;R1][C,O,S,N;R1][C;R1]~[C;R1][C;R1]1",
    ],
}
_QUERIES = {name: [Chem.MolFromSmarts(text) for text in texts] for name, texts in _PATTERNS.items()}
_SP2_CARBON = Chem.MolFromSmarts("[#6;X3;^2;!r3;!r4](~*)(~*)~*")


class Groups(NamedTuple):
    """Groups of equally many atoms of one molecule.

    Attributes:
        names: What each group is.
        atoms: Their atoms, ``[G, n]``.
        puckered: Whether they must not be flat, ``[G]``.
        doubtful: Distances from the plane in Å up to which a fault is doubtful, ``[G]``.
    """

    names: list[str]
    atoms: NDArray[np.intp]
    puckered: NDArray[np.bool_]
    doubtful: NDArray[np.float64]


def planar_groups(mol: Chem.Mol) -> list[Groups]:
    """Find the groups of five or six atoms whose distance from their common plane has a limit."""
    found: dict[int, dict[tuple[int, ...], str]] = {5: {}, 6: {}}
    for name, queries in _QUERIES.items():
        for query in queries:
            for match in mol.GetSubstructMatches(query, maxMatches=100_000):
                found[len(match)][match] = name
    return [_grouped(mol, groups) for groups in found.values() if groups]


def _grouped(mol: Chem.Mol, groups: dict[tuple[int, ...], str]) -> Groups:
    """Rings with sp2 atoms may be flat after all, and double bonds in small rings bent."""
    sp3 = np.array([atom.GetHybridization() == Chem.HybridizationType.SP3 for atom in mol.GetAtoms()])
    names, atoms = np.array(list(groups.values())), np.array(list(groups), dtype=np.intp)
    # Atoms 0 and 3 of the pattern are those of the double bond; other patterns have no such bond, or do not use it.
    both = [mol.GetBondBetweenAtoms(group[0], group[3]) for group in atoms.tolist()]
    ring = np.array([bond is not None and bond.IsInRing() for bond in both])
    doubtful = np.where(names == DOUBLE, np.where(ring, STRAINED, CROWDED), 0.0)
    doubtful[(names == SATURATED) & ~sp3[atoms].all(axis=1)] = np.inf
    return Groups(names.tolist(), atoms, names == SATURATED, doubtful)


def planar_carbons(mol: Chem.Mol) -> NDArray[np.intp]:
    """Find the sp2 carbons outside of small rings, each with its three neighbors, ``[G, 4]``."""
    matches = mol.GetSubstructMatches(_SP2_CARBON, maxMatches=100_000)
    return np.array(matches, dtype=np.intp).reshape(-1, 4)


def distances_from_plane(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute signed distances ``[K, G, n]`` of points ``[K, G, n, 3]`` from the plane that fits each group best."""
    centred = points - points.mean(axis=2, keepdims=True)
    _, vectors = np.linalg.eigh(centred.swapaxes(2, 3) @ centred)
    return (centred @ vectors[..., :1])[..., 0]


def height(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the distance ``[K, G]`` of the first of four points ``[K, G, 4, 3]`` from the plane of the others."""
    a, b, c = (points[:, :, i] - points[:, :, 0] for i in (1, 2, 3))
    normal = np.cross(b - a, c - a)
    return np.abs((normal * a).sum(axis=-1)) / np.maximum(np.linalg.norm(normal, axis=-1), 1e-9)
