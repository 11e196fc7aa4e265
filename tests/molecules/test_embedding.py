"""Conformers by distance geometry."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rdkit")

from rdkit.Chem import AllChem

from graphscore.molecules.embedding import embed
from graphscore.molecules.forcefield import ForceField
from graphscore.molecules.smiles import mol_from_smiles


def test_starts_without_knowledge_are_other_starts():
    mol = mol_from_smiles("CCCCO")
    one, other = (embed(mol, 1, 5, optimize=False, knowledge=knowledge) for knowledge in (True, False))
    assert not np.allclose(one.GetConformer().GetPositions(), other.GetConformer().GetPositions(), atol=1e-2)


def test_components_of_a_salt_see_each_other_when_relaxed():
    """As by ``graphscore.molecules.forcefield``: a conformer that was relaxed by one is a minimum of the other."""
    mol = embed(mol_from_smiles("CC(=O)[O-].C[NH3+]"), 3, seed=1)
    for conformer in mol.GetConformers():
        field = ForceField(mol)
        assert conformer.GetDoubleProp("energy") == pytest.approx(field.energy(conformer.GetPositions()), abs=1e-3)


class TestEmbed:
    def test_repeats_by_seed(self):
        mol = mol_from_smiles("CCCO")
        first, again, other = (embed(mol, 2, seed=s).GetConformer(0).GetPositions() for s in (1, 1, 2))
        assert np.array_equal(first, again)
        assert not np.allclose(first, other)
        assert mol.GetNumConformers() == 0

    def test_conformers_and_seeds_are_independent(self):
        """RDKit itself gives equal conformers for seed 0, and shares them between seeds 1 and 2."""
        mol = mol_from_smiles("CCCO")
        all_of_them = [
            tuple(c.GetPositions()[0].round(6)) for seed in (0, 1, 2) for c in embed(mol, 4, seed).GetConformers()
        ]
        assert len(set(all_of_them)) == 12

    def test_relaxed_conformers_have_the_lengths_of_the_force_field(self):
        mol = embed(mol_from_smiles("CC"), 4, seed=0)
        assert mol.GetNumConformers() == 4
        for conformer in mol.GetConformers():
            assert conformer.GetBoolProp("converged")
            # MMFF94's own equilibrium values, from its parameter file: C-C 1.508 plus strain, C-H 1.093.
            pos = conformer.GetPositions()
            assert np.linalg.norm(pos[0] - pos[1]) == pytest.approx(1.51, abs=0.02)
            assert np.linalg.norm(pos[0] - pos[2]) == pytest.approx(1.093, abs=0.005)

    def test_relaxing_lowers_the_energy(self):
        mol = mol_from_smiles("OCC(N)CO")
        raw, relaxed = embed(mol, 3, seed=0, optimize=False), embed(mol, 3, seed=0)
        properties = AllChem.MMFFGetMoleculeProperties(raw)
        for conformer in raw.GetConformers():
            field = AllChem.MMFFGetMoleculeForceField(raw, properties, confId=conformer.GetId())
            assert relaxed.GetConformer(conformer.GetId()).GetDoubleProp("energy") < field.CalcEnergy()

    @pytest.mark.parametrize("smiles", ["CC1(C)[C@H]2CC=C[C@H]1C2", "[Na+].[Cl-].[Fe]"])
    def test_what_cannot_be_embedded_is_reported(self, smiles: str):
        with pytest.raises(ValueError, match="RDKit cannot embed"):
            embed(mol_from_smiles(smiles), 5, seed=0)

    def test_runtime_errors_of_rdkit_are_reported(self, monkeypatch: pytest.MonkeyPatch):
        def fail(*args: object) -> None:
            raise RuntimeError("\n\nPre-condition Violation\n\tbad\n")

        monkeypatch.setattr("graphscore.molecules.embedding.rdDistGeom.EmbedMolecule", fail)
        with pytest.raises(ValueError, match="RDKit cannot embed 'C': Pre-condition Violation: bad$"):
            embed(mol_from_smiles("C"), 1, seed=0)
