"""Notes on molecules that were read."""

from __future__ import annotations

import pytest

pytest.importorskip("rdkit")

from rdkit import Chem

from graphscore.data.networkx import from_networkx, to_networkx
from graphscore.molecules.graph import data_from_mol, data_from_smiles


@pytest.mark.parametrize(
    ("smiles", "start"),
    [
        ("C1CC[C@](C)[C@](C)C1", "2 unpaired electrons at atoms 3 (C), 5 (C): "),
        ("[CH3]", "1 unpaired electron at atom 0 (C): "),
        ("[CH2]", "2 unpaired electrons at atom 0 (C): "),
        ("[N]=O", "1 unpaired electron at atom 0 (N): "),
        ("[C][C][C][C][C][C][C][C][C]", "20 unpaired electrons at atoms 0 (C), 1 (C), 2 (C), 3 (C), 4 (C), 5 (C), 6 (C)"
         ", 7 (C) and 1 more: "),
    ],
)  # fmt: skip
def test_unpaired_electrons_are_noted(smiles: str, start: str):
    note = data_from_smiles(smiles).notes[-1]
    assert note.startswith(start) and "hydrogens were left out" in note


@pytest.mark.parametrize("smiles", ["CCO", "[NH4+]", "C[N+](=O)[O-]", "[C-]#[O+]", "O=O", "[Na+].[Cl-]", "C[N+]#[C-]"])
def test_molecules_without_unpaired_electrons_have_no_notes(smiles: str):
    assert "notes" not in data_from_smiles(smiles)


def test_graphs_of_networkx_have_the_note_too():
    data = data_from_mol(Chem.AddHs(Chem.MolFromSmiles("C[CH2]")))
    notes = data.notes
    del data.notes, data.chirality, data.cis_trans, data.cis_trans_index
    assert from_networkx(to_networkx(data)).notes == notes
