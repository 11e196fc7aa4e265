"""Frames in a file: what others' readers find in it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

pytest.importorskip("rdkit")

from rdkit import Chem
from torch_geometric.data import Batch, Data

from graphscore.molecules.features import MoleculeGraph
from graphscore.molecules.graph import data_from_smiles, flat_smiles
from graphscore.molecules.trajectory import MoleculeTrajectories
from graphscore.sdes import VESDE

SMILES = ["C[NH2+]CC([O-])=O", "c1cc[nH]c1", "O=[N+]([O-])/C=C/F", "[H][H]", "C"]


@pytest.mark.parametrize("hydrogens", [False, True])
def test_every_step_of_every_sample_is_a_record_of_the_right_molecule(tmp_path: Path, hydrogens: bool):
    items = [data_from_smiles(smiles, name=f"n{k}") for k, smiles in enumerate(SMILES)]
    graphs = [MoleculeGraph(hydrogens)(item) for item in items]
    trajectories, frames = MoleculeTrajectories(VESDE(), repr), []
    jobs = [(number, k) for number in range(len(items)) for k in range(2)]
    for step, t in enumerate([1.0, 0.5, 0.0]):
        seen = [graphs[number] for number, _ in jobs]
        batch = Batch.from_data_list([Data(kept=graph.kept, num_nodes=graph.num_nodes) for graph in seen])
        batch.pos = torch.randn(batch.num_nodes, 3)
        frames.append(batch.pos.split(batch.ptr.diff().tolist()))
        trajectories(jobs, step, t, batch)
    text = "".join(record for number, item in enumerate(items) for record in trajectories.records(number, item))
    (tmp_path / "a.sdf").write_text(text)
    mols = list(Chem.SDMolSupplier(str(tmp_path / "a.sdf"), removeHs=False))
    assert not trajectories.states and not trajectories.kept  # nothing is kept
    assert len(mols) == 3 * len(jobs)
    for place, mol in enumerate(mols):
        number, k, step = place // 6, place // 3 % 2, place % 3
        assert mol.GetProp("_Name") == f"n{number}" and mol.GetProp("SMILES") == items[number].smiles
        assert (mol.GetIntProp("sample"), mol.GetIntProp("step")) == (k + 1, step)
        level = float(VESDE().level(torch.tensor([1.0, 0.5], dtype=torch.float64)[min(step, 1)])) if step < 2 else 0
        assert mol.GetDoubleProp("level") == pytest.approx(level)
        assert mol.GetNumAtoms() == graphs[number].num_nodes
        pos = torch.from_numpy(mol.GetConformer().GetPositions()).float()
        torch.testing.assert_close(pos, frames[step][2 * number + k], atol=6e-5, rtol=0)
        assert flat_smiles(Chem.AddHs(mol)) == Chem.CanonSmiles(SMILES[number], useChiral=0)


def test_steps_that_are_not_finite_are_left_out(tmp_path: Path):
    item, trajectories = data_from_smiles("CC"), MoleculeTrajectories(VESDE(), repr)
    for step, value in enumerate([1.0, torch.inf, 2.0]):
        batch = Batch.from_data_list([Data(kept=torch.tensor([0, 1]), pos=torch.full((2, 3), value))])
        trajectories([(0, 0)], step, 0.5, batch)
    (tmp_path / "a.sdf").write_text("".join(trajectories.records(0, item)))
    assert [mol.GetIntProp("step") for mol in Chem.SDMolSupplier(str(tmp_path / "a.sdf"))] == [0, 2]
