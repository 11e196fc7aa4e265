"""PDB files of ligands: one residue with all its hydrogens, or with the bond orders that CONECT lines repeat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from graphscore.molecules.bonding import bent_atom, perceive_bonds
from graphscore.molecules.graph import Chem, rdBase
from graphscore.molecules.smiles import rdkit_errors, rdkit_reason

_ATOMS = ("ATOM  ", "HETATM")
_TITLES = ("TITLE ", "COMPND")
MOST_SHOWN = 3


class PDBModel(NamedTuple):
    """One model of a PDB file.

    Attributes:
        line: Number of its first atom's line, from 1.
        title: The title or compound of the file.
        atoms: Lines of its atoms.
        bonds: CONECT lines.
    """

    line: int
    title: str
    atoms: list[str]
    bonds: list[str]


def pdb_models(lines: Iterable[str]) -> Iterator[PDBModel]:
    """Split the lines of a PDB file into its models; CONECT lines after the last of several hold for each of them.

    Molecules that are written one after the other, each with an END, are models of their own.
    """
    models, waiting, title, line = list[PDBModel](), list[PDBModel](), "", 0
    atoms, bonds = list[str](), list[str]()
    for number, text in enumerate(lines, start=1):
        record = text[:6].rstrip("\n").ljust(6)
        if record in _ATOMS:
            line = line or number
            atoms.append(text.rstrip("\n"))
        elif record == "CONECT":
            bonds.append(text.rstrip("\n"))
        elif record in _TITLES:
            title = title or text[10:].strip()
        elif record == "ENDMDL" and atoms:
            waiting.append(PDBModel(line, title, atoms, []))
            atoms, line = [], 0
        elif record == "END   ":
            waiting += [PDBModel(line, title, atoms, [])] if atoms else []
            models += [model._replace(bonds=bonds) for model in waiting]
            yield from models
            models, waiting, atoms, bonds, title, line = [], [], [], [], "", 0
    waiting += [PDBModel(line, title, atoms, [])] if atoms else []
    yield from (model._replace(bonds=bonds) for model in waiting)


def mol_from_pdb(model: PDBModel, charge: int | None = None) -> Chem.Mol:
    """Read a ligand of a PDB file.

    PDB files hold no bond orders. With hydrogens, all bonds are perceived from distances, see
    :func:`~graphscore.molecules.bonding.perceive_bonds`. Without, they are those of CONECT lines, if these repeat
    double bonds as some programs do; hydrogens are then added.

    Args:
        model: The model.
        charge: Charge of the ligand if no atom states one; by default it is neutral.

    Returns:
        The molecule, with the title of the file or the name of the residue as its title.

    Raises:
        ValueError: If it has several residues or places for an atom, or no such bonds exist.
    """
    residues = Counter(text[17:27] for text in model.atoms)
    if len(residues) > 1:
        names = ", ".join(" ".join(name.split()) for name in list(residues)[:MOST_SHOWN])
        names += " ..." * (len(residues) > MOST_SHOWN)
        raise ValueError(
            f"Expected a ligand of one residue, but found {len(residues)}: {names}; proteins and complexes are not read"
        )
    if len(places := {text[16:17].strip() for text in model.atoms} - {""}) > 1:
        raise ValueError(f"Expected one place for each atom, but found the alternate locations {sorted(places)}")
    block = "\n".join([*model.atoms, *model.bonds, "END", ""])
    with rdBase.BlockLogs(), rdkit_errors():
        mol = Chem.MolFromPDBBlock(block, sanitize=False, removeHs=False, proximityBonding=False)
    if mol is None or mol.GetNumAtoms() != len(model.atoms):
        raise ValueError("Expected atoms in the columns of the PDB format, but RDKit cannot read them")
    mol.GetConformer().Set3D(True)
    mol = _with_hydrogens(mol) if _has_orders(mol) else _perceived(mol, charge)
    mol.SetProp("_Name", model.title or next(iter(residues))[:3].strip())
    return mol


def _has_orders(mol: Chem.Mol) -> bool:
    """Tell whether there are double or triple bonds, and no hydrogens that would tell them."""
    hydrogens = any(atom.GetAtomicNum() == 1 for atom in mol.GetAtoms())
    return not hydrogens and any(bond.GetBondTypeAsDouble() > 1 for bond in mol.GetBonds())


def _with_hydrogens(mol: Chem.Mol) -> Chem.Mol:
    try:
        with rdBase.BlockLogs():
            for atom in mol.GetAtoms():
                atom.SetNoImplicit(False)
            Chem.SanitizeMol(mol)
            if len(Chem.GetMolFrags(mol)) > 1:
                raise ValueError("CONECT lines join only some of the atoms")
            return mol
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"Not a possible molecule: {rdkit_reason(error)}") from error


def _perceived(mol: Chem.Mol, charge: int | None) -> Chem.Mol:
    if mol.GetNumAtoms() > 1 and not any(atom.GetAtomicNum() == 1 for atom in mol.GetAtoms()):
        raise ValueError(
            "Bond orders are not known: the ligand has no hydrogens, and its CONECT lines repeat no double bonds; add "
            "hydrogens, or give an SDF file"
        )
    stated = sum(atom.GetFormalCharge() for atom in mol.GetAtoms())
    joined = {frozenset((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())) for bond in mol.GetBonds()}
    bare = Chem.RWMol()
    for atom in mol.GetAtoms():
        bare.AddAtom(Chem.Atom(atom.GetAtomicNum()))
    bare.AddConformer(mol.GetConformer())
    found = perceive_bonds(bare.GetMol(), stated or charge or 0)
    near = {frozenset((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())) for bond in found.GetBonds()}
    if joined - near:
        i, j = sorted(next(iter(joined - near)))
        raise ValueError(f"CONECT joins the atoms {i} and {j}, but they are too far apart for a bond")
    if bent := bent_atom(found):
        raise ValueError(f"Hydrogens seem to be missing: {bent}, in the only molecule that has no others")
    return found
