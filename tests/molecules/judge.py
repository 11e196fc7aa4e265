"""A judge of written conformers that shares no code with the package: SDF records against what was asked for.

Stereo marks are read off the coordinates by signed volumes and torsions; bonds are compared with covalent radii and
contacts with van der Waals radii; and force fields, relaxing all atoms of all components, must not move a bond. A
record that says itself what is wrong with it, in its field ``warning``, may be wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdForceFieldHelpers

TABLE = Chem.GetPeriodicTable()
SINGLE, DOUBLE, TRIPLE, AROMATIC = (
    Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE, Chem.BondType.AROMATIC,
)  # fmt: skip
# Shares of the sum of covalent radii. Of textbook molecules, F2 and H2 are the longest single bonds (1.25, 1.19), the
# shortest double one is S=O of SO3 (0.83), and the shortest triple one is N2 (0.77).
BONDS = {SINGLE: (0.82, 1.28), DOUBLE: (0.80, 1.20), TRIPLE: (0.74, 1.06), AROMATIC: (0.82, 1.22)}
# Shares of the sum of van der Waals radii, four or more bonds apart, and between components.
HEAVY, HYDROGEN, POLAR, RING = 0.70, 0.62, 0.48, 0.60
BETWEEN, BETWEEN_HYDROGEN, BETWEEN_IONS = 0.85, 0.72, 0.45
MOVED = 0.1  # Å, of a bond between heavy atoms, when all relaxes
SHARP, CROWDED = 40.0, 60.0  # degrees, smallest angles, and those at five or more neighbors
SMALL_RING = 9  # up to which atoms four bonds apart in it come near: 0.67 in (E)-cyclooctene
FLAT = 0.12  # of the cubed edge, smallest signed volume at a marked centre; 0.71 for a regular tetrahedron
HANDS = {Chem.ChiralType.CHI_TETRAHEDRAL_CCW: 1, Chem.ChiralType.CHI_TETRAHEDRAL_CW: -1}
ATROPISOMERS = (Chem.BondStereo.STEREOATROPCW, Chem.BondStereo.STEREOATROPCCW)


@dataclass
class Written:
    """One record of an output file."""

    title: str
    mol: Chem.Mol
    fields: dict[str, str]

    @property
    def warning(self) -> str:
        return self.fields.get("warning", "").strip()


def read(path: Path | str) -> list[Written]:
    """Read an SDF by RDKit; each record must be readable."""
    found = []
    with rdBase.BlockLogs():
        for number, mol in enumerate(Chem.SDMolSupplier(str(path), removeHs=False), start=1):
            assert mol is not None, f"RDKit cannot read record {number} of {path}"
            fields = {name: mol.GetProp(name) for name in mol.GetPropNames() if not name.startswith("_")}
            found.append(Written(mol.GetProp("_Name"), mol, fields))
    return found


def asked(smiles: str) -> Chem.Mol:
    """The molecule that a SMILES string asks for, with marks that hydrogens define."""
    settings = Chem.SmilesParserParams()
    settings.removeHs = False
    with rdBase.BlockLogs():
        return Chem.AddHs(Chem.MolFromSmiles(smiles, settings))


def faults(smiles: str | Chem.Mol, mol: Chem.Mol, relax: bool = True) -> list[str]:
    """Everything that is wrong with a molecule's conformer, compared with what was asked for."""
    wanted = asked(smiles) if isinstance(smiles, str) else smiles
    found = [*graph_faults(wanted, mol)] or stereo_faults(wanted, mol)
    found += [*bond_faults(mol), *angle_faults(mol), *contact_faults(mol)]
    return found + ([*moved_bonds(mol)] if relax and not found else [])


def unmarked(smiles: str | Chem.Mol, records: Iterable[Written], relax: bool = True) -> list[str]:
    """What is wrong with records, and not said by them."""
    found = []
    for number, record in enumerate(records, start=1):
        if not record.warning:
            found += [f"{record.title} {number}: {fault}" for fault in faults(smiles, record.mol, relax)]
    return found


def graph_faults(wanted: Chem.Mol, mol: Chem.Mol) -> Iterator[str]:
    """Compare the molecules without stereo marks."""
    one, other = (flat_smiles(each) for each in (wanted, mol))
    if one != other:
        yield f"another molecule: {other}, expected {one}"
    pos = mol.GetConformer().GetPositions()
    if not np.isfinite(pos).all() or (not mol.GetConformer().Is3D() and mol.GetNumAtoms() > 3):
        yield "no coordinates in three dimensions"


def flat_smiles(mol: Chem.Mol) -> str:
    """Canonical SMILES without stereo marks, hydrogens and atom maps; isotopes count."""
    flat = Chem.Mol(mol)
    Chem.RemoveStereochemistry(flat)
    for atom in flat.GetAtoms():
        atom.SetAtomMapNum(0)
    with rdBase.BlockLogs():
        return Chem.MolToSmiles(Chem.RemoveHs(flat))


def bond_faults(mol: Chem.Mol) -> Iterator[str]:
    """Compare bonds with the sum of covalent radii."""
    pos = mol.GetConformer().GetPositions()
    for bond in mol.GetBonds():
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        length = float(np.linalg.norm(pos[i] - pos[j]))
        ratio = length / sum(
            TABLE.GetRcovalent(atom.GetAtomicNum()) for atom in (bond.GetBeginAtom(), bond.GetEndAtom())
        )
        low, high = BONDS.get(bond.GetBondType(), (0.7, 1.3))
        if not low <= ratio <= high:
            yield f"bond {_name(mol, i, j)} of {length:.2f} Å, {ratio:.2f} of the covalent radii"


def angle_faults(mol: Chem.Mol) -> Iterator[str]:
    """Find angles that no molecule has: below those of three-membered rings, or of crowded atoms."""
    pos = mol.GetConformer().GetPositions()
    for atom in mol.GetAtoms():
        around = [other.GetIdx() for other in atom.GetNeighbors()]
        arms = pos[around] - pos[atom.GetIdx()]
        arms /= np.maximum(np.linalg.norm(arms, axis=1, keepdims=True), 1e-9)
        angles = np.degrees(np.arccos(np.clip(arms @ arms.T, -1, 1)))
        sharp = CROWDED if len(around) > 4 else SHARP
        for a, b in zip(*np.nonzero(np.triu(angles < sharp, 1)), strict=True):
            yield f"angle {_name(mol, around[a], atom.GetIdx(), around[b])} of {angles[a, b]:.0f} degrees"


def contact_faults(mol: Chem.Mol) -> Iterator[str]:
    """Compare contacts with the sum of van der Waals radii."""
    pos = mol.GetConformer().GetPositions()
    steps = Chem.GetDistanceMatrix(mol)
    radii = np.array([TABLE.GetRvdw(atom.GetAtomicNum()) for atom in mol.GetAtoms()])
    distances = np.linalg.norm(pos[:, None] - pos[None], axis=-1)
    ratios = distances / (radii[:, None] + radii[None])
    charges = {atom: charge for atoms, charge in _components(mol) for atom in atoms}
    for i, j in np.argwhere(np.triu((ratios < BETWEEN) & (steps >= 4), 1)).tolist():
        apart, opposite = steps[i, j] > mol.GetNumAtoms(), charges[i] * charges[j] < 0
        if ratios[i, j] < _limit(mol, i, j, apart, opposite):
            length = f"{distances[i, j]:.2f} Å, {ratios[i, j]:.2f} of the van der Waals radii"
            yield f"contact {_name(mol, i, j)} of {length}"


def _components(mol: Chem.Mol) -> list[tuple[tuple[int, ...], int]]:
    atoms = mol.GetAtoms()
    return [(part, sum(atoms[i].GetFormalCharge() for i in part)) for part in Chem.GetMolFrags(mol)]


def _limit(mol: Chem.Mol, i: int, j: int, apart: bool, opposite: bool) -> float:
    if opposite:
        return BETWEEN_IONS
    pair = [mol.GetAtomWithIdx(k) for k in (i, j)]
    light = [atom for atom in pair if atom.GetAtomicNum() == 1]
    rings = mol.GetRingInfo()
    if not apart and any(len(ring) <= SMALL_RING and {i, j} <= set(ring) for ring in rings.AtomRings()):
        return RING
    if not light:
        polar = all(atom.GetAtomicNum() not in (1, 6) for atom in pair)
        return (0.70 if polar else BETWEEN) if apart else HEAVY
    polar = any(other.GetAtomicNum() != 6 for atom in light for other in atom.GetNeighbors())
    return POLAR if polar else BETWEEN_HYDROGEN if apart else HYDROGEN


def moved_bonds(mol: Chem.Mol) -> Iterator[str]:
    """Find bonds between heavy atoms that relaxing all atoms by MMFF94 changes, and by UFF in the same direction.

    Each alone moves bonds that are right, in small cages and N-oxides; molecules without parameters are not judged.
    """
    pairs = [(bond, (bond.GetBeginAtom(), bond.GetEndAtom())) for bond in mol.GetBonds()]
    # No force field knows molecules of two atoms: N2 becomes 1.46 Å.
    heavy = [b for b, ends in pairs if min(a.GetAtomicNum() for a in ends) > 1 and max(a.GetDegree() for a in ends) > 1]
    if not heavy or not rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
        return
    ends = np.array([(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in heavy])
    before, after = _lengths(mol, ends), _lengths(_relaxed(mol, rdForceFieldHelpers.MMFFOptimizeMolecule), ends)
    if not (np.abs(after - before) > MOVED).any():
        return
    other = _lengths(_relaxed(mol, rdForceFieldHelpers.UFFOptimizeMolecule), ends)
    for k in np.flatnonzero(np.minimum(np.abs(after - before), (other - before) * np.sign(after - before)) > MOVED):
        yield f"bond {_name(mol, *ends[k].tolist())} of {before[k]:.2f} Å, {after[k]:.2f} after relaxation"


def _relaxed(mol: Chem.Mol, optimize: Callable[..., int]) -> Chem.Mol:
    relaxed = Chem.Mol(mol)
    with rdBase.BlockLogs():
        optimize(relaxed, maxIters=2000, ignoreInterfragInteractions=False)
    return relaxed


def _lengths(mol: Chem.Mol, ends: np.ndarray) -> np.ndarray:
    pos = mol.GetConformer().GetPositions()
    return np.linalg.norm(pos[ends[:, 0]] - pos[ends[:, 1]], axis=1)


def stereo_faults(wanted: Chem.Mol, mol: Chem.Mol) -> list[str]:
    """Compare the marks asked for with those of coordinates, up to an exchange of equivalent atoms.

    Groups of enhanced stereo leave the handedness of a group open, but not the relation of its centres.
    """
    pattern, numbers = _skeleton(wanted)
    with rdBase.BlockLogs():
        blank = Chem.Mol(mol)
        Chem.RemoveStereochemistry(blank)
        matches = blank.GetSubstructMatches(pattern, uniquify=False, maxMatches=5000)
    if not matches:
        return ["another molecule"]
    best: list[str] | None = None
    for one in _allowed(wanted):
        for match in matches:
            found = list(_wrong_marks(one, mol, dict(zip(numbers, match, strict=True))))
            if not found:
                return []
            best = best or found
    return best or []


def _skeleton(wanted: Chem.Mol) -> tuple[Chem.Mol, list[int]]:
    """The molecule without marks, and without hydrogens that no mark needs; the numbers of its atoms."""
    needed = {index for bond in wanted.GetBonds() for index in bond.GetStereoAtoms()}
    needed |= {n.GetIdx() for a in wanted.GetAtoms() if a.GetChiralTag() in HANDS for n in a.GetNeighbors()}
    blank = Chem.RWMol(wanted)
    Chem.RemoveStereochemistry(blank)
    for atom in wanted.GetAtoms():
        blank.GetAtomWithIdx(atom.GetIdx()).SetAtomMapNum(0)
    numbers = [a.GetIdx() for a in wanted.GetAtoms() if a.GetAtomicNum() != 1 or a.GetIdx() in needed]
    numbers = numbers or [atom.GetIdx() for atom in wanted.GetAtoms()]
    for index in sorted(set(range(wanted.GetNumAtoms())) - set(numbers), reverse=True):
        blank.RemoveAtom(index)
    return blank.GetMol(), numbers


def _allowed(mol: Chem.Mol) -> Iterator[Chem.Mol]:
    """The molecule with each choice of the handedness of its groups of enhanced stereo."""
    groups = [g for g in mol.GetStereoGroups() if g.GetGroupType() != Chem.StereoGroupType.STEREO_ABSOLUTE]
    members = [[atom.GetIdx() for atom in group.GetAtoms()] for group in groups]
    for flips in product((False, True), repeat=len(groups)):
        one = Chem.Mol(mol)
        for index in (index for flip, group in zip(flips, members, strict=True) if flip for index in group):
            one.GetAtomWithIdx(index).InvertChirality()
        yield one


def _wrong_marks(wanted: Chem.Mol, mol: Chem.Mol, match: dict[int, int]) -> Iterator[str]:
    """Find the marks that coordinates do not have; ``match`` gives the number in ``mol`` of an atom in ``wanted``."""
    pos = mol.GetConformer().GetPositions()
    for atom in wanted.GetAtoms():
        if atom.GetChiralTag() in HANDS:
            centre = match[atom.GetIdx()]
            around = [match[bond.GetOtherAtomIdx(atom.GetIdx())] for bond in atom.GetBonds()]
            volume = HANDS[atom.GetChiralTag()] * signed_volume(pos[centre], pos[around])
            if volume < FLAT:
                yield f"centre {_name(mol, centre)} {'is flat' if volume > -FLAT else 'has the other handedness'}"
    for bond in wanted.GetBonds():
        b, c = match.get(bond.GetBeginAtomIdx(), -1), match.get(bond.GetEndAtomIdx(), -1)
        if bond.GetStereo() in ATROPISOMERS:
            a, d = (
                match[min(n.GetIdx() for n in one.GetNeighbors() if n.GetIdx() != other.GetIdx())]
                for one, other in ((bond.GetBeginAtom(), bond.GetEndAtom()), (bond.GetEndAtom(), bond.GetBeginAtom()))
            )
            angle = torsion(pos[[a, b, c, d]])
            # Counterclockwise is a negative torsion between the first substituents.
            if not 20 < (angle if bond.GetStereo() == Chem.BondStereo.STEREOATROPCW else -angle) < 160:
                yield f"axis {_name(mol, b, c)} has a torsion of {angle:.0f} degrees"
        elif bond.GetStereoAtoms():
            a, d = (match[index] for index in bond.GetStereoAtoms())
            angle = abs(torsion(pos[[a, b, c, d]]))
            together = bond.GetStereo() in (Chem.BondStereo.STEREOZ, Chem.BondStereo.STEREOCIS)
            if not (angle < 60 if together else angle > 120):
                yield f"double bond {_name(mol, b, c)} has a torsion of {angle:.0f} degrees"


def signed_volume(centre: np.ndarray, around: np.ndarray) -> float:
    """Signed volume of the first three of three or four neighbors over the cubed edge; positive: counterclockwise."""
    corners = [*around, centre][:4]
    arms = np.array(corners[:3]) - corners[3]
    edges = [np.linalg.norm(one - other) for k, one in enumerate(corners) for other in corners[:k]]
    return float(np.linalg.det(arms) / max(float(np.mean(np.square(edges))), 1e-9) ** 1.5)


def torsion(points: np.ndarray) -> float:
    """Torsion of four points in degrees, IUPAC's sign."""
    b1, b2, b3 = np.diff(points, axis=0)
    n1, n2 = np.cross(b1, b2), np.cross(b2, b3)
    return float(np.degrees(np.arctan2(np.linalg.norm(b2) * (b1 @ n2), n1 @ n2)))


def _name(mol: Chem.Mol, *atoms: int) -> str:
    return "-".join(f"{mol.GetAtomWithIdx(atom).GetSymbol()}{atom + 1}" for atom in atoms)
