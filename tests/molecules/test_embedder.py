"""A model behind the call of RDKit's ``EmbedMultipleConfs``, where programs call that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("rdkit")

from rdkit import Chem
from rdkit.Chem import rdDistGeom

from graphscore.molecules.conformers import ConformerModel
from graphscore.molecules.embedder import Embedder


def places(mol: Chem.Mol) -> np.ndarray:
    return np.stack([conformer.GetPositions() for conformer in mol.GetConformers()])


@pytest.fixture
def embed(conformer_checkpoint: Path) -> Embedder:
    return Embedder(ConformerModel.load(conformer_checkpoint), retries=0)


def test_it_gives_what_the_model_gives_and_is_called_as_rdkit_is(embed):
    mol = Chem.AddHs(Chem.MolFromSmiles("C[C@H](O)C(=O)O"))
    (outcome,) = embed.model.sample([mol], num=3, seed=7, retries=0)
    theirs = Chem.Mol(mol)
    for call, one in ((embed, mol), (rdDistGeom.EmbedMultipleConfs, theirs)):
        assert list(call(one, numConfs=3, randomSeed=7)) == [0, 1, 2]
    np.testing.assert_array_equal(places(mol), places(outcome.mol))
    assert mol.GetConformer(2).GetPropsAsDict() == outcome.mol.GetConformer(2).GetPropsAsDict()
    assert places(mol).shape == places(theirs).shape
    assert embed(mol, 2, randomSeed=1, clearConfs=False) == [3, 4] and mol.GetNumConformers() == 5


def test_atoms_stay_as_they_are_where_hydrogens_are_implicit(embed):
    mol, whole = Chem.MolFromSmiles("CCO"), Chem.AddHs(Chem.MolFromSmiles("CCO"))
    assert embed(mol, 2, randomSeed=3) == embed(whole, 2, randomSeed=3) == [0, 1]
    assert mol.GetNumAtoms() == 3
    np.testing.assert_array_equal(places(mol), places(whole)[:, :3])


def test_parameters_of_rdkit_count(embed):
    params = rdDistGeom.ETKDGv3()
    params.randomSeed, params.clearConfs = 5, False
    mol, same = Chem.AddHs(Chem.MolFromSmiles("CCCO")), Chem.AddHs(Chem.MolFromSmiles("CCCO"))
    embed(mol, 2, params), embed(same, 2, randomSeed=5)
    np.testing.assert_array_equal(places(mol), places(same))
    params.pruneRmsThresh = 100.0  # nothing differs as much
    assert embed(mol, 4, params) == [2] and mol.GetNumConformers() == 3


def test_a_negative_seed_draws_one(embed):
    first, second = (Chem.AddHs(Chem.MolFromSmiles("CCO")) for _ in range(2))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        embed(first, 1), embed(second, 1)
        drawn = places(first)
        assert not np.array_equal(drawn, places(second))
        torch.manual_seed(0)
        embed(first, 1)
    np.testing.assert_array_equal(places(first), drawn)


def test_a_molecule_that_cannot_be_sampled_gets_nothing_and_a_warning(embed):
    mol = Chem.MolFromSmiles("[Fe]")
    with pytest.warns(UserWarning, match=r"\[Fe\]: .*26"):
        assert embed(mol, 2) == []
    assert not mol.GetNumConformers()
    with pytest.raises(ValueError, match=r"Each call says num, as numConfs and randomSeed"):
        Embedder(num=3)
