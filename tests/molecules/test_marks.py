"""Stereo marks of graphs on RDKit molecules."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdMolTransforms

from graphscore.molecules.check.stereo import TWISTED, StereoMarks
from graphscore.molecules.graph import data_from_mol, data_from_smiles
from graphscore.molecules.marks import stereo_mol

BIARYL = "Cc1cccc(Cl)c1-c1c(C)cccc1O"


@pytest.mark.parametrize(
    "smiles",
    ["C[C@H](F)[C@@H](O)/C=C/C", "C[C@@H]1CC[C@H](O)C/C=C\\C1", "CC[P@](C)c1ccccc1", "F/C(Cl)=C(\\Br)C"],
)
def test_embedding_gives_the_marks_of_the_graph(smiles: str) -> None:
    data = data_from_smiles(smiles)
    mol = stereo_mol(data)
    assert mol.GetNumConformers() == 0
    assert Chem.MolToSmiles(Chem.RemoveHs(mol)) == Chem.CanonSmiles(smiles)
    rdDistGeom.EmbedMultipleConfs(mol, 3, randomSeed=7)
    stereo = StereoMarks(data)
    volumes, cosines = stereo.values(np.array([one.GetPositions() for one in mol.GetConformers()]))
    assert len(stereo) > 0 and volumes.shape[0] == 3
    assert (volumes > 0).all() and (cosines > TWISTED).all()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("turn", [False, True])
def test_axes_are_marked_so_that_embedding_gives_the_sign_of_their_torsion(seed: int, turn: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    mol = Chem.AddHs(Chem.MolFromSmiles(BIARYL))
    order = torch.randperm(mol.GetNumAtoms(), generator=generator).tolist()
    data = data_from_mol(Chem.RenumberAtoms(mol, order))
    b, c, a, d = (order.index(atom) for atom in (7, 8, 1, 9))
    other = order.index(14)
    data.axis_index = torch.tensor([[a], [b], [c], [other if turn else d]])
    marked = stereo_mol(data)
    for conformer in rdDistGeom.EmbedMultipleConfs(marked, 3, randomSeed=7):
        angle = rdMolTransforms.GetDihedralDeg(marked.GetConformer(conformer), a, b, c, d)
        assert 20 < (-angle if turn else angle) < 160
