"""Keys by which molecules are split."""

from __future__ import annotations

import pytest

pytest.importorskip("rdkit")

from graphscore.molecules.smiles import mol_from_smiles
from graphscore.molecules.split import split_key


@pytest.mark.parametrize(
    ("smiles", "flat", "scaffold"),
    [
        ("C[C@H](N)C(=O)O", "CC(N)C(=O)O", "CC(N)C(=O)O"),  # no rings
        ("Cc1ccccc1CC[C@H]1CCNC1=O", "Cc1ccccc1CCC1CCNC1=O", "O=C1NCCC1CCc1ccccc1"),
        ("OC1CC1", "OC1CC1", "C1CC1"),
        ("F/C=C/c1ccncc1", "FC=Cc1ccncc1", "c1ccncc1"),
        ("[Na+].[O-]C(=O)C1CC1", "O=C([O-])C1CC1.[Na+]", "C1CC1"),
    ],
)
def test_keys_of_molecules(smiles: str, flat: str, scaffold: str):
    mol = mol_from_smiles(smiles)
    assert split_key(mol, "molecule") == flat and split_key(mol, "scaffold") == scaffold
    with pytest.raises(ValueError, match="'molecule', 'scaffold'.* but got 'ring'"):
        split_key(mol, "ring")
