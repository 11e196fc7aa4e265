"""Molecules in space as balls and sticks: superposition, pose and shapes, shared by the page and the picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch_geometric.data import Data

from graphscore.data.molecules import Chem, mol_from_data, remove_hydrogens
from graphscore.metrics.conformers import MAX_MATCHES

# The usual colors (Corey, Pauling, Koltun), toned down where they are too pale or too loud on white.
_COLORS = {
    "H": "#f2f2f2",
    "B": "#ffb5a3",
    "C": "#50555c",
    "N": "#2f5fe3",
    "O": "#e02b20",
    "F": "#7ecb3c",
    "Si": "#d8b48c",
    "P": "#f58a1f",
    "S": "#f2c31b",
    "Cl": "#1fa34a",
    "Br": "#9c3428",
    "I": "#7a35a0",
}
_OTHER_COLOR = "#ff69b4"
_BALL = 0.23  # of the van der Waals radius
_STICK = 0.1  # radius of a single bond, in Angstrom


class Shape(NamedTuple):
    """One conformer as balls and sticks; x to the right, y up, z towards the viewer, in Angstrom.

    Attributes:
        elements: ``[N]`` atomic number of each ball.
        centers: ``[N, 3]`` of the balls.
        radii: ``[N]`` of the balls.
        sticks: ``[S, 2, 3]`` ends of the sticks, which have round caps. A bond has two halves, a dash is a stick too.
        stick_radii: ``[S]``.
        stick_elements: ``[S]`` atomic number of the atom whose color a stick has.
        stick_bonds: ``[S, 2]`` the two atoms that a stick joins.
    """

    elements: np.ndarray
    centers: np.ndarray
    radii: np.ndarray
    sticks: np.ndarray
    stick_radii: np.ndarray
    stick_elements: np.ndarray
    stick_bonds: np.ndarray

    @property
    def extent(self) -> float:
        """Radius around the origin within which everything lies, however it is turned."""
        return float((np.linalg.norm(self.centers, axis=1) + self.radii).max())


class Panel(NamedTuple):
    """A generated conformer on top of its reference.

    Attributes:
        shape: What to draw; None for a failed attempt.
        rmsd: Heavy-atom RMSD to the reference in Angstrom; infinite for a failed attempt.
        failure: Why the attempt failed, or empty.
    """

    shape: Shape | None
    rmsd: float
    failure: str = ""


def superpose(reference: Data, generated: Sequence[Data | None]) -> tuple[Shape, list[Panel]]:
    """Turn a reference to its broad side and lay generated conformers onto it.

    Args:
        reference: Molecule with ``pos``, laid out as :mod:`graphscore.data.molecules` says.
        generated: Conformers of the same molecule. None, or one whose coordinates are not finite, is a failed
            attempt.

    Returns:
        The reference, and one panel for each generated conformer, closest first, failed ones last.

    Raises:
        ValueError: If the reference is no molecule with coordinates, or a generated one is another molecule.
    """
    if reference.get("pos") is None:
        raise ValueError(f"Expected a conformer, but the graph {reference.get('smiles', '')!r} has no pos")
    target = mol_from_data(reference)
    pos = target.GetConformer().GetPositions()
    pose = _broad_side(pos - pos.mean(axis=0))
    center = ((pos @ pose).max(axis=0) + (pos @ pose).min(axis=0)) / 2
    panels = [_panel(attempt, target, pose, center) for attempt in generated]
    return ball_and_stick(target, pos @ pose - center), sorted(panels, key=lambda panel: panel.rmsd)


def color_of(number: int) -> str:
    """Color of an element by atomic number, as ``#rrggbb``."""
    return _COLORS.get(Chem.GetPeriodicTable().GetElementSymbol(int(number)), _OTHER_COLOR)


def ball_and_stick(mol: Chem.Mol, pos: np.ndarray) -> Shape:
    """Shape a molecule's atoms and bonds.

    Double and triple bonds are parallel sticks, aromatic ones a stick and dashes on the side of the ring.

    Args:
        mol: Molecule with all hydrogens.
        pos: ``[N, 3]`` coordinates, in Angstrom.
    """
    elements = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    table = Chem.GetPeriodicTable()
    radii = np.array([_BALL * table.GetRvdw(int(number)) for number in elements])
    sticks, stick_radii, owners, bonds = [], [], [], []
    for bond in mol.GetBonds():
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        side = _side(bond, pos)
        for offset, radius, dashed in _STRANDS[bond.GetBondType()]:
            for owner, ends in _strand(pos[[i, j]] + offset * side, radii[[i, j]], abs(offset), dashed):
                sticks.append(ends)
                stick_radii.append(radius)
                owners.append((i, j)[owner])
                bonds.append((i, j))
    return Shape(
        elements=elements,
        centers=pos,
        radii=radii,
        sticks=np.array(sticks).reshape(-1, 2, 3),
        stick_radii=np.array(stick_radii, dtype=float),
        stick_elements=elements[np.array(owners, dtype=int)],
        stick_bonds=np.array(bonds, dtype=int).reshape(-1, 2),
    )


# Strands of a bond: distance from the line between the atoms, radius (both in Angstrom), dashed or not.
_STRANDS: dict[Chem.BondType, list[tuple[float, float, bool]]] = {
    Chem.BondType.SINGLE: [(0.0, _STICK, False)],
    Chem.BondType.DOUBLE: [(-0.12, 0.07, False), (0.12, 0.07, False)],
    Chem.BondType.TRIPLE: [(-0.17, 0.05, False), (0.0, 0.05, False), (0.17, 0.05, False)],
    Chem.BondType.AROMATIC: [(0.0, 0.085, False), (0.21, 0.05, True)],
}


def _panel(attempt: Data | None, target: Chem.Mol, pose: np.ndarray, center: np.ndarray) -> Panel:
    pos = None if attempt is None else attempt.get("pos")
    if attempt is None or pos is None:
        return Panel(None, np.inf, "nothing was generated")
    if not pos.isfinite().all():
        return Panel(None, np.inf, "its coordinates are not finite")
    mol = mol_from_data(attempt)
    transform, rmsd = _superposition(mol, target)
    moved = mol.GetConformer().GetPositions() @ transform[:3, :3].T + transform[:3, 3]
    return Panel(ball_and_stick(mol, moved @ pose - center), rmsd)


def _superposition(mol: Chem.Mol, target: Chem.Mol) -> tuple[np.ndarray, float]:
    """The rigid motion ``[4, 4]`` of a molecule onto the target, and the heavy-atom RMSD."""
    from rdkit.Chem import rdMolAlign

    heavy = remove_hydrogens(target)
    try:
        rmsd, transform, _ = rdMolAlign.GetBestAlignmentTransform(remove_hydrogens(mol), heavy, maxMatches=MAX_MATCHES)
        pos = heavy.GetConformer().GetPositions()
        if np.linalg.matrix_rank(pos - pos.mean(axis=0), tol=0.1) < 2:
            # Heavy atoms on a line leave the turn about it open, which the hydrogens decide.
            _, transform, _ = rdMolAlign.GetBestAlignmentTransform(mol, target, maxMatches=MAX_MATCHES)
    except RuntimeError as error:
        smiles = [Chem.MolToSmiles(remove_hydrogens(m)) for m in (target, mol)]
        raise ValueError(f"Expected conformers of one molecule, but got {smiles}") from error
    return np.array(transform), float(rmsd)


def _broad_side(pos: np.ndarray) -> np.ndarray:
    """The rotation ``[3, 3]`` (for rows, from the right) to the principal axes, tilted to show the depth."""
    axes = np.linalg.eigh(pos.T @ pos)[1][:, ::-1]
    along = pos @ axes
    farthest = np.abs(along).argmax(axis=0)
    axes = axes * np.where(along[farthest, range(3)] < 0, -1.0, 1.0)  # else the signs are up to the machine
    axes[:, 2] = np.cross(axes[:, 0], axes[:, 1])
    x, y = np.deg2rad(28.0), np.deg2rad(-18.0)
    about_x = np.array([[1, 0, 0], [0, np.cos(x), np.sin(x)], [0, -np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]])
    return axes @ about_y @ about_x


def _side(bond: Chem.Bond, pos: np.ndarray) -> np.ndarray:
    """Unit vector ``[3]`` across a bond: in the plane of its neighbors, into the ring if it is aromatic."""
    i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
    axis = pos[j] - pos[i]
    axis = axis / max(np.linalg.norm(axis), 1e-6)
    neighbors = [
        (atom.GetIdx(), other.GetOtherAtomIdx(atom.GetIdx()))
        for atom in (bond.GetBeginAtom(), bond.GetEndAtom())
        for other in atom.GetBonds()
        if other.GetIdx() != bond.GetIdx() and (other.GetIsAromatic() or not bond.GetIsAromatic())
    ]
    across = [pos[b] - pos[a] for a, b in neighbors]
    across = [vector - (vector @ axis) * axis for vector in across]
    # Both rings beside a bond cancel, and neighbors on its line count for nothing; what lies across the view is seen
    # best, and any side will do where there are no neighbors. The last is for atoms that coincide.
    ring = [sum(across, np.zeros(3))] if bond.GetIsAromatic() else []
    others = [np.cross(axis, [0.0, 0.0, 1.0]), np.cross(axis, [0.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0])]
    choices = [*ring, *sorted(across, key=lambda vector: abs(vector[2])), *others]
    side = next(vector for vector in choices if np.linalg.norm(vector) > 0.3)
    return side / np.linalg.norm(side)


def _strand(ends: np.ndarray, radii: np.ndarray, offset: float, dashed: bool) -> list[tuple[int, np.ndarray]]:
    """Pieces ``[2, 3]`` of a line between two balls, each with the end, 0 or 1, that it belongs to."""
    length = float(np.linalg.norm(ends[1] - ends[0]))
    inside = 0.9 * np.sqrt(np.maximum(radii**2 - offset**2, 0))  # where the line leaves each ball
    visible = length - inside.sum()
    if visible <= 0:
        return []
    start = ends[0] + (ends[1] - ends[0]) * (inside[0] / length)
    step = (ends[1] - ends[0]) * (visible / length)
    if not dashed:
        cuts, owners = [(0.0, 0.5), (0.5, 1.0)], [0, 1]
    else:
        count = max(2, 2 * round(visible / 0.4))
        cuts = [((k + 0.25) / count, (k + 0.65) / count) for k in range(count)]
        owners = [int(2 * k >= count) for k in range(count)]
    return [(owner, start + np.outer(cut, step)) for owner, cut in zip(owners, cuts, strict=True)]
