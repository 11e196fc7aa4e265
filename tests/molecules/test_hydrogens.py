"""Hydrogens where the molecule wants them; all other atoms stay where they are."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

pytest.importorskip("rdkit")

from rdkit import Chem

from graphscore.molecules.embedding import embed
from graphscore.molecules.features import MoleculeGraph
from graphscore.molecules.forcefield import ForceField
from graphscore.molecules.graph import data_from_mol, data_from_smiles
from graphscore.molecules.hydrogens import AssembleMolecules, HydrogenPlacer
from graphscore.molecules.smiles import mol_from_smiles

SMILES = ["CCO", "CC(C)Cc1ccc(cc1)[C@H](C)C(=O)O", "C[NH2+]C.[Cl-]", "C", "OO", "C[C@H](F)Cl", "c1cc[nH]c1", "N#N"]


@pytest.mark.parametrize("smiles", SMILES)
def test_heavy_atoms_stay_and_hydrogens_sit_at_bond_length(smiles: str):
    data = data_from_smiles(smiles)
    if "." in smiles or smiles in ("C", "N#N"):
        data.pos = 3 * torch.randn(data.num_nodes, 3)
    else:
        data = data_from_mol(embed(mol_from_smiles(smiles), 1, seed=1))
    kept = MoleculeGraph()(data).kept
    item = HydrogenPlacer(data, kept)(data.pos[kept])
    assert item.pos[kept].tolist() == data.pos[kept].tolist()
    source, target = data["edge_index"]
    to_hydrogen = (data.z[target] == 1) & (data.z[source] > 1)
    lengths = (item.pos[source] - item.pos[target]).norm(dim=-1)[to_hydrogen]
    assert bool(((lengths > 0.9) & (lengths < 1.25)).all())


def test_orders_with_hydrogens_in_between():
    """Each hydrogen comes to its own parent, whatever the numbering."""
    mol = Chem.RenumberAtoms(embed(mol_from_smiles("CCO"), 1, seed=1), [3, 0, 4, 2, 8, 5, 1, 6, 7])
    data = data_from_mol(mol)
    kept = MoleculeGraph()(data).kept
    assert kept.tolist() == [1, 3, 6]
    item = HydrogenPlacer(data, kept)(data.pos[kept])
    source, target = data["edge_index"]
    assert float((item.pos[source] - item.pos[target]).norm(dim=-1).max()) < 1.6


def test_relaxed_hydrogens_are_a_minimum():
    """From a relaxed conformer the same come out, but for equal hydrogens that change places."""
    data = data_from_mol(embed(mol_from_smiles("FC(F)=CCl"), 1, seed=1))
    kept = MoleculeGraph()(data).kept
    item = HydrogenPlacer(data, kept)(data.pos[kept])
    assert_close(item.pos, data.pos, atol=0.02, rtol=0)


def test_hydrogens_that_are_relaxed_later_are_taken_apart_and_end_where_others_do():
    """The steps of relaxing are few only where MMFF94 does the rest."""
    data = data_from_mol(embed(mol_from_smiles("CC(C)Cc1ccc(cc1)[C@H](C)C(=O)O"), 1, seed=1))
    kept = MoleculeGraph()(data).kept
    early, ready = (HydrogenPlacer(data, kept, later)(data.pos[kept]).pos.double().numpy() for later in (True, False))
    field = ForceField(mol_from_smiles("CC(C)Cc1ccc(cc1)[C@H](C)C(=O)O"))
    assert field.energy(ready) < field.energy(early) < field.energy(ready) + 4  # kcal/mol, 11 as they are placed
    assert field.relax(early)[1] == pytest.approx(field.relax(ready)[1], abs=1e-3)
    by_uff = data_from_smiles("CB(O)O")
    kept = MoleculeGraph()(by_uff).kept
    assert HydrogenPlacer(by_uff, kept, True).max_steps == HydrogenPlacer(data, kept, False).max_steps


def test_rounding_errors_of_the_given_atoms_do_not_grow():
    data = data_from_mol(embed(mol_from_smiles("CC(C)Cc1ccc(cc1)[C@H](C)C(=O)O"), 1, seed=1))
    kept = MoleculeGraph()(data).kept
    place = HydrogenPlacer(data, kept)
    for _ in range(20):
        pos = data.pos[kept] + 0.2 * torch.randn(len(kept), 3)
        assert_close(place(pos + 1e-6 * torch.randn(pos.shape)).pos, place(pos).pos, atol=1e-4, rtol=0)


def test_hydrogens_see_other_components():
    """Those of an ammonium ion turn away from a cation in their way."""
    data = data_from_smiles("C[NH3+].[Na+]")
    kept = MoleculeGraph()(data).kept
    pos = torch.tensor([[0.0, 0, 0], [1.5, 0, 0], [2.0, 1.9, 0]])
    item = HydrogenPlacer(data, kept)(pos)
    source, target = data["edge_index"]
    hydrogens = source[(target == 1) & (data.z[source] == 1)]
    assert float((item.pos[hydrogens] - pos[2]).norm(dim=1).min()) > 1.5


def test_assembles_molecules_from_what_was_sampled():
    template = data_from_smiles("CO", name="methanol")
    graph = MoleculeGraph()(template)
    pos = torch.tensor([[0.0, 0, 0], [1.4, 0, 0]])
    assemble = AssembleMolecules()
    item = assemble(template, graph, {"pos": pos})
    assert (item.name, item.pos.shape) == ("methanol", (6, 3))
    assert item.pos[:2].tolist() == pos.tolist()
    assert "pos" not in template
    broken = assemble(template, graph, {"pos": pos * float("nan")})
    assert not bool(broken.pos.isfinite().all())


def test_hydrogens_stay_where_they_are_placed_if_rdkit_cannot_relax_them(monkeypatch, capfd):
    """RDKit's minimiser stops with an error on heavy atoms in a line, and would print a stack trace."""
    minimize, reasons = ForceField.minimize, []

    def watched(self, *arguments):
        try:
            return minimize(self, *arguments)
        except ValueError as error:
            reasons.append(str(error))
            raise

    monkeypatch.setattr(ForceField, "minimize", watched)
    pos = torch.tensor([[0.1 * k, 0, 0] for k in range(4)])
    item = HydrogenPlacer(data_from_smiles("CN(C)C"), torch.arange(4))(pos)
    assert len(reasons) == 1 and "bad direction" in reasons[0]
    assert item.pos[:4].tolist() == pos.tolist()
    assert len(item.pos.unique(dim=0)) == 13  # none is left at the origin
    assert capfd.readouterr().err == ""
