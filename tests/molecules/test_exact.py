"""Geometry of molecules of one to three atoms."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rdkit")

from graphscore.molecules.check import GeometryCheck
from graphscore.molecules.elements import unknown_elements
from graphscore.molecules.exact import RADII, bond_length, exact_positions
from graphscore.molecules.graph import Chem, bare_mol, data_from_smiles
from graphscore.molecules.smiles import mol_from_smiles

# Bond lengths in Å in the order of the SMILES, and the angle in degrees, from textbooks.
KNOWN = {
    "O=O": (1.21,), "[C-]#[O+]": (1.13,), "N#N": (1.10,), "[H][H]": (0.74,), "F": (0.92,), "Cl": (1.27,), "FF": (1.41,),
    "ClCl": (1.99,), "[OH-]": (0.96,), "[C-]#N": (1.18,), "[N]=O": (1.15,), "[NH-]": (1.04,), "Br": (1.41,),
    "O=C=O": (1.16, 1.16, 180), "O": (0.96, 0.96, 104.5), "S": (1.34, 1.34, 92), "N#C": (1.15, 1.07, 180),
    "O=S=O": (1.43, 1.43, 119), "O=[O+][O-]": (1.27, 1.27, 117), "N#[N+][O-]": (1.13, 1.18, 180),
    "[O-][N+]#N": (1.18, 1.13, 180), "[O-]N=O": (1.25, 1.25, 117), "[N-]=[N+]=[N-]": (1.18, 1.18, 180),
    "S=C=O": (1.56, 1.16, 180), "F[B]F": (1.49, 1.49, 134), "ClBr": (2.14,), "[SeH2]": (1.46, 1.46, 91),
}  # fmt: skip


def _measured(mol: Chem.Mol, pos: np.ndarray) -> list[float]:
    found = [float(np.linalg.norm(pos[bond.GetBeginAtomIdx()] - pos[bond.GetEndAtomIdx()])) for bond in mol.GetBonds()]
    for atom in mol.GetAtoms():
        if atom.GetDegree() == 2:
            first, last = (pos[other.GetIdx()] - pos[atom.GetIdx()] for other in atom.GetNeighbors())
            cosine = first @ last / np.linalg.norm(first) / np.linalg.norm(last)
            found.append(float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))))
    return found


@pytest.mark.parametrize("smiles", KNOWN)
def test_lengths_and_angles_are_those_of_textbooks(smiles):
    graph = data_from_smiles(smiles)
    mol = bare_mol(graph)
    pos = exact_positions(mol)
    assert pos is not None
    *lengths, last = _measured(mol, pos)
    if mol.GetNumAtoms() == 3:
        assert last == pytest.approx(KNOWN[smiles][-1], abs=3)
        assert lengths == pytest.approx(KNOWN[smiles][:-1], abs=0.012)
    else:
        assert last == pytest.approx(KNOWN[smiles][0], abs=0.01)
    assert GeometryCheck(graph)(pos[None]) == [()]


SMALL = ["[Cl-]", "[He]", "[O-2]", "[H+]", "[H-]", "[OH]", "[I-]I", "F[Xe]F", "I[I-]I", "O1OO1", "[CH2]", "S=S"]
SMALL += ["F[H-]F", "[O-][O-]", "C#P", "ClSBr", "[S]Br", "F[Si]F", "[C]Cl"]


@pytest.mark.parametrize("smiles", SMALL)
def test_anything_small_without_metals_passes_the_check(smiles):
    graph = data_from_smiles(smiles)
    pos = exact_positions(bare_mol(graph))
    assert pos is not None
    assert GeometryCheck(graph)(pos[None]) == [()]
    assert np.abs(pos.mean(axis=0)).max() < 1e-12


@pytest.mark.parametrize("smiles", ["C", "[Na+]", "[Na]Cl", "[Li][H]", "[H][H].[He]", "N"])
def test_larger_molecules_metals_and_components_are_none_of_these(smiles):
    assert exact_positions(mol_from_smiles(smiles)) is None


def test_radii_fit_to_rdkit_and_to_the_table():
    """RDKit's radii are another source; the table of molecules is by experiment, ours by the bond orders alone."""
    table = Chem.GetPeriodicTable()
    for number, (single, double, triple) in RADII.items():
        if number not in (1, 2, 10, 18):  # other conventions for hydrogen and noble gases
            assert single == pytest.approx(table.GetRcovalent(number), abs=0.12)
            assert single >= double - 0.05
            assert double >= triple - 0.05
    lengths = {smiles: known[0] for smiles, known in KNOWN.items() if len(known) == 1}
    for smiles, length in lengths.items():
        mol = mol_from_smiles(smiles)
        if not set("FH") & {atom.GetSymbol() for atom in mol.GetAtoms()}:
            assert bond_length(mol.GetBondWithIdx(0)) == pytest.approx(length, abs=0.11)


def test_elements_beyond_the_training_are_known_in_small_components_alone():
    known = {"z": [6, 7, 8]}
    assert unknown_elements(data_from_smiles("CCO.[H][H].[He].F[Xe]F"), known) == ""
    assert unknown_elements(data_from_smiles("CCO.[Na+].[Cl-]"), known).startswith("Na is unknown to the model")
    assert unknown_elements(data_from_smiles("CC[SiH3]"), known).startswith("Si is unknown to the model")
