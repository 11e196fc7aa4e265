"""Limits of the distances and angles of a molecule, from the bounds of RDKit's distance geometry.

PoseBusters accepts bond lengths and distances of atoms two bonds apart that are within 25 % of these bounds, and
contacts of at least 70 % of the lower bound, hydrogens not counted. Its limits hold here for all atoms, and narrower
ones where conformers of the data set ``gfn2-ensembles`` do not come near: what these reach is given with each constant.

References:
    M. Buttenschoen, G. M. Morris, C. M. Deane (2024), PoseBusters: AI-based docking methods fail to generate
    physically valid poses or generalise to novel sequences; the values in ``config/mol.yml`` and ``config/dock.yml`` of
    the package ``posebusters``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rdkit.Chem import rdDistGeom

from graphscore.molecules.exact import exact_components
from graphscore.molecules.graph import Chem, rdBase
from graphscore.molecules.polyhedra import polyhedral_centres

BOND = 0.15  # of the bounds; PoseBusters: 0.25; GFN2: -0.06 to 0.13
WEAK_BOND = 0.25  # aromatic ones of two hetero atoms are long: N-O to 1.56 Å in QM9, by B3LYP
ANGLE_DISTANCE = 0.25  # of the bounds, PoseBusters; GFN2: -0.21 to 0.19
CONTACT = 0.70  # of the lower bound, PoseBusters
# Of the sum of van der Waals radii, at least three bonds apart or in different components.
HEAVY = 0.75  # PoseBusters between molecules; GFN2 within one: 0.77
CARBONYL = 0.70  # O and N to an unsaturated carbon with O or N; GFN2: 0.1 % below, to 0.58
WITH_HYDROGEN = 0.68  # GFN2: 0.76
HYDROGENS = 0.70  # GFN2: 0.79
HYDROGEN_BOND = 0.50  # GFN2: 0.64
IONS = 0.45  # of opposite charge in different components; LiF, a gas of two ions, 1.56 Å: 0.48

# Degrees beyond the angles that the bounds allow, downward and upward.
TOLERANCE = 20.0  # GFN2: -13 to 10
TOLERANCE_HEAVY = 25.0  # centres below the second row, whose hydrides have 92 degrees
TOLERANCE_FUSED = 45.0  # centres of several rings; GFN2: -29 to 16; QM9: to -40
TOLERANCE_ANY = 180.0  # only ANGLE_DISTANCE: rings of three or four; GFN2: -54 to 51
# Smallest angle by number of neighbors, for five (85 degrees in BrF5), six (90) and seven (72 in IF7), and for fewer
# beside lone pairs (87 in ClF3 and SF4).
CROWDED = {2: 150.0, 3: 75.0, 4: 75.0, 5: 75.0, 6: 80.0, 7: 62.0}
CROWDED_RING = 55.0  # both neighbors in a ring with the centre
NO_BOUNDS = 1000.0
# Å, double bonds to a sulfur at the end, by the other element: thioacetone 1.62, thioketones in crystals to 1.67,
# phosphine sulfides 1.95, thiophosphates 1.92 (F. H. Allen et al. 1987, Tables of bond lengths). Where the bond is not
# conjugated, RDKit has 1.43 and 1.73.
THIO, THIO_WIDTH = {6: 1.64, 15: 1.94}, 0.02

_DONORS, _ACCEPTORS = [7, 8, 9, 16], [7, 8, 9, 16, 17, 35, 53]
_CARBONYL = Chem.MolFromSmarts("[#6;^1,^2]~[#7,#8]")
_THIO = Chem.MolFromSmarts("[#6,#15]=[SX1]")
_WEAK = Chem.MolFromSmarts("[!#6]:[!#6]")
_SP = Chem.HybridizationType.SP


class Distances(NamedTuple):
    """Limits of the distances of all pairs of atoms, ``[N, N]``.

    Attributes:
        lower: Smallest distances in Å.
        upper: Largest distances, infinite for contacts.
        doubted: Distances below which PoseBusters refuses a contact, where that is above ``lower``, else 0.
        steps: Numbers of bonds between them, huge between components.
    """

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    doubted: NDArray[np.float64]
    steps: NDArray[np.float64]


class Angles(NamedTuple):
    """Angles: atoms ``[A, 3]``, the centre in the middle, and smallest and largest values ``[A]`` in degrees."""

    atoms: NDArray[np.intp]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]


def distance_bounds(mol: Chem.Mol) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute RDKit's symmetric lower and upper bounds ``[N, N]``, as PoseBusters does.

    Where they contradict each other, as for some cages, they are not smoothed. Atoms alone have none. They are
    widened to the distances of :mod:`graphscore.molecules.exact` for components of one to three atoms; double bonds to
    a sulfur at the end, which RDKit makes too short, are of their known lengths.
    """
    size = mol.GetNumAtoms()
    if size == 1:
        return np.zeros((1, 1)), np.full((1, 1), NO_BOUNDS)
    with rdBase.BlockLogs():
        try:
            matrix = rdDistGeom.GetMoleculeBoundsMatrix(mol, True, True, True, False)
        except RuntimeError:
            matrix = rdDistGeom.GetMoleculeBoundsMatrix(mol, True, True, False, False)
    lower, upper = np.tril(matrix, -1), np.triu(matrix, 1)
    lower, upper = lower + lower.T, upper + upper.T
    for atoms, pos in exact_components(mol):
        place, known = np.ix_(atoms, atoms), np.linalg.norm(pos[:, None] - pos, axis=-1)
        lower[place], upper[place] = np.minimum(lower[place], known), np.maximum(upper[place], known)
    for centre, sulfur in mol.GetSubstructMatches(_THIO):
        _lengthen(mol, centre, sulfur, lower, upper)
    return lower, upper


def _lengthen(mol: Chem.Mol, centre: int, sulfur: int, lower: NDArray[np.float64], upper: NDArray[np.float64]) -> None:
    """Set the bounds of a double bond to a sulfur, if they are too short; the angles beside it stay as they are."""
    length, short = THIO[mol.GetAtomWithIdx(centre).GetAtomicNum()], (lower + upper)[centre, sulfur] / 2
    if short > length - 3 * THIO_WIDTH:
        return
    around = [atom.GetIdx() for atom in mol.GetAtomWithIdx(centre).GetNeighbors() if atom.GetIdx() != sulfur]
    sides = (lower + upper)[centre, around] / 2
    for matrix, width in ((lower, -THIO_WIDTH), (upper, THIO_WIDTH)):
        cosines = (sides**2 + short**2 - matrix[sulfur, around] ** 2) / (2 * sides * short)
        opposite = np.sqrt(sides**2 + length**2 - 2 * sides * length * cosines)
        matrix[sulfur, around] = matrix[around, sulfur] = opposite
        matrix[centre, sulfur] = matrix[sulfur, centre] = length + width


def distance_limits(mol: Chem.Mol, bounds: tuple[NDArray[np.float64], NDArray[np.float64]]) -> Distances:
    """Compute the limits of all distances.

    Args:
        mol: Sanitized molecule with explicit hydrogens.
        bounds: Result of :func:`distance_bounds`.
    """
    steps = Chem.GetDistanceMatrix(mol)  # huge between components
    lower, upper = CONTACT * bounds[0], np.full_like(bounds[1], np.inf)
    for distance, tolerance in ((1, BOND), (2, ANGLE_DISTANCE)):
        chosen = steps == distance
        lower[chosen] = (1 - tolerance) * bounds[0][chosen]
        upper[chosen] = (1 + tolerance) * bounds[1][chosen]
    for i, j in mol.GetSubstructMatches(_WEAK, maxMatches=100_000):
        upper[i, j] = upper[j, i] = (1 + WEAK_BOND) * bounds[1][i, j]
    for centre in _crowded(mol):  # RDKit's bounds of their neighbors allow anything; angles alone count
        around = np.flatnonzero(steps[centre] == 1)
        pairs = np.ix_(around, around)
        lower[pairs] = np.where(steps[pairs] == 2, 0.0, lower[pairs])
        upper[pairs] = np.where(steps[pairs] == 2, np.inf, upper[pairs])
    numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    heavy = numbers > 1
    within = (steps >= 3) & (steps <= mol.GetNumAtoms()) & heavy[:, None] & heavy
    bound, smallest = lower, _van_der_waals(mol, numbers, steps)
    # RDKit's bounds take acids, esters and amides for Z; three bonds apart, cages come closer than these radii.
    lower = np.where(steps >= 4, smallest, np.where(steps == 3, np.minimum(bound, smallest), bound))
    doubted = np.where(within & (bound > lower), bound, 0.0)
    np.fill_diagonal(lower, 0.0)
    np.fill_diagonal(upper, np.inf)
    return Distances(lower, upper, doubted, steps)


def _van_der_waals(mol: Chem.Mol, numbers: NDArray[np.int_], steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Smallest contacts of all pairs of atoms that are far apart in the molecule, ``[N, N]`` in Å.

    Args:
        mol: The molecule.
        numbers: Its atomic numbers.
        steps: Numbers of bonds between atoms, huge between components.
    """
    table = Chem.GetPeriodicTable()
    radii = np.array([table.GetRvdw(number) for number in numbers.tolist()])
    charges = np.array([atom.GetFormalCharge() for atom in mol.GetAtoms()])
    hydrogen = numbers == 1
    donated = hydrogen & ((steps == 1) & np.isin(numbers, _DONORS)).any(axis=1)
    accepts = np.isin(numbers, _ACCEPTORS)
    count = hydrogen[:, None].astype(int) + hydrogen
    share = np.array([HEAVY, WITH_HYDROGEN, HYDROGENS])[count]
    rich = (numbers == 7) | (numbers == 8)
    poor = np.zeros(len(numbers), dtype=bool)
    poor[[match[0] for match in mol.GetSubstructMatches(_CARBONYL, maxMatches=100_000)]] = True
    for givers, takers, value in ((rich, poor, CARBONYL), (donated, accepts, HYDROGEN_BOND)):
        pairs = givers[:, None] & takers
        share = np.where(pairs | pairs.T, value, share)
    ions = (charges[:, None] * charges < 0) & (steps > len(numbers))
    share = np.where(ions, IONS, share)
    return share * (radii[:, None] + radii)


def angle_limits(mol: Chem.Mol, bounds: tuple[NDArray[np.float64], NDArray[np.float64]]) -> Angles:
    """Compute the limits of all angles between bonds, except those of three-membered rings.

    Args:
        mol: Sanitized molecule with explicit hydrogens.
        bounds: Result of :func:`distance_bounds`.
    """
    near = [np.flatnonzero(row).tolist() for row in Chem.GetAdjacencyMatrix(mol)]
    rows, tolerances, least, crowded = [], [], [], _crowded(mol)
    for centre, around in enumerate(near):
        pairs = [(a, b) for i, a in enumerate(around) for b in around[i + 1 :] if b not in near[a]]
        if not pairs:
            continue
        rows += [(a, centre, b) for a, b in pairs]
        if centre in crowded:
            rings, smallest = mol.GetRingInfo(), CROWDED.get(len(around), 0.0)
            least += [CROWDED_RING if rings.AreAtomsInSameRing(a, b) else smallest for a, b in pairs]
            tolerances += [(0.0, TOLERANCE_ANY)] * len(pairs)
        else:
            least += [np.nan] * len(pairs)
            tolerances += [_tolerances(mol, mol.GetAtomWithIdx(centre))] * len(pairs)
    atoms, fixed = np.array(rows, dtype=np.intp).reshape(-1, 3), np.array(least)
    down, up = np.array(tolerances).reshape(-1, 2).T
    first, centre, last = atoms.T
    middle = (bounds[0] + bounds[1]) / 2
    low, high = (_angles(part[first, last], middle[first, centre], middle[last, centre]) for part in bounds)
    low = np.where(np.isnan(fixed), np.maximum(low - down, 0.0), fixed)
    return Angles(atoms, low, np.minimum(high + up, 180.0))


def _crowded(mol: Chem.Mol) -> set[int]:
    """The atoms with more than four neighbors, or electron pairs around them."""
    many = Chem.GetAdjacencyMatrix(mol).sum(axis=0) > 4
    return {*polyhedral_centres(mol), *np.flatnonzero(many).tolist()}


def _tolerances(mol: Chem.Mol, atom: Chem.Atom) -> tuple[float, float]:
    """Degrees by which angles at an atom may be below and above RDKit's bounds."""
    rings, centre = mol.GetRingInfo(), atom.GetIdx()
    around = atom.GetNeighbors()
    soft = atom.GetAtomicNum() in (7, 8) and any(
        other.GetAtomicNum() in (14, 15) or (other.GetHybridization() == _SP and not other.GetIsAromatic())
        for other in around
    )  # nearly straight: siloxanes, isothiocyanates
    if rings.NumAtomRings(centre):
        if rings.MinAtomRingSize(centre) <= 4 or atom.GetHybridization() == _SP:
            return TOLERANCE_ANY, TOLERANCE_ANY
        if rings.NumAtomRings(centre) > 1:
            return TOLERANCE_FUSED, TOLERANCE_FUSED
    value = TOLERANCE if atom.GetAtomicNum() <= 10 else TOLERANCE_HEAVY
    return value, TOLERANCE_ANY if soft else value


def _angles(
    opposite: NDArray[np.float64], first: NDArray[np.float64], second: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Angles in degrees between two sides of triangles."""
    cosines = (first**2 + second**2 - opposite**2) / (2 * first * second)
    return np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))
