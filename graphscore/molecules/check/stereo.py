"""Stereo marks asked for, compared with coordinates by signed volumes, and as RDKit perceives them anew."""

from __future__ import annotations

from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from graphscore.molecules.axes import FLAT_BOND, FLAT_CUMULENE, axes_of, sines
from graphscore.molecules.check.faults import Fault
from graphscore.molecules.graph import Chem, bare_mol, double_bond_sides, handedness, rdBase, set_positions
from graphscore.molecules.labels import set_isotopes
from graphscore.molecules.marks import marked, path_of_double_bond, set_centre, set_side
from graphscore.molecules.perception import perceive_stereo

# Signed volume over the cubed edge (root mean square of six): 0.71 for a regular tetrahedron; GFN2: at least 0.45.
FLAT_CENTRE = 0.15
TWISTED = 0.5  # cosine of the torsion of a marked double bond; 0.74 in (E)-cyclooctene


class StereoMarks:
    """Stereo marks of one molecule, as vectorised conditions on coordinates.

    Args:
        template: Graph in the layout of :mod:`graphscore.molecules.graph`; ``chirality``, ``cis_trans_index``,
            ``cis_trans`` and ``axis_index`` are what is asked for.
    """

    def __init__(self, template: Data) -> None:
        self.mol, template = bare_mol(template), marked(template)
        set_isotopes(self.mol, template)
        asked = template["chirality"].cpu().numpy()
        centres, corners = [], []
        for centre in np.flatnonzero(asked).tolist():
            around = sorted(other.GetIdx() for other in self.mol.GetAtomWithIdx(centre).GetNeighbors())
            if len(around) in (3, 4):
                centres.append(centre)
                corners.append([*around, centre][:4])  # the centre itself takes the place of a lone pair
        self.centres = np.array(centres, dtype=np.intp)
        self.corners = np.array(corners, dtype=np.intp).reshape(-1, 4)
        self.signs = asked[self.centres]
        pairs = zip(*template["cis_trans_index"].tolist(), template["cis_trans"].tolist(), strict=True)
        self.sides = {(a, b): side for a, b, side in pairs if a < b}
        heavy_last = sorted(self.sides.items(), key=lambda item: sum(self._is_heavy(atom) for atom in item[0]))
        paths = [(path_of_double_bond(self.mol, a, b), side) for (a, b), side in heavy_last]
        self.axes = axes_of(template)
        self.paths = np.array([path for path, _ in paths if path] + self.axes, dtype=np.intp).reshape(-1, 4)
        self.directions = np.array(
            [1.0 if side == 1 else -1.0 for path, side in paths if path] + [1.0] * len(self.axes)
        )
        self.num_bonds = len(self.paths) - len(self.axes)  # the first of the paths
        single = [self.mol.GetBondBetweenAtoms(b, c) is not None for _, b, c, _ in self.paths.tolist()]
        # Sines of axes are scaled so that TWISTED is their limit too.
        limits = [FLAT_BOND if is_bond else FLAT_CUMULENE for is_bond in single[self.num_bonds :]]
        self._scales = TWISTED / np.array(limits, dtype=np.float64)
        self._is_known = not self.axes and all(single)  # whether RDKit has a place for all marks
        self._verdicts: dict[bytes, bool] = {}

    def __len__(self) -> int:
        return len(self.centres) + len(self.sides) + len(self.axes)

    @cached_property
    def labels(self) -> list[str]:
        """Names of the atoms in faults."""
        return [f"{atom.GetSymbol()}{atom.GetIdx()}" for atom in self.mol.GetAtoms()]

    @cached_property
    def _asked(self) -> Chem.Mol:
        return self._marked(self.signs, self.directions)

    def values(self, pos: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Measure how clearly coordinates have each mark.

        Args:
            pos: Coordinates ``[K, N, 3]``.

        Returns:
            For each centre, its signed volume over the cubed edge, ``[K, C]``, and for each of :attr:`paths` a number
            from its torsion, ``[K, P]``: the cosine for a double bond, and for an axis the sine, scaled so that
            ``TWISTED`` is the least that is clear; positive if as asked for.
        """
        return self.signs * self._volumes(pos), self.directions * self._torsions(pos)

    def _volumes(self, pos: NDArray[np.float64]) -> NDArray[np.float64]:
        if not len(self.centres):
            return np.empty((len(pos), 0))
        a, b, c, d = (pos[:, self.corners[:, i]] for i in range(4))
        volume = ((a - d) * np.cross(b - d, c - d)).sum(axis=-1)
        edges = sum(((p - q) ** 2).sum(axis=-1) for p, q in combinations((a, b, c, d), 2))
        return volume / np.maximum(edges / 6, 1e-6) ** 1.5

    def _torsions(self, pos: NDArray[np.float64]) -> NDArray[np.float64]:
        if not len(self.paths):
            return np.empty((len(pos), 0))
        a, b, c, d = (pos[:, self.paths[: self.num_bonds, i]] for i in range(4))
        first, last = np.cross(a - b, c - b), np.cross(d - c, c - b)
        lengths = np.linalg.norm(first, axis=-1) * np.linalg.norm(last, axis=-1)
        cosine = (first * last).sum(axis=-1) / np.maximum(lengths, 1e-9)
        return np.concatenate([cosine, sines(pos, self.paths[self.num_bonds :]) * self._scales], axis=1)

    def measure(self, pos: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Measure as :meth:`values`, but all positive where an exchange of equal atoms gives the isomer asked for."""
        volumes, torsions = self.values(pos)
        if not len(self):
            return volumes, torsions
        clear = (np.abs(volumes) >= FLAT_CENTRE).all(axis=1) & (np.abs(torsions) >= TWISTED).all(axis=1)
        for row in np.flatnonzero(clear & ((volumes < 0).any(axis=1) | (torsions < 0).any(axis=1))):
            if self.is_same_isomer(volumes[row], torsions[row]):
                volumes[row], torsions[row] = np.abs(volumes[row]), np.abs(torsions[row])
        return volumes, torsions

    def keeps(self, pos: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which conformers have all marks, by signed volumes and torsions, and as RDKit perceives them anew.

        Args:
            pos: Coordinates ``[K, N, 3]``; one that is not finite is not kept.

        Returns:
            ``[K]``.
        """
        right = np.asarray(np.isfinite(pos).all(axis=(1, 2)))
        if len(self) and right.any():
            volumes, torsions = self.measure(pos[right])
            right[right] = (volumes >= FLAT_CENTRE).all(axis=1) & (torsions >= TWISTED).all(axis=1)
            right[right] = [not self.perceived(one) for one in pos[right]]
        return right

    def centre_fault(self, number: int, value: float) -> Fault:
        """Describe a centre that is not as asked for."""
        atom = int(self.centres[number])
        state = "is nearly flat" if value > -FLAT_CENTRE else "has the other handedness"
        return Fault("centre", (atom,), f"centre {self.labels[atom]} {state}")

    def bond_fault(self, number: int, value: float) -> Fault:
        """Describe a double bond or an axis that is not as asked for."""
        a, b, c, d = self.paths[number].tolist()
        if number >= self.num_bonds:
            state = "has the other handedness" if value <= -TWISTED else "is nearly flat"
            torsion = "-".join(self.labels[atom] for atom in (a, b, c, d))
            reason = f"axis {self.labels[b]}-{self.labels[c]} {state}, expected a torsion {torsion} from 0 to 180°"
            return Fault("axis", (min(b, c), max(b, c)), reason)
        wanted = "one side" if self.directions[number] > 0 else "opposite sides"
        state = "is reversed" if value <= -TWISTED else "is twisted"
        reason = f"double bond {self.labels[b]}={self.labels[c]} {state}"
        reason += f", expected {self.labels[a]} and {self.labels[d]} on {wanted}"
        return Fault("double bond", (min(b, c), max(b, c)), reason)

    def perceived(self, pos: NDArray[np.float64]) -> list[Fault]:
        """Compare the marks with those that RDKit perceives anew from coordinates ``[N, 3]``.

        A mark that RDKit does not perceive, as at some centres of three neighbors, is no fault.
        """
        mol = self._read(pos)
        if self._is_asked(_heavy(mol)):
            return []
        found = []
        for centre, sign in zip(self.centres.tolist(), self.signs.tolist(), strict=True):
            if handedness(mol.GetAtomWithIdx(centre)) == -sign:
                reason = f"centre {self.labels[centre]} is perceived with the other handedness"
                found.append(Fault("centre", (centre,), reason))
        if self.sides:
            pairs, sides = double_bond_sides(mol)
            seen = dict(zip(zip(*pairs.tolist(), strict=True), sides.tolist(), strict=True))
            bonds = self.paths[: self.num_bonds].tolist()
            for (a, b, c, d), direction in zip(bonds, self.directions.tolist(), strict=False):
                if seen.get((a, d), direction) == (2 if direction > 0 else 1):
                    reason = f"double bond {self.labels[b]}={self.labels[c]} is perceived reversed"
                    found.append(Fault("double bond", (min(b, c), max(b, c)), reason))
        return found

    def is_same_isomer(self, volumes: NDArray[np.float64], torsions: NDArray[np.float64]) -> bool:
        """Tell whether one conformer's values are of the isomer asked for, up to an exchange of equivalent atoms.

        The mirror image of a meso form has the other handedness at each centre, and is the same isomer. With marks that
        RDKit has no place for, no exchange is considered.
        """
        key = np.concatenate([volumes, torsions]) < 0
        if not self._is_known:
            return not key.any()
        if key.tobytes() not in self._verdicts:
            found = self._marked(self.signs * np.sign(volumes), self.directions * np.sign(torsions))
            self._verdicts[key.tobytes()] = self._is_asked(found)
        return self._verdicts[key.tobytes()]

    def _is_asked(self, mol: Chem.Mol) -> bool:
        return mol.HasSubstructMatch(self._asked, useChirality=True)

    def _marked(self, signs: NDArray[np.float64], directions: NDArray[np.float64]) -> Chem.Mol:
        """The molecule without hydrogens, with stereo marks of these signs."""
        mol = Chem.Mol(self.mol)
        for centre, sign in zip(self.centres.tolist(), signs.tolist(), strict=True):
            set_centre(mol.GetAtomWithIdx(centre), sign)
        bonds = self.paths[: self.num_bonds].tolist()
        for (a, b, c, d), direction in zip(bonds, directions.tolist(), strict=False):
            set_side(mol, (a, b, c, d), direction > 0)
        return _heavy(mol)

    def _read(self, pos: NDArray[np.float64]) -> Chem.Mol:
        """The molecule with the stereo marks that RDKit perceives from coordinates."""
        mol = Chem.Mol(self.mol)
        set_positions(mol, pos)
        with rdBase.BlockLogs():
            perceive_stereo(mol)
        return mol

    def _is_heavy(self, atom: int) -> bool:
        return self.mol.GetAtomWithIdx(atom).GetAtomicNum() > 1


def _heavy(mol: Chem.Mol) -> Chem.Mol:
    """A copy without hydrogens, except those that decide a mark, as in imines and at P-H; else matching takes long."""
    mol, params = Chem.Mol(mol), Chem.RemoveHsParameters()
    params.removeMapped = False
    for atom in mol.GetAtoms():
        if atom.GetDegree() == 3 and atom.GetChiralTag() != Chem.ChiralType.CHI_UNSPECIFIED:
            # RDKit would match a centre of two neighbors whatever its handedness.
            for other in atom.GetNeighbors():
                other.SetAtomMapNum(int(other.GetAtomicNum() == 1))
    with rdBase.BlockLogs():
        return Chem.RemoveHs(mol, params)
