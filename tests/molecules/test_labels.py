"""Isotopes, atom maps and atomic numbers: kept from SMILES to file, and without influence on geometry."""

from __future__ import annotations

import pytest
import torch
from rdkit.Chem import rdDistGeom
from torch_geometric.data import Data

from graphscore.generate.inputs import graph_key
from graphscore.molecules.features import MoleculeGraph
from graphscore.molecules.files import sdf_record
from graphscore.molecules.graph import (
    Chem,
    canonical_smiles,
    data_from_mol,
    data_from_smiles,
    flat_smiles,
    mol_from_data,
)
from graphscore.molecules.hydrogens import HydrogenPlacer
from graphscore.molecules.labels import without_isotopes
from graphscore.molecules.metrics.comparison import prepare
from graphscore.molecules.metrics.conformers import rmsd_matrix
from graphscore.molecules.metrics.stereo import is_as_asked, stereo_of
from graphscore.molecules.smiles import mol_from_smiles
from graphscore.molecules.split import by_molecule, group

PAIRS = [
    (
        "[2H]C([2H])([2H])C(=O)c1c([2H])c([2H])c([2H])c([2H])c1[2H]",
        "[H]C([H])([H])C(=O)c1c([H])c([H])c([H])c([H])c1[H]",
    ),
    ("[13CH3]C[18OH]", "CCO"),
    ("[F:1][CH2:2][F:3].[CH2:4]=[CH2:5]", "FCF.C=C"),
    ("[CH3:1][C@H](O)[CH3:2]", "CC(O)C"),  # RDKit's mark is by the maps alone
    ("[2H][2H]", "[H][H]"),
]


@pytest.mark.parametrize(("labelled", "light"), PAIRS)
def test_labels_change_neither_noise_nor_input_nor_keys(labelled: str, light: str):
    one, other = data_from_smiles(labelled), data_from_smiles(light)
    assert graph_key(one) == graph_key(other)
    seen, plain = MoleculeGraph()(one), MoleculeGraph()(other)
    assert set(seen.keys()) == set(plain.keys())
    assert all(
        torch.equal(value, plain[key]) for key, value in seen.to_dict().items() if isinstance(value, torch.Tensor)
    )
    assert by_molecule(one) == by_molecule(other) and group(one) == group(other)


def labels(mol: Chem.Mol) -> list[tuple[int, int]]:
    return [(atom.GetIsotope(), atom.GetAtomMapNum()) for atom in mol.GetAtoms()]


def test_labels_are_kept_atom_by_atom():
    data = data_from_smiles("[13CH3:7][CH2:2]O[2H]")
    assert data["isotope"].tolist() == [13, 0, 0, 2, *[0] * 5] and data["atom_map"].tolist() == [7, 2, *[0] * 7]
    assert data.smiles == "[2H]OC[13CH3]"
    mol = mol_from_data(data)
    assert [(atom.GetIsotope(), atom.GetAtomMapNum()) for atom in mol.GetAtoms()][:4] == [
        (13, 7),
        (0, 2),
        (0, 0),
        (2, 0),
    ]
    again = data_from_mol(mol)
    assert torch.equal(again["isotope"], data["isotope"]) and torch.equal(again["atom_map"], data["atom_map"])
    assert "isotope" not in data_from_smiles("CC") and "atom_map" not in data_from_smiles("CC")


def test_labels_are_in_the_mol_block():
    data = data_from_smiles("[13CH3:7][CH2:2]O[2H]")
    data.pos = torch.randn(9, 3)
    back = Chem.MolFromMolBlock(sdf_record(data), removeHs=False)
    assert [(atom.GetIsotope(), atom.GetAtomMapNum()) for atom in back.GetAtoms()][:4] == [
        (13, 7),
        (0, 2),
        (0, 0),
        (2, 0),
    ]


@pytest.mark.parametrize("smiles", ["C[C@H]([2H])O", "C[C@@H]([2H])O", "[2H]/C=C/C", "[2H]/C=C\\C", "[H]/C([2H])=C/C"])
def test_marks_that_isotopes_make_decide_the_places_of_hydrogens(smiles: str):
    data, light = data_from_smiles(smiles), without_isotopes(mol_from_smiles(smiles))
    kept = (data["z"] != 1).nonzero()[:, 0]
    place = HydrogenPlacer(data, kept)
    for seed in range(1, 5):
        rdDistGeom.EmbedMolecule(light, randomSeed=seed)
        sample = place(torch.from_numpy(light.GetConformer().GetPositions())[kept])
        assert is_as_asked(sample) and canonical_smiles(mol_from_data(sample)) == data.smiles


def test_conformers_of_isotopologues_are_compared():
    mol = mol_from_smiles("[2H]C([2H])([2H])[C@H](O)F")
    rdDistGeom.EmbedMolecule(mol, randomSeed=1)
    heavy = data_from_mol(mol)
    for atom in mol.GetAtoms():
        atom.SetIsotope(0)
    light = data_from_mol(mol)
    assert rmsd_matrix([light], [heavy]).item() < 1e-6 and rmsd_matrix([heavy], [light]).item() < 1e-6
    mirrored = heavy.clone()
    mirrored.pos = -mirrored["pos"]
    for reference in (light, heavy):
        assert stereo_of(prepare([reference], [light, heavy, mirrored])) == ["right", "right", "mirrored"]
    assert flat_smiles(mol_from_data(heavy)) == flat_smiles(mol_from_data(light)) == "CC(O)F"


@pytest.mark.parametrize("number", [-1, 0, 119, 300])
def test_numbers_of_no_element_are_refused(number: int):
    data = data_from_smiles("CC")
    data["z"][1] = number
    with pytest.raises(ValueError, match=rf"from 1 to 118, but that of atom 1 is {number}"):
        mol_from_data(data)


@pytest.mark.parametrize("wrong", [torch.zeros(3, dtype=torch.long), torch.zeros(8), [1] * 8])
def test_labels_that_fit_no_atoms_are_refused(wrong: object):
    data: Data = data_from_smiles("CC")
    data.isotope = wrong
    with pytest.raises(ValueError, match=r"integers isotope of shape \[8\]"):
        mol_from_data(data)
