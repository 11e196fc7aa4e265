"""Molecules as graphs: exact small cases, then the round trip on many."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch

pytest.importorskip("rdkit")

from rdkit import Chem
from rdkit.Chem import rdDepictor

from graphscore.molecules.embedding import embed
from graphscore.molecules.graph import (
    add_positions,
    canonical_smiles,
    data_from_mol,
    data_from_smiles,
    flat_smiles,
    mol_from_data,
)
from graphscore.molecules.smiles import mol_from_smiles

SMILES = [
    "C",
    "CCO",
    "C#N",
    "c1ccccc1O",
    "c1cc[nH]c1",
    "CC(=O)[O-].[Na+]",
    "C[N+](=O)[O-]",
    "C[N+](C)(C)CC(=O)[O-]",
    "O=S(=O)(O)c1ccncc1",
    "[CH3]",
    "[H][H]",
    "[He]",
    "[Cl-]",
    "Cn1cnc2c1c(=O)n(C)c(=O)n2C",
    "FC(F)(F)c1ccc2[nH]ccc2c1",
]


def bond_table(mol: Chem.Mol) -> set[tuple[int, int, str]]:
    return {(*sorted((b.GetBeginAtomIdx(), b.GetEndAtomIdx())), str(b.GetBondType())) for b in mol.GetBonds()}


def test_hydrogen_cyanide_is_exactly_this():
    data = data_from_smiles("C#N", name="acid")
    assert data.z.tolist() == [6, 7, 1]
    assert data.charge.tolist() == [0, 0, 0]
    assert data.edge_index.tolist() == [[0, 0, 1, 2], [1, 2, 0, 0]]
    assert data.bond.tolist() == [3, 1, 3, 1]
    assert (data.smiles, data.name, data.num_nodes) == ("C#N", "acid", 3)
    assert "pos" not in data
    assert {data[key].dtype for key in ("z", "charge", "edge_index", "bond")} == {torch.long}


def test_bond_types_and_charges():
    data = data_from_smiles("C[N+](=O)[O-]")
    heavy = {tuple(sorted(p)): b for p, b in zip(data.edge_index.t().tolist(), data.bond.tolist(), strict=True)}
    assert (heavy[0, 1], heavy[1, 2], heavy[1, 3]) == (1, 2, 1)
    assert data.charge.tolist() == [0, 1, 0, -1, 0, 0, 0]
    assert set(data_from_smiles("c1ccccc1").bond.tolist()) == {1, 4}


@pytest.mark.parametrize("smiles", SMILES)
def test_round_trip_without_coordinates_is_exact(smiles: str):
    mol = mol_from_smiles(smiles)
    data = data_from_mol(mol)
    back = mol_from_data(data)
    assert [a.GetAtomicNum() for a in back.GetAtoms()] == [a.GetAtomicNum() for a in mol.GetAtoms()]
    assert [a.GetFormalCharge() for a in back.GetAtoms()] == [a.GetFormalCharge() for a in mol.GetAtoms()]
    assert bond_table(back) == bond_table(mol)
    assert all(a.GetNoImplicit() and a.GetTotalNumHs() == 0 for a in back.GetAtoms())
    assert canonical_smiles(back) == data.smiles == Chem.CanonSmiles(smiles)
    assert [a.GetNumRadicalElectrons() for a in back.GetAtoms()] == [a.GetNumRadicalElectrons() for a in mol.GetAtoms()]


@pytest.mark.parametrize("smiles", ["C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", "F/C=C/F", "F/C=C\\F"])
def test_stereo_of_the_molecule_comes_from_its_coordinates(smiles: str):
    mol = embed(mol_from_smiles(smiles), 1, seed=0)
    data = data_from_mol(mol)
    assert data.smiles == Chem.CanonSmiles(smiles)
    assert canonical_smiles(mol_from_data(data)) == data.smiles
    assert flat_smiles(mol_from_data(data)) == Chem.MolToSmiles(Chem.MolFromSmiles(smiles), isomericSmiles=False)
    mirrored = data.clone()
    mirrored.pos = data.pos * torch.tensor([-1.0, 1.0, 1.0])
    is_chiral = "@" in smiles
    assert (canonical_smiles(mol_from_data(mirrored)) != data.smiles) == is_chiral


def test_coordinates_come_back_exactly():
    mol = embed(mol_from_smiles("CCO"), 3, seed=0)
    second = [c.GetId() for c in mol.GetConformers()][1]
    data = data_from_mol(mol, conformer_id=second)
    assert data.pos.dtype == torch.float32 and data.pos.shape == (9, 3)
    expected = mol.GetConformer(second).GetPositions().astype(np.float32)
    assert np.array_equal(data.pos.numpy(), expected)
    assert np.array_equal(mol_from_data(data).GetConformer().GetPositions().astype(np.float32), expected)


def test_missing_hydrogens_are_added_with_coordinates_and_the_input_stays():
    mol = Chem.RemoveHs(embed(mol_from_smiles("CCO"), 1, seed=0))
    data = data_from_mol(mol)
    assert mol.GetNumAtoms() == 3 and data.num_nodes == 9
    row, column = data.edge_index
    lengths = (data.pos[row] - data.pos[column]).norm(dim=1)
    assert lengths.min() > 0.9 and lengths.max() < 1.7


def test_a_flat_depiction_is_not_taken_for_coordinates():
    mol = Chem.MolFromSmiles("CCO")
    rdDepictor.Compute2DCoords(mol)
    assert "pos" not in data_from_mol(mol)


def test_atom_map_numbers_do_not_reach_the_smiles():
    mol = Chem.MolFromSmiles("[CH3:7]O")
    assert data_from_mol(mol).smiles == "CO"
    assert mol.GetAtomWithIdx(0).GetAtomMapNum() == 7


@pytest.mark.parametrize("smiles", ["[H]/N=C/C", "[H]/N=C\\C", "[H]/N=N/C", "[H]/N=C(\\C)OC", "CC=N", "C=N", "NC(N)=N"])
def test_hydrogens_that_define_a_mark_are_in_the_smiles(smiles: str):
    """As the string marks them, and from coordinates; unmarked ones are free."""
    data = data_from_smiles(smiles)
    assert data.smiles == Chem.CanonSmiles(smiles)
    assert bool(data.cis_trans.numel()) == ("/" in smiles)
    placed = data_from_mol(embed(mol_from_smiles(smiles), 1, seed=0))
    if smiles == "CC=N":
        assert placed.smiles in {"[H]/N=C/C", "[H]/N=C\\C"}
    else:
        assert placed.smiles == data.smiles
        assert placed.cis_trans.tolist() == data.cis_trans.tolist()
    assert flat_smiles(mol_from_data(placed)) == flat_smiles(mol_from_data(data))


def test_molecules_of_different_sizes_batch():
    batch = Batch.from_data_list([data_from_smiles(s) for s in ("C", "[He]", "CCO")])
    assert batch.batch.bincount().tolist() == [5, 1, 9]
    assert [mol_from_data(d).GetNumAtoms() for d in batch.to_data_list()] == [5, 1, 9]


@pytest.mark.parametrize(
    ("smiles", "words"),
    [
        ("C1CC", "'C1CC' is not a SMILES string"),
        ("hello", "'hello' is not a SMILES string"),
        ("", "no atoms"),
        ("CC(C)(C)(C)C", "'CC(C)(C)(C)C' is not a possible molecule: Explicit valence for atom # 1 C, 5"),
        ("c1cccc1", "'c1cccc1' is not a possible molecule: Can't kekulize"),
        ("*C", "Atom 0 .* placeholder"),
        ("N->[Cu]", "atoms 0 and 1 have DATIVE"),
    ],
)
def test_bad_smiles_are_named_with_the_reason(smiles: str, words: str, capfd: pytest.CaptureFixture[str]):
    with pytest.raises(ValueError, match=words.replace("(C)", r"\(C\)")) as info:
        data_from_smiles(smiles)
    assert "\n" not in str(info.value)
    assert capfd.readouterr().err == ""


def test_bad_graphs_are_refused():
    data = data_from_smiles("CCO")
    for change, words in [
        ({"pos": torch.zeros(9, 2)}, r"\[9, 3\]"),
        ({"pos": torch.full((9, 3), torch.nan)}, "not finite"),
        ({"bond": torch.full_like(data.bond, 7)}, "Expected bond types"),
        ({"bond": torch.full_like(data.bond, 3)}, "not a possible molecule"),
        ({"z": data.z - 7}, "from 1 to 118"),
        ({"z": data.z + 500}, "from 1 to 118"),
        ({"edge_index": data.edge_index + 9}, "RDKit fails: Range Error: "),
        ({"edge_index": data.edge_index[:, :1].expand_as(data.edge_index)}, "RDKit fails: .*: bond already exists"),
        ({"edge_index": data.edge_index.t()}, r"edge_index \[2, E\] .* but got .*, edge_index torch.int64 \[16, 2\]"),
        ({"z": data.z.float()}, r"Expected integers z \[N\].* but got z torch.float32 \[9\]"),
        ({"charge": data.charge[:8]}, "shorter"),
    ]:
        bad = data.clone().update(change)
        with pytest.raises(ValueError, match=words):
            mol_from_data(bad)
    del data.charge
    with pytest.raises(ValueError, match="charge"):
        mol_from_data(data)


def test_a_molecule_is_a_new_one_each_time():
    data = data_from_smiles("CCO")
    mol = mol_from_data(data)
    mol.GetAtomWithIdx(0).SetFormalCharge(1), mol.SetProp("_Name", "changed"), add_positions(mol, np.zeros((9, 3)))
    again = mol_from_data(data)
    assert canonical_smiles(again) == "CCO" and not again.HasProp("_Name") and not again.GetNumConformers()


def test_unknown_conformer_is_refused():
    with pytest.raises(ValueError, match="no 3-D conformer 5; its conformers are \\[0\\]"):
        data_from_mol(embed(mol_from_smiles("C"), 1, seed=0), conformer_id=5)


@pytest.mark.parametrize(
    "smiles",
    ["C[C@H](F)Cl", "C[C@@](N)(CC#N)C(=O)O", "C[C@@]12CCOCO[C@@H]1C2", "CC[S@](=O)C", "[H][C@](F)(Cl)Br",
     "N[C@@H](C)C(=O)N1CCC[C@H]1C(O)=O", "C[C@H]1CC[C@@H](C)CC1"],
)  # fmt: skip
def test_chirality_is_the_sign_of_the_determinant(smiles: str):
    """That of a conformer that RDKit embeds; marks and coordinates say the same."""
    mol = embed(mol_from_smiles(smiles), 2, seed=1, optimize=False)
    marked = data_from_smiles(smiles).chirality
    assert int((marked != 0).sum()) == smiles.replace("@@", "@").count("@")
    for conformer in mol.GetConformers():
        data = data_from_mol(mol, conformer.GetId())
        assert data.chirality.tolist() == marked.tolist()
        for center in marked.nonzero()[:, 0].tolist():
            source, target = data["edge_index"]
            a, b, c, *last = data.pos.double()[target[source == center]]
            origin = last[0] if last else data.pos[center].double()
            determinant = torch.linalg.det(torch.stack([a - origin, b - origin, c - origin]))
            assert int(determinant.sign()) == int(marked[center])


def test_chirality_is_that_of_the_order_of_atoms():
    """Each exchange of two neighbors in the numbering of atoms changes the sign."""
    mol = Chem.MolFromSmiles("[C@](F)(Cl)(Br)I")
    signs = []
    for order in ([0, 1, 2, 3, 4], [0, 2, 1, 3, 4], [0, 2, 3, 1, 4], [4, 2, 3, 1, 0]):
        data = data_from_mol(Chem.RenumberAtoms(mol, order))
        signs.append(int(data.chirality[order.index(0)]))
    assert signs in ([1, -1, 1, -1], [-1, 1, -1, 1])
    assert data_from_mol(Chem.MolFromSmiles("[C@@](F)(Cl)(Br)I")).chirality[0] == -signs[0]


def test_sides_of_double_bonds():
    """(E)-1-chloro-2-fluoroethene: F 0, C 1, C 2, Cl 3, H 4 on C 1, H 5 on C 2."""
    data = data_from_smiles("F/C=C/Cl")
    sides = dict(zip(map(tuple, data.cis_trans_index.t().tolist()), data.cis_trans.tolist(), strict=True))
    one_way = {(0, 3): 2, (0, 5): 1, (3, 4): 1, (4, 5): 2}
    assert sides == {**one_way, **{(b, a): side for (a, b), side in one_way.items()}}
    assert data_from_smiles("FC=CCl").cis_trans_index.shape == (2, 0)


@pytest.mark.parametrize("smiles", ["F/C=C/Cl", "C/C(F)=C(\\Cl)C=O", "C/C=N/O", "C/C=C/C=C\\C"])
def test_sides_are_those_of_coordinates(smiles: str):
    """Across a double bond, substituents on one side are nearer to each other than those on opposite sides."""
    data = data_from_mol(embed(mol_from_smiles(smiles), 1, seed=1))
    pairs = data.cis_trans_index
    assert sorted(map(tuple, pairs.t().tolist())) == sorted(
        map(tuple, data_from_smiles(smiles).cis_trans_index.t().tolist())
    )
    for (a, b), side in zip(pairs.t().tolist(), data.cis_trans.tolist(), strict=True):
        ((i, j),) = [
            (i, j) for i, j, bond in zip(*data["edge_index"].tolist(), data.bond.tolist(), strict=True)
            if bond == 2 and i in _neighbors(data, a) and j in _neighbors(data, b)
        ]  # fmt: skip
        one, other = (data.pos[end] - data.pos[center] for end, center in ((a, i), (b, j)))
        axis = torch.nn.functional.normalize(data.pos[j] - data.pos[i], dim=0)
        one, other = (arm - (arm @ axis) * axis for arm in (one, other))
        assert (float(one @ other) > 0) == (side == 1)


def _neighbors(data, node: int) -> list[int]:
    source, target = data["edge_index"]
    return target[source == node].tolist()
