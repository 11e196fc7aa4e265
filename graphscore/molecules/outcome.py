"""Outcomes of molecules: conformers as an RDKit molecule, and as ASE atoms and back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from torch_geometric.data import Data

from graphscore.generate.outcome import Outcome, name_of
from graphscore.molecules.fields import TEXTS
from graphscore.molecules.graph import Chem, add_positions, canonical_smiles, mol_from_data, rdBase
from graphscore.molecules.labels import set_properties
from graphscore.molecules.smiles import mol_from_smiles, rdkit_errors

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True, repr=False)
class Conformers(Outcome):
    """Sampled conformers of one molecule, as graphs and as an RDKit molecule.

    The graphs in ``samples`` have the attributes ``sample``, from 1, ``seed``, ``drift``, see
    :func:`~graphscore.samplers.drift`, and ``method``: how the conformer was made, one of
    :data:`~graphscore.molecules.repair.METHODS`. If something is wrong with it, the ``warning`` says what. If
    requested, they have ``energy``, ``relative_energy`` (kcal/mol), ``fixed_rmsd`` and ``start_rmsd`` (Angstrom).
    """

    @property
    def name(self) -> str:
        """Name of the molecule, or its SMILES if it has none."""
        if isinstance(self.input, Chem.Mol):
            return (self.input.HasProp("_Name") and self.input.GetProp("_Name")) or Chem.MolToSmiles(self.input)
        return name_of(self.input)

    @cached_property
    def mol(self) -> Chem.Mol | None:
        """RDKit molecule with the sampled conformers and explicit hydrogens, added ones last.

        It has the isotopes, atom maps and data fields of the input. Attributes of the samples are properties of the
        conformers. ``None`` if there are no conformers.
        """
        if not self.samples:
            return None
        mol = complete_mol(self.input)
        for sample in self.samples:
            conformer = add_positions(mol, sample["pos"].double().numpy())
            for key, value in sample.to_dict().items():
                if key != "num_nodes" and (not isinstance(value, str) or key in (*TEXTS, "method", "warning")):
                    set_property(conformer, key, value)
        return mol


def set_property(conformer: Chem.Conformer, name: str, value: Any) -> None:
    """Set a property of a conformer: a number or a text; other values are left out."""
    if isinstance(value, str):
        conformer.SetProp(name, value)
    elif isinstance(value, float):
        conformer.SetDoubleProp(name, value)
    elif isinstance(value, int):
        conformer.SetIntProp(name, value)


@rdkit_errors()
def complete_mol(molecule: Any) -> Chem.Mol:
    """Copy a molecule with explicit hydrogens and without conformers.

    Args:
        molecule: A SMILES string, an RDKit molecule, or a graph.

    Raises:
        ValueError: If it is no molecule.
    """
    if isinstance(molecule, Data):
        mol = mol_from_data(Data(**{key: value for key, value in molecule.to_dict().items() if key != "pos"}))
        set_properties(mol, molecule)
        return mol
    mol = mol_from_smiles(molecule) if isinstance(molecule, str) else Chem.Mol(molecule)
    mol.RemoveAllConformers()
    with rdBase.BlockLogs():
        Chem.SanitizeMol(mol)
        return Chem.AddHs(mol)


def to_ase(mol: Chem.Mol) -> list[Atoms]:
    """Convert the conformers of a molecule to ASE atoms.

    Args:
        mol: A molecule whose hydrogens are atoms.

    Returns:
        One for each conformer, in its order. ``info`` holds ``smiles``, the total ``charge``, and the conformer's
        properties. :func:`from_ase` leads back.

    Raises:
        ImportError: If ASE is missing.
    """
    try:
        from ase import Atoms
    except ImportError as error:
        raise ImportError('ASE atoms need ASE: pip install "graphscore[ase]"', name="ase") from error
    numbers = [atom.GetAtomicNum() for atom in mol.GetAtoms()]
    info = {"smiles": canonical_smiles(mol), "charge": Chem.GetFormalCharge(mol)}
    return [
        Atoms(numbers, conformer.GetPositions(), info=info | conformer.GetPropsAsDict())
        for conformer in mol.GetConformers()
    ]


def from_ase(mol: Chem.Mol, frames: Iterable[Atoms]) -> Chem.Mol:
    """Copy a molecule with the places of ASE atoms as its conformers, such as those that an ASE calculator relaxed.

    Args:
        mol: A molecule whose hydrogens are atoms; its own conformers are left out.
        frames: ASE atoms, each the atoms of the molecule in its order, as :func:`to_ase` makes them.

    Returns:
        The copy. Numbers and texts in ``info`` are properties of the conformers, but ``smiles`` and ``charge``, which
        the molecule has: if energies have changed, set ``atoms.info["energy"]`` in kcal/mol before.

    Raises:
        ValueError: If atoms are of other elements, or their coordinates are not finite.
    """
    made = Chem.Mol(mol)
    made.RemoveAllConformers()
    numbers = [atom.GetAtomicNum() for atom in mol.GetAtoms()]
    for number, atoms in enumerate(frames, start=1):
        if atoms.get_atomic_numbers().tolist() != numbers:
            expected = "".join(atom.GetSymbol() for atom in mol.GetAtoms())
            raise ValueError(
                f"Expected the atoms {expected} in this order, but frame {number} has "
                f"{''.join(atoms.get_chemical_symbols())}"
            )
        if not np.isfinite(atoms.get_positions()).all():
            raise ValueError(f"Frame {number} has coordinates that are not finite")
        conformer = add_positions(made, atoms.get_positions())
        for name, value in atoms.info.items():
            if name not in ("smiles", "charge"):
                set_property(conformer, name, value)
    return made
