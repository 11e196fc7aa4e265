"""Stereoisomers of molecules that are not all marked, and stereo groups."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from rdkit import Chem
from torch_geometric.data import Data

from graphscore.molecules.conformers import ConformerModel, ConformerRequest
from graphscore.molecules.graph import data_from_mol, data_from_smiles
from graphscore.molecules.isomers import MAX_ISOMERS, choose_isomer, enumerate_isomers, isomers_of

POLYFLUORIDE = "FC(Cl)" + "C(F)" * 7 + "C"


def smiles_of(isomers: list[Data]) -> set[str]:
    return {isomer.smiles for isomer in isomers}


@pytest.mark.parametrize(
    ("smiles", "isomers"),
    [
        ("CC(F)Cl", ["C[C@H](F)Cl", "C[C@@H](F)Cl"]),
        ("C[C@H](O)C(F)Cl", ["C[C@H](O)[C@H](F)Cl", "C[C@H](O)[C@@H](F)Cl"]),
        ("CC(O)C(C)O", ["C[C@H](O)[C@H](C)O", "C[C@@H](O)[C@@H](C)O", "C[C@H](O)[C@@H](C)O"]),  # one is meso
        ("CC=CF", ["C/C=C/F", "C/C=C\\F"]),
        ("[2H]C(C)O", ["[2H][C@H](C)O", "[2H][C@@H](C)O"]),
        ("CC1CC(F)C1", ["C[C@H]1C[C@@H](F)C1", "C[C@H]1C[C@H](F)C1"]),
        ("N=C(N)NC", ["N=C(N)NC"]),
        ("C[C@H](F)Cl |&1:1|", ["C[C@H](F)Cl", "C[C@@H](F)Cl"]),
        ("C[C@H](F)[C@@H](O)Cl |o1:1,3|", ["C[C@H](F)[C@@H](O)Cl", "C[C@@H](F)[C@H](O)Cl"]),
        ("C[C@H](F)[C@@H](O)Cl |a:1,3|", ["C[C@H](F)[C@@H](O)Cl"]),
    ],
)
def test_isomers_are_exactly_those(smiles: str, isomers: list[str]):
    found = enumerate_isomers(data_from_smiles(smiles, "x"))
    assert sorted(isomer.smiles for isomer in found) == sorted(map(Chem.CanonSmiles, isomers))
    assert [isomer.name for isomer in found] == (
        ["x"] if len(found) == 1 else [f"x-{k + 1}" for k in range(len(found))]
    )
    for isomer in found:
        alone = data_from_smiles(isomer.smiles)
        assert alone.smiles == isomer.smiles and "pos" not in isomer and "stereo_groups" not in isomer
        assert sorted(isomer.chirality.abs().tolist()) == sorted(alone.chirality.abs().tolist())


def test_atoms_keep_their_order_and_what_is_known_of_them():
    mol = Chem.AddHs(Chem.MolFromSmiles("CC(F)[C@H](Cl)O"))
    order = torch.randperm(mol.GetNumAtoms(), generator=torch.Generator().manual_seed(0)).tolist()
    data = data_from_mol(Chem.RenumberAtoms(mol, order), name="x")
    first, second = enumerate_isomers(data)
    marked, free = order.index(3), order.index(1)
    for isomer in (first, second):
        assert torch.equal(isomer.z, data.z) and torch.equal(isomer["edge_index"], data["edge_index"])
        assert isomer.chirality[marked] == data.chirality[marked] != 0
    assert first.chirality[free] == -second.chirality[free] != 0


def test_beyond_the_limit_some_are_made_and_a_note_says_so():
    found = enumerate_isomers(data_from_smiles(POLYFLUORIDE))
    assert len(found) == len(smiles_of(found)) == MAX_ISOMERS
    assert all(isomer.notes == ["only 32 stereoisomers of up to 256 are made, chosen at random"] for isomer in found)
    assert smiles_of(found) == smiles_of(enumerate_isomers(data_from_smiles(POLYFLUORIDE)))


def test_one_isomer_is_chosen_by_the_seed():
    data = data_from_smiles("CC(O)C(F)Cl")
    chosen = [choose_isomer(data, seed) for seed in range(12)]
    assert len(smiles_of(chosen)) > 1
    for seed, isomer in enumerate(chosen):
        assert (isomer.chirality != 0).sum() == 2
        assert isomer.notes == [f"stereoisomer chosen for what is unmarked: {isomer.smiles}"]
        assert choose_isomer(data, seed).smiles == isomer.smiles
    assert "notes" not in data


def test_what_is_marked_stays_when_one_isomer_is_chosen():
    assert choose_isomer(data_from_smiles("C[C@H](F)Cl")).smiles == "C[C@H](F)Cl"
    data = data_from_smiles("OC(Cl)=[C@]=C(F)C(F)Cl")
    for seed in range(3):
        assert torch.equal(choose_isomer(data, seed).axis_index, data.axis_index)
    for seed in range(4):  # no bridge of norbornane is trans
        assert choose_isomer(data_from_smiles("C1CC2CCC1C2"), seed).smiles == Chem.CanonSmiles("C1C[C@H]2CC[C@@H]1C2")


def test_stereo_groups_are_noted_where_one_isomer_is_made():
    data = data_from_smiles("C[C@H](F)[C@@H](O)Cl |&1:1,o2:3|")
    assert data.stereo_groups == "&1:1 o2:3"
    assert data.notes == [
        "stereo group &1 (a racemic mixture): centre 1 (C) made as drawn alone, and not with the other handedness",
        "stereo group o2 (relative, one of the two): centre 3 (C) made as drawn alone, and not with the other "
        "handedness",
    ]
    assert all("notes" not in isomer for isomer in enumerate_isomers(data))


def test_graphs_that_are_no_molecules_pass():
    graph = Data(x=torch.zeros(2, 1), num_nodes=2)
    assert [list(isomers_of(graph, stereo)) for stereo in ("any", "enumerate")] == [[graph], [graph]]


def test_conformers_of_isomers_as_inputs_of_their_own(conformer_checkpoint: Path):
    model = ConformerModel.load(conformer_checkpoint)
    inputs = ["CC(N)O", "not a molecule", "C[C@H](N)O |&1:1|", "CCO"]
    outcomes = list(model.sample(inputs, num=2, stereo="enumerate"))
    assert [len(outcome.samples) for outcome in outcomes] == [2, 2, 0, 2, 2, 2]
    assert {outcome.input.smiles for outcome in outcomes[:2]} == {"C[C@H](N)O", "C[C@@H](N)O"}
    assert outcomes[2].failure is not None and "not a molecule" in outcomes[2].failure
    assert [outcome.notes for outcome in outcomes] == [[]] * 6
    ((plain,), (chosen,)) = (list(model.sample(inputs[:1], num=2, stereo=stereo)) for stereo in ("as-given", "any"))
    assert plain.notes == [] and chosen.notes[0].startswith("stereoisomer chosen for what is unmarked: C[C@")
    (group,) = model.sample(inputs[2], num=1)
    assert group.notes == [
        "stereo group &1 (a racemic mixture): centre 1 (C) made as drawn alone, and not with the other handedness"
    ]


def test_unknown_choices_are_refused():
    with pytest.raises(ValueError, match="Unknown choice of stereo 'all'; expected one of \\['as-given', 'any'"):
        ConformerRequest(stereo="all")
